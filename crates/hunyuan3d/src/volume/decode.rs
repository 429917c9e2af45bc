//! The three ways to decode a volume.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

use super::close::{open_ends, sides};
use super::grid::{Mask, Volume};
use super::refine::{Groups, flash_key_count};
use crate::ModelError;
use crate::device::read;
use crate::kernels::Kernels;
use crate::vae::{GeometryDecoder, ShapeKeys};

/// Below this many cells along an edge nothing is refined.
const MIN_RESOLUTION: usize = 63;
/// FlashVDM's first level is cut into this many blocks along an edge, each with keys of its own.
const MINI_GRIDS: usize = 4;
/// Of a block's queries every so many choose its keys.
const MINI_GRID_STRIDE: usize = 100;
/// The same for a group of the finer levels.
const GROUP_STRIDE: usize = 50;
/// Groups of a chunk at the most: the keys of each are 4 MB at full size in half precision.
pub const GROUPS_AT_ONCE: usize = 16;
/// Queries whose points and logits come over together.
const AT_ONCE: usize = 1 << 20;

/// How a volume is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Every sample.
    Dense,
    /// Coarse to fine along the surface.
    #[default]
    Hierarchical,
    /// The same, with adaptive key selection.
    FlashVdm,
}

/// What is asked of a decoder.
#[derive(Clone, Copy, Debug)]
pub struct VolumeOptions {
    /// How.
    pub method: Method,
    /// Cells along an edge. FlashVDM rounds it to what its blocks divide.
    pub resolution: usize,
    /// The corners of the box, `[x, y, z]`; the reference's `box_v` of 1.01 is a cube around the origin.
    pub bounds: [[f32; 3]; 2],
    /// The logit at the surface (`mc_level`).
    pub level: f32,
    /// Queries at a time (`num_chunks`).
    pub chunk: usize,
    /// Whether refinement goes on until the surface is closed, where a level's band misses a part of it, and samples
    /// that were not asked get a side. The reference stops after the band and leaves NaN.
    pub close: bool,
    /// A function that takes the network's place in what is refined and returned, after the network was run in full:
    /// for benchmarks with random weights, whose own field has no surface to speak of.
    pub score: Option<fn([f32; 3]) -> f32>,
}

impl VolumeOptions {
    /// The reference's box, level and chunk.
    #[must_use]
    pub fn new(method: Method, resolution: usize) -> Self {
        Self { method, resolution, bounds: [[-1.01; 3], [1.01; 3]], level: 0.0, chunk: 8000, close: true, score: None }
    }
}

/// Told after each chunk: level, levels, queries done, queries of this level. Breaks to cancel.
pub type VolumeWatch<'a> = dyn FnMut(usize, usize, usize, usize) -> ControlFlow<()> + 'a;

/// Decodes a volume.
///
/// # Shapes
/// tokens as [`crate::vae::ShapeVae::tokens`] gives them, `[1, num_latents, width]`.
///
/// # Errors
/// [`crate::ModelErrorKind::Cancelled`] where the watch breaks, `Request` for options out of range, `Compute` where the
/// device fails.
pub fn decode<B: Kernels>(
    geometry: &GeometryDecoder<B>,
    tokens: Tensor<B, 3>,
    options: &VolumeOptions,
    watch: &mut VolumeWatch<'_>,
) -> Result<Volume, ModelError> {
    if options.resolution < 4 || options.resolution > 1024 {
        return Err(ModelError::request(format!("a resolution of {} is not from 4 to 1024", options.resolution)));
    }
    let [low, high] = options.bounds;
    if (0..3).any(|axis| !(low[axis].is_finite() && high[axis].is_finite() && low[axis] < high[axis])) {
        return Err(ModelError::request(format!("a box from {low:?} to {high:?} holds nothing")));
    }
    if !options.level.is_finite() {
        return Err(ModelError::request(format!("a level of {} is no finite number", options.level)));
    }
    if options.chunk == 0 {
        return Err(ModelError::request("a chunk of 0 queries at a time never comes to an end"));
    }
    let device = tokens.device();
    let keys = geometry.keys(tokens);
    let levels = levels(options);
    let mut run = Run { geometry, keys: &keys, device, options, levels: levels.len(), watch };
    let mut volume = match options.method {
        Method::FlashVdm => run.first_level_in_blocks(levels[0])?,
        Method::Dense | Method::Hierarchical => run.first_level(levels[0])?,
    };
    for (index, &resolution) in levels.iter().enumerate().skip(1) {
        volume = run.refine(&volume, resolution, index, index + 1 == levels.len())?;
    }
    Ok(volume)
}

/// Cells along an edge at each level, coarse to fine.
fn levels(options: &VolumeOptions) -> Vec<usize> {
    if options.method == Method::Dense {
        return vec![options.resolution];
    }
    let halvings = std::iter::successors(Some(options.resolution), |resolution| Some(resolution / 2));
    let mut levels: Vec<_> = halvings.take_while(|resolution| *resolution >= MIN_RESOLUTION).collect();
    if levels.is_empty() {
        levels.push(options.resolution);
    }
    levels.reverse();
    if options.method == Method::FlashVdm {
        // Python rounds halves to even; so does this.
        let blocks = (levels[0] as f64 / MINI_GRIDS as f64).round_ties_even() as usize;
        let first = blocks.max(1) * MINI_GRIDS - 1;
        for (index, level) in levels.iter_mut().enumerate() {
            *level = first << index;
        }
    }
    levels
}

struct Run<'a, 'w, B: Kernels> {
    geometry: &'a GeometryDecoder<B>,
    keys: &'a ShapeKeys<B>,
    device: B::Device,
    options: &'a VolumeOptions,
    levels: usize,
    watch: &'a mut VolumeWatch<'w>,
}

/// What a batch belongs to.
#[derive(Clone, Copy)]
struct Part {
    level: usize,
    /// Queries done before it, and in all of the level.
    before: usize,
    all: usize,
}

impl<B: Kernels> Run<'_, '_, B> {
    /// Coordinates of a level's samples along an axis, as `numpy.linspace` gives them.
    fn axis(&self, axis: usize, resolution: usize) -> Vec<f32> {
        let [low, high] = self.options.bounds.map(|corner| f64::from(corner[axis]));
        let step = (high - low) / resolution as f64;
        (0..=resolution).map(|i| if i == resolution { high } else { low + i as f64 * step } as f32).collect()
    }

    /// Asks at samples, a chunk at a time. Their points go to the device together and their logits come back together, so
    /// that neither waits for the other in between.
    fn ask(
        &mut self,
        indices: &[u32],
        point: &(impl Fn(u32) -> [f32; 3] + Sync),
        part: Part,
        values: &mut [f32],
    ) -> Result<(), ModelError> {
        let points = points(indices, point);
        let scored = self.scored(&points);
        let points = self.tensor(points);
        let mut logits = Vec::new();
        for begin in (0..indices.len()).step_by(self.options.chunk) {
            let count = self.options.chunk.min(indices.len() - begin);
            logits.push(self.geometry.logits(points.clone().narrow(1, begin, count), self.keys));
            self.tell(part.level, part.before + begin + count, part.all)?;
        }
        collect(logits, scored, indices, values)
    }

    /// Asks at groups of samples, each with the keys which every `stride`-th of it chooses.
    fn ask_groups(
        &mut self,
        groups: &[Vec<u32>],
        stride: usize,
        point: &(impl Fn(u32) -> [f32; 3] + Sync),
        part: Part,
        values: &mut [f32],
    ) -> Result<(), ModelError> {
        let count = flash_key_count(self.keys.tokens());
        let indices = groups.concat();
        let samples: Vec<u32> = groups.iter().flat_map(|group| group.iter().step_by(stride)).copied().collect();
        let samples = self.tensor(self::points(&samples, point));
        let points = self::points(&indices, point);
        let scored = self.scored(&points);
        let points = self.tensor(points);
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let (mut at, mut sample) = (0, 0);
        // The group that the chunk before ended in.
        let mut open: Option<(usize, ShapeKeys<B>)> = None;
        let mut logits = Vec::new();
        for chunk in chunks_of_groups(&sizes, self.options.chunk) {
            let mut own = Vec::with_capacity(chunk.len());
            let new: Vec<_> =
                chunk.iter().filter(|(group, _)| open.as_ref().is_none_or(|(open, _)| open != group)).collect();
            let sampled: Vec<usize> = new.iter().map(|(group, _)| sizes[*group].div_ceil(stride)).collect();
            let together = sampled.iter().sum();
            let chosen = match together {
                0 => Vec::new(),
                _ => self.geometry.select(samples.clone().narrow(1, sample, together), &sampled, self.keys, count),
            };
            sample += together;
            let mut chosen = chosen.into_iter();
            for (group, queries) in chunk {
                let keys = match open.take() {
                    Some((open, keys)) if open == group => Some(keys),
                    _ => chosen.next(),
                };
                let Some(keys) = keys else { continue };
                open = Some((group, keys.clone()));
                own.push((queries, keys));
            }
            let queries = own.iter().map(|(queries, _)| queries).sum();
            logits.push(self.geometry.logits_of_groups(points.clone().narrow(1, at, queries), &own));
            at += queries;
            self.tell(part.level, part.before + at, part.all)?;
        }
        collect(logits, scored, &indices, values)
    }

    /// What takes the network's place at points.
    fn scored(&self, points: &[f32]) -> Option<Vec<f32>> {
        let score = self.options.score?;
        Some(points.par_chunks_exact(3).map(|p| score([p[0], p[1], p[2]])).collect())
    }

    fn tensor(&self, points: Vec<f32>) -> Tensor<B, 3> {
        let shape = [1, points.len() / 3, 3];
        Tensor::from_data(TensorData::new(points, shape), (&self.device, DType::F32))
    }

    fn tell(&mut self, level: usize, done: usize, all: usize) -> Result<(), ModelError> {
        match (self.watch)(level, self.levels, done, all) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ModelError::cancelled()),
        }
    }

    fn first_level(&mut self, resolution: usize) -> Result<Volume, ModelError> {
        let samples = resolution + 1;
        let axes: [Vec<f32>; 3] = std::array::from_fn(|axis| self.axis(axis, resolution));
        let count = samples * samples * samples;
        let mut values = vec![f32::NAN; count];
        let point = |index: u32| {
            let index = index as usize;
            [axes[0][index / (samples * samples)], axes[1][index / samples % samples], axes[2][index % samples]]
        };
        for before in (0..count).step_by(AT_ONCE) {
            let indices: Vec<u32> = (before as u32..(before + AT_ONCE).min(count) as u32).collect();
            self.ask(&indices, &point, Part { level: 0, before, all: count }, &mut values)?;
        }
        Ok(Volume { samples, bounds: self.options.bounds, values })
    }

    fn first_level_in_blocks(&mut self, resolution: usize) -> Result<Volume, ModelError> {
        let samples = resolution + 1;
        let axes: [Vec<f32>; 3] = std::array::from_fn(|axis| self.axis(axis, resolution));
        let edge = samples / MINI_GRIDS;
        let count = samples * samples * samples;
        let mut values = vec![f32::NAN; count];
        let blocks = (0..MINI_GRIDS * MINI_GRIDS * MINI_GRIDS).map(|block| {
            let origin = [block / (MINI_GRIDS * MINI_GRIDS), block / MINI_GRIDS % MINI_GRIDS, block % MINI_GRIDS]
                .map(|b| b * edge);
            (0..edge * edge * edge)
                .map(|i| {
                    let at = [origin[0] + i / (edge * edge), origin[1] + i / edge % edge, origin[2] + i % edge];
                    ((at[0] * samples + at[1]) * samples + at[2]) as u32
                })
                .collect()
        });
        let blocks: Vec<Vec<u32>> = blocks.collect();
        let point = |index: u32| {
            let index = index as usize;
            [axes[0][index / (samples * samples)], axes[1][index / samples % samples], axes[2][index % samples]]
        };
        self.ask_groups(&blocks, MINI_GRID_STRIDE, &point, Part { level: 0, before: 0, all: count }, &mut values)?;
        Ok(Volume { samples, bounds: self.options.bounds, values })
    }

    fn refine(&mut self, coarse: &Volume, resolution: usize, level: usize, last: bool) -> Result<Volume, ModelError> {
        let samples = resolution + 1;
        let mut near = Mask::near_surface(&coarse.values, coarse.samples, self.options.level);
        if !last {
            near = near.dilated();
        }
        let mut ask = near.doubled(samples).dilated();
        if last {
            ask = ask.dilated();
        }
        // The coarse level's side first, and what is asked over it.
        let values = match self.options.close {
            true => sides(samples, coarse, self.options.level),
            false => vec![f32::NAN; samples * samples * samples],
        };
        let mut volume = Volume { samples, bounds: self.options.bounds, values };
        let mut indices = ask.indices();
        let mut done = 0;
        while !indices.is_empty() {
            let all = done + indices.len();
            self.ask_level(&indices, resolution, level, done, &mut volume.values)?;
            done = all;
            indices = Vec::new();
            if self.options.close {
                let more = open_ends(&volume, &ask, coarse, self.options.level);
                indices = more.indices();
                ask = ask.with(&more);
            }
        }
        Ok(volume)
    }

    /// Asks at samples of a finer level.
    fn ask_level(
        &mut self,
        indices: &[u32],
        resolution: usize,
        level: usize,
        before: usize,
        values: &mut [f32],
    ) -> Result<(), ModelError> {
        let samples = resolution + 1;
        let [low, high] = self.options.bounds;
        // In float32, index by spacing, as the reference has it.
        let spacing: [f32; 3] =
            std::array::from_fn(|axis| ((f64::from(high[axis]) - f64::from(low[axis])) / resolution as f64) as f32);
        let point = |index: u32| -> [f32; 3] {
            let index = index as usize;
            let at = [index / (samples * samples), index / samples % samples, index % samples];
            std::array::from_fn(|axis| at[axis] as f32 * spacing[axis] + low[axis])
        };
        let all = before + indices.len();
        let mut done = before;
        if self.options.method == Method::FlashVdm {
            let groups = Groups::of(indices, point);
            for batch in groups.batches(AT_ONCE) {
                self.ask_groups(batch, GROUP_STRIDE, &point, Part { level, before: done, all }, values)?;
                done += batch.iter().map(Vec::len).sum::<usize>();
            }
            return Ok(());
        }
        for batch in indices.chunks(AT_ONCE) {
            self.ask(batch, &point, Part { level, before: done, all }, values)?;
            done += batch.len();
        }
        Ok(())
    }
}

/// Cuts groups of these sizes, behind one another, into chunks of up to so many queries: of each, which groups it has queries
/// of, and how many.
fn chunks_of_groups(sizes: &[usize], chunk: usize) -> Vec<Vec<(usize, usize)>> {
    let mut chunks = vec![Vec::new()];
    let mut room = chunk;
    for (group, size) in sizes.iter().enumerate() {
        let mut left = *size;
        while left > 0 {
            if room == 0 || chunks.last().is_some_and(|last| last.len() == GROUPS_AT_ONCE) {
                chunks.push(Vec::new());
                room = chunk;
            }
            let own = left.min(room);
            if let Some(last) = chunks.last_mut() {
                last.push((group, own));
            }
            left -= own;
            room -= own;
        }
    }
    chunks.retain(|chunk| !chunk.is_empty());
    chunks
}

/// Fetches logits, and puts them or what takes their place where they belong.
fn collect<B: Backend>(
    logits: Vec<Tensor<B, 3>>,
    scored: Option<Vec<f32>>,
    indices: &[u32],
    values: &mut [f32],
) -> Result<(), ModelError> {
    if logits.is_empty() {
        return Ok(());
    }
    let logits = read(Tensor::cat(logits, 1))?;
    let logits = scored.as_ref().unwrap_or(&logits);
    indices.iter().zip(logits).for_each(|(index, logit)| values[*index as usize] = *logit);
    Ok(())
}

/// Samples' coordinates, x, y and z behind one another.
fn points(indices: &[u32], point: &(impl Fn(u32) -> [f32; 3] + Sync)) -> Vec<f32> {
    let mut points = vec![0f32; 3 * indices.len()];
    points.par_chunks_mut(3 * 1024).zip(indices.par_chunks(1024)).for_each(|(points, indices)| {
        points.as_chunks_mut().0.iter_mut().zip(indices).for_each(|(to, index)| *to = point(*index));
    });
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_full_and_no_query_is_left_out() {
        assert_eq!(chunks_of_groups(&[3, 4, 2], 5), [vec![(0, 3), (1, 2)], vec![(1, 2), (2, 2)]]);
        assert_eq!(chunks_of_groups(&[7], 3), [vec![(0, 3)], vec![(0, 3)], vec![(0, 1)]]);
        assert!(chunks_of_groups(&[], 3).is_empty());
        let many = chunks_of_groups(&[2; 40], usize::MAX);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [GROUPS_AT_ONCE, GROUPS_AT_ONCE, 8]);
    }
}
