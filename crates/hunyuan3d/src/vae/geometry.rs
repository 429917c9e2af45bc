//! Reading the field at points: queries embedded by sines, one cross attention to the shape's tokens.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use super::blocks::{EPSILON, QueryKeyNorm, norm_key, split_parts};
use super::folded::{FOLDED, HostLinear, fold};
use crate::ModelError;
use crate::config::VaeConfig;
use crate::kernels::programs::HEAD;
use crate::kernels::{Epilogue, FoldedPoints, Kernels, PointGroups, PointLayers};
use crate::layers::{LayerNorm, Linear, Mlp};
use crate::weights::{Weights, derived};

/// Epsilon of the last norm: PyTorch's default, unlike the others'.
const POST_EPSILON: f64 = 1e-5;

/// The geometry decoder (`CrossAttentionDecoder`).
#[derive(Module, Debug)]
pub struct GeometryDecoder<B: Backend> {
    query_projection: Linear<B>,
    latents_projection: Option<Linear<B>>,
    norm1: LayerNorm<B>,
    norm2: LayerNorm<B>,
    to_query: Linear<B>,
    to_key_value: Linear<B>,
    norm: Option<QueryKeyNorm<B>>,
    projection: Linear<B>,
    norm3: LayerNorm<B>,
    mlp: Mlp<B>,
    norm_post: Option<LayerNorm<B>>,
    output: Linear<B>,
    heads: usize,
    #[module(skip)]
    frequencies: Vec<f32>,
    /// Layers of points that were folded together, where the backend gains by it.
    folded: Option<FoldedPoints<B>>,
}

/// What a shape's tokens are to the geometry decoder: computed once, read by every query.
#[derive(Clone, Debug)]
pub struct ShapeKeys<B: Backend> {
    /// `[batch, heads, tokens, width]`.
    keys: Tensor<B, 4>,
    values: Tensor<B, 4>,
}

impl<B: Kernels> GeometryDecoder<B> {
    /// Takes the parameters.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, config: &VaeConfig) -> Result<Self, ModelError> {
        let (width, heads) = (config.geo_width(), config.geo_heads());
        let latents_projection = match config.geo_decoder_downsample_ratio {
            1 => None,
            _ => Some(Linear::load(weights, "latents_proj", config.width, width, true)?),
        };
        let query_projection = Linear::load(weights, "query_proj", config.embedded_point(), width, true)?;
        let norm_post = match config.geo_decoder_ln_post {
            true => Some(LayerNorm::load(weights, "ln_post", width, POST_EPSILON)?),
            false => None,
        };
        let output = Linear::load(weights, "output_proj", width, 1, true)?;
        let folded = folded(weights, config)?;
        weights.within("cross_attn_decoder", |weights| {
            let (to_query, to_key_value, norm, projection) = weights.within("attn", |weights| {
                let bias = config.qkv_bias;
                let norm = if config.geo_qk_norm() { Some(QueryKeyNorm::load(weights, width / heads)?) } else { None };
                Ok((
                    Linear::load(weights, "c_q", width, width, bias)?,
                    Linear::load(weights, "c_kv", width, 2 * width, bias)?,
                    norm,
                    Linear::load(weights, "c_proj", width, width, true)?,
                ))
            })?;
            let middle = width * config.geo_decoder_mlp_expand_ratio;
            Ok(Self {
                query_projection,
                latents_projection,
                norm1: LayerNorm::load(weights, "ln_1", width, EPSILON)?,
                norm2: LayerNorm::load(weights, "ln_2", width, EPSILON)?,
                to_query,
                to_key_value,
                norm,
                projection,
                norm3: LayerNorm::load(weights, "ln_3", width, EPSILON)?,
                mlp: Mlp::load(weights, ["mlp.c_fc", "mlp.c_proj"], width, middle)?,
                norm_post,
                output,
                heads,
                frequencies: frequencies(config),
                folded,
            })
        })
    }

    /// Keys and values of a shape's tokens.
    ///
    /// # Shapes
    /// `[batch, num_latents, width of the transformer]`.
    pub fn keys(&self, tokens: Tensor<B, 3>) -> ShapeKeys<B> {
        let tokens = match &self.latents_projection {
            Some(projection) => projection.forward(tokens),
            None => tokens,
        };
        let [keys, values] = split_parts(self.to_key_value.forward(self.norm2.forward(tokens)), self.heads);
        ShapeKeys { keys: norm_key(self.norm.as_ref(), keys), values }
    }

    /// The field's logits at points; positive is inside.
    ///
    /// # Shapes
    /// points `[batch, points, 3]` in float32 → `[batch, points, 1]` in the parameters' precision.
    pub fn logits(&self, points: Tensor<B, 3>, shape: &ShapeKeys<B>) -> Tensor<B, 3> {
        let count = points.dims()[1];
        self.logits_of_groups(points, &[(vec![count], shape.clone())])
    }

    /// The same for groups of points behind one another, so many of each, each with keys of its own, several groups' in a batch.
    ///
    /// # Shapes
    /// As [`Self::logits`], the groups together being all points.
    pub fn logits_of_groups(&self, points: Tensor<B, 3>, groups: &[(Vec<usize>, ShapeKeys<B>)]) -> Tensor<B, 3> {
        let group = |(points, shape): &(Vec<usize>, ShapeKeys<B>)| PointGroups {
            points: points.clone(),
            keys: shape.keys.clone(),
            values: shape.values.clone(),
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        self.finish(B::attend_points(points, self.layers(), &groups))
    }

    fn finish(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let normed = self.norm3.forward(x.clone());
        let x = self.mlp.forward_onto(x, None, normed, Epilogue::Gelu);
        let gain_offset = self.norm_post.as_ref().map(LayerNorm::gain_offset);
        let Linear { weight, bias } = &self.output;
        B::norm_dot(x, gain_offset, POST_EPSILON, weight.val(), bias.as_ref().map(Param::val))
    }

    /// FlashVDM's adaptive key selection (Lai et al. 2025): of each head's keys, the `count` whose scores against
    /// sample points are highest on average, for groups of sample points behind one another, so many of each.
    ///
    /// # Shapes
    /// samples `[1, points, 3]` in float32, the groups together being all of them → keys of a batch of groups.
    pub fn select(&self, samples: Tensor<B, 3>, groups: &[usize], shape: &ShapeKeys<B>, count: usize) -> ShapeKeys<B> {
        let queries = B::point_queries(samples, self.layers());
        let count = count.min(shape.tokens());
        let [keys, values] = B::select_keys(queries, groups, shape.keys.clone(), shape.values.clone(), count);
        ShapeKeys { keys, values }
    }

    fn layers(&self) -> PointLayers<B> {
        PointLayers {
            frequencies: self.frequencies.clone(),
            weight: self.query_projection.weight.val(),
            bias: self.query_projection.bias.as_ref().map(Param::val),
            norm: self.norm1.as_norm(),
            query_weight: self.to_query.weight.val(),
            query_bias: self.to_query.bias.as_ref().map(Param::val),
            head_norm: self.norm.as_ref().map(|norm| norm.query.as_norm()),
            heads: self.heads,
            projection_weight: self.projection.weight.val(),
            projection_bias: self.projection.bias.as_ref().map(Param::val),
            folded: self.folded.clone(),
        }
    }
}

/// Folds the layers to a point's query, where the backend gains by it and their parameters are on the host to do so.
fn folded<B: Kernels>(weights: &mut Weights<'_, B>, config: &VaeConfig) -> Result<Option<FoldedPoints<B>>, ModelError> {
    let (width, inputs) = (config.geo_width(), config.embedded_point());
    let fits = config.geo_qk_norm() && width / config.geo_heads() == HEAD && !weights.are_on_device();
    if !fits || !B::folds_points(weights.device(), weights.dtype()) {
        return Ok(None);
    }
    let projection = HostLinear {
        weight: weights.host("query_proj.weight", &[width, inputs])?,
        bias: Some(weights.host("query_proj.bias", &[width])?),
    };
    let (folded, projected) = weights.within("cross_attn_decoder", |weights| {
        let gain = weights.host("ln_1.weight", &[width])?;
        let offset = weights.host("ln_1.bias", &[width])?;
        let bias = if config.qkv_bias { Some(weights.host("attn.c_q.bias", &[width])?) } else { None };
        let to_query = HostLinear { weight: weights.host("attn.c_q.weight", &[width, width])?, bias };
        let projected = weights.host("attn.c_proj.weight", &[width, width])?;
        Ok((fold(inputs, &projection, (&gain, &offset), &to_query), projected))
    })?;
    Ok(folded.map(|folded| FoldedPoints {
        projection: derived(weights.constant(beside(&projected, &folded.rows), [width, width + FOLDED])),
        weight: derived(weights.constant(folded.weight, [width, FOLDED])),
        shift: derived(weights.constant(folded.shift, [width])),
        gram: derived(weights.constant_in(DType::F32, folded.gram, [FOLDED, FOLDED])),
    }))
}

impl<B: Backend> ShapeKeys<B> {
    /// Those of one of a batch.
    #[must_use]
    pub fn of(&self, group: usize) -> Self {
        let [keys, values] = [&self.keys, &self.values].map(|all| all.clone().narrow(0, group, 1));
        Self { keys, values }
    }

    /// Tokens of the shape.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// Rows of two matrices, the second's of [`FOLDED`] columns behind the first's.
fn beside(first: &[f32], second: &[f32]) -> Vec<f32> {
    let width = second.len() / FOLDED;
    let rows = first.chunks_exact(width).zip(second.chunks_exact(FOLDED));
    rows.flat_map(|(first, second)| first.iter().chain(second)).copied().collect()
}

fn frequencies(config: &VaeConfig) -> Vec<f32> {
    let unit = if config.include_pi { std::f32::consts::PI } else { 1.0 };
    (0..config.num_freqs).map(|power| unit * 2f32.powi(power as i32)).collect()
}
