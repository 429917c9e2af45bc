//! What time and guidance make of the network: shifts, scales and gates of every block (Peebles and Xie 2023).
//!
//! Nothing in them depends on the tokens, and a schedule's times are known at its start. So they are computed for many
//! steps in one product, which reads each modulation's weights once and not at every step.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use super::Denoiser;
use super::embedding::{EMBEDDED, timestep_embedding};
use crate::kernels::{Epilogue, Kernels, plain};
use crate::layers::Linear;

/// Steps whose modulations are computed together: 38 MB of them at full size in half precision.
pub const STEPS_AT_ONCE: usize = 64;

/// The modulations of some steps.
#[derive(Clone, Debug)]
pub struct Modulations<B: Backend> {
    /// Of each double-stream block, for latents and condition: `[1, steps, 6 * width]`.
    pub(super) double: Vec<[Tensor<B, 3>; 2]>,
    /// Of each single-stream block: `[1, steps, 3 * width]`.
    pub(super) single: Vec<Tensor<B, 3>>,
    /// Before the last layer: `[1, steps, 2 * width]`.
    pub(super) last: Tensor<B, 3>,
}

/// A step's `N` vectors, each `[1, 1, width]`: the same for the whole batch, and broadcast over it.
pub(super) fn vectors<B: Backend, const N: usize>(all: &Tensor<B, 3>, row: usize) -> [Tensor<B, 3>; N] {
    let own = all.clone().narrow(1, row, 1);
    let width = own.dims()[2] / N;
    std::array::from_fn(|index| own.clone().narrow(2, index * width, width))
}

impl<B: Kernels> Denoiser<B> {
    /// The modulations at times from 0 to 1, with guidance where the model was distilled for it.
    pub fn modulations(
        &self,
        times: &[f64],
        guidance: Option<f64>,
        device: &B::Device,
        dtype: DType,
    ) -> Modulations<B> {
        let embed = |values: &[f64]| {
            let rows = values.iter().flat_map(|value| timestep_embedding(*value, EMBEDDED, self.longest_period));
            let rows = TensorData::new(rows.collect::<Vec<_>>(), [1, values.len(), EMBEDDED]);
            Tensor::<B, 3>::from_data(rows.convert_dtype(dtype), (device, dtype))
        };
        let mut vector = self.time_in.forward(embed(times));
        if let (Some(guidance_in), Some(guidance)) = (&self.guidance_in, guidance) {
            vector = vector + guidance_in.forward(embed(&[guidance]));
        }
        // Every modulation begins with the same activation.
        let vector = plain::activate(vector, Epilogue::Silu);
        let all = |layer: &Linear<B>| layer.forward(vector.clone());
        Modulations {
            double: self.double_blocks.iter().map(|block| block.modulations().map(all)).collect(),
            single: self.single_blocks.iter().map(|block| all(block.modulation())).collect(),
            last: all(&self.final_modulation),
        }
    }
}
