//! Wavefront OBJ: positions and faces.

use super::{MAX_VERTICES, position, push_fan};
use crate::Mesh;
use crate::error::SurfaceError;

pub(super) fn obj(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    let mut mesh = Mesh::default();
    let mut polygon = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let damaged = |what: &str| SurfaceError::damaged(format!("line {}: {what}", number + 1));
        let line = line.trim_ascii();
        let is_vertex = line.starts_with(b"v ") || line.starts_with(b"v\t");
        if !is_vertex && !line.starts_with(b"f ") && !line.starts_with(b"f\t") {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| damaged("not text"))?;
        if text.ends_with('\\') {
            return Err(SurfaceError::unsupported(format!("line {}: a line that goes on in the next", number + 1)));
        }
        let mut words = text.split_ascii_whitespace().skip(1);
        if is_vertex {
            if mesh.vertices.len() == MAX_VERTICES {
                return Err(SurfaceError::limit(format!("more than {MAX_VERTICES} vertices")));
            }
            mesh.vertices.push(position(&mut words).ok_or_else(|| damaged("no position"))?);
            continue;
        }
        polygon.clear();
        for word in words {
            let first = word.split('/').next().unwrap_or_default();
            let index: i64 = first.parse().map_err(|_| damaged("no vertex number"))?;
            // Numbers count from one, negative ones back from the latest vertex.
            let index = if index > 0 { index.checked_sub(1) } else { index.checked_add(mesh.vertices.len() as i64) };
            let index = index.filter(|_| !first.starts_with("-0") && first != "0");
            polygon.push(index.and_then(|i| u32::try_from(i).ok()).ok_or_else(|| damaged("no such vertex"))?);
        }
        if polygon.len() < 3 {
            return Err(damaged("a face of fewer than three corners"));
        }
        push_fan(&mut mesh.triangles, &polygon)?;
    }
    Ok(mesh)
}
