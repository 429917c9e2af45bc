//! Volume, area, centre of mass, overhang.

use rayon::prelude::*;

use crate::Mesh;
use crate::mesh::{area_normal, difference, dot, flat_in_single_precision};

/// Triangles whose normal points further down than this face down more than 45° from the vertical.
const OVERHANG: f64 = -std::f64::consts::FRAC_1_SQRT_2;
/// What lies this near the lowest point rests on the build plate: a usual layer's height, in millimetres.
const FIRST_LAYER: f32 = 0.2;

/// Sums over the triangles of a mesh.
pub(super) struct Shape {
    /// Six times the volume, mm³.
    pub volume: f64,
    /// Twice the area, mm².
    pub area: f64,
    /// Twice the area that overhangs, mm².
    pub overhang: f64,
    /// Centre of mass of the enclosed volume, mm; not a number where that is zero.
    pub centre: [f64; 3],
    /// Size of the bounding box, mm.
    pub size: [f64; 3],
    /// Triangles without area.
    pub degenerate: u64,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    volume: f64,
    area: f64,
    overhang: f64,
    /// Sum of volume times corner sum.
    moment: [f64; 3],
    degenerate: u64,
}

impl Sums {
    fn plus(self, other: &Self) -> Self {
        Self {
            volume: self.volume + other.volume,
            area: self.area + other.area,
            overhang: self.overhang + other.overhang,
            moment: std::array::from_fn(|k| self.moment[k] + other.moment[k]),
            degenerate: self.degenerate + other.degenerate,
        }
    }
}

pub(super) fn shape(mesh: &Mesh) -> Shape {
    let (low, high) = mesh.bounds().unwrap_or_default();
    // Relative to the middle, so that a mesh far from the origin does not lose its volume to rounding.
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    // Sums of chunks in a fixed order: the same for any number of threads.
    let parts: Vec<Sums> = mesh
        .triangles
        .par_chunks(8192)
        .map(|chunk| {
            let mut sums = Sums::default();
            for triangle in chunk {
                add(&mut sums, mesh, *triangle, middle, low[2] + FIRST_LAYER);
            }
            sums
        })
        .collect();
    let sums = parts.iter().fold(Sums::default(), |a, b| a.plus(b));
    Shape {
        volume: sums.volume,
        area: sums.area,
        overhang: sums.overhang,
        // A tetrahedron's centre is the mean of its corners; the fourth is the middle, the origin here.
        centre: std::array::from_fn(|k| f64::from(middle[k]) + sums.moment[k] / (4.0 * sums.volume)),
        size: std::array::from_fn(|k| f64::from(high[k]) - f64::from(low[k])),
        degenerate: sums.degenerate,
    }
}

fn add(sums: &mut Sums, mesh: &Mesh, triangle: [u32; 3], middle: [f32; 3], plate: f32) {
    let corners = mesh.corners(triangle);
    let normal = area_normal(corners);
    let twice = dot(normal, normal).sqrt();
    let from_middle = corners.map(|corner| difference(middle, corner));
    let volume = dot(from_middle[0], normal);
    sums.volume += volume;
    sums.area += twice;
    for (k, moment) in sums.moment.iter_mut().enumerate() {
        *moment += volume * (from_middle[0][k] + from_middle[1][k] + from_middle[2][k]);
    }
    if normal[2] < OVERHANG * twice && corners.iter().any(|corner| corner[2] > plate) {
        sums.overhang += twice;
    }
    let repeated = triangle[0] == triangle[1] || triangle[1] == triangle[2] || triangle[2] == triangle[0];
    sums.degenerate += u64::from(repeated || !twice.is_finite() || flat_in_single_precision(corners));
}

/// Six times the signed volume of each component.
pub(super) fn volumes(mesh: &Mesh, labels: &[u32], count: usize) -> Vec<f64> {
    let (low, high) = mesh.bounds().unwrap_or_default();
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let mut volumes = vec![0.0; count];
    for (triangle, label) in mesh.triangles.iter().zip(labels) {
        let corners = mesh.corners(*triangle);
        volumes[*label as usize] += dot(difference(middle, corners[0]), area_normal(corners));
    }
    volumes
}
