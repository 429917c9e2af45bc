//! Where nothing was asked, the side is known all the same: the coarse level's, or the neighbours'.

use rayon::prelude::*;

use super::grid::Volume;

/// What a sample that was not asked reads as: far inside or far outside. A grid whose values near the surface are real
/// needs no more.
const FAR: f32 = 1.0;

/// The side that the coarse level gives a fine sample.
fn coarse_side(coarse: &Volume, level: f32, [x, y, z]: [usize; 3]) -> bool {
    let n = coarse.samples;
    let at = |i: usize| (i / 2).min(n - 1);
    coarse.values[(at(x) * n + at(y)) * n + at(z)] >= level
}

/// Samples that were not asked, next to one that was, whose coarse side is not that one's: the surface passes between
/// them, and the band stopped short of it. With them come their own neighbours, so that it is soon caught up with.
pub fn open_ends(volume: &Volume, coarse: &Volume, level: f32) -> Vec<u32> {
    let n = volume.samples;
    let plane = n * n;
    let mut found: Vec<u32> = (0..volume.values.len())
        .into_par_iter()
        .filter(|at| volume.values[*at].is_nan())
        .filter(|&at| {
            let position = [at / plane, at / n % n, at % n];
            let side = coarse_side(coarse, level, position);
            let steps = [plane, n, 1];
            (0..3).any(|axis| {
                let below = (position[axis] > 0).then(|| volume.values[at - steps[axis]]);
                let above = (position[axis] + 1 < n).then(|| volume.values[at + steps[axis]]);
                [below, above].into_iter().flatten().any(|value| !value.is_nan() && (value >= level) != side)
            })
        })
        .flat_map_iter(|at| {
            let position = [at / plane, at / n % n, at % n];
            let range = |axis: usize| position[axis].saturating_sub(1)..=(position[axis] + 1).min(n - 1);
            let (xs, ys, zs) = (range(0), range(1), range(2));
            xs.flat_map(move |x| {
                let zs = zs.clone();
                ys.clone().flat_map(move |y| zs.clone().map(move |z| ((x * n + y) * n + z) as u32))
            })
        })
        .filter(|at| volume.values[*at as usize].is_nan())
        .collect();
    found.par_sort_unstable();
    found.dedup();
    found
}

/// Gives every sample that was not asked the coarse level's side.
pub fn fill(volume: &mut Volume, coarse: &Volume, level: f32) {
    let n = volume.samples;
    volume.values.par_chunks_mut(n * n).enumerate().for_each(|(x, values)| {
        for (index, value) in values.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
            let inside = coarse_side(coarse, level, [x, index / n, index % n]);
            *value = level + if inside { FAR } else { -FAR };
        }
    });
}
