//! What a model must beat: `inflate` on the very same pictures.

use orfeas_engine::{Engine, Inflate, Picture, Request, Silent};
use orfeas_field::SparseGrid;
use orfeas_shapes::math::{Vec3, v};
use orfeas_shapes::metric::{Occupancy, SIDE};
use orfeas_shapes::sample::{BOX, picture};
use orfeas_shapes::sdf::Solid;
use orfeas_shapes::{Family, HELD_OUT_SEEDS};
use rayon::prelude::*;

/// Cells of the field that is compared.
const RESOLUTION: u32 = 126;

/// Intersection over union of one result with the truth.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The result where and as large as the engine made it.
    pub as_made: f64,
    /// The result with its box fitted to the truth's convention: longest side 1.9, around the origin. An engine that
    /// knows the shape but not the convention is not punished here.
    pub fitted: f64,
}

/// Scores `inflate` on a held-out object: seed 0 is the first held-out one.
///
/// # Errors
/// A picture that shows nothing, or the engine's own.
pub fn inflate(family: &'static Family, seed: u64, side: u32) -> anyhow::Result<Score> {
    let seed = HELD_OUT_SEEDS + seed;
    let solid = family.solid(seed);
    let (_, picture) = picture(&solid, family, seed, 0, side)?;
    let picture = Picture::new(side, side, picture.into_raw())?;
    let request = Request { resolution: Some(RESOLUTION), ..Request::default() };
    let field = Inflate::default().generate(&picture, &request, &mut Silent)?;
    let truth = Occupancy::of(&solid, SIDE);
    let iou = |occupancy: &Occupancy| truth.iou(occupancy).unwrap_or(0.0);
    let as_made = Occupancy::new(SIDE, |p| inside(&field.grid, p));
    let (low, high) = bounds(&field.grid);
    let (middle, scale) = ((low + high) * 0.5, (high - low).largest() / (2.0 * Solid::HALF));
    let fitted = Occupancy::new(SIDE, |p| inside(&field.grid, p * scale + middle));
    Ok(Score { as_made: iou(&as_made), fitted: iou(&fitted) })
}

/// The mean of several.
#[must_use]
pub fn mean(scores: &[Score]) -> Score {
    let count = scores.len().max(1) as f64;
    Score {
        as_made: scores.iter().map(|score| score.as_made).sum::<f64>() / count,
        fitted: scores.iter().map(|score| score.fitted).sum::<f64>() / count,
    }
}

/// Scores some objects of a family.
///
/// # Errors
/// As [`inflate`].
pub fn family(family: &'static Family, count: u64, side: u32) -> anyhow::Result<Vec<Score>> {
    (0..count).into_par_iter().map(|seed| inflate(family, seed, side)).collect()
}

fn nearest(x: f32, samples: usize) -> Option<usize> {
    let at = ((x / BOX + 1.0) / 2.0 * (samples - 1) as f32).round();
    (at >= 0.0 && at < samples as f32).then_some(at as usize)
}

fn inside(grid: &SparseGrid, p: Vec3) -> bool {
    let [nx, ny, nz] = grid.samples();
    match (nearest(p.x, nx), nearest(p.y, ny), nearest(p.z, nz)) {
        (Some(x), Some(y), Some(z)) => grid.sample([x, y, z]) > 0.0,
        _ => false,
    }
}

fn bounds(grid: &SparseGrid) -> (Vec3, Vec3) {
    let samples = grid.samples();
    let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
    for x in 0..samples[0] {
        for y in 0..samples[1] {
            for z in 0..samples[2] {
                if grid.sample([x, y, z]) > 0.0 {
                    for (axis, k) in [x, y, z].into_iter().enumerate() {
                        (low[axis], high[axis]) = (low[axis].min(k), high[axis].max(k));
                    }
                }
            }
        }
    }
    let place = |k: [usize; 3]| {
        let at = |axis: usize| BOX * (2.0 * k[axis].min(samples[axis]) as f32 / (samples[axis] - 1) as f32 - 1.0);
        v(at(0), at(1), at(2))
    };
    (place(low), place(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflate_is_good_at_balls_and_bad_at_bowls() {
        let score = |name: &str, seed: u64| inflate(Family::named(name).unwrap(), seed, 96).unwrap();
        let heart = score("heart", 0);
        assert!(heart.fitted > 0.4 && heart.fitted <= 1.0, "{heart:?}");
        let bowl = mean(&family(Family::named("bowl").unwrap(), 3, 96).unwrap());
        assert!(bowl.fitted < 0.6, "{bowl:?}");
    }
}
