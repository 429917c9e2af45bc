//! A model on a device chosen at run time.

use std::ops::ControlFlow;
use std::path::Path;

use burn_flex::{Flex, FlexDevice};

use crate::conditioner::ProcessedView;
use crate::config::ModelConfig;
use crate::device::{DeviceName, Precision, guarded};
use crate::kernels::Kernels;
use crate::model::Model;
use crate::parts::Residency;
use crate::sampling::Latents;
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

impl ShapeRequest {
    /// Whether two shapes can be sampled in one batch: the same schedule from the same step on, one guidance, conditions of one
    /// size. Pictures, seeds and how their volumes are read off are each one's own.
    #[must_use]
    pub fn goes_with(&self, other: &Self) -> bool {
        self.steps == other.steps
            && self.guidance.to_bits() == other.guidance.to_bits()
            && self.begin.step() == other.begin.step()
            && self.views.len() == other.views.len()
    }
}

/// Where sampling begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// With a seed's noise.
    Seed(u64),
    /// With the latents that an earlier run kept.
    Latents(Latents),
}

impl Begin {
    /// Steps that are done before it.
    #[must_use]
    pub fn step(&self) -> usize {
        match self {
            Self::Seed(_) => 0,
            Self::Latents(latents) => latents.step,
        }
    }
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

/// A shape among those that are asked for together.
pub struct ShapeJob<'a> {
    /// What it is made of.
    pub request: &'a ShapeRequest,
    /// Who watches it.
    pub watch: &'a mut dyn ShapeWatch,
}

/// Told which of several shapes has ended, by its place, and how.
pub type ShapeEnded<'a> = dyn FnMut(usize, Result<Volume, ModelError>) + 'a;

/// A loaded model, whatever it runs on.
pub trait ShapeModel: Send {
    /// What it is.
    fn config(&self) -> &ModelConfig;

    /// Makes the volume of a shape.
    ///
    /// # Errors
    /// [`ModelErrorKind::Cancelled`] where the watch breaks; else as the stages'.
    fn generate(&self, request: &ShapeRequest, watch: &mut dyn ShapeWatch) -> Result<Volume, ModelError> {
        // Until it ends, which every shape does, nothing came of it.
        let mut made = Err(ModelError::cancelled());
        self.generate_together(&mut [ShapeJob { request, watch }], &mut |_, outcome| made = outcome);
        made
    }

    /// Makes the volumes of several shapes, and says what became of each, by its place, as soon as it is known. Those that go
    /// together ([`ShapeRequest::goes_with`]) are sampled in one batch; the others have their turn after them. Each has its
    /// own watch: one that breaks, or fails, leaves the others as they are.
    ///
    /// Should the device fail a whole batch, for lack of memory say, each of its shapes is begun anew by itself: nobody knows
    /// which of them it was.
    ///
    /// # Errors
    /// Those of [`Self::generate`], each its own.
    fn generate_together(&self, jobs: &mut [ShapeJob<'_>], ended: &mut ShapeEnded<'_>);

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

/// Bytes of a device's own memory; none for the processor, and where there is no such device. The driver itself is asked, since others count
/// GPUs in another order than it does, and know parts of one only as a whole.
#[must_use]
pub fn device_memory(device: DeviceName) -> Option<u64> {
    match device {
        DeviceName::Cpu => None,
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => crate::kernels::cuda::memory(number),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => None,
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

    fn generate_together(&self, jobs: &mut [ShapeJob<'_>], ended: &mut ShapeEnded<'_>) {
        self.make(jobs, ended);
        B::run_ended();
    }

    fn trace(&self, request: &TraceRequest) -> Result<Trace, ModelError> {
        let traced = guarded::<B, _>(self.device(), || trace(self, request));
        B::run_ended();
        traced
    }
}
