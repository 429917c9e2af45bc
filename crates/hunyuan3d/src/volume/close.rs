//! Where nothing was asked, the side is known all the same: the coarse level's, or the neighbours'.

use super::bricks::Bricks;
use super::grid::{Mask, Volume};

/// What a sample that was not asked reads as: far inside or far outside. A grid whose values near the surface are real
/// needs no more.
const FAR: f32 = 1.0;

/// The side that the coarse level gives a fine sample.
fn coarse_side(coarse: &Volume, level: f32, [x, y, z]: [usize; 3]) -> bool {
    let n = coarse.samples;
    let at = |i: usize| (i / 2).min(n - 1);
    coarse.value([at(x), at(y), at(z)]) >= level
}

/// Samples that were not asked, next to one that was, whose coarse side is not that one's: the surface passes between
/// them, and the band stopped short of it. With them come their own neighbours, so that it is soon caught up with.
pub fn open_ends(volume: &Volume, asked: &Mask, coarse: &Volume, level: f32) -> Mask {
    let n = volume.samples;
    let edge = asked.dilated_by_faces().without(asked);
    let open = edge.kept(|position| {
        let side = coarse_side(coarse, level, position);
        let differs = |beside: [usize; 3]| asked.contains(beside) && (volume.value(beside) >= level) != side;
        (0..3).any(|axis| {
            let beside = |place: usize| {
                let mut beside = position;
                beside[axis] = place;
                beside
            };
            position[axis] > 0 && differs(beside(position[axis] - 1))
                || position[axis] + 1 < n && differs(beside(position[axis] + 1))
        })
    });
    open.dilated().without(asked)
}

/// A finer level's samples, each with the coarse level's side, for those that will not be asked.
pub fn sides(samples: usize, coarse: &Volume, level: f32) -> Bricks {
    coarse.values.doubled(samples, |value| level + if value >= level { FAR } else { -FAR })
}
