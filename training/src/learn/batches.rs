//! What each step learns from: chosen samples, some mirrored, some of their points.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::Context;
use orfeas_hunyuan3d::conditioner::{DEVIATION, MEAN};
use orfeas_hunyuan3d::config::ImageProcessorConfig;
use orfeas_hunyuan3d::image::process_prepared;
use orfeas_shapes::random::Rng;
use orfeas_shapes::sample::{DISTANCE_STEPS, STEPS, Sample};
use orfeas_shapes::shard;
use rayon::prelude::*;

use super::network::STEEPNESS;
use super::plan::Plan;
use crate::data;

/// Samples in a shard.
pub const PER_SHARD: u64 = 128;

/// One step's worth, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, 3, size, size]`, normalised as the encoder wants it.
    pub pictures: Vec<f32>,
    /// `[batch, points, 3]`.
    pub points: Vec<f32>,
    /// `[batch, points]`: from 0 outside to 1 inside.
    pub occupancy: Vec<f32>,
    /// The guidance scale that the network is told, which shall not matter.
    pub guidance: f64,
}

/// Samples in their order, a window of them at a time. Shards that are not there yet are made on the way.
pub struct Batches {
    plan: Plan,
    processor: ImageProcessorConfig,
    window: VecDeque<Sample>,
    /// The number of the window's first sample.
    begin: u64,
    shards: Receiver<anyhow::Result<Vec<Sample>>>,
}

impl Batches {
    /// Begins at a step. Shards lie in `folder`, and are written there where they are missing.
    ///
    /// # Errors
    /// A plan that makes no sense.
    pub fn new(plan: &Plan, step: u64, processor: &ImageProcessorConfig, folder: &Path) -> anyhow::Result<Self> {
        plan.check()?;
        let first = plan.window_begin(step) / PER_SHARD;
        let last = plan.samples().div_ceil(PER_SHARD);
        let folder = folder.to_owned();
        // A few shards ahead: making and reading them is to hide behind the steps.
        let (send, shards) = sync_channel(4);
        std::thread::spawn(move || {
            for index in first..last {
                if send.send(read(&folder, index)).is_err() {
                    return;
                }
            }
        });
        let begin = first * PER_SHARD;
        Ok(Self { plan: plan.clone(), processor: processor.clone(), window: VecDeque::new(), begin, shards })
    }

    /// A step's batch. Steps are asked in their order.
    ///
    /// # Errors
    /// What making or reading a shard says.
    pub fn batch(&mut self, step: u64) -> anyhow::Result<Batch> {
        let wanted = self.plan.window_begin(step);
        while self.begin + (self.window.len() as u64) < wanted + self.plan.window as u64 {
            self.window.extend(self.shards.recv().context("the shards ended early")??);
        }
        while self.begin < wanted {
            self.window.pop_front();
            self.begin += 1;
        }
        let mut rng = Rng::new("batch", &[self.plan.seed, step]);
        let chosen: Vec<usize> = (0..self.plan.batch).map(|_| rng.int(0, self.plan.window - 1)).collect();
        let guidance = f64::from(rng.range(1.0, 10.0));
        let parts = chosen.par_iter().enumerate().map(|(place, index)| {
            let mut rng = Rng::new("example", &[self.plan.seed, step, place as u64]);
            example(&self.window[*index], self.plan.points, &self.processor, &mut rng)
        });
        let parts = parts.collect::<anyhow::Result<Vec<_>>>()?;
        let mut batch = Batch { pictures: Vec::new(), points: Vec::new(), occupancy: Vec::new(), guidance };
        for (picture, points, occupancy) in parts {
            batch.pictures.extend(picture);
            batch.points.extend(points);
            batch.occupancy.extend(occupancy);
        }
        Ok(batch)
    }
}

fn read(folder: &Path, index: u64) -> anyhow::Result<Vec<Sample>> {
    let path = data::shard_path(folder, index);
    if !path.exists() {
        let families = orfeas_shapes::families::round();
        let count = (index + 1) * PER_SHARD;
        let plan = data::Plan { families, count, views: 1, seed: 0, per_shard: PER_SHARD, held_out: false };
        data::write_shards(&plan, index..index + 1, folder)?;
    }
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    shard::decode(&bytes).with_context(|| format!("{} is damaged; remove it", path.display()))
}

type Example = (Vec<f32>, Vec<f32>, Vec<f32>);

/// A sample's picture, some of its points, and what is inside there. Half of them are mirrored: an object's mirror image is
/// an object, and looks like its picture's.
fn example(sample: &Sample, count: usize, processor: &ImageProcessorConfig, rng: &mut Rng) -> anyhow::Result<Example> {
    let mirrored = rng.chance(0.5);
    let picture = if mirrored { image::imageops::flip_horizontal(&sample.picture) } else { sample.picture.clone() };
    let mut picture = process_prepared(processor, &picture, 0)?.image;
    let plane = picture.len() / 3;
    for (channel, values) in picture.chunks_exact_mut(plane).enumerate() {
        values.iter_mut().for_each(|value| *value = ((*value + 1.0) / 2.0 - MEAN[channel]) / DEVIATION[channel]);
    }
    let (mut points, mut occupancy) = (Vec::with_capacity(3 * count), Vec::with_capacity(count));
    for place in 0..count {
        // Near the surface and anywhere take turns in a sample; so they do here.
        let own = sample.points.len() / 2;
        let index = 2 * rng.int(0, own.max(1) - 1) + place % 2;
        let [x, y, z] = sample.points[index].map(|value| f32::from(value) / STEPS);
        points.extend([if mirrored { -x } else { x }, y, z]);
        let distance = f32::from(sample.distances[index]) / DISTANCE_STEPS;
        occupancy.push(1.0 / (1.0 + (STEEPNESS * distance).exp()));
    }
    Ok((picture, points, occupancy))
}

#[cfg(test)]
mod tests {
    use orfeas_shapes::Family;
    use orfeas_shapes::math::v;
    use orfeas_shapes::sample::{SampleOptions, corrected};

    use super::*;

    #[test]
    fn a_mirrored_example_is_mirrored_whole() {
        let family = Family::named("mug").unwrap();
        let solid = family.solid(3);
        let options = SampleOptions { side: 56, points: 512, surface: 64 };
        let sample = Sample::of(&solid, family, 3, 0, &options).unwrap();
        let processor = ImageProcessorConfig { size: 56, border_ratio: None, multi_view: false };
        let made = |seed: u64| example(&sample, 200, &processor, &mut Rng::new("test", &[seed])).unwrap();
        let flipped = |picture: &[f32]| -> Vec<f32> {
            picture.chunks_exact(56).flat_map(|row| row.iter().rev().copied()).collect()
        };
        let all: Vec<Example> = (0..12).map(made).collect();
        let plain = &all[0].0;
        // Which of the two the first is, its points tell.
        let far = |(_, points, occupancy): &Example, sign: f32| -> f32 {
            let each = points.as_chunks::<3>().0.iter().zip(occupancy).map(|(p, inside)| {
                let distance = corrected(&solid, v(sign * p[0], p[1], p[2]));
                (1.0 / (1.0 + (STEEPNESS * distance).exp()) - inside).abs()
            });
            each.fold(0.0, f32::max)
        };
        let first = if far(&all[0], 1.0) < 0.01 { 1.0 } else { -1.0 };
        let mut seen = [false; 2];
        for example in &all {
            let same = example.0 == *plain;
            assert!(same || example.0 == flipped(plain));
            let sign = if same { first } else { -first };
            assert!(far(example, sign) < 0.01 && far(example, -sign) > 0.1);
            seen[usize::from(same)] = true;
        }
        assert_eq!(seen, [true; 2]);
    }
}
