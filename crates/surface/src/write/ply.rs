//! Binary little-endian PLY with normals.

use std::io::Write;

use super::stream::stream;
use super::{FileOptions, origin_line};
use crate::Mesh;
use crate::error::SurfaceError;
use crate::normals::smooth_normals;

pub(super) fn ply(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let mut head = String::from("ply\nformat binary_little_endian 1.0\ncomment ORFEAS, millimetres, z up\n");
    if let Some(origin) = options.origin {
        head.push_str(&format!("comment {}\n", origin_line(origin)));
    }
    head.push_str(&format!("element vertex {}\n", mesh.vertices.len()));
    for name in ["x", "y", "z", "nx", "ny", "nz"] {
        head.push_str(&format!("property float {name}\n"));
    }
    let count = mesh.triangles.len();
    head.push_str(&format!("element face {count}\nproperty list uchar int vertex_indices\nend_header\n"));
    let normals = smooth_normals(mesh);
    let vertices: Vec<usize> = (0..mesh.vertices.len()).step_by(VERTICES).collect();
    let mut all = || {
        out.write_all(head.as_bytes())?;
        stream(&vertices, out, |bytes, start| {
            let end = (start + VERTICES).min(mesh.vertices.len());
            for (position, normal) in mesh.vertices[*start..end].iter().zip(&normals[*start..end]) {
                position.iter().chain(normal).for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            }
        })?;
        stream(&mesh.triangles, out, |bytes, [a, b, c]| {
            let mut face = [3u8; 13];
            face[1..5].copy_from_slice(&a.to_le_bytes());
            face[5..9].copy_from_slice(&b.to_le_bytes());
            face[9..13].copy_from_slice(&c.to_le_bytes());
            bytes.extend_from_slice(&face);
        })
    };
    all().map_err(|error| SurfaceError::io(&error))
}

/// Vertices that make one item of a stream: position and normal lie in two arrays.
const VERTICES: usize = 8;
