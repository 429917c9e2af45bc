//! Mesh files: the same mesh in every format, the same bytes every time.

mod gltf;
mod text;
mod three_mf;

use std::io::Write;

use orfeas_contract::Format;

use crate::Mesh;
use crate::error::SurfaceError;
use crate::mesh::{area_normal, dot};

/// Writes a mesh (millimetres, z up) as a file.
///
/// STL, OBJ, PLY and 3MF keep the millimetres; GLB and glTF are in metres with y up. `name` is the object's name inside
/// the formats that have one.
///
/// # Errors
/// [`SurfaceErrorKind::Damaged`](crate::SurfaceErrorKind::Damaged) for indices that name no vertex,
/// [`SurfaceErrorKind::Limit`](crate::SurfaceErrorKind::Limit) where the format's counters are too small.
pub fn write(mesh: &Mesh, format: Format, name: &str) -> Result<Vec<u8>, SurfaceError> {
    let mut out = Vec::new();
    write_to(mesh, format, name, &mut out)?;
    Ok(out)
}

/// [`write`] to a writer, which should be buffered.
///
/// # Errors
/// [`SurfaceErrorKind::Io`](crate::SurfaceErrorKind::Io) too.
pub fn write_to(mesh: &Mesh, format: Format, name: &str, out: &mut impl Write) -> Result<(), SurfaceError> {
    if !mesh.indices_fit() {
        return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
    }
    let bytes = match format {
        Format::Stl => stl(mesh)?,
        Format::Obj => text::obj(mesh, name),
        Format::Ply => ply(mesh),
        Format::Glb => gltf::glb(mesh, name)?,
        Format::Gltf => gltf::gltf(mesh, name)?,
        Format::ThreeMf => three_mf::three_mf(mesh, name)?,
    };
    out.write_all(&bytes).map_err(|error| SurfaceError::io(&error))
}

/// Binary STL through `stl_io`, with the triangles' unit normals.
fn stl(mesh: &Mesh) -> Result<Vec<u8>, SurfaceError> {
    let triangles = mesh.triangles.iter().map(|triangle| {
        let corners = mesh.corners(*triangle);
        let normal = area_normal(corners);
        let length = dot(normal, normal).sqrt();
        let unit = if length > 0.0 { normal.map(|n| (n / length) as f32) } else { [0.0; 3] };
        stl_io::Triangle { normal: stl_io::Normal::new(unit), vertices: corners.map(stl_io::Vertex::new) }
    });
    let mut out = Vec::with_capacity(84 + 50 * mesh.triangles.len());
    stl_io::write_stl(&mut out, triangles).map_err(|error| SurfaceError::io(&error))?;
    Ok(out)
}

/// Binary little-endian PLY.
fn ply(mesh: &Mesh) -> Vec<u8> {
    let header = format!(
        "ply\nformat binary_little_endian 1.0\ncomment ORFEAS, millimetres, z up\nelement vertex {}\nproperty float \
         x\nproperty float y\nproperty float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n",
        mesh.vertices.len(),
        mesh.triangles.len()
    );
    let mut out = Vec::with_capacity(header.len() + 12 * mesh.vertices.len() + 13 * mesh.triangles.len());
    out.extend_from_slice(header.as_bytes());
    for value in mesh.vertices.as_flattened() {
        out.extend_from_slice(&value.to_le_bytes());
    }
    for [a, b, c] in &mesh.triangles {
        let mut face = [3u8; 13];
        face[1..5].copy_from_slice(&a.to_le_bytes());
        face[5..9].copy_from_slice(&b.to_le_bytes());
        face[9..13].copy_from_slice(&c.to_le_bytes());
        out.extend_from_slice(&face);
    }
    out
}
