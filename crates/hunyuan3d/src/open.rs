//! A model on a device chosen at run time.

use std::ops::ControlFlow;
use std::path::Path;

use burn_flex::{Flex, FlexDevice};

use crate::conditioner::ProcessedView;
use crate::config::ModelConfig;
use crate::device::{DeviceName, Precision, guarded};
use crate::kernels::Kernels;
use crate::model::{Latents, Model, NoProbe};
use crate::parts::Residency;
use crate::trace::{Trace, TraceRequest, trace};
use crate::volume::{Volume, VolumeOptions};
use crate::weights::LoadProgress;
use crate::{ModelError, ModelErrorKind};

/// What one shape is made of.
#[derive(Clone, Debug)]
pub struct ShapeRequest {
    /// The views, processed.
    pub views: Vec<ProcessedView>,
    /// Noise, or where an earlier run was.
    pub begin: Begin,
    /// Sampling steps.
    pub steps: u32,
    /// Guidance scale.
    pub guidance: f64,
    /// How the volume is read off.
    pub volume: VolumeOptions,
}

/// Where sampling begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// With a seed's noise.
    Seed(u64),
    /// With the latents that an earlier run kept.
    Latents(Latents),
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The picture is encoded.
    Encode,
    /// Noise becomes latents, step by step.
    Sample,
    /// The field is read off.
    Decode,
}

impl Phase {
    /// The phase's name in progress events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Sample => "sample",
            Self::Decode => "decode",
        }
    }
}

/// Watches a run, on the thread that runs it.
pub trait ShapeWatch {
    /// So much of a phase is done; breaks to cancel.
    fn progress(&mut self, phase: Phase, done: usize, all: usize) -> ControlFlow<()>;

    /// Whether the latents are wanted that stand before step `step`; they then come through [`Self::keep`].
    fn wants(&self, _step: usize) -> bool {
        false
    }

    /// Latents to go on from another time.
    fn keep(&mut self, _latents: Latents) {}
}

/// A loaded model, whatever it runs on.
pub trait ShapeModel: Send {
    /// What it is.
    fn config(&self) -> &ModelConfig;

    /// Makes the volume of a shape.
    ///
    /// # Errors
    /// [`ModelErrorKind::Cancelled`] where the watch breaks; else as the stages'.
    fn generate(&self, request: &ShapeRequest, watch: &mut dyn ShapeWatch) -> Result<Volume, ModelError>;

    /// Runs and keeps every stage.
    ///
    /// # Errors
    /// As the stages'.
    fn trace(&self, request: &TraceRequest) -> Result<Trace, ModelError>;
}

/// Loads a checkpoint folder onto a device. With `vae`, the shape decoder comes from a folder of its own.
///
/// # Errors
/// [`ModelErrorKind::Device`] for a device or precision that is not there; else as [`Model::load`].
pub fn open(
    folder: &Path,
    vae: Option<&Path>,
    device: DeviceName,
    precision: Option<Precision>,
    progress: &mut LoadProgress<'_>,
) -> Result<Box<dyn ShapeModel>, ModelError> {
    open_as(Residency::Whole, folder, vae, device, precision, progress)
}

/// As [`open`], with all parts on the device or only the one that computes.
///
/// # Errors
/// As [`open`].
pub fn open_as(
    residency: Residency,
    folder: &Path,
    vae: Option<&Path>,
    device: DeviceName,
    precision: Option<Precision>,
    progress: &mut LoadProgress<'_>,
) -> Result<Box<dyn ShapeModel>, ModelError> {
    let precision = checked(device, precision)?;
    match device {
        DeviceName::Cpu => {
            Ok(Box::new(Model::<Flex>::load_as(residency, folder, vae, FlexDevice, precision, progress)?))
        }
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => {
            let device = crate::kernels::cuda::device(number)?;
            Ok(Box::new(Model::<burn_cuda::Cuda>::load_as(residency, folder, vae, device, precision, progress)?))
        }
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => Err(no_cuda()),
    }
}

/// The precision that a device computes in.
///
/// # Errors
/// [`ModelErrorKind::Device`] for half precision on the processor, which has no use for it.
pub fn checked(device: DeviceName, precision: Option<Precision>) -> Result<Precision, ModelError> {
    let precision = precision.unwrap_or(Precision::of_device(device));
    if device == DeviceName::Cpu && precision != Precision::Float32 {
        let sentence = format!("the cpu computes in float32; HUNYUAN3D_PRECISION asks for {precision}");
        return Err(ModelError::new(ModelErrorKind::Device, sentence));
    }
    Ok(precision)
}

/// Whether a device computes with kernels of ours in half precision. A GPU before sm_80 does not, and takes more memory.
#[must_use]
pub fn has_own_kernels(device: DeviceName) -> bool {
    match device {
        DeviceName::Cpu => false,
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => crate::kernels::cuda::has_own_kernels(number),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => false,
    }
}

/// Why there is no CUDA in a binary without the feature.
#[cfg(not(feature = "cuda"))]
pub(crate) fn no_cuda() -> ModelError {
    ModelError::new(ModelErrorKind::Device, "this binary was built without CUDA (cargo feature `cuda`)")
}

impl<B: Kernels> ShapeModel for Model<B> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn generate(&self, request: &ShapeRequest, watch: &mut dyn ShapeWatch) -> Result<Volume, ModelError> {
        let made = guarded::<B, _>(self.device(), || self.make(request, watch));
        B::run_ended();
        made
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace, ModelError> {
        let traced = guarded::<B, _>(self.device(), || trace(self, request));
        B::run_ended();
        traced
    }
}

impl<B: Kernels> Model<B> {
    fn make(&self, request: &ShapeRequest, watch: &mut dyn ShapeWatch) -> Result<Volume, ModelError> {
        step(watch, Phase::Encode, 0, 1)?;
        let condition = self.encode(&request.views, request.guidance, &mut NoProbe)?;
        self.wait()?;
        step(watch, Phase::Encode, 1, 1)?;
        let begin = match &request.begin {
            Begin::Seed(seed) => self.noise(*seed),
            Begin::Latents(latents) => latents.clone(),
        };
        let first = begin.step;
        let mut sampling = |done: usize, all: usize, latents: &mut dyn FnMut() -> Result<Latents, ModelError>| {
            if done > first {
                // Work is queued on a device far ahead of it; without waiting, progress and cancel would mean nothing.
                self.wait()?;
                if watch.wants(done) {
                    watch.keep(latents()?);
                }
            }
            Ok(watch.progress(Phase::Sample, done, all))
        };
        let latents = self.sample(&condition, begin, request.steps, request.guidance, &mut sampling, &mut NoProbe)?;
        let tokens = self.tokens(latents)?;
        let mut shown = 0;
        let mut decoding = |level: usize, levels: usize, done: usize, all: usize| {
            // Levels are shown as equal parts: how many queries the finer ones will have is not known before.
            const PARTS: usize = 1000;
            // Closing the surface adds queries to a level that was through; what was shown stays.
            shown = shown.max(level * PARTS + done * PARTS / all.max(1)).min(levels * PARTS);
            watch.progress(Phase::Decode, shown, levels * PARTS)
        };
        self.volume(tokens, &request.volume, &mut decoding)
    }
}

fn step(watch: &mut dyn ShapeWatch, phase: Phase, done: usize, all: usize) -> Result<(), ModelError> {
    match watch.progress(phase, done, all) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ModelError::cancelled()),
    }
}
