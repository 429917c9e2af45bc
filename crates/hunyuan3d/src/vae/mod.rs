//! The shape decoder (`models/autoencoders`): latents to tokens by a transformer, and from tokens to the value of the
//! shape's field at any point by one cross attention (Zhang et al. 2023, 3DShape2VecSet).

mod blocks;
mod folded;
mod geometry;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::config::VaeConfig;
use crate::kernels::Kernels;
use crate::layers::Linear;
use crate::weights::Weights;
use blocks::SelfAttentionBlock;
pub use folded::{FOLDED, Folded, HostLinear, fold};
pub use geometry::{GeometryDecoder, ShapeKeys};

/// The shape decoder.
#[derive(Module, Debug)]
pub struct ShapeVae<B: Backend> {
    post_kl: Linear<B>,
    blocks: Vec<SelfAttentionBlock<B>>,
    /// Reads the field off the tokens.
    pub geometry: GeometryDecoder<B>,
    scale_factor: f64,
}

impl<B: Kernels> ShapeVae<B> {
    /// Takes the parameters.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, config: &VaeConfig) -> Result<Self, ModelError> {
        let blocks = |weights: &mut Weights<'_, B>| {
            (0..config.num_decoder_layers)
                .map(|index| weights.within(&index.to_string(), |weights| SelfAttentionBlock::load(weights, config)))
                .collect::<Result<_, _>>()
        };
        Ok(Self {
            post_kl: Linear::load(weights, "post_kl", config.embed_dim, config.width, true)?,
            blocks: weights.within("transformer.resblocks", blocks)?,
            geometry: weights.within("geo_decoder", |weights| GeometryDecoder::load(weights, config))?,
            scale_factor: config.scale_factor,
        })
    }

    /// # Shapes
    /// latents as sampled, `[batch, num_latents, embed_dim]` → tokens `[batch, num_latents, width]`.
    pub fn tokens(&self, latents: Tensor<B, 3>) -> Tensor<B, 3> {
        let mut x = self.post_kl.forward(latents * (1.0 / self.scale_factor));
        for block in &self.blocks {
            x = block.forward(x);
        }
        x
    }
}
