//! The operations that the network spends its time in, each in one place.
//!
//! [`Kernels`] adds them to a Burn backend. Every method has a body in plain Burn operations, which is the definition of
//! right and what any backend (autodiff too) gets; a backend that can do better says so in its own module.

mod flex;
mod flex_attention;
mod flex_math;
mod flex_product;
mod mask;
pub mod plain;
pub mod programs;
pub mod sets;

#[cfg(feature = "cuda")]
pub mod cuda;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use crate::layers::split_heads;
pub use mask::Mask;
pub use sets::{Cells, DeviceCells, Fetch, Ordered, SetKernels, SetOperation, Sides, Wanted};

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// GELU with the error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// GELU with the hyperbolic tangent.
    GeluTanh,
    /// x · sigmoid(x).
    Silu,
    /// max(0, x).
    Relu,
}

/// One stream of a transformer's block on its way to attention.
#[derive(Clone, Debug)]
pub struct StreamHeads<B: Backend> {
    /// `[batch, tokens, 3 * heads * width]`: queries, keys and values side by side, each with its heads side by side.
    pub qkv: Tensor<B, 3>,
    /// `[width]`: gain of the queries' RMS norm.
    pub query_gain: Tensor<B, 1>,
    /// `[width]`: gain of the keys'.
    pub key_gain: Tensor<B, 1>,
}

/// One stream of a transformer's block before its projection to queries, keys and values.
#[derive(Clone, Debug)]
pub struct Stream<B: Backend> {
    /// `[batch, tokens, in]`.
    pub x: Tensor<B, 3>,
    /// `[3 * heads * width, in]`.
    pub weight: Tensor<B, 2>,
    /// `[3 * heads * width]`.
    pub bias: Option<Tensor<B, 1>>,
    /// `[width]`: gain of the queries' RMS norm.
    pub query_gain: Tensor<B, 1>,
    /// `[width]`: gain of the keys'.
    pub key_gain: Tensor<B, 1>,
}

/// A layer norm's parameters.
#[derive(Clone, Debug)]
pub struct Norm<B: Backend> {
    /// `[width]`.
    pub gain: Tensor<B, 1>,
    /// `[width]`.
    pub offset: Tensor<B, 1>,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// What a point goes through to what it has of a shape's tokens: an embedding and a linear layer to its row; a norm, a linear layer and a
/// norm of each head to its query; attention, and a linear layer from there onto the row.
#[derive(Clone, Debug)]
pub struct PointLayers<B: Backend> {
    /// Of the embedding, [`Kernels::fourier`].
    pub frequencies: Vec<f32>,
    /// `[width, 3 * (2 * frequencies + 1)]`.
    pub weight: Tensor<B, 2>,
    /// `[width]`.
    pub bias: Option<Tensor<B, 1>>,
    /// Of the row.
    pub norm: Norm<B>,
    /// `[width, width]`.
    pub query_weight: Tensor<B, 2>,
    /// `[width]`.
    pub query_bias: Option<Tensor<B, 1>>,
    /// Of each head, where there is one.
    pub head_norm: Option<Norm<B>>,
    /// Heads of the query.
    pub heads: usize,
    /// `[width, width]`, from attention onto the row.
    pub projection_weight: Tensor<B, 2>,
    /// `[width]`.
    pub projection_bias: Option<Tensor<B, 1>>,
    /// Layers that were folded together, for a backend that [folds points](Kernels::folds_points).
    pub folded: Option<FoldedPoints<B>>,
}

/// Groups of points, each of which attends to keys of its own. One alone may be of a batch of shapes, each with points and keys of its own.
#[derive(Clone, Debug)]
pub struct PointGroups<B: Backend> {
    /// How many each has.
    pub points: Vec<usize>,
    /// `[groups, heads, keys, width]`; of one group `[batch, heads, keys, width]`.
    pub keys: Tensor<B, 4>,
    /// As keys.
    pub values: Tensor<B, 4>,
}

/// [`crate::vae`]'s folded layers on a device.
#[derive(Module, Debug)]
pub struct FoldedPoints<B: Backend> {
    /// `[width, width + 64]`: from attention and the embedding behind it to the row with what attention adds to it.
    pub projection: Param<Tensor<B, 2>>,
    /// `[width, 64]`, from the embedding to the query.
    pub weight: Param<Tensor<B, 2>>,
    /// `[width]`.
    pub shift: Param<Tensor<B, 1>>,
    /// `[64, 64]` in float32.
    pub gram: Param<Tensor<B, 2>>,
}

/// A backend with the network's operations.
pub trait Kernels: SetKernels {
    /// `x · weightᵀ + bias`, then the epilogue.
    ///
    /// # Shapes
    /// x `[batch, tokens, in]`, weight `[out, in]`, bias `[out]` → `[batch, tokens, out]`.
    fn affine(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
        epilogue: Epilogue,
    ) -> Tensor<Self, 3> {
        plain::affine(x, weight, bias, epilogue)
    }

    /// softmax(q · kᵀ / √width) · v, heads put side by side.
    ///
    /// # Shapes
    /// q `[batch, heads, queries, width]`, k and v `[batch, heads, keys, width]`, any strides →
    /// `[batch, queries, heads * width]`.
    fn attend(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>) -> Tensor<Self, 3> {
        plain::attend(q, k, v)
    }

    /// Layer norm over the last axis (Ba et al. 2016), with gain and offset where given.
    ///
    /// # Shapes
    /// x `[batch, tokens, width]`, gain and offset `[width]` → as x.
    fn norm(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        plain::norm(x, gain_offset, epsilon)
    }

    /// Layer norm over each head's channels.
    ///
    /// # Shapes
    /// x `[batch, heads, tokens, width]`, any strides; gain and offset `[width]` → as x.
    fn head_layer_norm(
        x: Tensor<Self, 4>,
        gain: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        plain::head_layer_norm(x, gain, offset, epsilon)
    }

    /// RMS norm over each head's channels (Zhang and Sennrich 2019).
    ///
    /// # Shapes
    /// x `[batch, heads, tokens, width]`, any strides; gain `[width]` → as x.
    fn head_rms_norm(x: Tensor<Self, 4>, gain: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 4> {
        plain::head_rms_norm(x, gain, epsilon)
    }

    /// Adaptive layer norm (Peebles and Xie 2023): `(1 + scale) · layer_norm(x) + shift`.
    ///
    /// # Shapes
    /// x `[batch, tokens, width]`, scale and shift `[batch, 1, width]` → as x.
    fn modulate(x: Tensor<Self, 3>, scale: Tensor<Self, 3>, shift: Tensor<Self, 3>, epsilon: f64) -> Tensor<Self, 3> {
        plain::modulate(x, scale, shift, epsilon)
    }

    /// `x + gate · y`.
    ///
    /// # Shapes
    /// x and y `[batch, tokens, width]`, gate `[batch or 1, 1, width]` → as x.
    fn gated_add(x: Tensor<Self, 3>, gate: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        plain::gated_add(x, gate, y)
    }

    /// `x + y`.
    ///
    /// # Shapes
    /// x and y `[batch, tokens, width]` → as x.
    fn residual(x: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        x + y
    }

    /// The gated unit of SwiGLU (Shazeer 2020): `silu(first half) · second half`.
    ///
    /// # Shapes
    /// x `[batch, tokens, 2 * width]` → `[batch, tokens, width]`.
    fn swiglu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        plain::swiglu(x)
    }

    /// Sines and cosines of a point's coordinates (Mildenhall et al. 2020), after the coordinates themselves.
    ///
    /// # Shapes
    /// points `[batch, points, 3]` in float32, frequencies `[frequencies]` → `[batch, points, 3 * (2 * frequencies + 1)]` in
    /// float32.
    fn fourier(points: Tensor<Self, 3>, frequencies: &[f32]) -> Tensor<Self, 3> {
        plain::fourier(points, frequencies)
    }

    /// A linear layer onto a residual: `residual + gate · (x · weightᵀ + bias)`, or without a gate.
    ///
    /// # Shapes
    /// residual `[batch, tokens, out]`, gate `[batch or 1, 1, out]`, x `[batch, tokens, in]`, weight `[out, in]`, bias
    /// `[out]` → as residual.
    fn affine_add(
        residual: Tensor<Self, 3>,
        gate: Option<Tensor<Self, 3>>,
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        let y = Self::affine(x, weight, bias, Epilogue::None);
        match gate {
            Some(gate) => Self::gated_add(residual, gate, y),
            None => Self::residual(residual, y),
        }
    }

    /// Queries, keys and values of streams, their tokens behind one another; RMS norms over queries' and keys' heads.
    ///
    /// # Shapes
    /// One stream or more → three times `[batch, heads, tokens of all, width]`.
    fn stream_heads(streams: Vec<StreamHeads<Self>>, heads: usize, epsilon: f64) -> [Tensor<Self, 4>; 3] {
        stream_heads(streams, heads, epsilon)
    }

    /// [`Self::stream_heads`] of streams' projections.
    ///
    /// # Shapes
    /// One stream or more → three times `[batch, heads, tokens of all, width]`.
    fn project_streams(streams: Vec<Stream<Self>>, heads: usize, epsilon: f64) -> [Tensor<Self, 4>; 3] {
        project_streams(streams, heads, epsilon)
    }

    /// Some of each head's channels.
    ///
    /// # Shapes
    /// x `[batch, heads, tokens, channels]` → `[batch, heads, tokens, width]`.
    fn head_channels(x: Tensor<Self, 4>, begin: usize, width: usize) -> Tensor<Self, 4> {
        x.narrow(3, begin, width)
    }

    /// FlashVDM's adaptive key selection (Lai et al. 2025): for each group of queries, so many behind one another, of each head's keys, with
    /// their values, the `count` whose scores against them are highest on average, in any order.
    ///
    /// # Shapes
    /// q `[1, heads, queries, width]`, k and v `[1, heads, keys, width]` → twice `[groups, heads, count, width]`.
    fn select_keys(
        q: Tensor<Self, 4>,
        groups: &[usize],
        k: Tensor<Self, 4>,
        v: Tensor<Self, 4>,
        count: usize,
    ) -> [Tensor<Self, 4>; 2] {
        plain::select_keys(q, groups, k, v, count)
    }

    /// Bytes that the device's allocator holds, in use or not; none where there is no such thing.
    fn reserved_bytes(_device: &Self::Device) -> Option<u64> {
        None
    }

    /// Told when a run is over, for what can wait until then.
    fn run_ended() {}

    /// Points embedded by [`Self::fourier`] and projected.
    ///
    /// # Shapes
    /// points `[batch, points, 3]` in float32, weight `[out, 3 * (2 * frequencies + 1)]`, bias `[out]` → `[batch, points, out]` in
    /// the weight's precision.
    fn embed_points(
        points: Tensor<Self, 3>,
        frequencies: &[f32],
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        embed_points(points, frequencies, weight, bias)
    }

    /// Whether [`Self::point_queries`] gains by layers that are folded into one, in a precision.
    fn folds_points(_device: &Self::Device, _dtype: DType) -> bool {
        false
    }

    /// Points' queries.
    ///
    /// # Shapes
    /// points `[batch, points, 3]` in float32 → `[batch, heads, points, width / heads]`.
    fn point_queries(points: Tensor<Self, 3>, layers: PointLayers<Self>) -> Tensor<Self, 4> {
        point_queries(points, &layers)
    }

    /// Points' rows with what attention to keys and values adds to them. Groups of points behind one another have each their own.
    ///
    /// # Shapes
    /// points `[batch, points, 3]` in float32, the groups together being all of them, and the batch 1 where they are several; keys and values as
    /// [`PointGroups`] has them → `[batch, points, width]`.
    fn attend_points(
        points: Tensor<Self, 3>,
        layers: PointLayers<Self>,
        groups: &[PointGroups<Self>],
    ) -> Tensor<Self, 3> {
        attend_points(points, &layers, groups)
    }

    /// A layer norm where there is one, then a linear layer to one channel.
    ///
    /// # Shapes
    /// x `[batch, tokens, width]`, gain and offset `[width]`, weight `[1, width]`, bias `[1]` → `[batch, tokens, 1]`.
    fn norm_dot(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        let x = if gain_offset.is_some() { Self::norm(x, gain_offset, epsilon) } else { x };
        Self::affine(x, weight, bias, Epilogue::None)
    }
}

#[cfg(feature = "autodiff")]
impl<B: Backend, C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy> SetKernels
    for burn::backend::Autodiff<B, C>
{
}

/// Gradients go through the definition of right, operation by operation.
#[cfg(feature = "autodiff")]
impl<B: Kernels, C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy> Kernels
    for burn::backend::Autodiff<B, C>
{
}

/// [`Kernels::stream_heads`] by the other kernels.
fn stream_heads<B: Kernels>(streams: Vec<StreamHeads<B>>, heads: usize, epsilon: f64) -> [Tensor<B, 4>; 3] {
    let split = |stream: StreamHeads<B>| {
        let width = stream.qkv.dims()[2] / 3;
        let part = |index: usize| split_heads(stream.qkv.clone().narrow(2, index * width, width), heads);
        [
            B::head_rms_norm(part(0), stream.query_gain.clone(), epsilon),
            B::head_rms_norm(part(1), stream.key_gain.clone(), epsilon),
            part(2),
        ]
    };
    let mut parts: [Vec<Tensor<B, 4>>; 3] = Default::default();
    for stream in streams {
        parts.iter_mut().zip(split(stream)).for_each(|(part, own)| part.push(own));
    }
    parts.map(|mut part| if part.len() == 1 { part.remove(0) } else { Tensor::cat(part, 2) })
}

/// [`Kernels::project_streams`] by the other kernels.
fn project_streams<B: Kernels>(streams: Vec<Stream<B>>, heads: usize, epsilon: f64) -> [Tensor<B, 4>; 3] {
    let project = |Stream { x, weight, bias, query_gain, key_gain }| StreamHeads {
        qkv: B::affine(x, weight, bias, Epilogue::None),
        query_gain,
        key_gain,
    };
    B::stream_heads(streams.into_iter().map(project).collect(), heads, epsilon)
}

/// Points' rows.
fn rows_of_points<B: Kernels>(points: Tensor<B, 3>, layers: &PointLayers<B>) -> Tensor<B, 3> {
    B::embed_points(points, &layers.frequencies, layers.weight.clone(), layers.bias.clone())
}

/// [`Kernels::point_queries`] by the other kernels.
fn point_queries<B: Kernels>(points: Tensor<B, 3>, layers: &PointLayers<B>) -> Tensor<B, 4> {
    queries_of_rows(rows_of_points(points, layers), layers)
}

/// Queries of points' rows.
fn queries_of_rows<B: Kernels>(rows: Tensor<B, 3>, layers: &PointLayers<B>) -> Tensor<B, 4> {
    let Norm { gain, offset, epsilon } = layers.norm.clone();
    let normed = B::norm(rows, Some((gain, offset)), epsilon);
    let queries = B::affine(normed, layers.query_weight.clone(), layers.query_bias.clone(), Epilogue::None);
    let queries = split_heads(queries, layers.heads);
    match layers.head_norm.clone() {
        Some(Norm { gain, offset, epsilon }) => B::head_layer_norm(queries, gain, offset, epsilon),
        None => queries,
    }
}

/// [`Kernels::attend_points`] by the other kernels. Only attention goes group by group: a group is small, and everything else in one piece
/// is what a GPU needs to be busy.
fn attend_points<B: Kernels>(points: Tensor<B, 3>, layers: &PointLayers<B>, groups: &[PointGroups<B>]) -> Tensor<B, 3> {
    let rows = rows_of_points(points, layers);
    let queries = queries_of_rows(rows.clone(), layers);
    let mut begin = 0;
    let mut attention = Vec::new();
    for PointGroups { points, keys, values } in groups {
        if let [points] = points[..] {
            let own = queries.clone().narrow(2, begin, points);
            begin += points;
            attention.push(B::attend(own, keys.clone(), values.clone()));
            continue;
        }
        for (group, points) in points.iter().enumerate() {
            let own = queries.clone().narrow(2, begin, *points);
            begin += points;
            attention.push(B::attend(own, keys.clone().narrow(0, group, 1), values.clone().narrow(0, group, 1)));
        }
    }
    let attention = if attention.len() == 1 { attention.remove(0) } else { Tensor::cat(attention, 1) };
    B::affine_add(rows, None, attention, layers.projection_weight.clone(), layers.projection_bias.clone())
}

/// [`Kernels::embed_points`] by the other kernels.
fn embed_points<B: Kernels>(
    points: Tensor<B, 3>,
    frequencies: &[f32],
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 3> {
    let embedded = B::fourier(points, frequencies);
    let dtype = weight.dtype();
    let embedded = if embedded.dtype() == dtype { embedded } else { embedded.cast(dtype) };
    B::affine(embedded, weight, bias, Epilogue::None)
}
