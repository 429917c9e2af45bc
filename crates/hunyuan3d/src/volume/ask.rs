//! Asking the network at samples: in chunks, or in groups whose queries look at keys of their own.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::axes::Axes;
use super::bricks::Bricks;
use super::decode::{VolumeOptions, VolumeWatch};
use super::refine::flash_key_count;
use super::score::Score;
use crate::ModelError;
use crate::device::{put, read};
use crate::kernels::Kernels;
use crate::kernels::programs::GROUPS_AT_ONCE;
use crate::vae::{GeometryDecoder, ShapeKeys};

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

/// Queries that go to the device together and come back together.
pub(super) struct Batch {
    /// Samples of the level, rising within each group.
    pub indices: Vec<u32>,
    /// How many of them, one group behind the other, look at keys of their own; none: all look at all keys.
    pub groups: Vec<usize>,
}

/// A batch whose points are known.
struct Prepared {
    batch: Batch,
    /// `[queries, 3]`.
    points: Vec<f32>,
    /// `[queries that choose, 3]`, group behind group.
    choosing: Vec<f32>,
    /// What is returned in the network's place.
    scored: Option<Vec<f32>>,
}

/// A batch that the device computes.
struct Launched<B: Kernels> {
    batch: Batch,
    /// Chunk by chunk, `[queries]`.
    logits: Vec<Tensor<B, 1>>,
    scored: Option<Vec<f32>>,
}

impl<B: Kernels> Run<'_, '_, B> {
    /// Asks at samples, batch by batch. `begin` gives the values that what is asked is put over. Of each group every `stride`-th query
    /// chooses its keys.
    ///
    /// Points of the next batch, putting away the one before and `begin` are done while the device computes. Launching is not: a read waits for
    /// all that was launched before it.
    pub fn ask(
        &mut self,
        batches: impl IntoIterator<Item = Batch>,
        axes: &Axes,
        stride: usize,
        mut part: Part,
        begin: impl FnOnce() -> Bricks,
    ) -> Result<Bricks, ModelError> {
        let score = self.options.score;
        let mut batches = batches.into_iter().map(|batch| prepared(batch, axes, stride, score));
        let first = batches.next();
        let mut launched = first.map(|first| self.launched(first, stride, part)).transpose()?;
        let mut values = begin();
        while let Some(Launched { batch: Batch { indices, groups }, logits, scored }) = launched {
            let next = batches.next();
            let logits = if logits.is_empty() { Vec::new() } else { read(Tensor::cat(logits, 0))? };
            part.before += indices.len();
            launched = next.map(|next| self.launched(next, stride, part)).transpose()?;
            let runs = if groups.is_empty() { vec![indices.len()] } else { groups };
            values.set(axes, &indices, &runs, &scored.unwrap_or(logits));
        }
        Ok(values)
    }

    /// Sends a batch to the device, which begins with it.
    fn launched(&mut self, prepared: Prepared, stride: usize, part: Part) -> Result<Launched<B>, ModelError> {
        let Prepared { batch, points, choosing, scored } = prepared;
        let points = self.tensor(points);
        let sizes = if batch.groups.is_empty() { vec![batch.indices.len()] } else { batch.groups.clone() };
        let mut choices = (!batch.groups.is_empty()).then(|| Choices::new(self.tensor(choosing), &sizes, stride));
        let mut logits = Vec::new();
        let mut at = 0;
        for chunk in chunks_of_groups(&sizes, self.options.chunk) {
            let queries = chunk.iter().map(|(_, queries)| queries).sum();
            let own = points.clone().narrow(1, at, queries);
            logits.push(self.logits(own, &chunk, choices.as_mut()));
            at += queries;
            self.tell(part.level, part.before + at, part.all)?;
        }
        Ok(Launched { batch, logits, scored })
    }

    /// Logits of a chunk's points, `[queries]`: of these groups so many, each with the keys that its own queries choose; without choices all
    /// look at all keys.
    pub fn logits(
        &self,
        points: Tensor<B, 3>,
        chunk: &[(usize, usize)],
        choices: Option<&mut Choices<B>>,
    ) -> Tensor<B, 1> {
        let queries = points.dims()[1];
        let logits = match choices {
            None => self.geometry.logits(points, self.keys),
            Some(choices) => {
                let own = choices.keys(self.geometry, self.keys, chunk);
                self.geometry.logits_of_groups(points, &own)
            }
        };
        logits.reshape([queries])
    }

    pub fn tensor(&self, points: Vec<f32>) -> Tensor<B, 3> {
        to_device(points, &self.device)
    }

    pub fn tell(&mut self, level: usize, done: usize, all: usize) -> Result<(), ModelError> {
        match (self.watch)(level, self.levels, done, all) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ModelError::cancelled()),
        }
    }
}

/// The keys of groups behind one another, which each group's own queries choose when its turn comes.
pub(super) struct Choices<B: Kernels> {
    /// `[1, queries that choose, 3]`, group behind group.
    choosing: Tensor<B, 3>,
    /// How many of them each group has.
    counts: Vec<usize>,
    /// How many have chosen.
    chosen: usize,
    /// The group that the chunk before ended in.
    open: Option<(usize, ShapeKeys<B>)>,
}

impl<B: Kernels> Choices<B> {
    /// Of groups of such sizes every `stride`-th query chooses.
    pub fn new(choosing: Tensor<B, 3>, sizes: &[usize], stride: usize) -> Self {
        let counts = sizes.iter().map(|size| size.div_ceil(stride)).collect();
        Self { choosing, counts, chosen: 0, open: None }
    }

    /// The keys of a chunk's groups, with so many queries of each.
    fn keys(
        &mut self,
        geometry: &GeometryDecoder<B>,
        all: &ShapeKeys<B>,
        chunk: &[(usize, usize)],
    ) -> Vec<(Vec<usize>, ShapeKeys<B>)> {
        let new = chunk.iter().filter(|(group, _)| self.open.as_ref().is_none_or(|(open, _)| open != group));
        let counts: Vec<usize> = new.map(|(group, _)| self.counts[*group]).collect();
        let together = counts.iter().sum();
        let mut of_chunk = Vec::with_capacity(2);
        let mut rest = chunk;
        if let (Some((open, keys)), Some(((group, queries), others))) = (&self.open, chunk.split_first())
            && open == group
        {
            of_chunk.push((vec![*queries], keys.clone()));
            rest = others;
        }
        if together > 0 {
            let own = self.choosing.clone().narrow(1, self.chosen, together);
            self.chosen += together;
            let keys = geometry.select(own, &counts, all, flash_key_count(all.tokens()));
            self.open = rest.last().map(|(group, _)| (*group, keys.of(rest.len() - 1)));
            of_chunk.push((rest.iter().map(|(_, queries)| *queries).collect(), keys));
        }
        of_chunk
    }
}

/// Points on the device, `[1, points, 3]`.
pub(crate) fn to_device<B: Kernels>(points: Vec<f32>, device: &B::Device) -> Tensor<B, 3> {
    let shape = [1, points.len() / 3, 3];
    put(TensorData::new(points, shape), shape, device)
}

/// Cuts groups of these sizes, behind one another, into chunks of up to so many queries: of each, which groups it has queries
/// of, and how many.
pub(super) fn chunks_of_groups(sizes: &[usize], chunk: usize) -> Vec<Vec<(usize, usize)>> {
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

/// Finds a batch's points, and of each group every `stride`-th, which choose its keys.
fn prepared(batch: Batch, axes: &Axes, stride: usize, score: Option<Score>) -> Prepared {
    let points = points(&batch.indices, axes);
    let scored = score.map(|score| score.of_points(&points));
    let mut rest = batch.indices.as_slice();
    let mut choose = Vec::new();
    for size in &batch.groups {
        let (group, others) = rest.split_at(*size);
        choose.extend(group.iter().step_by(stride));
        rest = others;
    }
    let choosing = self::points(&choose, axes);
    Prepared { batch, points, choosing, scored }
}

/// Samples' coordinates, x, y and z behind one another.
fn points(indices: &[u32], axes: &Axes) -> Vec<f32> {
    let mut points = vec![0f32; 3 * indices.len()];
    points.par_chunks_mut(3 * 1024).zip(indices.par_chunks(1024)).for_each(|(points, indices)| {
        points.as_chunks_mut().0.iter_mut().zip(indices).for_each(|(to, index)| *to = axes.point(*index));
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
