//! The flow-matching transformer (`models/denoisers/hunyuan3ddit.py`): double-stream blocks, in which latents and
//! condition have weights of their own but attend together, then single-stream blocks over both (Esser et al. 2024;
//! Black Forest Labs' FLUX).

mod blocks;
mod embedding;
mod modulation;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::config::DenoiserConfig;
use crate::kernels::Kernels;
use crate::layers::Linear;
use crate::weights::Weights;
use blocks::{DoubleStreamBlock, SingleStreamBlock};
use embedding::Embedder;
pub use embedding::timestep_embedding;
use modulation::vectors;
pub use modulation::{Modulations, STEPS_AT_ONCE};

/// Epsilon of the layer norms.
const EPSILON: f64 = 1e-6;

/// The transformer.
#[derive(Module, Debug)]
pub struct Denoiser<B: Backend> {
    latent_in: Linear<B>,
    time_in: Embedder<B>,
    condition_in: Linear<B>,
    guidance_in: Option<Embedder<B>>,
    double_blocks: Vec<DoubleStreamBlock<B>>,
    single_blocks: Vec<SingleStreamBlock<B>>,
    final_modulation: Linear<B>,
    final_linear: Linear<B>,
    longest_period: f64,
}

impl<B: Kernels> Denoiser<B> {
    /// Takes the parameters.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, config: &DenoiserConfig) -> Result<Self, ModelError> {
        let width = config.hidden_size;
        let guidance_in = match config.guidance_embed {
            true => Some(Embedder::load(weights, "guidance_in", width)?),
            false => None,
        };
        Ok(Self {
            latent_in: Linear::load(weights, "latent_in", config.in_channels, width, true)?,
            time_in: Embedder::load(weights, "time_in", width)?,
            condition_in: Linear::load(weights, "cond_in", config.context_in_dim, width, true)?,
            guidance_in,
            double_blocks: (0..config.depth)
                .map(|index| {
                    let block = |weights: &mut Weights<'_, B>| DoubleStreamBlock::load(weights, config);
                    weights.within(&format!("double_blocks.{index}"), block)
                })
                .collect::<Result<_, _>>()?,
            single_blocks: (0..config.depth_single_blocks)
                .map(|index| {
                    let block = |weights: &mut Weights<'_, B>| SingleStreamBlock::load(weights, config);
                    weights.within(&format!("single_blocks.{index}"), block)
                })
                .collect::<Result<_, _>>()?,
            final_modulation: Linear::load(weights, "final_layer.adaLN_modulation.1", width, 2 * width, true)?,
            final_linear: Linear::load(weights, "final_layer.linear", width, config.in_channels, true)?,
            longest_period: config.time_factor,
        })
    }

    /// Projects the condition to the transformer's width: the same for every step, so done once.
    ///
    /// # Shapes
    /// `[batch, tokens, context_in_dim]` → `[batch, tokens, hidden_size]`.
    pub fn project_condition(&self, condition: Tensor<B, 3>) -> Tensor<B, 3> {
        self.condition_in.forward(condition)
    }

    /// The velocity of the flow at the time of a row of modulations.
    ///
    /// # Shapes
    /// latents `[batch, num_latents, in_channels]`, condition as [`Self::project_condition`] gives it, one time for the
    /// whole batch → as latents.
    pub fn velocity(
        &self,
        latents: Tensor<B, 3>,
        condition: Tensor<B, 3>,
        modulations: &Modulations<B>,
        row: usize,
    ) -> Tensor<B, 3> {
        let mut latents = self.latent_in.forward(latents);
        let mut condition = condition;
        for (block, of_block) in self.double_blocks.iter().zip(&modulations.double) {
            let [own, theirs] = [0, 1].map(|stream| vectors(&of_block[stream], row));
            (latents, condition) = block.forward(latents, condition, own, theirs);
        }
        let tokens = condition.dims()[1];
        let mut x = Tensor::cat(vec![condition, latents], 1);
        for (block, of_block) in self.single_blocks.iter().zip(&modulations.single) {
            x = block.forward(x, vectors(of_block, row));
        }
        let count = x.dims()[1] - tokens;
        let x = x.narrow(1, tokens, count);
        let [shift, scale] = vectors(&modulations.last, row);
        self.final_linear.forward(B::modulate(x, scale, shift, EPSILON))
    }
}
