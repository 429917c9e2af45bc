//! The embedding of time and guidance.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::kernels::{Epilogue, Kernels};
use crate::layers::Linear;
use crate::weights::Weights;

/// Channels of an embedded number.
pub const EMBEDDED: usize = 256;

/// Cosines, then sines of `1000 · value` over geometrically spaced periods (Vaswani et al. 2017), `[channels]`.
#[must_use]
pub fn timestep_embedding(value: f64, channels: usize, longest_period: f64) -> Vec<f32> {
    let half = channels / 2;
    // In float32 step by step, as the reference does: an angle of 1000 keeps only four decimals there.
    let scaled = 1000.0 * value as f32;
    let angles: Vec<f32> =
        (0..half).map(|i| scaled * ((-longest_period.ln()) as f32 * i as f32 / half as f32).exp()).collect();
    angles.iter().map(|angle| angle.cos()).chain(angles.iter().map(|angle| angle.sin())).collect()
}

/// Two linear layers over an embedding.
#[derive(Module, Debug)]
pub struct Embedder<B: Backend> {
    in_layer: Linear<B>,
    out_layer: Linear<B>,
}

impl<B: Kernels> Embedder<B> {
    pub fn load(weights: &mut Weights<'_, B>, name: &str, width: usize) -> Result<Self, ModelError> {
        weights.within(name, |weights| {
            Ok(Self {
                in_layer: Linear::load(weights, "in_layer", EMBEDDED, width, true)?,
                out_layer: Linear::load(weights, "out_layer", width, width, true)?,
            })
        })
    }

    /// # Shapes
    /// `[1, values, EMBEDDED]` → `[1, values, width]`.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.out_layer.forward(self.in_layer.forward_then(x, Epilogue::Silu))
    }
}
