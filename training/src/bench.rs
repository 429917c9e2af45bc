//! How near an engine comes to the truth: a model, or `inflate`, which it must beat on the very same pictures.

use std::path::Path;

use orfeas_engine::{Batching, Engine, Hunyuan3d, Inflate, LowVram, ModelSpec, Picture, Request, Silent};
use orfeas_field::SparseGrid;
use orfeas_hunyuan3d::DeviceName;
use orfeas_shapes::math::{Vec3, v};
use orfeas_shapes::metric::{Occupancy, SIDE};
use orfeas_shapes::sample::{BOX, picture};
use orfeas_shapes::sdf::Solid;
use orfeas_shapes::{Family, HELD_OUT_SEEDS};

/// Cells of the field that is compared.
pub const RESOLUTION: u32 = 126;

/// Intersection over union of one result with the truth.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The result where and as large as the engine made it.
    pub as_made: f64,
    /// The result with its box fitted to the truth's convention: longest side 1.9, around the origin. An engine that
    /// knows the shape but not the convention is not punished here.
    pub fitted: f64,
}

/// What an engine makes of a held-out object's picture: seed 0 is the first held-out one.
///
/// # Errors
/// A picture that shows nothing, or the engine's own.
pub fn field(
    engine: &mut dyn Engine,
    family: &'static Family,
    seed: u64,
    side: u32,
) -> anyhow::Result<(Solid, image::RgbaImage, orfeas_field::Field)> {
    let seed = HELD_OUT_SEEDS + seed;
    let solid = family.solid(seed);
    let (_, shown) = picture(&solid, family, seed, 0, side)?;
    let picture = Picture::new(side, side, shown.as_raw().clone())?;
    let request = Request { resolution: Some(RESOLUTION), ..Request::default() };
    let field = engine.generate(&picture, &request, &mut Silent)?;
    Ok((solid, shown, field))
}

/// Scores an engine on a held-out object.
///
/// # Errors
/// As [`field`].
pub fn score(engine: &mut dyn Engine, family: &'static Family, seed: u64, side: u32) -> anyhow::Result<Score> {
    let (solid, _, field) = field(engine, family, seed, side)?;
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

/// Scores by what they were to learning: families that it sees, held-out ones, random compositions.
#[derive(Debug, Default)]
pub struct Groups {
    pub seen: Vec<Score>,
    pub held_out: Vec<Score>,
    pub composed: Vec<Score>,
}

impl Groups {
    /// The one that a family's scores belong to.
    pub fn of(&mut self, family: &Family) -> &mut Vec<Score> {
        match (family.held_out, family.composed()) {
            (true, _) => &mut self.held_out,
            (false, true) => &mut self.composed,
            (false, false) => &mut self.seen,
        }
    }
}

/// Scores an engine on some objects of a family.
///
/// # Errors
/// As [`score`].
pub fn family(engine: &mut dyn Engine, family: &'static Family, count: u64, side: u32) -> anyhow::Result<Vec<Score>> {
    (0..count).map(|seed| score(engine, family, seed, side)).collect()
}

/// Prints an engine's scores, family by family.
///
/// # Errors
/// As [`score`].
pub fn print(engine: &mut dyn Engine, families: &[&'static Family], each: u64, side: u32) -> anyhow::Result<()> {
    println!("{:<18} {:>8} {:>8}   mean IoU at 64^3, {each} held-out seeds", "family", "as made", "fitted");
    let mut groups = Groups::default();
    for family in families {
        let scores = self::family(engine, family, each, side)?;
        let mean = mean(&scores);
        let mark = match (family.held_out, family.composed()) {
            (true, _) => "  (held-out family)",
            (false, true) => "  (random compositions)",
            (false, false) => "",
        };
        println!("{:<18} {:>8.3} {:>8.3}{mark}", family.name, mean.as_made, mean.fitted);
        groups.of(family).extend(scores);
    }
    let Groups { seen, held_out, composed } = groups;
    let groups = [("families seen", seen), ("held-out families", held_out), ("random compositions", composed)];
    for (name, scores) in groups.into_iter().filter(|(_, scores)| !scores.is_empty()) {
        let mean = mean(&scores);
        println!("{name:<20} {:>6.3} {:>8.3}   over {} objects", mean.as_made, mean.fitted, scores.len());
    }
    Ok(())
}

/// A checkpoint as an engine, of so many cells where a request does not say; by default what the checkpoint says of itself.
///
/// # Errors
/// What loading says.
pub fn model(folder: &Path, device: DeviceName, resolution: Option<u32>) -> anyhow::Result<Box<dyn Engine>> {
    let folder = folder.to_owned();
    let spec = ModelSpec {
        folder,
        vae: None,
        device,
        precision: None,
        decoder: None,
        chunk: 8000,
        memory: None,
        low_vram: LowVram::Off,
        batching: Batching::Off,
        jobs: 1,
    };
    Ok(Box::new(Hunyuan3d::load(&spec, resolution, &mut |_| {})?))
}

/// A checkpoint, or, where none is named, what a model must beat: `inflate`.
///
/// # Errors
/// As [`model`].
pub fn model_or_inflate(
    folder: Option<&Path>,
    device: DeviceName,
    resolution: Option<u32>,
) -> anyhow::Result<Box<dyn Engine>> {
    match folder {
        Some(folder) => model(folder, device, resolution),
        None => Ok(Box::new(Inflate::new(resolution.unwrap_or(Inflate::DEFAULT_RESOLUTION))?)),
    }
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
        let score = |name: &str, seed: u64| {
            super::score(&mut Inflate::default(), Family::named(name).unwrap(), seed, 96).unwrap()
        };
        let heart = score("heart", 0);
        assert!(heart.fitted > 0.4 && heart.fitted <= 1.0, "{heart:?}");
        let bowl = mean(&family(&mut Inflate::default(), Family::named("bowl").unwrap(), 3, 96).unwrap());
        assert!(bowl.fitted < 0.6, "{bowl:?}");
    }
}
