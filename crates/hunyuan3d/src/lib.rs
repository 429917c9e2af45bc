//! Hunyuan3D-2's shape model in Burn, number for number: a picture to conditioning tokens (DINOv2), noise to latents (a
//! flow-matching transformer), latents to a field (the shape decoder), read off on a grid.
//!
//! ```text
//! picture ─process─▶ view ─Conditioner─▶ condition ─┐
//!                            seed ─noise─▶ latents ─┴─Denoiser × steps─▶ latents ─ShapeVae─▶ tokens ─volume─▶ samples
//! ```
//!
//! Checkpoints are read as published: `config.yaml` beside `model.fp16.safetensors`. The source of every formula is the
//! reference implementation (PyPI `hy3dgen` 2.0.2), read and written anew; what it gets wrong is said where it is put
//! right. This crate knows neither tokio nor NATS.

pub mod bench;
pub mod conditioner;
pub mod config;
mod device;
pub mod dino;
pub mod dit;
mod error;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod memory;
mod model;
pub mod noise;
mod open;
mod parts;
pub mod presets;
mod resample;
mod sampling;
pub mod schedule;
mod together;
pub mod trace;
pub mod vae;
pub mod volume;
pub mod weights;

pub(crate) use device::precision_name;
pub use device::{DeviceName, Precision};
pub use error::{ModelError, ModelErrorKind};
pub use model::{Condition, Model, NoProbe, Probe};
pub use open::{
    Begin, Phase, ShapeEnded, ShapeJob, ShapeModel, ShapeRequest, ShapeWatch, checked, device_memory, has_own_kernels,
    open, open_as,
};
pub use parts::{Part, Residency};
pub use sampling::{BatchWatch, Latents, Run, StepWatch};
