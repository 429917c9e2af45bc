//! Between Burn's tensors and our kernels' arguments.

use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_cubecl::tensor::CubeTensor;
use burn_cuda::Cuda;
use cubecl::cuda::CudaRuntime;
use cubecl::prelude::CubeCount;
use cubecl::server::{KernelArguments, MetadataBindingInfo, TensorMapBinding, TensorMapMeta};
use cubecl::zspace::metadata::Metadata;

use crate::kernels::programs::Program;

/// A tensor on the GPU: memory, shape and strides.
pub type Array = CubeTensor<CudaRuntime>;

/// Takes a tensor apart.
pub fn array<const D: usize>(x: Tensor<Cuda, D>) -> Array {
    x.into_primitive().tensor()
}

/// Puts it together.
pub fn tensor<const D: usize>(x: Array) -> Tensor<Cuda, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}

/// Fresh memory of a shape, contiguous, for a result beside `like`.
pub fn fresh<const D: usize>(like: &Array, shape: [usize; D]) -> Array {
    fresh_of(like, shape, like.dtype)
}

/// The same of another type.
pub fn fresh_of<const D: usize>(like: &Array, shape: [usize; D], dtype: DType) -> Array {
    let handle = like.client.empty(shape.iter().product::<usize>() * dtype.size());
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape.into(), handle, dtype)
}

/// Shape and strides, in elements.
pub fn layout<const D: usize>(x: &Array) -> Option<([usize; D], [usize; D])> {
    let shape = x.meta.shape().iter().copied().collect::<Vec<_>>().try_into().ok()?;
    let strides = x.meta.strides().iter().copied().collect::<Vec<_>>().try_into().ok()?;
    Some((shape, strides))
}

/// Whether our kernels compute in a type.
pub fn is_half(x: &Array) -> bool {
    matches!(x.dtype, DType::F16 | DType::BF16) && x.qparams.is_none()
}

/// Whether a tensor begins where 16 bytes can be read at once.
pub fn is_aligned(x: &Array) -> bool {
    x.handle.offset_start.unwrap_or(0).is_multiple_of(16)
}

/// Whether rows of a tensor can be read 16 bytes at once: channels side by side, everything else in steps of eight.
pub fn has_rows(x: &Array) -> bool {
    let (shape, strides) = (x.meta.shape(), x.meta.strides());
    let last = shape.num_dims() - 1;
    let steps = (0..last).all(|axis| shape[axis] <= 1 || strides[axis].is_multiple_of(8) && strides[axis] > 0);
    is_half(x) && is_aligned(x) && steps && shape[last].is_multiple_of(8) && (strides[last] == 1 || shape[last] == 1)
}

/// Whether a tensor lies in one piece.
pub fn is_contiguous(x: &Array) -> bool {
    let mut expected = 1;
    let (shape, strides) = (x.meta.shape(), x.meta.strides());
    (0..shape.num_dims()).rev().all(|axis| {
        let fits = shape[axis] == 1 || strides[axis] == expected;
        expected *= shape[axis];
        fits
    })
}

/// A parameter of eight-fold length that lies in one piece.
pub fn is_vector(x: &Array) -> bool {
    is_half(x) && is_aligned(x) && is_contiguous(x)
}

/// A view on part of a tensor, from an element on.
pub fn view<const D: usize>(x: &Array, first: usize, shape: [usize; D], strides: [usize; D]) -> Array {
    let size = x.dtype.size();
    let begin = x.handle.offset_start.unwrap_or(0) + (first * size) as u64;
    let mut handle = x.handle.clone();
    handle.offset_start = Some(begin);
    let metadata = Metadata::new(shape.to_vec(), strides.to_vec());
    CubeTensor::new(x.client.clone(), handle, metadata, x.device.clone(), x.dtype)
}

/// A tensor that the copy engine reads in boxes with the 128-byte swizzle.
pub struct Map<'a> {
    /// Whose memory.
    pub of: &'a Array,
    /// Slowest axis first, as the strides.
    pub shape: Vec<usize>,
    /// In elements; the last is 1.
    pub strides: Vec<usize>,
    /// The box.
    pub tile: Vec<usize>,
}

/// Launches a kernel: maps and the memory under them, buffers, then the scalars, in the order of its parameters.
pub fn launch(program: Program, count: (usize, usize, usize), maps: &[Map<'_>], buffers: &[&Array], scalars: Vec<u64>) {
    let Some(first) = buffers.first() else { return };
    if count.0 * count.1 * count.2 == 0 {
        return;
    }
    let maps_given = maps.iter().map(|map| TensorMapBinding {
        binding: map.of.handle.clone().binding(),
        map: TensorMapMeta {
            format: cubecl::prelude::TensorMapFormat::Tiled(cubecl::prelude::TiledArgs {
                tile_size: map.tile.clone().into(),
            }),
            // An axis of one element has no step; the engine wants one all the same.
            metadata: Metadata::new(map.shape.clone(), steps(&map.shape, &map.strides)),
            elem_stride: vec![1usize; map.shape.len()].into(),
            interleave: cubecl::prelude::TensorMapInterleave::None,
            swizzle: cubecl::prelude::TensorMapSwizzle::B128,
            prefetch: cubecl::prelude::TensorMapPrefetch::B128,
            oob_fill: cubecl::prelude::OobFill::Zero,
            storage_ty: map.of.dtype.into(),
        },
    });
    // Maps' memory is named among the buffers too: only for those does CubeCL wait for other streams.
    let bindings = maps.iter().map(|map| map.of).chain(buffers.iter().copied()).map(|x| x.handle.clone().binding());
    let end = scalars.len();
    let arguments = KernelArguments::new()
        .with_tensor_maps(maps_given.collect())
        .with_buffers(bindings.collect())
        .with_info(MetadataBindingInfo::new(scalars, end));
    let count = CubeCount::Static(count.0 as u32, count.1 as u32, count.2 as u32);
    first.client.launch(Box::new(program), count, arguments);
}

fn steps(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut steps = strides.to_vec();
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        if shape[axis] == 1 {
            steps[axis] = steps[axis + 1].max(8) * shape[axis + 1].div_ceil(8) * 8;
        }
    }
    steps
}
