//! Several shapes through the model, phase by phase: all are encoded, then sampled in one batch, then read off one by one.
//!
//! A phase at a time, because where parts come in turn each is fetched once for all of them then. A shape by itself is a batch
//! of one, and goes the same way.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::ModelError;
use crate::device::guarded;
use crate::kernels::Kernels;
use crate::model::{Model, NoProbe};
use crate::open::{Begin, Phase, ShapeEnded, ShapeJob, ShapeWatch};
use crate::sampling::{Latents, Run};
use crate::volume::Volume;

impl<B: Kernels> Model<B> {
    /// Makes shapes, those together that go together, in the order of the first of each batch.
    pub(crate) fn make(&self, jobs: &mut [ShapeJob<'_>], ended: &mut ShapeEnded<'_>) {
        let mut left: Vec<usize> = (0..jobs.len()).collect();
        while let Some(first) = left.first().copied() {
            let (batch, rest) = left.iter().partition(|place| jobs[first].request.goes_with(jobs[**place].request));
            left = rest;
            self.make_batch(jobs, &batch, ended);
        }
    }

    /// Makes the shapes at these places, which go together.
    fn make_batch(&self, jobs: &mut [ShapeJob<'_>], places: &[usize], ended: &mut ShapeEnded<'_>) {
        let mut batch = Vec::new();
        let mut seen = Vec::new();
        for place in places {
            match guarded::<B, _>(&self.device, || self.look(&mut jobs[*place])) {
                Ok(own) => {
                    batch.push(*place);
                    seen.push(own);
                }
                Err(error) => ended(*place, Err(error)),
            }
        }
        if batch.is_empty() {
            return;
        }
        let sampled = match guarded::<B, _>(&self.device, || self.sample_batch(jobs, &batch, seen)) {
            Ok(sampled) => sampled,
            Err(error) if batch.len() == 1 => return ended(batch[0], Err(error)),
            Err(error) => {
                tracing::warn!(shapes = batch.len(), %error, "a batch failed; each of its shapes is begun anew by itself");
                return batch.iter().for_each(|place| self.make_batch(jobs, &[*place], ended));
            }
        };
        for (place, latents) in batch.into_iter().zip(sampled) {
            let read = |latents| guarded::<B, _>(&self.device, || self.read_off(&mut jobs[place], latents));
            let volume = latents.and_then(read);
            ended(place, volume);
        }
    }

    /// Encodes a shape's views.
    fn look(&self, ShapeJob { request, watch }: &mut ShapeJob<'_>) -> Result<Tensor<B, 3>, ModelError> {
        step(*watch, Phase::Encode, 0, 1)?;
        let seen = self.see(&request.views, request.guidance, &mut NoProbe)?;
        self.wait()?;
        step(*watch, Phase::Encode, 1, 1)?;
        Ok(seen)
    }

    /// Samples a batch. The latents come handed over to the shape decoder.
    fn sample_batch(
        &self,
        jobs: &mut [ShapeJob<'_>],
        places: &[usize],
        seen: Vec<Tensor<B, 3>>,
    ) -> Result<Vec<Result<Tensor<B, 3>, ModelError>>, ModelError> {
        let mut runs = Vec::new();
        for (place, seen) in places.iter().zip(self.parts.hand_over_all(seen)?) {
            let begin = match &jobs[*place].request.begin {
                Begin::Seed(seed) => self.noise(*seed),
                Begin::Latents(latents) => latents.clone(),
            };
            runs.push(Run { condition: self.condition(seen)?, begin });
        }
        let Some(first) = places.first().map(|place| jobs[*place].request) else { return Ok(Vec::new()) };
        let begun = first.begin.step();
        let mut failure = None;
        let mut watch =
            |run: usize, done: usize, all: usize, latents: &mut dyn FnMut() -> Result<Latents, ModelError>| {
                let watch = &mut *jobs[places[run]].watch;
                if done > begun {
                    // Work is queued on a device far ahead of it; without waiting, progress and cancel would mean nothing.
                    self.wait().inspect_err(|error| failure = Some(error.clone()))?;
                    if watch.wants(done) {
                        watch.keep(latents()?);
                    }
                }
                Ok(watch.progress(Phase::Sample, done, all))
            };
        let sampled = self.sample_together(runs, first.steps, first.guidance, &mut watch, &mut NoProbe)?;
        // That the device failed is all of the batch's matter, whoever heard of it first.
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (mut latents, mut outcomes) = (Vec::new(), Vec::new());
        for outcome in sampled {
            outcomes.push(outcome.map(|own| latents.push(own)));
        }
        let mut latents = self.parts.hand_over_all(latents)?.into_iter();
        let missing = || ModelError::request("a shape's latents were not handed over");
        let handed = |outcome: Result<(), ModelError>| outcome.and_then(|()| latents.next().ok_or_else(missing));
        Ok(outcomes.into_iter().map(handed).collect())
    }

    /// Reads a shape's volume off its latents.
    fn read_off(&self, job: &mut ShapeJob<'_>, latents: Tensor<B, 3>) -> Result<Volume, ModelError> {
        let tokens = self.tokens_of(latents)?;
        let mut shown = 0;
        let mut decoding = |level: usize, levels: usize, done: usize, all: usize| {
            // Levels are shown as equal parts: how many queries the finer ones will have is not known before.
            const PARTS: usize = 1000;
            // Closing the surface adds queries to a level that was through; what was shown stays.
            shown = shown.max(level * PARTS + done * PARTS / all.max(1)).min(levels * PARTS);
            job.watch.progress(Phase::Decode, shown, levels * PARTS)
        };
        self.volume(tokens, &job.request.volume, &mut decoding)
    }
}

fn step(watch: &mut dyn ShapeWatch, phase: Phase, done: usize, all: usize) -> Result<(), ModelError> {
    match watch.progress(phase, done, all) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ModelError::cancelled()),
    }
}
