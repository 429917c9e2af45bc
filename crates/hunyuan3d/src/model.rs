//! The whole model: pictures to conditioning tokens, noise to latents, latents to a volume.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use crate::ModelError;
#[cfg(doc)]
use crate::ModelErrorKind;
use crate::conditioner::{Conditioner, ProcessedView};
use crate::config::ModelConfig;
use crate::device::{Precision, device_failure, guarded, read};
use crate::dit::Denoiser;
use crate::image::VIEWS;
use crate::kernels::Kernels;
use crate::parts::{Files, Part, Parts, Residency};
use crate::vae::ShapeVae;
use crate::volume::{self, Volume, VolumeOptions, VolumeWatch};
use crate::weights::{LoadProgress, Source};

/// A model on a device.
#[derive(Debug)]
pub struct Model<B: Backend> {
    /// What it is.
    pub config: ModelConfig,
    pub(crate) parts: Parts<B>,
    pub(crate) device: B::Device,
    pub(crate) dtype: DType,
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

/// Loads parts, and fails where the device did on the way: on a full GPU CubeCL would go on with memory that nobody wrote.
fn loaded<B: Kernels>(
    device: &B::Device,
    load: impl FnOnce() -> Result<Parts<B>, ModelError>,
) -> Result<Parts<B>, ModelError> {
    guarded::<B, _>(device, || {
        let parts = load()?;
        B::sync(device).map_err(|error| device_failure(&error.to_string()))?;
        Ok(parts)
    })
}

/// The condition of one run.
#[derive(Clone, Debug)]
pub struct Condition<B: Backend> {
    /// `[1 or 2, tokens, width of the transformer]`: conditional, then unconditional where guidance is classifier-free
    /// and not switched off by a negative scale.
    pub(crate) projected: Tensor<B, 3>,
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
        let parts = loaded::<B>(&device, || Parts::of_files(&config, files, residency, &device, dtype, progress))?;
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
        let parts = loaded::<B>(&device, || Parts::whole(&config, source, None, &device, dtype, progress))?;
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
        let seen = self.see(views, guidance, probe)?;
        self.condition(self.parts.hand_over(seen)?)
    }

    /// What the image encoder makes of views, for the transformer to take up.
    ///
    /// # Shapes
    /// → `[1 or 2, tokens, context_in_dim]`: conditional, then unconditional as in [`Condition`].
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn see(
        &self,
        views: &[ProcessedView],
        guidance: f64,
        probe: &mut dyn Probe,
    ) -> Result<Tensor<B, 3>, ModelError> {
        let most = self.config.conditioner.most_views();
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
        Ok(condition)
    }

    /// A condition of what [`Self::see`] gave, handed over where parts come in turn.
    pub(crate) fn condition(&self, seen: Tensor<B, 3>) -> Result<Condition<B>, ModelError> {
        Ok(Condition { projected: self.denoiser()?.project_condition(seen) })
    }

    /// The shape's tokens, which its volume is read off.
    ///
    /// # Shapes
    /// latents as [`Self::sample`] gives them → `[1, num_latents, width]`.
    ///
    /// # Errors
    /// As [`Self::conditioner`].
    pub fn tokens(&self, latents: Tensor<B, 3>) -> Result<Tensor<B, 3>, ModelError> {
        self.tokens_of(self.parts.hand_over(latents)?)
    }

    /// As [`Self::tokens`], of latents that were handed over.
    pub(crate) fn tokens_of(&self, latents: Tensor<B, 3>) -> Result<Tensor<B, 3>, ModelError> {
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
