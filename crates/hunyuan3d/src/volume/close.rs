//! Where nothing was asked, the side is known all the same: the coarse level's, or the neighbours'.

use rayon::prelude::*;

use super::grid::{Mask, Volume};

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
pub fn open_ends(volume: &Volume, asked: &Mask, coarse: &Volume, level: f32) -> Mask {
    let n = volume.samples;
    let edge = asked.dilated_by_faces().without(asked);
    let open = edge.kept(|position| {
        let side = coarse_side(coarse, level, position);
        let at = (position[0] * n + position[1]) * n + position[2];
        let differs =
            |other: usize, beside: [usize; 3]| asked.contains(beside) && (volume.values[other] >= level) != side;
        (0..3).any(|axis| {
            let step = [n * n, n, 1][axis];
            let beside = |place: usize| {
                let mut beside = position;
                beside[axis] = place;
                beside
            };
            position[axis] > 0 && differs(at.wrapping_sub(step), beside(position[axis].wrapping_sub(1)))
                || position[axis] + 1 < n && differs(at + step, beside(position[axis] + 1))
        })
    });
    open.dilated().without(asked)
}

/// A finer level's samples, each with the coarse level's side, for those that will not be asked.
pub fn sides(samples: usize, coarse: &Volume, level: f32) -> Vec<f32> {
    let mut values = vec![0f32; samples * samples * samples];
    let n = coarse.samples;
    values.par_chunks_mut(samples * samples).enumerate().for_each(|(x, values)| {
        for (y, row) in values.chunks_exact_mut(samples).enumerate() {
            let at = |i: usize| (i / 2).min(n - 1);
            let coarse = &coarse.values[(at(x) * n + at(y)) * n..][..n];
            let side = |value: f32| level + if value >= level { FAR } else { -FAR };
            let (pairs, rest) = row.as_chunks_mut::<2>();
            let last = coarse[n - 1];
            let each = coarse.iter().copied().chain(std::iter::repeat(last));
            pairs.iter_mut().zip(each).for_each(|(pair, value)| *pair = [side(value); 2]);
            rest.iter_mut().for_each(|value| *value = side(last));
        }
    });
    values
}
