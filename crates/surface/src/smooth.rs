//! Smoothing that keeps the volume.

use rayon::prelude::*;

use crate::Mesh;
use crate::buckets::Buckets;

/// Taubin's factors (1995): a step inwards, then a slightly larger one outwards; the pass band is 1/λ + 1/μ = 0.1.
const LAMBDA: f32 = 0.5;
const MU: f32 = -1.0 / (1.0 / LAMBDA - 0.1);

/// Smooths `iterations` times over neighbours with equal weights, each a step in and a step out, so that what is
/// low in frequency, the volume too, stays. Triangles stay as they are.
///
/// Vertices of open edges stay in place.
pub fn smooth(mesh: &mut Mesh, iterations: u32) {
    let neighbours = neighbours(mesh);
    let mut moved = mesh.vertices.clone();
    for _ in 0..iterations {
        for factor in [LAMBDA, MU] {
            let vertices = &mesh.vertices;
            moved.par_iter_mut().enumerate().with_min_len(4096).for_each(|(vertex, out)| {
                let (around, here) = (neighbours.of(vertex), vertices[vertex]);
                if around.is_empty() {
                    return;
                }
                let mut sum = [0f32; 3];
                for neighbour in around {
                    let there = vertices[*neighbour as usize];
                    sum = std::array::from_fn(|k| sum[k] + (there[k] - here[k]));
                }
                let weight = factor / around.len() as f32;
                *out = std::array::from_fn(|k| sum[k].mul_add(weight, here[k]));
            });
            std::mem::swap(&mut mesh.vertices, &mut moved);
        }
    }
}

/// The neighbours of every vertex of a closed manifold, each once; none of a vertex on an open edge, which stays.
fn neighbours(mesh: &Mesh) -> Buckets {
    // Around a closed manifold's vertex every neighbour is the next corner of one triangle and the last of another.
    let mut balance = vec![0u64; mesh.vertices.len()];
    for [a, b, c] in &mesh.triangles {
        for (from, next, last) in [(a, b, c), (b, c, a), (c, a, b)] {
            let mix = |v: u32| (u64::from(v) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            let sum = &mut balance[*from as usize];
            *sum = sum.wrapping_add(mix(*next)).wrapping_sub(mix(*last));
        }
    }
    Buckets::new(mesh.vertices.len(), |put| {
        for [a, b, c] in &mesh.triangles {
            for (from, next) in [(a, b), (b, c), (c, a)] {
                if balance[*from as usize] == 0 {
                    put(*from as usize, *next);
                }
            }
        }
    })
}
