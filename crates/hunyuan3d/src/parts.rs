//! The three parts of a model, on the device always or only while they compute.
//!
//! A picture is encoded, then latents are sampled, then the field is read off: never do two parts compute together. In turn,
//! each comes from the checkpoint's mapped file when it is needed, and what it leaves to the next goes by way of the host, so
//! that nothing of it stays on the device and all of its pages go back to the driver.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::ModelError;
use crate::conditioner::Conditioner;
use crate::config::ModelConfig;
use crate::device::device_failure;
use crate::dit::Denoiser;
use crate::kernels::Kernels;
use crate::vae::ShapeVae;
use crate::weights::{Checkpoint, LoadProgress, Source, Weights};

/// Which parts of a model are on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub enum Residency {
    /// All, from the first job to the last.
    #[default]
    Whole,
    /// The one that computes.
    InTurn,
}

/// A model's files.
pub(crate) struct Files {
    checkpoint: Checkpoint,
    /// The shape decoder's own, where it has one.
    decoder: Option<Checkpoint>,
}

impl Files {
    /// Opens a checkpoint folder. With `vae`, the shape decoder comes from a folder of its own.
    pub fn open(folder: &Path, vae: Option<&Path>) -> Result<Self, ModelError> {
        let decoder = vae.map(|vae| Ok::<_, ModelError>(Checkpoint::open(vae)?.below("vae."))).transpose()?;
        Ok(Self { checkpoint: Checkpoint::open(folder)?, decoder })
    }

    /// Where a part's parameters are.
    fn of(&self, part: Part) -> &Checkpoint {
        match part {
            Part::Vae => self.decoder.as_ref().unwrap_or(&self.checkpoint),
            Part::Conditioner | Part::Denoiser => &self.checkpoint,
        }
    }
}

/// A part's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The image encoder.
    Conditioner,
    /// The transformer.
    Denoiser,
    /// The shape decoder.
    Vae,
}

impl Part {
    /// What its parameters' names begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Conditioner => "conditioner",
            Self::Denoiser => "model",
            Self::Vae => "vae",
        }
    }
}

/// A place for a part that may be empty.
#[derive(Debug)]
struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Slot<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, part: Option<Arc<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }
}

/// A model's parts on a device.
pub(crate) struct Parts<B: Backend> {
    conditioner: Slot<Conditioner<B>>,
    denoiser: Slot<Denoiser<B>>,
    vae: Slot<ShapeVae<B>>,
    config: ModelConfig,
    device: B::Device,
    dtype: DType,
    /// Where parts come back from; none: all stay.
    files: Option<Files>,
}

impl<B: Backend> std::fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("resident", &self.resident()).finish_non_exhaustive()
    }
}

impl<B: Backend> Parts<B> {
    /// Those on the device now.
    pub fn resident(&self) -> Vec<Part> {
        let there = [
            (Part::Conditioner, self.conditioner.get().is_some()),
            (Part::Denoiser, self.denoiser.get().is_some()),
            (Part::Vae, self.vae.get().is_some()),
        ];
        there.into_iter().filter(|(_, there)| *there).map(|(part, _)| part).collect()
    }
}

impl<B: Kernels> Parts<B> {
    /// Takes all parts' parameters, and keeps them. The shape decoder's come from `decoder`, where there is one.
    pub fn whole(
        config: &ModelConfig,
        source: &dyn Source,
        decoder: Option<&dyn Source>,
        device: &B::Device,
        dtype: DType,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        let parts = Self::empty(config, device, dtype);
        parts.take_all(source, decoder, progress, || Ok(()))?;
        Ok(parts)
    }

    /// Takes a folder's files' parameters. In turn, each part's once, so that what is wrong with a file is said now, and
    /// lets go of them.
    pub fn of_files(
        config: &ModelConfig,
        files: Files,
        residency: Residency,
        device: &B::Device,
        dtype: DType,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, ModelError> {
        let mut parts = Self::empty(config, device, dtype);
        let decoder = files.decoder.as_ref().map(|decoder| decoder as &dyn Source);
        let own = Except(&files.checkpoint, "vae.");
        let source: &dyn Source = if decoder.is_some() { &own } else { &files.checkpoint };
        let after = || if residency == Residency::InTurn { parts.leave() } else { Ok(()) };
        parts.take_all(source, decoder, progress, after)?;
        parts.files = (residency == Residency::InTurn).then_some(files);
        Ok(parts)
    }

    fn empty(config: &ModelConfig, device: &B::Device, dtype: DType) -> Self {
        Self {
            conditioner: Slot(Mutex::new(None)),
            denoiser: Slot(Mutex::new(None)),
            vae: Slot(Mutex::new(None)),
            config: config.clone(),
            device: device.clone(),
            dtype,
            files: None,
        }
    }

    /// Takes every part's parameters, strictly: none may be over.
    fn take_all(
        &self,
        source: &dyn Source,
        decoder: Option<&dyn Source>,
        progress: &mut LoadProgress<'_>,
        after: impl Fn() -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let total = source.bytes() + decoder.map_or(0, Source::bytes);
        let mut last = 0;
        let mut first = |done: u64, _: u64| {
            last = done;
            progress(done, total);
        };
        let mut weights = Weights::<B>::new(source, self.device.clone(), self.dtype, &mut first);
        let mut parts = vec![Part::Conditioner, Part::Denoiser];
        parts.extend(decoder.is_none().then_some(Part::Vae));
        for part in parts {
            self.take(part, &mut weights)?;
            after()?;
        }
        weights.finish()?;
        if let Some(decoder) = decoder {
            let before = last;
            let mut second = |done: u64, _: u64| progress(before + done, total);
            let mut weights = Weights::<B>::new(decoder, self.device.clone(), self.dtype, &mut second);
            self.take(Part::Vae, &mut weights)?;
            after()?;
            weights.finish()?;
        }
        Ok(())
    }

    fn take(&self, part: Part, weights: &mut Weights<'_, B>) -> Result<(), ModelError> {
        let config = &self.config;
        weights.within(part.prefix(), |weights| {
            match part {
                Part::Conditioner => {
                    self.conditioner.put(Some(Arc::new(Conditioner::load(weights, &config.conditioner)?)));
                }
                Part::Denoiser => self.denoiser.put(Some(Arc::new(Denoiser::load(weights, &config.denoiser)?))),
                Part::Vae => self.vae.put(Some(Arc::new(ShapeVae::load(weights, &config.vae)?))),
            }
            Ok(())
        })
    }

    /// Whether only the part that computes is on the device.
    pub fn are_in_turn(&self) -> bool {
        self.files.is_some()
    }

    /// Lets go of every part that can come back, and of the pages that they lay in.
    pub fn leave(&self) -> Result<(), ModelError> {
        self.conditioner.put(None);
        self.denoiser.put(None);
        self.vae.put(None);
        // What still computes with them has to end first.
        B::sync(&self.device).map_err(|error| device_failure(&error.to_string()))?;
        B::memory_cleanup(&self.device);
        Ok(())
    }

    /// A part; where it is not there, it takes the others' place.
    fn part<T>(&self, part: Part, slot: &Slot<T>) -> Result<Arc<T>, ModelError> {
        if let Some(there) = slot.get() {
            return Ok(there);
        }
        if let Some(files) = &self.files {
            self.leave()?;
            let mut untold = |_: u64, _: u64| {};
            let mut weights = Weights::<B>::new(files.of(part), self.device.clone(), self.dtype, &mut untold);
            self.take(part, &mut weights)?;
        }
        slot.get().ok_or_else(|| ModelError::weights(format!("the {} is not loaded", part.prefix())))
    }

    /// The image encoder.
    pub fn conditioner(&self) -> Result<Arc<Conditioner<B>>, ModelError> {
        self.part(Part::Conditioner, &self.conditioner)
    }

    /// The transformer.
    pub fn denoiser(&self) -> Result<Arc<Denoiser<B>>, ModelError> {
        self.part(Part::Denoiser, &self.denoiser)
    }

    /// The shape decoder.
    pub fn vae(&self) -> Result<Arc<ShapeVae<B>>, ModelError> {
        self.part(Part::Vae, &self.vae)
    }

    /// What a part leaves to the next one. In turn, it goes by way of the host, bit for bit, and the part goes.
    pub fn hand_over<const D: usize>(&self, x: Tensor<B, D>) -> Result<Tensor<B, D>, ModelError> {
        let mut one = self.hand_over_all(vec![x])?;
        one.pop().ok_or_else(|| ModelError::request("nothing was handed over"))
    }

    /// The same of several tensors, for which the part goes once.
    pub fn hand_over_all<const D: usize>(&self, all: Vec<Tensor<B, D>>) -> Result<Vec<Tensor<B, D>>, ModelError> {
        if !self.are_in_turn() {
            return Ok(all);
        }
        let on_host = |x: Tensor<B, D>| {
            let dtype = x.dtype();
            Ok((x.try_into_data().map_err(|error| device_failure(&error.to_string()))?, dtype))
        };
        let all: Vec<_> = all.into_iter().map(on_host).collect::<Result<_, ModelError>>()?;
        self.leave()?;
        Ok(all.into_iter().map(|(data, dtype)| Tensor::from_data(data, (&self.device, dtype))).collect())
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
