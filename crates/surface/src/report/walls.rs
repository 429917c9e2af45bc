//! Wall thickness: rays inwards from points all over the surface, until they come out again.

use orfeas_contract::{PrintReport, WallSampling};
use rayon::prelude::*;

use super::topology::Fans;
use crate::Mesh;
use crate::bvh::Bvh;
use crate::mesh::{area_normal, dot};

/// Points on the surface.
const SAMPLES: usize = 16_384;
/// A wall is what a ray leaves by a side that faces it within 60°: at the edge of a wedge, where the sides meet at less,
/// every solid is as thin as one likes.
const OPPOSITE: f32 = 0.5;
/// Neighbouring triangles within this of a triangle's own normal (60°) have a say in where inwards is: a sliver's own
/// normal is mostly rounding. Beyond it is another side of an edge.
const SAME_SIDE: f64 = 0.5;
const SEED: u64 = 0x0f3e_a5ed;

pub(super) struct Walls {
    /// Millimetres; none where no ray met an opposite wall.
    pub thinnest: Option<f64>,
    pub sampling: WallSampling,
}

/// A point of the surface and the triangle that it lies on.
struct Sample {
    at: [f32; 3],
    triangle: u32,
}

/// Looks at a closed, oriented mesh of this area (mm²); none where it has no extent.
pub(super) fn walls(mesh: &Mesh, fans: &Fans, area: f64) -> Option<Walls> {
    let (low, high) = mesh.bounds()?;
    let side = (0..3).map(|k| high[k] - low[k]).fold(0.0, f32::max);
    if !(side > 0.0 && area > 0.0) {
        return None;
    }
    let (tree, samples) = rayon::join(|| Bvh::new(mesh), || samples(mesh));
    let inwards = |triangle: u32| inwards(mesh, fans, mesh.triangles[triangle as usize]);
    let least = side * 1e-6;
    let found: Vec<Option<f32>> = samples
        .par_iter()
        .with_min_len(64)
        .map(|sample| {
            let hit = tree.first_hit(sample.at, inwards(sample.triangle), least, sample.triangle)?;
            (hit.facing > OPPOSITE).then_some(hit.distance)
        })
        .collect();
    let thinnest = found.iter().flatten().copied().reduce(f32::min).map(f64::from);
    let thin = found.iter().flatten().filter(|distance| f64::from(**distance) < PrintReport::THIN_WALL_MM).count();
    let count = samples.len() as f64;
    let sampling = WallSampling {
        method: "rays inwards along the normal from random points, evenly by area, to the opposite wall, one that \
                 faces them within 60 degrees"
            .into(),
        samples: samples.len() as u64,
        error_mm: (area / count).sqrt(),
        thin_cm2: area / 100.0 * thin as f64 / count,
    };
    Some(Walls { thinnest, sampling })
}

/// Points evenly by area: one at random in each of as many equal shares of it, in the order of the triangles.
fn samples(mesh: &Mesh) -> Vec<Sample> {
    let areas: Vec<f64> = mesh
        .triangles
        .par_iter()
        .with_min_len(8192)
        .map(|triangle| {
            let normal = area_normal(mesh.corners(*triangle));
            dot(normal, normal).sqrt()
        })
        .collect();
    let total: f64 = areas.iter().sum();
    let mut random = SEED;
    let mut samples = Vec::with_capacity(SAMPLES);
    let (mut triangle, mut passed) = (0, areas[0]);
    for share in 0..SAMPLES {
        let target = (share as f64 + unit(&mut random)) / SAMPLES as f64 * total;
        while passed < target && triangle + 1 < areas.len() {
            triangle += 1;
            passed += areas[triangle];
        }
        // The square root makes the points even over the triangle.
        let (u, v) = (unit(&mut random).sqrt(), unit(&mut random));
        let weights = [1.0 - u, u * (1.0 - v), u * v];
        let corners = mesh.corners(mesh.triangles[triangle]);
        samples.push(Sample {
            at: std::array::from_fn(|k| (0..3).map(|c| weights[c] * f64::from(corners[c][k])).sum::<f64>() as f32),
            triangle: triangle as u32,
        });
    }
    samples
}

/// The way into the solid from a triangle: against the mean normal of the triangles around its corners that lie on the
/// same side as it, weighted by area.
fn inwards(mesh: &Mesh, fans: &Fans, triangle: [u32; 3]) -> [f32; 3] {
    let own = area_normal(mesh.corners(triangle));
    let mut sum = own;
    for vertex in triangle {
        for [p, q] in fans.around(vertex as usize) {
            let normal = area_normal(mesh.corners([vertex, *p, *q]));
            if dot(normal, own) >= SAME_SIDE * (dot(normal, normal) * dot(own, own)).sqrt() {
                sum = std::array::from_fn(|k| sum[k] + normal[k]);
            }
        }
    }
    let length = dot(sum, sum).sqrt().max(f64::MIN_POSITIVE);
    sum.map(|n| (-n / length) as f32)
}

/// A number from 0 to 1, the same in every run (SplitMix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
