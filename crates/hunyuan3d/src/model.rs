//! The whole model: pictures to conditioning tokens, noise to latents, latents to a volume.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::ModelError;
#[cfg(doc)]
use crate::ModelErrorKind;
use crate::conditioner::{Conditioner, ProcessedView};
use crate::config::{ModelConfig, read_vae};
use crate::device::{Precision, device_failure, read};
use crate::dit::{Denoiser, STEPS_AT_ONCE};
use crate::image::VIEWS;
use crate::kernels::Kernels;
use crate::noise;
use crate::schedule::Schedule;
use crate::vae::ShapeVae;
use crate::volume::{self, Volume, VolumeOptions, VolumeWatch};
use crate::weights::{Checkpoint, LoadProgress, Source, Weights};

/// A model on a device.
#[derive(Debug)]
pub struct Model<B: Backend> {
    /// What it is.
    pub config: ModelConfig,
    /// The image encoder.
    pub conditioner: Conditioner<B>,
    /// The transformer.
    pub denoiser: Denoiser<B>,
    /// The shape decoder.
    pub vae: ShapeVae<B>,
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
        let config = ModelConfig::read(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        match vae {
            None => Self::from_source(config, &checkpoint, &checkpoint, device, precision, progress),
            Some(vae) => {
                let config = config.with_vae(read_vae(vae)?)?;
                let decoder = Checkpoint::open(vae)?.below("vae.");
                Self::from_source(config, &Except(&checkpoint, "vae."), &decoder, device, precision, progress)
            }
        }
    }

    /// Takes the parameters from a source; the shape decoder's from `decoder`, which may be the same.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_source(
        config: ModelConfig,
        source: &dyn Source,
        decoder: &dyn Source,
        device: B::Device,
        precision: Precision,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        let dtype = precision.dtype();
        let same = std::ptr::addr_eq(source, decoder);
        let total = if same { source.bytes() } else { source.bytes() + decoder.bytes() };
        let mut last = 0;
        let mut first = |done: u64, _: u64| {
            last = done;
            progress(done, total);
        };
        let mut weights = Weights::<B>::new(source, device.clone(), dtype, &mut first);
        let conditioner = weights.within("conditioner", |weights| Conditioner::load(weights, &config.conditioner))?;
        let denoiser = weights.within("model", |weights| Denoiser::load(weights, &config.denoiser))?;
        let load_vae = |weights: &mut Weights<'_, B>| ShapeVae::load(weights, &config.vae);
        let vae = if same {
            let vae = weights.within("vae", load_vae)?;
            weights.finish()?;
            vae
        } else {
            weights.finish()?;
            let before = last;
            let mut second = |done: u64, _: u64| progress(before + done, total);
            let mut weights = Weights::<B>::new(decoder, device.clone(), dtype, &mut second);
            let vae = weights.within("vae", load_vae)?;
            weights.finish()?;
            vae
        };
        Ok(Self { config, conditioner, denoiser, vae, device, dtype })
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
        let input = self.conditioner.input(&views);
        let side = self.config.conditioner.image_size;
        probe.tensor("dino_input", &[views.len(), 3, side, side], &mut || Ok(input.clone()))?;
        let mut condition = self.conditioner.forward(input, &views, &self.device, self.dtype);
        if self.config.classifier_free_guidance() && guidance >= 0.0 {
            let nothing = condition.zeros_like();
            condition = Tensor::cat(vec![condition, nothing], 0);
        }
        probe.tensor("cond", &condition.dims(), &mut || read(condition.clone()))?;
        Ok(Condition { projected: self.denoiser.project_condition(condition) })
    }

    /// The latents that a seed begins with.
    #[must_use]
    pub fn noise(&self, seed: u64) -> Latents {
        let vae = &self.config.vae;
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
        if steps == 0 || steps > MOST_STEPS {
            return Err(ModelError::request(format!("{steps} steps are not from 1 to {MOST_STEPS}")));
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
                let of_block = self.denoiser.modulations(times, Some(guidance), &self.device, self.dtype);
                modulations = Some((block, of_block));
            }
            let Some((_, modulations)) = &modulations else { continue };
            let mut velocity = None;
            let mut compute = || {
                let narrow = if self.dtype == DType::F32 { latents.clone() } else { latents.clone().cast(self.dtype) };
                let input = if free { Tensor::cat(vec![narrow.clone(), narrow], 0) } else { narrow };
                self.denoiser.velocity(input, condition.projected.clone(), modulations, row)
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
    pub fn tokens(&self, latents: Tensor<B, 3>) -> Tensor<B, 3> {
        // Scaled in float32, before the cast: the sampler's values use the whole of half precision's digits.
        let latents = if self.dtype == DType::F32 { latents } else { latents.cast(self.dtype) };
        self.vae.tokens(latents)
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
        volume::decode(&self.vae.geometry, tokens, options, watch)
    }

    /// Waits until the device has done all it was given.
    ///
    /// # Errors
    /// [`ModelErrorKind::Compute`] where it failed.
    pub fn wait(&self) -> Result<(), ModelError> {
        B::sync(&self.device).map_err(|error| device_failure(&error.to_string()))
    }
}

/// A source without the names that begin with a prefix.
struct Except<'a>(&'a Checkpoint, &'static str);

impl Source for Except<'_> {
    fn tensor(&self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        self.0.tensor(name, shape, dtype)
    }

    fn names(&self) -> Vec<String> {
        self.0.names().into_iter().filter(|name| !name.starts_with(self.1)).collect()
    }

    fn stored_bytes(&self, name: &str) -> u64 {
        self.0.stored_bytes(name)
    }

    fn bytes(&self) -> u64 {
        self.names().iter().map(|name| self.0.stored_bytes(name)).sum()
    }
}
