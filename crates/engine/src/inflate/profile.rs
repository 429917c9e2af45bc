//! From the solved f to a height function that is smooth across the outline.
//!
//! f is known inside only, and a surface extractor needs its sign to change smoothly. Near the outline f is its level
//! times a slope; the slope varies slowly, so it is averaged inside and carried outwards, and f continues as level
//! times slope. The zero of the product is the zero of the level, which is smooth: the rim inherits nothing from how
//! the solver's grid cuts the outline.

use rayon::prelude::*;

use super::silhouette::Plane;

/// Samples on either side that a slope is averaged over.
const WINDOW: usize = 3;
/// f itself is used from this level on, in cells; below it blends into level times slope.
const BLEND: [f64; 2] = [0.2, 1.2];

/// The height function: the solid is where `height - z² >= 0`.
pub(crate) struct Profile {
    /// Samples along an axis.
    pub size: usize,
    /// f continued to the outside, in cells squared; the sign is the level's.
    pub height: Vec<f64>,
    /// |∇f|², in cells squared.
    pub slope_squared: Vec<f64>,
}

/// Puts the profile together from the level, in cells, and the solution, in cells squared.
pub(crate) fn profile(level: &Plane, solution: &Plane) -> Profile {
    let size = level.size;
    let slopes = carried(size, averaged(level, solution));
    let height: Vec<f64> = (0..size * size)
        .map(|at| {
            let distance = level.values[at];
            let edge = distance * slopes[at];
            let blend = smoothstep((distance - BLEND[0]) / (BLEND[1] - BLEND[0]));
            // A zero of the level must not read as inside here and outside in the solver.
            let value = if blend > 0.0 { edge + blend * (solution.values[at] - edge) } else { edge };
            if distance > 0.0 { value.max(f64::MIN_POSITIVE) } else { value.min(-f64::MIN_POSITIVE) }
        })
        .collect();
    let mut slope_squared = vec![0.0; size * size];
    slope_squared.par_chunks_mut(size).enumerate().for_each(|(y, row)| {
        for (x, value) in row.iter_mut().enumerate() {
            let difference = |low: usize, high: usize, cells: usize| (height[high] - height[low]) / cells as f64;
            let (west, east) = (x.saturating_sub(1), (x + 1).min(size - 1));
            let (south, north) = (y.saturating_sub(1), (y + 1).min(size - 1));
            let across = difference(y * size + west, y * size + east, east - west);
            let along = difference(south * size + x, north * size + x, north - south);
            *value = across * across + along * along;
        }
    });
    Profile { size, height, slope_squared }
}

fn smoothstep(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// f / level averaged over inside samples near each sample; 0 where there is none.
fn averaged(level: &Plane, solution: &Plane) -> Vec<f64> {
    let size = level.size;
    let mut slopes = vec![0.0; size * size];
    let kernel: Vec<f64> =
        (0..=2 * WINDOW).map(|at| (-((at as f64 - WINDOW as f64) / 1.5).powi(2) / 2.0).exp()).collect();
    slopes.par_chunks_mut(size).enumerate().for_each(|(y, row)| {
        for (x, slope) in row.iter_mut().enumerate() {
            // Only the neighbourhood of the outline needs a slope.
            if level.values[y * size + x] > BLEND[1] {
                continue;
            }
            let (mut sum, mut weights) = (0.0, 0.0);
            for ny in y.saturating_sub(WINDOW)..(y + WINDOW + 1).min(size) {
                for nx in x.saturating_sub(WINDOW)..(x + WINDOW + 1).min(size) {
                    let at = ny * size + nx;
                    let distance = level.values[at];
                    if distance > 0.0 {
                        // Samples hard on the outline divide one rounding error by another.
                        let trust = smoothstep(distance / 0.8) + 1e-6;
                        let weight = kernel[ny + WINDOW - y] * kernel[nx + WINDOW - x] * trust;
                        sum += weight * solution.values[at] / distance.max(0.02);
                        weights += weight;
                    }
                }
            }
            if weights > 0.0 {
                *slope = sum / weights;
            }
        }
    });
    slopes
}

/// Carries slopes on to samples that have none, from the nearest that do, layer by layer.
fn carried(size: usize, mut slopes: Vec<f64>) -> Vec<f64> {
    let mut known: Vec<bool> = slopes.iter().map(|slope| *slope > 0.0).collect();
    let around = |at: usize| {
        let (x, y) = (at % size, at / size);
        (y.saturating_sub(1)..(y + 2).min(size))
            .flat_map(move |ny| (x.saturating_sub(1)..(x + 2).min(size)).map(move |nx| ny * size + nx))
    };
    let mut layer: Vec<usize> = (0..slopes.len()).filter(|at| !known[*at] && around(*at).any(|n| known[n])).collect();
    while !layer.is_empty() {
        let values: Vec<f64> = layer
            .iter()
            .map(|at| {
                let (sum, count) = around(*at)
                    .filter(|n| known[*n])
                    .fold((0.0, 0.0), |(sum, count), n| (sum + slopes[n], count + 1.0));
                sum / count
            })
            .collect();
        for (at, value) in layer.iter().zip(values) {
            slopes[*at] = value;
            known[*at] = true;
        }
        let mut next: Vec<usize> = layer.iter().flat_map(|at| around(*at)).filter(|at| !known[*at]).collect();
        next.sort_unstable();
        next.dedup();
        layer = next;
    }
    slopes
}
