//! The way from noise to latents, of one shape or of several that advance together.
//!
//! What goes together has its seeds, conditions and watches to itself; it shares the schedule, the guidance and the step that
//! it is at, since a step's modulations hold for all of the batch.

use std::ops::ControlFlow;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::ModelError;
#[cfg(doc)]
use crate::ModelErrorKind;
use crate::device::read;
use crate::dit::STEPS_AT_ONCE;
use crate::kernels::Kernels;
use crate::model::{Condition, Model, Probe};
use crate::noise;
use crate::schedule::{MOST_STEPS, Schedule};

/// Latents on their way: what a run needs to go on from where it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    /// Steps that are done.
    pub step: usize,
    /// `[num_latents, embed_dim]`, float32.
    pub values: Vec<f32>,
}

/// Told before each step of sampling and after the last: steps done, steps in all, and the latents as they are then,
/// for whoever wants to keep them. Breaks to cancel.
pub type StepWatch<'a> = dyn FnMut(usize, usize, &mut dyn FnMut() -> Result<Latents, ModelError>) -> Result<ControlFlow<()>, ModelError>
    + 'a;

/// As [`StepWatch`], with the number of the run before everything else. Where it breaks or fails, that run leaves.
pub type BatchWatch<'a> = dyn FnMut(usize, usize, usize, &mut dyn FnMut() -> Result<Latents, ModelError>) -> Result<ControlFlow<()>, ModelError>
    + 'a;

/// One run of a batch: what its shape is made of.
#[derive(Clone, Debug)]
pub struct Run<B: Backend> {
    /// What the picture says.
    pub condition: Condition<B>,
    /// Noise, or where an earlier run was.
    pub begin: Latents,
}

/// The runs that are on their way together.
struct Batch<B: Backend> {
    /// Their numbers.
    runs: Vec<usize>,
    /// `[runs, num_latents, embed_dim]`, float32: what the network sees is narrower.
    latents: Tensor<B, 3>,
    /// `[runs or 2 * runs, tokens, width]`: all conditional ones, then all unconditional ones.
    condition: Tensor<B, 3>,
    /// Whether there are unconditional ones.
    free: bool,
}

impl<B: Backend> Batch<B> {
    /// Of at least one run.
    fn of(runs: Vec<usize>, latents: Vec<Tensor<B, 3>>, conditions: Vec<Tensor<B, 3>>, free: bool) -> Self {
        let halves = if free { 2 } else { 1 };
        let half = |half: usize| conditions.iter().map(move |condition| condition.clone().narrow(0, half, 1));
        let condition = if conditions.len() == 1 { conditions.clone() } else { (0..halves).flat_map(half).collect() };
        Self { runs, latents: behind_one_another(latents), condition: behind_one_another(condition), free }
    }

    /// The latents of the run at a place.
    fn own(&self, at: usize) -> Tensor<B, 3> {
        if self.runs.len() == 1 { self.latents.clone() } else { self.latents.clone().narrow(0, at, 1) }
    }

    /// Goes on with the runs at these places alone, at least one.
    fn keep(&mut self, places: &[usize]) {
        let all = self.runs.len();
        let latents = places.iter().map(|at| self.own(*at)).collect();
        let halves = if self.free { 2 } else { 1 };
        let rows = (0..halves).flat_map(|half| places.iter().map(move |at| half * all + at));
        let condition = rows.map(|row| self.condition.clone().narrow(0, row, 1)).collect();
        self.latents = behind_one_another(latents);
        self.condition = behind_one_another(condition);
        self.runs = places.iter().map(|at| self.runs[*at]).collect();
    }
}

/// Tensors as one batch, without a copy where there is only one.
fn behind_one_another<B: Backend>(mut tensors: Vec<Tensor<B, 3>>) -> Tensor<B, 3> {
    if tensors.len() == 1 { tensors.remove(0) } else { Tensor::cat(tensors, 0) }
}

impl<B: Kernels> Model<B> {
    /// The latents that a seed begins with; those of the checkpoint's own seed, where it has one.
    #[must_use]
    pub fn noise(&self, seed: u64) -> Latents {
        let vae = &self.config.vae;
        let seed = self.config.own.noise_seed.unwrap_or(seed);
        Latents { step: 0, values: noise::normal(seed, vae.num_latents * vae.embed_dim) }
    }

    /// Follows the flow from noise, or from where an earlier run was, to a shape's latents.
    ///
    /// # Shapes
    /// → `[1, num_latents, embed_dim]`, float32.
    ///
    /// # Errors
    /// [`ModelErrorKind::Cancelled`] where the watch breaks, `Request` for latents of another shape.
    pub fn sample(
        &self,
        condition: &Condition<B>,
        begin: Latents,
        steps: u32,
        guidance: f64,
        watch: &mut StepWatch<'_>,
        probe: &mut dyn Probe,
    ) -> Result<Tensor<B, 3>, ModelError> {
        let run = Run { condition: condition.clone(), begin };
        let mut watch =
            |_: usize, step: usize, steps: usize, latents: &mut dyn FnMut() -> Result<Latents, ModelError>| {
                watch(step, steps, latents)
            };
        let mut ended = self.sample_together(vec![run], steps, guidance, &mut watch, probe)?;
        ended.pop().unwrap_or_else(|| Err(ModelError::request("there is nothing to sample")))
    }

    /// Refuses steps that the model is not made for, before anything is made of their number.
    pub(crate) fn check_steps(&self, steps: u32) -> Result<(), ModelError> {
        let most = self.config.own.most_steps.unwrap_or(MOST_STEPS);
        if steps == 0 || steps > most {
            return Err(ModelError::request(format!("{steps} steps are asked for; this model takes from 1 to {most}")));
        }
        Ok(())
    }

    /// The same for several runs in one batch: what comes of each, in their order. One that its watch breaks off leaves the
    /// batch, and the others go on.
    ///
    /// Each gives what it gives by itself but for rounding: products of more rows may be summed in another order.
    ///
    /// # Shapes
    /// As [`Self::sample`], each.
    ///
    /// # Errors
    /// For all: [`ModelErrorKind::Request`] for steps out of range, and where parts come in turn those of
    /// [`Self::denoiser`]. For one: `Cancelled` where the watch breaks, the watch's own error, `Request` for latents of another
    /// shape, or for a run that cannot go with the first because its condition has other sizes or it begins at another step.
    pub fn sample_together(
        &self,
        runs: Vec<Run<B>>,
        steps: u32,
        guidance: f64,
        watch: &mut BatchWatch<'_>,
        probe: &mut dyn Probe,
    ) -> Result<Vec<Result<Tensor<B, 3>, ModelError>>, ModelError> {
        self.check_steps(steps)?;
        let schedule = Schedule::new(&self.config.scheduler, steps);
        // Until it ends, which every run does, nothing came of it.
        let mut ended: Vec<_> = runs.iter().map(|_| Err(ModelError::cancelled())).collect();
        let Some((first, mut batch)) = self.batch(runs, schedule.steps(), &mut ended) else { return Ok(ended) };
        let denoiser = self.denoiser()?;
        let mut modulations = None;
        for step in first..schedule.steps() {
            if !tell(watch, step, schedule.steps(), &mut batch, &mut ended) {
                return Ok(ended);
            }
            // The last step of a flow-matching schedule begins at its end and goes nowhere. The reference computes its
            // velocity all the same; only who looks at it pays for it here.
            let idle = schedule.length(step) == 0.0;
            // In blocks that do not depend on where the run began: in products of other sizes sums round differently, and a
            // resumed run would be another one.
            let (block, row) = (step / STEPS_AT_ONCE, step % STEPS_AT_ONCE);
            if modulations.as_ref().is_none_or(|(made, _)| *made != block) {
                let first = block * STEPS_AT_ONCE;
                let times = &schedule.times[first..schedule.steps().min(first + STEPS_AT_ONCE)];
                let of_block = denoiser.modulations(times, Some(guidance), &self.device, self.dtype);
                modulations = Some((block, of_block));
            }
            let Some((_, modulations)) = &modulations else { continue };
            let Batch { runs, latents, condition, free } = &mut batch;
            let mut velocity = None;
            let mut compute = || {
                let narrow = if self.dtype == DType::F32 { latents.clone() } else { latents.clone().cast(self.dtype) };
                let input = if *free { Tensor::cat(vec![narrow.clone(), narrow], 0) } else { narrow };
                denoiser.velocity(input, condition.clone(), modulations, row)
            };
            if !idle {
                velocity = Some(compute());
            }
            let [count, num_latents, channels] = latents.dims();
            let rows = if *free { 2 * count } else { count };
            probe.tensor(&format!("velocity_{step}"), &[rows, num_latents, channels], &mut || {
                read(velocity.clone().unwrap_or_else(&mut compute))
            })?;
            if let Some(velocity) = velocity {
                let velocity = if self.dtype == DType::F32 { velocity } else { velocity.cast(DType::F32) };
                let velocity = if *free {
                    let conditional = velocity.clone().narrow(0, 0, runs.len());
                    let unconditional = velocity.narrow(0, runs.len(), runs.len());
                    unconditional.clone() + (conditional - unconditional) * guidance
                } else {
                    velocity
                };
                *latents = latents.clone() + velocity * schedule.length(step);
            }
            probe.tensor(&format!("latents_{}", step + 1), &latents.dims(), &mut || read(latents.clone()))?;
        }
        if tell(watch, schedule.steps(), schedule.steps(), &mut batch, &mut ended) {
            for (at, run) in batch.runs.iter().enumerate() {
                ended[*run] = Ok(batch.own(at));
            }
        }
        Ok(ended)
    }

    /// The runs that can begin, with the step that they begin at; the error of the others is noted. None: none can.
    fn batch(
        &self,
        runs: Vec<Run<B>>,
        steps: usize,
        ended: &mut [Result<Tensor<B, 3>, ModelError>],
    ) -> Option<(usize, Batch<B>)> {
        let shape = [1, self.config.vae.num_latents, self.config.vae.embed_dim];
        let mut first: Option<(usize, [usize; 3])> = None;
        let (mut numbers, mut latents, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        for (number, Run { condition: Condition { projected }, begin }) in runs.into_iter().enumerate() {
            if begin.values.len() != shape[1] * shape[2] || begin.step > steps {
                ended[number] = Err(ModelError::request(format!(
                    "the latents to begin with have {} values and {} steps behind them; the model has {} and the run {steps}",
                    begin.values.len(),
                    begin.step,
                    shape[1] * shape[2],
                )));
                continue;
            }
            let own = (begin.step, projected.dims());
            if *first.get_or_insert(own) != own {
                let sentence =
                    "a run cannot go with the first: it begins at another step, or its condition has other sizes";
                ended[number] = Err(ModelError::request(sentence));
                continue;
            }
            numbers.push(number);
            let data = TensorData::new(begin.values, shape);
            latents.push(Tensor::from_data(data, (&self.device, DType::F32)));
            conditions.push(projected);
        }
        let (step, [halves, ..]) = first?;
        Some((step, Batch::of(numbers, latents, conditions, halves == 2)))
    }
}

/// Tells every run of a batch how far it is. Those that break or fail leave, and how they ended is noted; false where none is
/// left.
fn tell<B: Kernels>(
    watch: &mut BatchWatch<'_>,
    step: usize,
    steps: usize,
    batch: &mut Batch<B>,
    ended: &mut [Result<Tensor<B, 3>, ModelError>],
) -> bool {
    let mut stay = Vec::new();
    for (at, run) in batch.runs.iter().enumerate() {
        let mut keep = || Ok(Latents { step, values: read(batch.own(at))? });
        match watch(*run, step, steps, &mut keep) {
            Ok(ControlFlow::Continue(())) => stay.push(at),
            Ok(ControlFlow::Break(())) => ended[*run] = Err(ModelError::cancelled()),
            Err(error) => ended[*run] = Err(error),
        }
    }
    if !stay.is_empty() && stay.len() < batch.runs.len() {
        batch.keep(&stay);
    }
    !stay.is_empty()
}
