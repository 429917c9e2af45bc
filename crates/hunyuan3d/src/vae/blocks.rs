//! The decoder's transformer block (`attention_blocks.py`).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::config::VaeConfig;
use crate::kernels::{Epilogue, Kernels};
use crate::layers::{LayerNorm, Linear, Mlp};
use crate::weights::Weights;

/// Epsilon of the layer norms.
pub const EPSILON: f64 = 1e-6;
/// Width of a transformer block's MLP over its width.
const MLP_RATIO: usize = 4;

/// Norms of queries and keys.
#[derive(Module, Debug)]
pub struct QueryKeyNorm<B: Backend> {
    pub query: LayerNorm<B>,
    pub key: LayerNorm<B>,
}

impl<B: Kernels> QueryKeyNorm<B> {
    pub fn load(weights: &mut Weights<'_, B>, head: usize) -> Result<Self, ModelError> {
        weights.within("attention", |weights| {
            Ok(Self {
                query: LayerNorm::load(weights, "q_norm", head, EPSILON)?,
                key: LayerNorm::load(weights, "k_norm", head, EPSILON)?,
            })
        })
    }
}

/// Norms queries, where there is a norm.
pub fn norm_query<B: Kernels>(norm: Option<&QueryKeyNorm<B>>, q: Tensor<B, 4>) -> Tensor<B, 4> {
    norm.map_or(q.clone(), |norm| norm.query.forward_heads(q))
}

/// Norms keys, where there is a norm.
pub fn norm_key<B: Kernels>(norm: Option<&QueryKeyNorm<B>>, k: Tensor<B, 4>) -> Tensor<B, 4> {
    norm.map_or(k.clone(), |norm| norm.key.forward_heads(k))
}

/// Splits `[batch, tokens, heads * N * width]`, each head with its `N` parts side by side, into `N` times
/// `[batch, heads, tokens, width]`.
pub fn split_parts<B: Kernels, const N: usize>(x: Tensor<B, 3>, heads: usize) -> [Tensor<B, 4>; N] {
    let [batch, tokens, channels] = x.dims();
    let width = channels / heads / N;
    let x = x.reshape([batch, tokens, heads, N * width]).swap_dims(1, 2);
    std::array::from_fn(|index| B::head_channels(x.clone(), index * width, width))
}

/// Self attention and MLP, each after a norm.
#[derive(Module, Debug)]
pub struct SelfAttentionBlock<B: Backend> {
    norm1: LayerNorm<B>,
    qkv: Linear<B>,
    norm: Option<QueryKeyNorm<B>>,
    projection: Linear<B>,
    norm2: LayerNorm<B>,
    mlp: Mlp<B>,
    heads: usize,
}

impl<B: Kernels> SelfAttentionBlock<B> {
    pub fn load(weights: &mut Weights<'_, B>, config: &VaeConfig) -> Result<Self, ModelError> {
        let (width, heads) = (config.width, config.heads);
        let (qkv, norm, projection) = weights.within("attn", |weights| {
            let norm = if config.qk_norm { Some(QueryKeyNorm::load(weights, width / heads)?) } else { None };
            let qkv = Linear::load(weights, "c_qkv", width, 3 * width, config.qkv_bias)?;
            Ok((qkv, norm, Linear::load(weights, "c_proj", width, width, true)?))
        })?;
        Ok(Self {
            norm1: LayerNorm::load(weights, "ln_1", width, EPSILON)?,
            qkv,
            norm,
            projection,
            norm2: LayerNorm::load(weights, "ln_2", width, EPSILON)?,
            mlp: Mlp::load(weights, ["mlp.c_fc", "mlp.c_proj"], width, MLP_RATIO * width)?,
            heads,
        })
    }

    /// # Shapes
    /// `[batch, tokens, width]` → the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [q, k, v] = split_parts(self.qkv.forward(self.norm1.forward(x.clone())), self.heads);
        let norm = self.norm.as_ref();
        let attention = B::attend(norm_query(norm, q), norm_key(norm, k), v);
        let x = self.projection.forward_onto(x, None, attention);
        let normed = self.norm2.forward(x.clone());
        self.mlp.forward_onto(x, None, normed, Epilogue::Gelu)
    }
}
