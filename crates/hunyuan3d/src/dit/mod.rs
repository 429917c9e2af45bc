//! The flow-matching transformer (`models/denoisers/hunyuan3ddit.py`): double-stream blocks, in which latents and
//! condition have weights of their own but attend together, then single-stream blocks over both (Esser et al. 2024;
//! Black Forest Labs' FLUX).

mod blocks;
mod embedding;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::config::DenoiserConfig;
use crate::kernels::{Epilogue, Kernels};
use crate::layers::Linear;
use crate::weights::Weights;
use blocks::{DoubleStreamBlock, SingleStreamBlock};
pub use embedding::timestep_embedding;
use embedding::{EMBEDDED, Embedder};

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

    /// The velocity of the flow at time `t`.
    ///
    /// # Shapes
    /// latents `[batch, num_latents, in_channels]`, condition as [`Self::project_condition`] gives it, `t` from 0 to 1
    /// for the whole batch, guidance where the model was distilled for it → as latents.
    pub fn velocity(
        &self,
        latents: Tensor<B, 3>,
        t: f64,
        condition: Tensor<B, 3>,
        guidance: Option<f64>,
    ) -> Tensor<B, 3> {
        let device = latents.device();
        let dtype = latents.dtype();
        let embed = |value: f64| {
            let embedding = burn::tensor::TensorData::new(
                timestep_embedding(value, EMBEDDED, self.longest_period),
                [1, 1, EMBEDDED],
            );
            Tensor::<B, 3>::from_data(embedding.convert_dtype(dtype), (&device, dtype))
        };
        // One vector serves the batch: time and guidance are the same for all of it.
        let mut vector = self.time_in.forward(embed(t));
        if let (Some(guidance_in), Some(guidance)) = (&self.guidance_in, guidance) {
            vector = vector + guidance_in.forward(embed(guidance));
        }
        // Every modulation begins with the same activation.
        let vector = crate::kernels::plain::activate(vector, Epilogue::Silu);

        let mut latents = self.latent_in.forward(latents);
        let mut condition = condition;
        for block in &self.double_blocks {
            (latents, condition) = block.forward(latents, condition, &vector);
        }
        let tokens = condition.dims()[1];
        let mut x = Tensor::cat(vec![condition, latents], 1);
        for block in &self.single_blocks {
            x = block.forward(x, &vector);
        }
        let count = x.dims()[1] - tokens;
        let x = x.narrow(1, tokens, count);
        let [shift, scale] = blocks::modulation(&self.final_modulation, &vector);
        self.final_linear.forward(B::modulate(x, scale, shift, EPSILON))
    }
}
