//! The transformer's blocks.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::EPSILON;
use crate::ModelError;
use crate::config::DenoiserConfig;
use crate::kernels::{self, Epilogue, Kernels};
use crate::layers::{Linear, Mlp};
use crate::weights::{Weights, derived};

/// RMS norm of queries and keys.
#[derive(Module, Debug)]
struct QueryKeyNorm<B: Backend> {
    query: Param<Tensor<B, 1>>,
    key: Param<Tensor<B, 1>>,
}

impl<B: Kernels> QueryKeyNorm<B> {
    fn load(weights: &mut Weights<'_, B>, head: usize) -> Result<Self, ModelError> {
        weights.within("norm", |weights| {
            Ok(Self {
                query: weights.param("query_norm.scale", [head])?,
                key: weights.param("key_norm.scale", [head])?,
            })
        })
    }

    /// A stream, from what `qkv` projects to queries, keys and values.
    fn stream(&self, x: Tensor<B, 3>, qkv: &Linear<B>) -> kernels::Stream<B> {
        kernels::Stream {
            x,
            weight: qkv.weight.val(),
            bias: qkv.bias.as_ref().map(Param::val),
            query_gain: self.query.val(),
            key_gain: self.key.val(),
        }
    }
}

/// One stream of a double-stream block.
#[derive(Module, Debug)]
struct Stream<B: Backend> {
    modulation: Linear<B>,
    qkv: Linear<B>,
    norm: QueryKeyNorm<B>,
    projection: Linear<B>,
    mlp: Mlp<B>,
}

impl<B: Kernels> Stream<B> {
    fn load(weights: &mut Weights<'_, B>, name: &str, config: &DenoiserConfig) -> Result<Self, ModelError> {
        let (width, middle) = (config.hidden_size, config.mlp_width());
        let modulation = Linear::load(weights, &format!("{name}_mod.lin"), width, 6 * width, true)?;
        let (qkv, norm, projection) = weights.within(&format!("{name}_attn"), |weights| {
            Ok((
                Linear::load(weights, "qkv", width, 3 * width, config.qkv_bias)?,
                QueryKeyNorm::load(weights, width / config.num_heads)?,
                Linear::load(weights, "proj", width, width, true)?,
            ))
        })?;
        let (first, second) = (format!("{name}_mlp.0"), format!("{name}_mlp.2"));
        let mlp = Mlp::load(weights, [&first, &second], width, middle)?;
        Ok(Self { modulation, qkv, norm, projection, mlp })
    }

    fn heads(&self, x: Tensor<B, 3>, [shift, scale, ..]: &[Tensor<B, 3>; 6]) -> kernels::Stream<B> {
        let x = B::modulate(x, scale.clone(), shift.clone(), EPSILON);
        self.norm.stream(x, &self.qkv)
    }

    fn finish(
        &self,
        x: Tensor<B, 3>,
        attention: Tensor<B, 3>,
        [_, _, gate1, shift2, scale2, gate2]: [Tensor<B, 3>; 6],
    ) -> Tensor<B, 3> {
        let x = self.projection.forward_onto(x, Some(gate1), attention);
        let modulated = B::modulate(x.clone(), scale2, shift2, EPSILON);
        self.mlp.forward_onto(x, Some(gate2), modulated, Epilogue::GeluTanh)
    }
}

/// Latents and condition with weights of their own, attending together.
#[derive(Module, Debug)]
pub struct DoubleStreamBlock<B: Backend> {
    latents: Stream<B>,
    condition: Stream<B>,
    heads: usize,
}

impl<B: Kernels> DoubleStreamBlock<B> {
    pub fn load(weights: &mut Weights<'_, B>, config: &DenoiserConfig) -> Result<Self, ModelError> {
        Ok(Self {
            latents: Stream::load(weights, "img", config)?,
            condition: Stream::load(weights, "txt", config)?,
            heads: config.num_heads,
        })
    }

    /// What makes the modulations of latents and of the condition.
    pub fn modulations(&self) -> [&Linear<B>; 2] {
        [&self.latents.modulation, &self.condition.modulation]
    }

    /// # Shapes
    /// latents `[batch, num_latents, width]`, condition `[batch, tokens, width]`, modulations of latents (`own`) and condition
    /// (`theirs`), each `[1, 1, width]` → latents and condition.
    pub fn forward(
        &self,
        latents: Tensor<B, 3>,
        condition: Tensor<B, 3>,
        own: [Tensor<B, 3>; 6],
        theirs: [Tensor<B, 3>; 6],
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let tokens = condition.dims()[1];
        let count = latents.dims()[1];
        let streams = vec![self.condition.heads(condition.clone(), &theirs), self.latents.heads(latents.clone(), &own)];
        let [q, k, v] = B::project_streams(streams, self.heads, EPSILON);
        let attention = B::attend(q, k, v);
        let to_condition = attention.clone().narrow(1, 0, tokens);
        let to_latents = attention.narrow(1, tokens, count);
        (self.latents.finish(latents, to_latents, own), self.condition.finish(condition, to_condition, theirs))
    }
}

/// Both streams as one, attention and MLP side by side (Dehghani et al. 2023).
#[derive(Module, Debug)]
pub struct SingleStreamBlock<B: Backend> {
    modulation: Linear<B>,
    /// To queries, keys and values.
    qkv: Linear<B>,
    /// To the MLP's middle: the other rows of the same matrix.
    mlp: Linear<B>,
    /// From the attention.
    out_attention: Linear<B>,
    /// From the MLP's middle: the other columns of the same matrix.
    out_mlp: Linear<B>,
    norm: QueryKeyNorm<B>,
    heads: usize,
}

impl<B: Kernels> SingleStreamBlock<B> {
    pub fn load(weights: &mut Weights<'_, B>, config: &DenoiserConfig) -> Result<Self, ModelError> {
        let (width, middle) = (config.hidden_size, config.mlp_width());
        // The checkpoint has both in one matrix. Apart, the MLP's activation is its product's epilogue and nothing
        // has to be cut out of a wide row.
        let both: Linear<B> = Linear::load(weights, "linear1", width, 3 * width + middle, true)?;
        let rows = |begin: usize, count: usize| Linear {
            weight: derived(both.weight.val().narrow(0, begin, count)),
            bias: both.bias.as_ref().map(|bias| derived(bias.val().narrow(0, begin, count))),
        };
        // And so the way back: two products instead of one over rows that would have to be copied together first.
        let back: Linear<B> = Linear::load(weights, "linear2", width + middle, width, true)?;
        let columns = |begin: usize, count: usize, bias: Option<Param<Tensor<B, 1>>>| Linear {
            weight: derived(back.weight.val().narrow(1, begin, count)),
            bias,
        };
        Ok(Self {
            modulation: Linear::load(weights, "modulation.lin", width, 3 * width, true)?,
            qkv: rows(0, 3 * width),
            mlp: rows(3 * width, middle),
            out_attention: columns(0, width, back.bias.clone()),
            out_mlp: columns(width, middle, None),
            norm: QueryKeyNorm::load(weights, width / config.num_heads)?,
            heads: config.num_heads,
        })
    }

    /// What makes the modulation.
    pub fn modulation(&self) -> &Linear<B> {
        &self.modulation
    }

    /// # Shapes
    /// x `[batch, tokens, width]`, modulation each `[1, 1, width]` → as x.
    pub fn forward(&self, x: Tensor<B, 3>, [shift, scale, gate]: [Tensor<B, 3>; 3]) -> Tensor<B, 3> {
        let modulated = B::modulate(x.clone(), scale, shift, EPSILON);
        let stream = self.norm.stream(modulated.clone(), &self.qkv);
        let [q, k, v] = B::project_streams(vec![stream], self.heads, EPSILON);
        let attention = B::attend(q, k, v);
        let middle = self.mlp.forward_then(modulated, Epilogue::GeluTanh);
        let x = self.out_attention.forward_onto(x, Some(gate.clone()), attention);
        self.out_mlp.forward_onto(x, Some(gate), middle)
    }
}
