//! PLY, text and binary of either byte order.

use super::{MAX_VERTICES, push_fan};
use crate::Mesh;
use crate::error::SurfaceError;

#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Text,
    Little,
    Big,
}

#[derive(Clone, Copy)]
enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "char" | "int8" => Self::I8,
            "uchar" | "uint8" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The value of little-endian bytes, as wide as the type.
    fn value(self, b: [u8; 8]) -> f64 {
        match self {
            Self::I8 => f64::from(b[0] as i8),
            Self::U8 => f64::from(b[0]),
            Self::I16 => f64::from(i16::from_le_bytes([b[0], b[1]])),
            Self::U16 => f64::from(u16::from_le_bytes([b[0], b[1]])),
            Self::I32 => f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::U32 => f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::F32 => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::F64 => f64::from_le_bytes(b),
        }
    }
}

struct Property {
    name: String,
    /// The type of a list's length.
    length: Option<Scalar>,
    scalar: Scalar,
}

struct Element {
    name: String,
    count: usize,
    properties: Vec<Property>,
}

/// The body, value by value.
struct Values<'a> {
    rest: &'a [u8],
    encoding: Encoding,
}

impl Values<'_> {
    fn next(&mut self, scalar: Scalar) -> Result<f64, SurfaceError> {
        let cut = || SurfaceError::damaged("a PLY file that is cut off");
        if self.encoding == Encoding::Text {
            let rest = self.rest.trim_ascii_start();
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            let (word, rest) = rest.split_at(end);
            self.rest = rest;
            if word.is_empty() {
                return Err(cut());
            }
            let number = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            return number.ok_or_else(|| SurfaceError::damaged("a PLY value that is no number"));
        }
        let (bytes, rest) = self.rest.split_at_checked(scalar.size()).ok_or_else(cut)?;
        self.rest = rest;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        if self.encoding == Encoding::Big {
            word[..bytes.len()].reverse();
        }
        Ok(scalar.value(word))
    }

    /// A whole number from 0.
    fn natural(&mut self, scalar: Scalar) -> Result<u32, SurfaceError> {
        let value = self.next(scalar)?;
        if value.fract() == 0.0 && (0.0..4_294_967_295.0).contains(&value) {
            Ok(value as u32)
        } else {
            Err(SurfaceError::damaged(format!("{value} where a count or a vertex number must stand")))
        }
    }

    /// A list's length, which the rest of the file can hold.
    fn length(&mut self, length: Scalar, item: Scalar) -> Result<u32, SurfaceError> {
        let count = self.natural(length)?;
        if (count as usize).saturating_mul(self.least(item)) > self.rest.len() {
            return Err(SurfaceError::damaged("a PLY list longer than the file"));
        }
        Ok(count)
    }

    /// The fewest bytes that a value takes.
    fn least(&self, scalar: Scalar) -> usize {
        if self.encoding == Encoding::Text { 1 } else { scalar.size() }
    }
}

pub(super) fn ply(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    let (encoding, elements, rest) = header(bytes)?;
    let mut values = Values { rest, encoding };
    let mut mesh = Mesh::default();
    for element in elements.iter().filter(|element| !element.properties.is_empty()) {
        let row: usize = element.properties.iter().map(|p| values.least(p.length.unwrap_or(p.scalar))).sum();
        if element.count.saturating_mul(row) > values.rest.len() {
            return Err(SurfaceError::damaged(format!(
                "{} rows are promised, more than the file holds",
                element.count
            )));
        }
        match element.name.as_str() {
            "vertex" => vertices(&mut values, element, &mut mesh)?,
            "face" => faces(&mut values, element, &mut mesh)?,
            _ => skip(&mut values, element)?,
        }
    }
    Ok(mesh)
}

fn header(bytes: &[u8]) -> Result<(Encoding, Vec<Element>, &[u8]), SurfaceError> {
    let damaged = |what: &str| SurfaceError::damaged(format!("PLY header: {what}"));
    let mut rest = bytes;
    let mut encoding = None;
    let mut elements: Vec<Element> = Vec::new();
    for number in 0..1000 {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it does not end"))?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| damaged("not text"))?;
        rest = &rest[end + 1..];
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["ply"] if number == 0 => {}
            _ if number == 0 => return Err(damaged("it does not begin with `ply`")),
            ["format", name, _] => {
                encoding = Some(match *name {
                    "ascii" => Encoding::Text,
                    "binary_little_endian" => Encoding::Little,
                    "binary_big_endian" => Encoding::Big,
                    _ => return Err(damaged("an unknown encoding")),
                });
            }
            ["element", name, count] => elements.push(Element {
                name: (*name).to_owned(),
                count: count.parse().map_err(|_| damaged("a count that is no number"))?,
                properties: Vec::new(),
            }),
            ["property", "list", length, scalar, name] => {
                let (Some(length), Some(scalar)) = (Scalar::parse(length), Scalar::parse(scalar)) else {
                    return Err(damaged("an unknown type"));
                };
                let element = elements.last_mut().ok_or_else(|| damaged("a property of nothing"))?;
                element.properties.push(Property { name: (*name).to_owned(), length: Some(length), scalar });
            }
            ["property", scalar, name] => {
                let scalar = Scalar::parse(scalar).ok_or_else(|| damaged("an unknown type"))?;
                let element = elements.last_mut().ok_or_else(|| damaged("a property of nothing"))?;
                element.properties.push(Property { name: (*name).to_owned(), length: None, scalar });
            }
            ["end_header"] => return Ok((encoding.ok_or_else(|| damaged("no encoding"))?, elements, rest)),
            ["comment" | "obj_info", ..] | [] => {}
            _ => return Err(damaged("a line that PLY does not know")),
        }
    }
    Err(damaged("too long"))
}

fn vertices(values: &mut Values<'_>, element: &Element, mesh: &mut Mesh) -> Result<(), SurfaceError> {
    if element.count > MAX_VERTICES {
        return Err(SurfaceError::limit(format!("{} vertices, at most {MAX_VERTICES}", element.count)));
    }
    let axis = |property: &Property| ["x", "y", "z"].iter().position(|name| *name == property.name);
    if element.properties.iter().filter(|p| p.length.is_none()).filter_map(axis).count() != 3 {
        return Err(SurfaceError::damaged("PLY vertices without x, y and z"));
    }
    mesh.vertices.reserve(element.count);
    for _ in 0..element.count {
        let mut position = [0.0; 3];
        for property in &element.properties {
            match (property.length, axis(property)) {
                (None, Some(axis)) => position[axis] = values.next(property.scalar)? as f32,
                _ => skip_value(values, property)?,
            }
        }
        mesh.vertices.push(position);
    }
    Ok(())
}

fn faces(values: &mut Values<'_>, element: &Element, mesh: &mut Mesh) -> Result<(), SurfaceError> {
    let mut polygon = Vec::new();
    for _ in 0..element.count {
        for property in &element.properties {
            match property.length {
                Some(length) if matches!(property.name.as_str(), "vertex_indices" | "vertex_index") => {
                    polygon.clear();
                    for _ in 0..values.length(length, property.scalar)? {
                        polygon.push(values.natural(property.scalar)?);
                    }
                    push_fan(&mut mesh.triangles, &polygon)?;
                }
                _ => skip_value(values, property)?,
            }
        }
    }
    Ok(())
}

fn skip(values: &mut Values<'_>, element: &Element) -> Result<(), SurfaceError> {
    for _ in 0..element.count {
        element.properties.iter().try_for_each(|property| skip_value(values, property))?;
    }
    Ok(())
}

fn skip_value(values: &mut Values<'_>, property: &Property) -> Result<(), SurfaceError> {
    let count = match property.length {
        Some(length) => values.length(length, property.scalar)?,
        None => 1,
    };
    (0..count).try_for_each(|_| values.next(property.scalar).map(|_| ()))
}
