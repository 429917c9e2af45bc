//! Wavefront OBJ with normals.

use std::io::Write;

use super::stream::stream;
use super::text::{push_float, push_integer, push_unit};
use super::{FileOptions, one_line, origin_line};
use crate::Mesh;
use crate::error::SurfaceError;
use crate::normals::smooth_normals;

pub(super) fn obj(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let mut head = String::from("# ORFEAS, millimetres, z up\n");
    if let Some(origin) = options.origin {
        head.push_str(&format!("# {}\n", origin_line(origin)));
    }
    head.push_str(&format!("o {}\n", one_line(options.name)));
    let normals = smooth_normals(mesh);
    let mut all = || {
        out.write_all(head.as_bytes())?;
        stream(&mesh.vertices, out, |bytes, position| {
            bytes.push(b'v');
            for value in position {
                bytes.push(b' ');
                push_float(bytes, *value);
            }
            bytes.push(b'\n');
        })?;
        stream(&normals, out, |bytes, normal| {
            bytes.extend_from_slice(b"vn");
            for value in normal {
                bytes.push(b' ');
                push_unit(bytes, *value);
            }
            bytes.push(b'\n');
        })?;
        // A vertex and its normal have the same number.
        stream(&mesh.triangles, out, |bytes, triangle| {
            bytes.push(b'f');
            for vertex in triangle {
                let number = u64::from(*vertex) + 1;
                bytes.push(b' ');
                push_integer(bytes, number);
                bytes.extend_from_slice(b"//");
                push_integer(bytes, number);
            }
            bytes.push(b'\n');
        })
    };
    all().map_err(|error| SurfaceError::io(&error))
}
