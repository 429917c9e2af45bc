//! 3MF: the build's items, their objects and components (core specification 1.3, chapters 3 and 4).

use std::collections::HashMap;
use std::io::{BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Affine, MAX_TRIANGLES, MAX_VERTICES, max_inflated};
use crate::Mesh;
use crate::error::SurfaceError;

/// Components above one another, and components visited in all: an object may be named many times.
const MAX_DEPTH: usize = 32;
const MAX_INSTANCES: usize = 100_000;
const MODEL: &str = "3D/3dmodel.model";
const MODEL_RELATIONSHIP: &str = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel";

#[derive(Default)]
struct Object {
    mesh: Mesh,
    components: Vec<(u32, Affine)>,
}

#[derive(Default)]
struct Model {
    /// Millimetres in one of the model's units.
    unit: f64,
    objects: HashMap<u32, Object>,
    items: Vec<(u32, Affine)>,
}

fn damaged(error: &dyn std::fmt::Display) -> SurfaceError {
    SurfaceError::damaged(format!("3MF: {error}"))
}

pub(super) fn three_mf(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let limit = max_inflated(bytes.len());
    let path = match archive.by_name("_rels/.rels") {
        Ok(part) => relationship(part, limit)?.unwrap_or_else(|| MODEL.to_owned()),
        Err(_) => MODEL.to_owned(),
    };
    let part = archive.by_name(path.trim_start_matches('/')).map_err(|error| damaged(&error))?;
    let model = parse(part, limit)?;
    let mut mesh = Mesh::default();
    let mut instances = 0;
    let scale = Affine(Affine::IDENTITY.0.map(|row| row.map(|v| v * model.unit)));
    for (object, map) in &model.items {
        model.place(*object, scale.after(map), 0, &mut instances, &mut mesh)?;
    }
    Ok(mesh)
}

/// Calls `each` with every element that begins, and with whether it is the end of one instead.
fn elements(
    part: impl Read,
    limit: u64,
    mut each: impl FnMut(&str, &Attributes<'_>) -> Result<(), SurfaceError>,
) -> Result<(), SurfaceError> {
    let too_long = || SurfaceError::limit(format!("a part of more than {limit} bytes"));
    // One byte more than allowed is asked for, so that reaching the limit can be told from ending at it.
    let mut reader = Reader::from_reader(BufReader::new(part.take(limit + 1)));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            // What was cut off at the limit is not damaged.
            Err(_) if reader.get_ref().get_ref().limit() == 0 => return Err(too_long()),
            Err(error) => return Err(damaged(&error)),
        };
        match event {
            Event::Start(element) | Event::Empty(element) => {
                each(element.local_name().as_ref(), &Attributes(&element))?;
            }
            Event::Eof => break,
            _ => {}
        }
        if reader.buffer_position() > limit {
            return Err(too_long());
        }
    }
    Ok(())
}

/// An element's attributes, by local name.
struct Attributes<'a>(&'a BytesStart<'a>);

impl Attributes<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, SurfaceError> {
        for attribute in self.0.attributes() {
            let attribute = attribute.map_err(|error| damaged(&error))?;
            if attribute.key.as_ref() == name {
                return Ok(Some(attribute.value.into_owned()));
            }
        }
        Ok(None)
    }

    fn number(&self, name: &str) -> Result<u32, SurfaceError> {
        let text = self.text(name)?.ok_or_else(|| damaged(&format!("no {name}")))?;
        text.trim().parse().map_err(|_| damaged(&format!("{name} is no number")))
    }

    /// Three attributes in one pass.
    fn three<T: std::str::FromStr + Copy + Default>(&self, names: [&str; 3]) -> Result<[T; 3], SurfaceError> {
        let mut values = [None; 3];
        for attribute in self.0.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| damaged(&error))?;
            if let Some(at) = names.iter().position(|name| *name == attribute.key.as_ref()) {
                values[at] = attribute.value.trim().parse().ok();
            }
        }
        match values {
            [Some(a), Some(b), Some(c)] => Ok([a, b, c]),
            _ => Err(damaged(&format!("{} are not three numbers", names.join(", ")))),
        }
    }

    /// A transform: twelve numbers, row by row of a 4 × 3 matrix that multiplies row vectors from the right.
    fn transform(&self) -> Result<Affine, SurfaceError> {
        let Some(text) = self.text("transform")? else {
            return Ok(Affine::IDENTITY);
        };
        let m: Vec<f64> = text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        if m.len() != 12 {
            return Err(damaged(&"a transform that has not twelve numbers"));
        }
        Ok(Affine(std::array::from_fn(|r| std::array::from_fn(|c| m[3 * c + r]))))
    }

    /// Objects in other parts (the production extension) are not read.
    fn own_object(&self) -> Result<u32, SurfaceError> {
        if self.0.attributes().with_checks(false).flatten().any(|a| a.key.local_name().as_ref() == "path") {
            return Err(SurfaceError::unsupported("a 3MF whose objects lie in other parts"));
        }
        self.number("objectid")
    }
}

fn relationship(part: impl Read, limit: u64) -> Result<Option<String>, SurfaceError> {
    let mut found = None;
    elements(part, limit, |name, attributes| {
        if name == "Relationship" && attributes.text("Type")?.as_deref() == Some(MODEL_RELATIONSHIP) {
            found = attributes.text("Target")?;
        }
        Ok(())
    })?;
    Ok(found)
}

fn parse(part: impl Read, limit: u64) -> Result<Model, SurfaceError> {
    let mut model = Model { unit: 1.0, ..Model::default() };
    let mut id = 0;
    let mut current = Object::default();
    let (mut vertices, mut triangles) = (0, 0);
    elements(part, limit, |name, attributes| {
        match name {
            "model" => model.unit = unit(attributes.text("unit")?.as_deref())?,
            "object" => {
                let done = std::mem::take(&mut current);
                model.objects.insert(id, done);
                id = attributes.number("id")?;
            }
            "vertex" => {
                vertices += 1;
                if vertices > MAX_VERTICES {
                    return Err(SurfaceError::limit(format!("more than {MAX_VERTICES} vertices")));
                }
                current.mesh.vertices.push(attributes.three(["x", "y", "z"])?);
            }
            "triangle" => {
                triangles += 1;
                if triangles > MAX_TRIANGLES {
                    return Err(SurfaceError::limit(format!("more than {MAX_TRIANGLES} triangles")));
                }
                current.mesh.triangles.push(attributes.three(["v1", "v2", "v3"])?);
            }
            "component" => current.components.push((attributes.own_object()?, attributes.transform()?)),
            "item" => model.items.push((attributes.own_object()?, attributes.transform()?)),
            _ => {}
        }
        Ok(())
    })?;
    model.objects.insert(id, current);
    Ok(model)
}

fn unit(name: Option<&str>) -> Result<f64, SurfaceError> {
    Ok(match name {
        None | Some("millimeter") => 1.0,
        Some("micron") => 0.001,
        Some("centimeter") => 10.0,
        Some("inch") => 25.4,
        Some("foot") => 304.8,
        Some("meter") => 1000.0,
        Some(other) => return Err(damaged(&format!("the unit {other:?}"))),
    })
}

impl Model {
    fn place(
        &self,
        object: u32,
        map: Affine,
        depth: usize,
        instances: &mut usize,
        mesh: &mut Mesh,
    ) -> Result<(), SurfaceError> {
        *instances += 1;
        if depth > MAX_DEPTH || *instances > MAX_INSTANCES {
            return Err(SurfaceError::limit("3MF components nested too deeply, or in a circle"));
        }
        let object = self.objects.get(&object).ok_or_else(|| damaged(&format!("no object {object}")))?;
        map.append(mesh, &object.mesh)?;
        object
            .components
            .iter()
            .try_for_each(|(inner, own)| self.place(*inner, map.after(own), depth + 1, instances, mesh))
    }
}
