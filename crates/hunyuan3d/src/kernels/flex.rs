//! The CPU: Burn's Flex backend, float32, with the loops around its matrix products fused.
//!
//! Flex leaves each elementwise operation a pass over memory of its own, mostly on one thread. Here a linear layer's
//! bias and activation are one pass over its product, a norm reads its input twice and writes once, on all threads.

use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_flex::{Flex, FlexTensor, Layout};
use rayon::prelude::*;

use super::{Epilogue, Kernels, SetKernels, flex_attention, flex_math, flex_product, plain};

/// Elements that a thread takes at a time: a few rows, 64 KiB.
const GRAIN: usize = 1 << 14;

pub(super) fn primitive<const D: usize>(x: Tensor<Flex, D>) -> FlexTensor {
    x.into_primitive().tensor()
}

pub(super) fn tensor<const D: usize>(x: FlexTensor) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}

/// A tensor over freshly computed values.
pub(super) fn computed<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    let layout = Layout::contiguous(shape.into());
    tensor(FlexTensor::new(burn::tensor::Bytes::from_elems(values), layout, DType::F32))
}

/// The values of a contiguous float32 tensor; one that is not is copied first.
pub(super) struct Values(FlexTensor, usize, usize);

impl Values {
    pub fn of<const D: usize>(x: Tensor<Flex, D>) -> Self {
        let x = primitive(x);
        let x = if x.layout().contiguous_offsets().is_some() { x } else { x.to_contiguous() };
        let (begin, end) = x.layout().contiguous_offsets().unwrap_or((0, x.layout().num_elements()));
        Self(x, begin, end)
    }

    pub fn slice(&self) -> &[f32] {
        &self.0.storage::<f32>()[self.1..self.2]
    }
}

/// Rows of `width` in pieces of about [`GRAIN`] elements.
fn grain(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1) * width
}

/// The rows of a batch item, in pieces; `f` gets the batch's index.
fn by_batch(x: &[f32], batch: usize, width: usize, f: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0f32; x.len()];
    if x.is_empty() {
        return out;
    }
    let item = x.len() / batch;
    for (index, (x, out)) in x.chunks_exact(item).zip(out.chunks_exact_mut(item)).enumerate() {
        x.par_chunks(grain(width)).zip(out.par_chunks_mut(grain(width))).for_each(|(x, out)| f(index, x, out));
    }
    out
}

/// Runs a norm over each head's channels, whatever the strides, into contiguous `[batch, heads, tokens, width]`.
fn by_head(x: Tensor<Flex, 4>, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Tensor<Flex, 4> {
    let shape = x.dims();
    let [_, heads, tokens, width] = shape;
    let x = primitive(x);
    // The channels of a head lie together in every layout that the network makes.
    let x = if x.layout().strides()[3] == 1 || width == 1 { x } else { x.to_contiguous() };
    let (strides, start) = (x.layout().strides(), x.layout().start_offset());
    let values = x.storage::<f32>();
    let mut out = vec![0f32; shape.iter().product()];
    out.par_chunks_mut((tokens * width).max(1)).enumerate().for_each(|(index, out)| {
        let base = start as isize + (index / heads) as isize * strides[0] + (index % heads) as isize * strides[1];
        for (token, out) in out.chunks_exact_mut(width).enumerate() {
            let at = (base + token as isize * strides[2]) as usize;
            f(&values[at..at + width], out);
        }
    });
    computed(out, shape)
}

fn is_float<const D: usize>(x: &Tensor<Flex, D>) -> bool {
    x.dtype() == DType::F32
}

/// By the host's sets, which is where its tensors are.
impl SetKernels for Flex {}

impl Kernels for Flex {
    fn affine(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
        epilogue: Epilogue,
    ) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return plain::affine(x, weight, bias, epilogue);
        }
        let [batch, tokens, _] = x.dims();
        let [outputs, _] = weight.dims();
        let bias = bias.map(Values::of);
        let bias = bias.as_ref().map(Values::slice);
        let out = flex_product::linear(x, weight, |rows| flex_math::finish_rows(rows, outputs, bias, epilogue));
        computed(out, [batch, tokens, outputs])
    }

    fn attend(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>) -> Tensor<Self, 3> {
        if is_float(&q) { flex_attention::attend(q, k, v) } else { plain::attend(q, k, v) }
    }

    fn norm(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return plain::norm(x, gain_offset, epsilon);
        }
        let shape = x.dims();
        let x = Values::of(x);
        let gain_offset = gain_offset.map(|(gain, offset)| (Values::of(gain), Values::of(offset)));
        let gain_offset = gain_offset.as_ref().map(|(gain, offset)| (gain.slice(), offset.slice()));
        let out = by_batch(x.slice(), 1, shape[2], |_, x, out| {
            flex_math::layer_norm_rows(x, out, shape[2], gain_offset, epsilon as f32);
        });
        computed(out, shape)
    }

    fn head_layer_norm(
        x: Tensor<Self, 4>,
        gain: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        if !is_float(&x) {
            return plain::head_layer_norm(x, gain, offset, epsilon);
        }
        let width = x.dims()[3];
        let (gain, offset) = (Values::of(gain), Values::of(offset));
        by_head(x, |x, out| {
            flex_math::layer_norm_rows(x, out, width, Some((gain.slice(), offset.slice())), epsilon as f32);
        })
    }

    fn head_rms_norm(x: Tensor<Self, 4>, gain: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 4> {
        if !is_float(&x) {
            return plain::head_rms_norm(x, gain, epsilon);
        }
        let gain = Values::of(gain);
        by_head(x, |x, out| flex_math::rms_norm_row(x, out, gain.slice(), epsilon as f32))
    }

    fn modulate(x: Tensor<Self, 3>, scale: Tensor<Self, 3>, shift: Tensor<Self, 3>, epsilon: f64) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return plain::modulate(x, scale, shift, epsilon);
        }
        let shape = x.dims();
        let [batch, _, width] = shape;
        let (x, scale, shift) = (Values::of(x), Values::of(scale), Values::of(shift));
        let out = by_batch(x.slice(), batch, width, |index, x, out| {
            let own = |values: &[f32]| -> std::ops::Range<usize> {
                let begin = if values.len() == width { 0 } else { index * width };
                begin..begin + width
            };
            let (scale, shift) = (scale.slice(), shift.slice());
            flex_math::modulate_rows(x, out, width, &scale[own(scale)], &shift[own(shift)], epsilon as f32);
        });
        computed(out, shape)
    }

    fn gated_add(x: Tensor<Self, 3>, gate: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return plain::gated_add(x, gate, y);
        }
        let shape = x.dims();
        let [batch, tokens, width] = shape;
        let (gate, y) = (Values::of(gate), Values::of(y));
        let mut x = primitive(x);
        if x.layout().contiguous_offsets() != Some((0, batch * tokens * width)) {
            x = x.to_contiguous();
        }
        let item = (tokens * width).max(1);
        let values = &mut x.storage_mut::<f32>()[..batch * tokens * width];
        for (index, (x, y)) in values.chunks_exact_mut(item).zip(y.slice().chunks_exact(item)).enumerate() {
            let begin = if gate.slice().len() == width { 0 } else { index * width };
            let gate = &gate.slice()[begin..begin + width];
            x.par_chunks_mut(grain(width))
                .zip(y.par_chunks(grain(width)))
                .for_each(|(x, y)| flex_math::gated_add_rows(x, y, width, gate));
        }
        tensor(x)
    }

    fn residual(x: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return x + y;
        }
        let y = Values::of(y);
        let mut x = primitive(x);
        if x.layout().contiguous_offsets() != Some((0, y.slice().len())) {
            x = x.to_contiguous();
        }
        let values = &mut x.storage_mut::<f32>()[..y.slice().len()];
        values
            .par_chunks_mut(GRAIN)
            .zip(y.slice().par_chunks(GRAIN))
            .for_each(|(x, y)| flex_math::scale_add(x, 1.0, y));
        tensor(x)
    }

    fn swiglu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        if !is_float(&x) {
            return plain::swiglu(x);
        }
        let [batch, tokens, double] = x.dims();
        let width = double / 2;
        let x = Values::of(x);
        let mut out = vec![0f32; batch * tokens * width];
        x.slice()
            .par_chunks(grain(double))
            .zip(out.par_chunks_mut(grain(double) / 2))
            .for_each(|(x, out)| flex_math::swiglu_rows(x, out, width));
        computed(out, [batch, tokens, width])
    }

    fn fourier(points: Tensor<Self, 3>, frequencies: &[f32]) -> Tensor<Self, 3> {
        let [batch, count, _] = points.dims();
        let half = 3 * frequencies.len();
        let width = 3 + 2 * half;
        let points = Values::of(points);
        let mut out = vec![0f32; batch * count * width];
        out.par_chunks_mut(width * 256).zip(points.slice().par_chunks(3 * 256)).for_each(|(out, points)| {
            for (out, point) in out.chunks_exact_mut(width).zip(points.as_chunks::<3>().0) {
                out[..3].copy_from_slice(point);
                for (axis, x) in point.iter().enumerate() {
                    for (index, frequency) in frequencies.iter().enumerate() {
                        let (sine, cosine) = (x * frequency).sin_cos();
                        out[3 + axis * frequencies.len() + index] = sine;
                        out[3 + half + axis * frequencies.len() + index] = cosine;
                    }
                }
            }
        });
        computed(out, [batch, count, width])
    }
}
