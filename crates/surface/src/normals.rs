//! Vertex normals.

use crate::Mesh;
use crate::mesh::{area_normal, dot};

/// Unit normals per vertex: the sum of the neighbouring triangles' normals, weighted by area. A vertex whose sum
/// vanishes, or that no triangle uses, gets +z.
pub(crate) fn smooth_normals(mesh: &Mesh) -> Vec<[f32; 3]> {
    let mut sums = vec![[0.0f64; 3]; mesh.vertices.len()];
    for triangle in &mesh.triangles {
        let normal = area_normal(mesh.corners(*triangle));
        for vertex in triangle {
            let sum = &mut sums[*vertex as usize];
            (0..3).for_each(|k| sum[k] += normal[k]);
        }
    }
    sums.into_iter()
        .map(|sum| {
            let length = dot(sum, sum).sqrt();
            if length > 0.0 && length.is_finite() { sum.map(|n| (n / length) as f32) } else { [0.0, 0.0, 1.0] }
        })
        .collect()
}
