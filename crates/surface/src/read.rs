//! Mesh files from anywhere: nothing in the bytes is trusted.
//!
//! Counts are compared with what the bytes can hold before anything is allocated for them, decompression stops at a
//! limit, nesting is bounded, and every fault is a typed error.

mod gltf;
mod obj;
mod ply;
mod stl;
mod three_mf;

use orfeas_contract::Format;

use crate::Mesh;
use crate::error::SurfaceError;

/// Triangles that a reader takes, instances counted.
pub(crate) const MAX_TRIANGLES: usize = 40_000_000;
/// Vertices that a reader takes.
pub(crate) const MAX_VERTICES: usize = 120_000_000;
/// Bytes that a compressed part may become: never more than two gigabytes, nor than 64 times the file (meshes as text
/// become a tenth) and a little, so that a small file cannot ask for much memory.
pub(crate) fn max_inflated(file: usize) -> u64 {
    (64 * file as u64 + (16 << 20)).min(2 << 30)
}

/// Reads a mesh, in millimetres with z up; the format is that of `format`, or found by [`sniff`].
///
/// STL (text and binary; vertices of bit-equal position become one), OBJ (polygons become fans), PLY (text, binary of
/// either byte order), GLB and glTF with embedded buffers (all triangles of the scene, transforms applied, metres
/// become millimetres, y up becomes z up; quantized and compressed by EXT_meshopt_compression too), 3MF (build items and components with their transforms, any unit). Polygons
/// become fans around their first corner. Positions must be finite.
///
/// # Errors
/// [`SurfaceErrorKind::Damaged`](crate::SurfaceErrorKind::Damaged),
/// [`SurfaceErrorKind::Limit`](crate::SurfaceErrorKind::Limit) and
/// [`SurfaceErrorKind::Unsupported`](crate::SurfaceErrorKind::Unsupported) (glTF compressed by Draco, buffers in other files);
/// [`SurfaceErrorKind::Empty`](crate::SurfaceErrorKind::Empty) where there is no triangle.
pub fn read(bytes: &[u8], format: Option<Format>) -> Result<Mesh, SurfaceError> {
    let format = format
        .or_else(|| sniff(bytes))
        .ok_or_else(|| SurfaceError::damaged("this is no STL, OBJ, PLY, GLB, glTF or 3MF file"))?;
    let mesh = match format {
        Format::Stl => stl::stl(bytes),
        Format::Obj => obj::obj(bytes),
        Format::Ply => ply::ply(bytes),
        Format::Glb => gltf::glb(bytes),
        Format::Gltf => gltf::gltf(bytes),
        Format::ThreeMf => three_mf::three_mf(bytes),
    }?;
    if !mesh.indices_fit() {
        return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
    }
    if mesh.vertices.as_flattened().iter().any(|value| !value.is_finite()) {
        return Err(SurfaceError::damaged("a position is not finite"));
    }
    if mesh.triangles.is_empty() {
        return Err(SurfaceError::new(crate::SurfaceErrorKind::Empty, "the file has no triangles"));
    }
    Ok(mesh)
}

/// The format that bytes look like.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    let head = &bytes[..bytes.len().min(4096)];
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if head.starts_with(b"glTF") {
        Some(Format::Glb)
    } else if head.starts_with(b"PK\x03\x04") {
        Some(Format::ThreeMf)
    } else if head.starts_with(b"ply\n") || head.starts_with(b"ply\r") {
        Some(Format::Ply)
    } else if stl::is_binary(bytes) || stl::is_empty(bytes) || stl::is_text(bytes) {
        Some(Format::Stl)
    } else if text.starts_with(b"{") {
        Some(Format::Gltf)
    } else {
        let obj = |line: &[u8]| {
            [b"v ".as_slice(), b"o ", b"g ", b"mtllib ", b"vn ", b"vt "].iter().any(|p| line.starts_with(p))
        };
        text.split(|byte| *byte == b'\n').any(|line| obj(line.trim_ascii())).then_some(Format::Obj)
    }
}

/// Three numbers as text.
fn position<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<[f32; 3]> {
    let mut next = || words.next()?.parse::<f32>().ok();
    Some([next()?, next()?, next()?])
}

/// A polygon's triangles, as a fan around its first corner.
fn push_fan(triangles: &mut Vec<[u32; 3]>, polygon: &[u32]) -> Result<(), SurfaceError> {
    for pair in polygon.get(1..).unwrap_or_default().windows(2) {
        triangles.push([polygon[0], pair[0], pair[1]]);
    }
    if triangles.len() > MAX_TRIANGLES {
        return Err(SurfaceError::limit(format!("more than {MAX_TRIANGLES} triangles")));
    }
    Ok(())
}

/// An affine map: rows of a 3 × 4 matrix in double precision.
#[derive(Clone, Copy, Debug)]
struct Affine([[f64; 4]; 3]);

impl Affine {
    const IDENTITY: Self = Self([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);

    fn apply(&self, point: [f32; 3]) -> [f32; 3] {
        let point = point.map(f64::from);
        self.0.map(|row| (row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3]) as f32)
    }

    /// First `inner`, then `self`.
    fn after(&self, inner: &Self) -> Self {
        Self(std::array::from_fn(|r| {
            std::array::from_fn(|c| {
                let sum: f64 = (0..3).map(|k| self.0[r][k] * inner.0[k][c]).sum();
                if c == 3 { sum + self.0[r][3] } else { sum }
            })
        }))
    }

    /// Whether it turns right hands into left ones, and so triangles inside out.
    fn mirrors(&self) -> bool {
        let [a, b, c] = self.0.map(|row| [row[0], row[1], row[2]]);
        crate::mesh::dot(a, crate::mesh::cross(b, c)) < 0.0
    }

    /// Adds a mapped copy of `part`.
    fn append(&self, mesh: &mut Mesh, part: &Mesh) -> Result<(), SurfaceError> {
        if mesh.triangles.len() + part.triangles.len() > MAX_TRIANGLES
            || mesh.vertices.len() + part.vertices.len() > MAX_VERTICES
        {
            return Err(SurfaceError::limit(format!("more than {MAX_TRIANGLES} triangles with all instances")));
        }
        if !part.indices_fit() {
            return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
        }
        let base = mesh.vertices.len() as u32;
        mesh.vertices.extend(part.vertices.iter().map(|vertex| self.apply(*vertex)));
        let mirrors = self.mirrors();
        mesh.triangles.extend(part.triangles.iter().map(|[a, b, c]| {
            let [b, c] = if mirrors { [c, b] } else { [b, c] };
            [a + base, b + base, c + base]
        }));
        Ok(())
    }
}
