//! NVIDIA GPUs: our own CUDA kernels, launched through CubeCL's client, so that memory, streams and order stay Burn's.
//!
//! They compute in float16 and bfloat16 and accumulate in float32. What they do not take (float32, heads wider than 64, rows
//! that no 16 bytes divide) is computed in plain Burn operations. `HUNYUAN3D_KERNELS` set to `mma` or `plain` holds back
//! Hopper's instructions, or all of ours, for comparisons.

mod architecture;
mod attention;
mod cache;
mod fallback;
mod gemm;
mod launch;
mod points;
mod program;
mod rows;
mod select;
mod sets;

use burn::tensor::{DType, Tensor};
use burn_cuda::{Cuda, CudaDevice};
use cubecl::cuda::CudaRuntime;

use super::programs::Generation;
use super::{Epilogue, Kernels, PointGroups, PointLayers, Stream, StreamHeads, plain};
use crate::{ModelError, ModelErrorKind};
pub use fallback::fallen_back;
use fallback::noted;
use gemm::After;
use launch::{array, tensor};
use rows::Scale;

impl Kernels for Cuda {
    fn affine(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
        epilogue: Epilogue,
    ) -> Tensor<Self, 3> {
        let depth = x.dims()[2];
        if !depth.is_multiple_of(8) && x.dtype() == weight.dtype() && architecture::takes(&x) {
            // Rows that 16 bytes divide: zeros meet zeros. Once a picture, of DINOv2's patches.
            let width = depth.next_multiple_of(8);
            let [batch, tokens, _] = x.dims();
            let zeros = Tensor::zeros([batch, tokens, width - depth], (&x.device(), x.dtype()));
            return Self::affine(Tensor::cat(vec![x, zeros], 2), widened(weight, width), bias, epilogue);
        }
        let own = bias.clone().map(array);
        let after = After::Activation(epilogue);
        let made = gemm::affine(&array(x.clone()), &array(weight.clone()), own.as_ref(), after);
        match noted("affine", &x, made) {
            Some(out) => tensor(out),
            None => plain::affine(x, weight, bias, epilogue),
        }
    }

    fn affine_add(
        residual: Tensor<Self, 3>,
        gate: Option<Tensor<Self, 3>>,
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        let (onto, through) = (array(residual.clone()), gate.clone().map(array));
        let own = bias.clone().map(array);
        let after = After::Add { residual: &onto, gate: through.as_ref() };
        let made = gemm::affine(&array(x.clone()), &array(weight.clone()), own.as_ref(), after);
        if let Some(out) = noted("affine_add", &x, made) {
            return tensor(out);
        }
        let y = Self::affine(x, weight, bias, Epilogue::None);
        match gate {
            Some(gate) => Self::gated_add(residual, gate, y),
            None => Self::residual(residual, y),
        }
    }

    fn attend(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>) -> Tensor<Self, 3> {
        let made = attention::attend(&array(q.clone()), &array(k.clone()), &array(v.clone()));
        match noted("attend", &q, made) {
            Some(out) => tensor(out),
            None => plain::attend(q, k, v),
        }
    }

    fn norm(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        let own = gain_offset.clone().map(|(gain, offset)| (array(gain), array(offset)));
        let scale = own.as_ref().map_or(Scale::Plain, |(gain, offset)| Scale::Affine(gain, offset));
        match noted("norm", &x, rows::norm(&array(x.clone()), scale, epsilon)) {
            Some(out) => tensor(out),
            None => plain::norm(x, gain_offset, epsilon),
        }
    }

    fn modulate(x: Tensor<Self, 3>, scale: Tensor<Self, 3>, shift: Tensor<Self, 3>, epsilon: f64) -> Tensor<Self, 3> {
        let own = (array(scale.clone()), array(shift.clone()));
        let made = rows::norm(&array(x.clone()), Scale::Modulation(&own.0, &own.1), epsilon);
        match noted("modulate", &x, made) {
            Some(out) => tensor(out),
            None => plain::modulate(x, scale, shift, epsilon),
        }
    }

    fn norm_dot(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        let own = gain_offset.clone().map(|(gain, offset)| (array(gain), array(offset)));
        let pair = own.as_ref().map(|(gain, offset)| (gain, offset));
        let own_bias = bias.clone().map(array);
        let made = rows::norm_dot(&array(x.clone()), pair, epsilon, &array(weight.clone()), own_bias.as_ref());
        if let Some(out) = noted("norm_dot", &x, made) {
            return tensor(out);
        }
        let x = if gain_offset.is_some() { Self::norm(x, gain_offset, epsilon) } else { x };
        Self::affine(x, weight, bias, Epilogue::None)
    }

    fn head_layer_norm(
        x: Tensor<Self, 4>,
        gain: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        let made = rows::head_norm(&array(x.clone()), &array(gain.clone()), Some(&array(offset.clone())), epsilon);
        match noted("head_layer_norm", &x, made) {
            Some(out) => tensor(out),
            None => plain::head_layer_norm(x, gain, offset, epsilon),
        }
    }

    fn head_rms_norm(x: Tensor<Self, 4>, gain: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 4> {
        let made = rows::head_norm(&array(x.clone()), &array(gain.clone()), None, epsilon);
        match noted("head_rms_norm", &x, made) {
            Some(out) => tensor(out),
            None => plain::head_rms_norm(x, gain, epsilon),
        }
    }

    fn stream_heads(streams: Vec<StreamHeads<Self>>, heads: usize, epsilon: f64) -> [Tensor<Self, 4>; 3] {
        let own: Vec<_> = streams
            .iter()
            .map(|stream| [array(stream.qkv.clone()), array(stream.query_gain.clone()), array(stream.key_gain.clone())])
            .collect();
        let own: Vec<_> = own.iter().map(|[qkv, query, key]| (qkv, query, key)).collect();
        let made = rows::stream_heads(&own, heads, epsilon);
        let made = match streams.first() {
            Some(first) => noted("stream_heads", &first.qkv, made),
            None => made,
        };
        match made {
            Some(parts) => parts.map(tensor),
            None => super::stream_heads(streams, heads, epsilon),
        }
    }

    fn project_streams(streams: Vec<Stream<Self>>, heads: usize, epsilon: f64) -> [Tensor<Self, 4>; 3] {
        let own = |stream: &Stream<Self>| {
            let bias = stream.bias.clone().map(array);
            let [query, key] = [&stream.query_gain, &stream.key_gain].map(|gain| array(gain.clone()));
            (array(stream.x.clone()), array(stream.weight.clone()), bias, query, key)
        };
        let own: Vec<_> = streams.iter().map(own).collect();
        let own: Vec<_> =
            own.iter().map(|(x, weight, bias, query, key)| (x, weight, bias.as_ref(), query, key)).collect();
        // Where it does not take them, the product and the norms have kernels of their own.
        match gemm::stream_heads(&own, heads, epsilon) {
            Some(parts) => parts.map(tensor),
            None => super::project_streams(streams, heads, epsilon),
        }
    }

    fn head_channels(x: Tensor<Self, 4>, begin: usize, width: usize) -> Tensor<Self, 4> {
        match rows::channels(&array(x.clone()), begin, width) {
            Some(out) => tensor(out),
            None => x.narrow(3, begin, width),
        }
    }

    fn gated_add(x: Tensor<Self, 3>, gate: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        let made = rows::gated_add(&array(x.clone()), Some(&array(gate.clone())), &array(y.clone()));
        match noted("gated_add", &x, made) {
            Some(out) => tensor(out),
            None => plain::gated_add(x, gate, y),
        }
    }

    fn residual(x: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        match noted("residual", &x, rows::gated_add(&array(x.clone()), None, &array(y.clone()))) {
            Some(out) => tensor(out),
            None => x + y,
        }
    }

    fn swiglu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        match noted("swiglu", &x, rows::swiglu(&array(x.clone()))) {
            Some(out) => tensor(out),
            None => plain::swiglu(x),
        }
    }

    fn select_keys(
        q: Tensor<Self, 4>,
        groups: &[usize],
        k: Tensor<Self, 4>,
        v: Tensor<Self, 4>,
        count: usize,
    ) -> [Tensor<Self, 4>; 2] {
        let made = select::select(&array(q.clone()), groups, &array(k.clone()), &array(v.clone()), count);
        match noted("select_keys", &q, made) {
            Some(chosen) => chosen.map(tensor),
            None => plain::select_keys(q, groups, k, v, count),
        }
    }

    fn reserved_bytes(device: &Self::Device) -> Option<u64> {
        let usage = <CudaRuntime as cubecl::Runtime>::client(device).memory_usage();
        usage.ok().map(|usage| usage.bytes_reserved)
    }

    fn run_ended() {
        cache::store_compiled();
    }

    fn embed_points(
        points: Tensor<Self, 3>,
        frequencies: &[f32],
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 3> {
        // Up to rows that 128 bytes divide; zeros meet zeros.
        let width = weight.dims()[1].next_multiple_of(64);
        let made = rows::fourier(&array(points.clone()), frequencies, width, &array(weight.clone()));
        match noted("embed_points", &weight, made) {
            Some(embedded) => Self::affine(tensor(embedded), widened(weight, width), bias, Epilogue::None),
            None => super::embed_points(points, frequencies, weight, bias),
        }
    }

    fn folds_points(device: &CudaDevice, dtype: DType) -> bool {
        let hopper = architecture::of_device(device.index) == Some(Generation::Hopper);
        hopper && matches!(dtype, DType::F16 | DType::BF16)
    }

    fn point_queries(points: Tensor<Self, 3>, layers: PointLayers<Self>) -> Tensor<Self, 4> {
        match points::queries(&points, &layers) {
            Some(queries) => queries,
            None => super::point_queries(points, &layers),
        }
    }

    fn attend_points(
        points: Tensor<Self, 3>,
        layers: PointLayers<Self>,
        groups: &[PointGroups<Self>],
    ) -> Tensor<Self, 3> {
        match points::attend(&points, &layers, groups) {
            Some(rows) => rows,
            None => super::attend_points(points, &layers, groups),
        }
    }
}

/// A weight with zeros behind each row.
fn widened(weight: Tensor<Cuda, 2>, width: usize) -> Tensor<Cuda, 2> {
    let [outputs, inputs] = weight.dims();
    let zeros = Tensor::zeros([outputs, width - inputs], (&weight.device(), weight.dtype()));
    Tensor::cat(vec![weight, zeros], 1)
}

/// Whether a GPU computes with these kernels; not, where it is older than they are or there is none.
#[must_use]
pub fn has_own_kernels(number: usize) -> bool {
    // The driver's library is looked for when it is first called, and a panic says that it is not there.
    std::panic::catch_unwind(|| architecture::of_device(number)).is_ok_and(|generation| generation.is_some())
}

/// Bytes of a GPU's memory; none where there is none of that number, as CUDA counts what `CUDA_VISIBLE_DEVICES` leaves.
#[must_use]
pub fn memory(number: usize) -> Option<u64> {
    std::panic::catch_unwind(|| architecture::memory_of(number)).ok().flatten()
}

/// A GPU by its number.
///
/// # Errors
/// [`ModelErrorKind::Device`] where there is no such GPU, or no driver.
pub fn device(number: usize) -> Result<CudaDevice, ModelError> {
    let absent =
        |why: String| ModelError::new(ModelErrorKind::Device, format!("there is no device cuda:{number}: {why}"));
    // Burn panics where the driver's library is missing, and only says so on the screen.
    let device = CudaDevice::new(number);
    let probe = std::panic::catch_unwind(|| {
        cache::keep_compiled(number);
        let ones = Tensor::<Cuda, 1>::ones([1], &CudaDevice::new(number));
        ones.try_into_data().map(|_| ()).map_err(|error| error.to_string())
    });
    match probe {
        Ok(Ok(())) => {
            architecture::of_device(number);
            Ok(device)
        }
        Ok(Err(error)) => Err(absent(error)),
        Err(_) => Err(absent("the NVIDIA driver or its compiler NVRTC did not start".into())),
    }
}
