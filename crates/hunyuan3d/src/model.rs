//! The whole model: pictures to conditioning tokens, noise to latents, latents to a volume.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::ModelError;
#[cfg(doc)]
use crate::ModelErrorKind;
use crate::conditioner::{Conditioner, ProcessedView};
use crate::config::ModelConfig;
use crate::device::{Precision, device_failure, read};
use crate::dit::{Denoiser, STEPS_AT_ONCE};
use crate::image::VIEWS;
use crate::kernels::Kernels;
use crate::noise;
use crate::parts::{Files, Part, Parts, Residency};
use crate::schedule::Schedule;
use crate::vae::ShapeVae;
use crate::volume::{self, Volume, VolumeOptions, VolumeWatch};
use crate::weights::{LoadProgress, Source};

/// A model on a device.
#[derive(Debug)]
pub struct Model<B: Backend> {
    /// What it is.
    pub config: ModelConfig,
    parts: Parts<B>,
    device: B::Device,
    dtype: DType,
}

/// Latents on their way: what a run needs to go on from where it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    /// Steps that are done.
    pub step: usize,
    /// `[num_latents, embed_dim]`, float32.
    pub values: Vec<f32>,
}

/// Sees what a run computes on its way.
pub trait Probe {
    /// A tensor by its name in the parity cases, with its shape.
    fn tensor(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &mut dyn FnMut() -> Result<Vec<f32>, ModelError>,
    ) -> Result<(), ModelError>;
}

/// A probe that looks at nothing, and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn tensor(
        &mut self,
        _: &str,
        _: &[usize],
        _: &mut dyn FnMut() -> Result<Vec<f32>, ModelError>,
    ) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Told before each step of sampling and after the last: steps done, steps in all, and the latents as they are then,
/// for whoever wants to keep them. Breaks to cancel.
pub type StepWatch<'a> = dyn FnMut(usize, usize, &mut dyn FnMut() -> Result<Latents, ModelError>) -> Result<ControlFlow<()>, ModelError>
    + 'a;

/// The condition of one run.
#[derive(Clone, Debug)]
pub struct Condition<B: Backend> {
    /// `[1 or 2, tokens, width of the transformer]`: conditional, then unconditional where guidance is classifier-free
    /// and not switched off by a negative scale.
    projected: Tensor<B, 3>,
}

impl<B: Kernels> Model<B> {
    /// Loads a checkpoint folder. With `vae`, the shape decoder comes from a folder of its own.
    ///
    /// # Errors
    /// [`ModelErrorKind::Config`] and [`ModelErrorKind::Weights`], naming what is wrong.
    pub fn load(
        folder: &Path,
        vae: Option<&Path>,
        device: B::Device,
        precision: Precision,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        Self::load_as(Residency::Whole, folder, vae, device, precision, progress)
    }

    /// As [`Self::load`]; in turn, only the part that computes is on the device, and none before the first job.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_as(
        residency: Residency,
        folder: &Path,
        vae: Option<&Path>,
        device: B::Device,
        precision: Precision,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        let config = ModelConfig::read_with(folder, vae)?;
        let files = Files::open(folder, vae)?;
        let dtype = precision.dtype();
        let parts = Parts::of_files(&config, files, residency, &device, dtype, progress)?;
        Ok(Self { config, parts, device, dtype })
    }

    /// Takes the parameters from a source.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_source(
        config: ModelConfig,
        source: &dyn Source,
        device: B::Device,
        precision: Precision,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        let dtype = precision.dtype();
        let parts = Parts::whole(&config, source, None, &device, dtype, progress)?;
        Ok(Self { config, parts, device, dtype })
    }

    /// The parts that are on the device now.
    pub fn resident(&self) -> Vec<Part> {
        self.parts.resident()
    }

    /// The image encoder.
    ///
    /// # Errors
    /// Where parts come in turn: [`ModelErrorKind::Weights`] for a file that is no longer what it was, `Compute` where the
    /// device fails.
    pub fn conditioner(&self) -> Result<Arc<Conditioner<B>>, ModelError> {
        self.parts.conditioner()
    }

    /// The transformer.
    ///
    /// # Errors
    /// As [`Self::conditioner`].
    pub fn denoiser(&self) -> Result<Arc<Denoiser<B>>, ModelError> {
        self.parts.denoiser()
    }

    /// The shape decoder.
    ///
    /// # Errors
    /// As [`Self::conditioner`].
    pub fn vae(&self) -> Result<Arc<ShapeVae<B>>, ModelError> {
        self.parts.vae()
    }

    /// Where it lies.
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// Encodes processed views.
    ///
    /// # Errors
    /// [`ModelErrorKind::Request`] for a number of views that the model does not take, `Compute` where the device fails.
    pub fn encode(
        &self,
        views: &[ProcessedView],
        guidance: f64,
        probe: &mut dyn Probe,
    ) -> Result<Condition<B>, ModelError> {
        let most = match self.config.conditioner.views {
            crate::config::Views::One => 1,
            crate::config::Views::Several(views) => views,
        };
        if views.is_empty() || views.len() > most {
            return Err(ModelError::request(format!("the model takes from 1 to {most} views, not {}", views.len())));
        }
        // In the order of their places, whatever the caller's: sums over tokens round differently in another.
        let mut views = views.to_vec();
        views.sort_by_key(|view| view.index);
        for (at, view) in views.iter().enumerate() {
            let name =
                VIEWS.get(view.index).map_or_else(|| format!("number {}", view.index), |name| (*name).to_owned());
            if view.index >= most {
                return Err(ModelError::request(format!("the model has no place for a view {name:?}")));
            }
            if at > 0 && views[at - 1].index == view.index {
                return Err(ModelError::request(format!("the view {name:?} was given twice")));
            }
            if view.size == 0 || view.image.len() != 3 * view.size * view.size {
                return Err(ModelError::request(format!(
                    "the view {name:?} has {} values, which is no picture of 3 times {} by {}",
                    view.image.len(),
                    view.size,
                    view.size
                )));
            }
        }
        let conditioner = self.conditioner()?;
        let input = conditioner.input(&views);
        let side = self.config.conditioner.image_size;
        probe.tensor("dino_input", &[views.len(), 3, side, side], &mut || Ok(input.clone()))?;
        let mut condition = conditioner.forward(input, &views, &self.device, self.dtype);
        // Held no longer than it is needed: it may have to make room.
        drop(conditioner);
        if self.config.classifier_free_guidance() && guidance >= 0.0 {
            let nothing = condition.zeros_like();
            condition = Tensor::cat(vec![condition, nothing], 0);
        }
        probe.tensor("cond", &condition.dims(), &mut || read(condition.clone()))?;
        let condition = self.parts.hand_over(condition)?;
        Ok(Condition { projected: self.denoiser()?.project_condition(condition) })
    }

    /// The latents that a seed begins with; those of the checkpoint's own seed, where it has one.
    #[must_use]
    pub fn noise(&self, seed: u64) -> Latents {
        let vae = &self.config.vae;
        let seed = self.config.own.noise_seed.unwrap_or(seed);
        Latents { step: 0, values: noise::normal(seed, vae.num_latents * vae.embed_dim) }
    }

    /// Follows the flow from noise, or from where an earlier run was, to a shape's latents.
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
        /// The contract's own bound is far below.
        const MOST_STEPS: u32 = 10_000;
        let most = self.config.own.most_steps.unwrap_or(MOST_STEPS);
        if steps == 0 || steps > most {
            return Err(ModelError::request(format!("{steps} steps are asked for; this model takes from 1 to {most}")));
        }
        let schedule = Schedule::new(&self.config.scheduler, steps);
        let shape = [1, self.config.vae.num_latents, self.config.vae.embed_dim];
        if begin.values.len() != shape[1] * shape[2] || begin.step > schedule.steps() {
            return Err(ModelError::request(format!(
                "the latents to begin with have {} values and {} steps behind them; the model has {} and the run {}",
                begin.values.len(),
                begin.step,
                shape[1] * shape[2],
                schedule.steps()
            )));
        }
        let denoiser = self.denoiser()?;
        let free = condition.projected.dims()[0] == 2;
        // The latents themselves stay in float32; only what the network sees is narrower.
        let data = TensorData::new(begin.values, shape);
        let mut latents = Tensor::<B, 3>::from_data(data, (&self.device, DType::F32));
        let mut modulations = None;
        for step in begin.step..schedule.steps() {
            self.tell(watch, step, schedule.steps(), &latents)?;
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
            let mut velocity = None;
            let mut compute = || {
                let narrow = if self.dtype == DType::F32 { latents.clone() } else { latents.clone().cast(self.dtype) };
                let input = if free { Tensor::cat(vec![narrow.clone(), narrow], 0) } else { narrow };
                denoiser.velocity(input, condition.projected.clone(), modulations, row)
            };
            if !idle {
                velocity = Some(compute());
            }
            let rows = if free { 2 } else { 1 };
            probe.tensor(&format!("velocity_{step}"), &[rows, shape[1], shape[2]], &mut || {
                read(velocity.clone().unwrap_or_else(&mut compute))
            })?;
            if let Some(velocity) = velocity {
                let velocity = if self.dtype == DType::F32 { velocity } else { velocity.cast(DType::F32) };
                let velocity = if free {
                    let conditional = velocity.clone().narrow(0, 0, 1);
                    let unconditional = velocity.narrow(0, 1, 1);
                    unconditional.clone() + (conditional - unconditional) * guidance
                } else {
                    velocity
                };
                latents = latents + velocity * schedule.length(step);
            }
            probe.tensor(&format!("latents_{}", step + 1), &shape, &mut || read(latents.clone()))?;
        }
        self.tell(watch, schedule.steps(), schedule.steps(), &latents)?;
        Ok(latents)
    }

    fn tell(
        &self,
        watch: &mut StepWatch<'_>,
        step: usize,
        steps: usize,
        latents: &Tensor<B, 3>,
    ) -> Result<(), ModelError> {
        let mut keep = || Ok(Latents { step, values: read(latents.clone())? });
        match watch(step, steps, &mut keep)? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ModelError::cancelled()),
        }
    }

    /// The shape's tokens, which its volume is read off.
    ///
    /// # Shapes
    /// latents as [`Self::sample`] gives them → `[1, num_latents, width]`.
    ///
    /// # Errors
    /// As [`Self::conditioner`].
    pub fn tokens(&self, latents: Tensor<B, 3>) -> Result<Tensor<B, 3>, ModelError> {
        let latents = self.parts.hand_over(latents)?;
        // Scaled in float32, before the cast: the sampler's values use the whole of half precision's digits.
        let latents = if self.dtype == DType::F32 { latents } else { latents.cast(self.dtype) };
        Ok(self.vae()?.tokens(latents))
    }

    /// Decodes a volume of tokens.
    ///
    /// # Errors
    /// As [`volume::decode`].
    pub fn volume(
        &self,
        tokens: Tensor<B, 3>,
        options: &VolumeOptions,
        watch: &mut VolumeWatch<'_>,
    ) -> Result<Volume, ModelError> {
        volume::decode(&self.vae()?.geometry, tokens, options, watch)
    }

    /// Waits until the device has done all it was given.
    ///
    /// # Errors
    /// [`ModelErrorKind::Compute`] where it failed.
    pub fn wait(&self) -> Result<(), ModelError> {
        B::sync(&self.device).map_err(|error| device_failure(&error.to_string()))
    }
}
