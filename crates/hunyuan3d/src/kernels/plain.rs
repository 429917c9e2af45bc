//! Every kernel in plain Burn operations: the definition of right.
//!
//! Norms and softmax are computed in float32 whatever the tensors' precision, as the reference's are.

use burn::tensor::activation::{relu, silu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Int, Tensor};

use super::Epilogue;

/// Most scores of attention that exist at a time; queries are taken in blocks that keep to it.
pub const SCORES: usize = 1 << 25;

fn wide<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    if x.dtype() == DType::F32 { x } else { x.cast(FloatDType::F32) }
}

fn like<B: Backend, const D: usize>(x: Tensor<B, D>, dtype: DType) -> Tensor<B, D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

/// [`super::Kernels::affine`].
pub fn affine<B: Backend>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
    epilogue: Epilogue,
) -> Tensor<B, 3> {
    let [batch, tokens, inputs] = x.dims();
    let [outputs, _] = weight.dims();
    // One product over all rows; a batched one would treat the weight as a broadcast.
    let rows = x.reshape([batch * tokens, inputs]).matmul(weight.transpose());
    let rows = match bias {
        Some(bias) => rows + bias.unsqueeze(),
        None => rows,
    };
    activate(rows, epilogue).reshape([batch, tokens, outputs])
}

/// An epilogue by itself.
pub fn activate<B: Backend, const D: usize>(x: Tensor<B, D>, epilogue: Epilogue) -> Tensor<B, D> {
    const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    /// √(2/π).
    const TANH_FACTOR: f32 = 0.797_884_6;
    let dtype = x.dtype();
    match epilogue {
        Epilogue::None => x,
        Epilogue::Gelu => {
            let x = wide(x);
            like(x.clone() * ((x * ROOT_HALF).erf() + 1.0) * 0.5, dtype)
        }
        Epilogue::GeluTanh => {
            let x = wide(x);
            let inner = (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * TANH_FACTOR;
            like(x * (inner.tanh() + 1.0) * 0.5, dtype)
        }
        Epilogue::Silu => like(silu(wide(x)), dtype),
        Epilogue::Relu => relu(x),
    }
}

/// [`super::Kernels::attend`].
pub fn attend<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, heads, queries, width] = q.dims();
    let keys = k.dims()[2];
    let dtype = q.dtype();
    let scale = 1.0 / (width as f64).sqrt();
    let k = k.transpose();
    let block = (SCORES / (batch * heads * keys).max(1)).clamp(1, queries.max(1));
    let blocks = (0..queries).step_by(block).map(|begin| {
        let rows = block.min(queries - begin);
        let scores = (q.clone().narrow(2, begin, rows) * scale).matmul(k.clone());
        like(softmax(wide(scores), 3), dtype).matmul(v.clone())
    });
    let blocks: Vec<_> = blocks.collect();
    Tensor::cat(blocks, 2).swap_dims(1, 2).reshape([batch, queries, heads * width])
}

fn normed<B: Backend, const D: usize>(x: Tensor<B, D>, epsilon: f64) -> Tensor<B, D> {
    let mean = x.clone().mean_dim(D - 1);
    let centred = x - mean;
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance + epsilon).sqrt()
}

/// [`super::Kernels::norm`].
pub fn norm<B: Backend>(
    x: Tensor<B, 3>,
    gain_offset: Option<(Tensor<B, 1>, Tensor<B, 1>)>,
    epsilon: f64,
) -> Tensor<B, 3> {
    let dtype = x.dtype();
    let normed = normed(wide(x), epsilon);
    match gain_offset {
        Some((gain, offset)) => like(normed * wide(gain).unsqueeze() + wide(offset).unsqueeze(), dtype),
        None => like(normed, dtype),
    }
}

/// [`super::Kernels::head_layer_norm`].
pub fn head_layer_norm<B: Backend>(
    x: Tensor<B, 4>,
    gain: Tensor<B, 1>,
    offset: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 4> {
    let dtype = x.dtype();
    like(normed(wide(x), epsilon) * wide(gain).unsqueeze() + wide(offset).unsqueeze(), dtype)
}

/// [`super::Kernels::head_rms_norm`].
pub fn head_rms_norm<B: Backend>(x: Tensor<B, 4>, gain: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 4> {
    let dtype = x.dtype();
    let x = wide(x);
    let mean_square = x.clone().powi_scalar(2).mean_dim(3);
    like(x / (mean_square + epsilon).sqrt() * wide(gain).unsqueeze(), dtype)
}

/// [`super::Kernels::modulate`].
pub fn modulate<B: Backend>(x: Tensor<B, 3>, scale: Tensor<B, 3>, shift: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
    let dtype = x.dtype();
    like(normed(wide(x), epsilon) * (wide(scale) + 1.0) + wide(shift), dtype)
}

/// [`super::Kernels::gated_add`].
pub fn gated_add<B: Backend>(x: Tensor<B, 3>, gate: Tensor<B, 3>, y: Tensor<B, 3>) -> Tensor<B, 3> {
    x + gate * y
}

/// [`super::Kernels::swiglu`].
pub fn swiglu<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let width = x.dims()[2] / 2;
    let gate = activate(x.clone().narrow(2, 0, width), Epilogue::Silu);
    gate * x.narrow(2, width, width)
}

/// [`super::Kernels::fourier`].
pub fn fourier<B: Backend>(points: Tensor<B, 3>, frequencies: &[f32]) -> Tensor<B, 3> {
    let [batch, count, _] = points.dims();
    if frequencies.is_empty() {
        return points;
    }
    let device = points.device();
    let per_axis = Tensor::<B, 1>::from_data(frequencies, (&device, DType::F32)).reshape([1, 1, 1, frequencies.len()]);
    let angles = (points.clone().unsqueeze_dim::<4>(3) * per_axis).reshape([batch, count, 3 * frequencies.len()]);
    Tensor::cat(vec![points, angles.clone().sin(), angles.cos()], 2)
}

/// [`super::Kernels::select_keys`].
pub fn select_keys<B: Backend>(
    q: Tensor<B, 4>,
    groups: &[usize],
    k: Tensor<B, 4>,
    v: Tensor<B, 4>,
    count: usize,
) -> [Tensor<B, 4>; 2] {
    let [_, heads, _, width] = k.dims();
    let mut begin = 0;
    let of_group = |queries: &usize| {
        let own = q.clone().narrow(2, begin, *queries);
        begin += queries;
        // The mean of the scores is the score of the mean.
        let scores = wide(own).mean_dim(2).matmul(wide(k.clone()).transpose());
        let order: Tensor<B, 4, Int> = scores.argsort_descending(3);
        let chosen = order.narrow(3, 0, count).reshape([1, heads, count, 1]).repeat_dim(3, width);
        [k.clone().gather(2, chosen.clone()), v.clone().gather(2, chosen)]
    };
    let (keys, values) = groups.iter().map(of_group).map(|[keys, values]| (keys, values)).unzip();
    [Tensor::cat(keys, 0), Tensor::cat(values, 0)]
}
