//! Asking the network at samples: in chunks, or in groups whose queries look at keys of their own.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

use super::decode::{VolumeOptions, VolumeWatch};
use super::refine::flash_key_count;
use crate::ModelError;
use crate::device::read;
use crate::kernels::Kernels;
use crate::vae::{GeometryDecoder, ShapeKeys};

/// Groups of a chunk at the most: the keys of each are 4 MB at full size in half precision.
pub const GROUPS_AT_ONCE: usize = 16;

/// One decoding on its way.
pub(super) struct Run<'a, 'w, B: Kernels> {
    pub geometry: &'a GeometryDecoder<B>,
    pub keys: &'a ShapeKeys<B>,
    pub device: B::Device,
    pub options: &'a VolumeOptions,
    pub levels: usize,
    pub watch: &'a mut VolumeWatch<'w>,
}

/// What a batch belongs to.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub level: usize,
    /// Queries done before it, and in all of the level.
    pub before: usize,
    pub all: usize,
}

impl<B: Kernels> Run<'_, '_, B> {
    /// Asks at samples, a chunk at a time. Their points go to the device together and their logits come back together, so
    /// that neither waits for the other in between.
    pub fn ask(
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
    pub fn ask_groups(
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
