//! Sets of a grid's samples on the GPU.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Bytes, DType, Int, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use burn_cuda::{Cuda, CudaDevice};
use cubecl::client::ComputeClient;
use cubecl::cuda::CudaRuntime;
use cubecl::server::{CopyDescriptor, ServerError};
use cubecl::zspace::metadata::Metadata;

use super::architecture::{self, generation};
use super::fallback::{noted, noted_integers};
use super::launch::{Array, array, fresh_of, is_contiguous, launch, tensor};
use crate::kernels::sets::words;
use crate::kernels::{DeviceCells, Fetch, Ordered, SetKernels, SetOperation, Sides, Wanted, programs, sets};

/// Threads of a block.
const THREADS: usize = 256;
/// Numbers that a block sums, as the source has it.
const OF_A_BLOCK: usize = 4096;

type Integers<const D: usize> = Tensor<Cuda, D, Int>;

impl SetKernels for Cuda {
    fn keeps_sets(device: &CudaDevice) -> bool {
        architecture::of_device(device.index).is_some()
    }

    fn made_set(
        operation: SetOperation,
        set: Tensor<Self, 3, Int>,
        other: Option<Tensor<Self, 3, Int>>,
        samples: usize,
    ) -> Tensor<Self, 3, Int> {
        let made = made(operation, set.clone(), other.clone(), samples);
        noted_integers("made_set", &set, made).unwrap_or_else(|| sets::made_set(operation, set, other, samples))
    }

    fn bounds_of_set(set: Tensor<Self, 3, Int>) -> Tensor<Self, 1, Int> {
        let made = bounds(set.clone());
        noted_integers("bounds_of_set", &set, made).unwrap_or_else(|| sets::bounds_of_set(set))
    }

    fn ordered_set(set: Tensor<Self, 3, Int>, cells: DeviceCells<Self>) -> Ordered<Self> {
        let made = ordered(set.clone(), cells.clone());
        noted_integers("ordered_set", &set, made).unwrap_or_else(|| sets::ordered_set(set, cells))
    }

    fn indices_of_set(ordered: &Ordered<Self>, wanted: Wanted<'_>) -> Tensor<Self, 1, Int> {
        let made = indices(ordered, wanted);
        let made = noted_integers("indices_of_set", &ordered.set, made);
        made.unwrap_or_else(|| sets::indices_of_set(ordered, wanted))
    }

    fn points_of_samples(indices: Tensor<Self, 1, Int>, axes: Tensor<Self, 2>) -> Tensor<Self, 3> {
        let made = noted_integers("points_of_samples", &indices, points(indices.clone(), axes.clone()));
        made.unwrap_or_else(|| sets::points_of_samples(indices, axes))
    }

    fn sided(
        sides: Sides<Self>,
        indices: Tensor<Self, 1, Int>,
        values: Tensor<Self, 1>,
        level: f32,
        near: f32,
    ) -> (Sides<Self>, Tensor<Self, 1, Int>) {
        let made = sided(&sides, indices.clone(), values.clone(), level, near);
        match noted_integers("sided", &indices, made) {
            Some(broken) => (sides, broken),
            None => sets::sided(sides, indices, values, level, near),
        }
    }

    fn fetch<const D: usize>(values: Tensor<Self, D>) -> Fetch {
        let coming = fetch(array(values.clone()));
        noted("fetch", &values, coming)
            .unwrap_or_else(|| Box::new(|| values.try_into_data().map_err(|error| error.to_string())))
    }

    fn fetch_integers<const D: usize>(values: Tensor<Self, D, Int>) -> Fetch {
        let coming = fetch(values.clone().into_primitive());
        noted_integers("fetch_integers", &values, coming)
            .unwrap_or_else(|| Box::new(|| values.try_into_data().map_err(|error| error.to_string())))
    }
}

/// A tensor of integers, in one piece on a GPU that has our kernels.
fn own<const D: usize>(x: Integers<D>) -> Option<Array> {
    let x = x.into_primitive();
    generation(&x)?;
    (x.dtype == DType::I32 && is_contiguous(&x)).then_some(x)
}

fn integers<const D: usize>(x: Array) -> Integers<D> {
    Tensor::from_primitive(x)
}

/// Integers beside a tensor.
fn placed(like: &Array, values: &[u32]) -> Array {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let handle = like.client.create_from_slice(&bytes);
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), [values.len()].into(), handle, DType::I32)
}

/// Launches one of these kernels, a thread for each of so many things.
fn run<const N: usize>(entry: &'static str, things: usize, buffers: &[&Array], scalars: [usize; N]) {
    let scalars = scalars.map(|value| value as u64).to_vec();
    launch(programs::sets(entry), (things.div_ceil(THREADS), 1, 1), &[], buffers, scalars);
}

/// [`crate::kernels::SetKernels::made_set`].
fn made(operation: SetOperation, set: Integers<3>, other: Option<Integers<3>>, samples: usize) -> Option<Integers<3>> {
    let [n, _, own_words] = set.dims();
    let set = own(set)?;
    let other = match other {
        Some(other) => own(other)?,
        None => set.clone(),
    };
    let (number, reach) = match operation {
        SetOperation::Complement => (0, 0),
        SetOperation::Within => (1, 0),
        SetOperation::Without => (2, 0),
        SetOperation::With => (3, 0),
        // A word's bits come from it and the two beside it.
        SetOperation::Dilated(reach) if reach < 32 => (4, reach),
        SetOperation::Dilated(_) => return None,
        SetOperation::DilatedByFaces => (5, 0),
        SetOperation::Doubled => (6, 0),
        SetOperation::Repeated => (7, 0),
    };
    let out_words = words(samples);
    if number < 6 && samples != n || other.meta.num_elements() != set.meta.num_elements() {
        return None;
    }
    let out = fresh_of(&set, [samples, samples, out_words], DType::I32);
    let things = samples * samples * out_words;
    run("set_words", things, &[&set, &other, &out], [number, reach, n, own_words, samples, out_words]);
    Some(integers(out))
}

/// [`crate::kernels::SetKernels::bounds_of_set`].
fn bounds(set: Integers<3>) -> Option<Integers<1>> {
    let [n, _, words] = set.dims();
    let set = own(set)?;
    let none = i32::MAX as u32;
    let bounds = placed(&set, &[none, none, none, u32::MAX, u32::MAX, u32::MAX]);
    run("set_bounds", n * n, &[&set, &bounds], [n, words]);
    Some(integers(bounds))
}

/// [`crate::kernels::SetKernels::ordered_set`].
fn ordered(set: Integers<3>, cells: DeviceCells<Cuda>) -> Option<Ordered<Cuda>> {
    let [n, _, words] = set.dims();
    let (own_set, table, along) = (own(set.clone())?, own(cells.table.clone())?, cells.along);
    let pieces = n * n * along;
    if along.pow(3) >= THREADS {
        return None;
    }
    let blocks = pieces.div_ceil(OF_A_BLOCK);
    let places = fresh_of(&own_set, [pieces + 1], DType::I32);
    let sums = fresh_of(&own_set, [blocks], DType::I32);
    let starts = fresh_of(&own_set, [along.pow(3) + 1], DType::I32);
    run("set_count", pieces, &[&own_set, &table, &places], [n, words, along]);
    let scan = |phase: usize, blocks_run: usize| {
        run("set_scan", blocks_run * THREADS, &[&places, &sums], [phase, pieces, blocks]);
    };
    scan(0, blocks);
    scan(1, 1);
    scan(2, blocks);
    run("set_starts", 1, &[&table, &places, &starts], [n, along]);
    Some(Ordered { set, cells, places: integers(places), starts: integers(starts) })
}

/// [`crate::kernels::SetKernels::indices_of_set`].
fn indices(ordered: &Ordered<Cuda>, wanted: Wanted<'_>) -> Option<Integers<1>> {
    let [n, _, words] = ordered.set.dims();
    let along = ordered.cells.along;
    let set = own(ordered.set.clone())?;
    let (table, places) = (own(ordered.cells.table.clone())?, own(ordered.places.clone())?);
    if places.meta.num_elements() != n * n * along + 1 || wanted.to.len() < along.pow(3) {
        return None;
    }
    let to: Vec<u32> = wanted.to.iter().map(|at| *at as u32).collect();
    let to = placed(&set, &to);
    let indices = fresh_of(&set, [wanted.count], DType::I32);
    // A warp a row.
    let buffers = [&set, &table, &places, &to, &indices];
    let Wanted { begin, end, stride, count, .. } = wanted;
    run("set_indices", 32 * n * n, &buffers, [n, words, along, begin, end, stride, count]);
    Some(integers(indices))
}

/// [`crate::kernels::SetKernels::points_of_samples`].
fn points(indices: Integers<1>, axes: Tensor<Cuda, 2>) -> Option<Tensor<Cuda, 3>> {
    let ([count], [_, n]) = (indices.dims(), axes.dims());
    let (indices, axes) = (own(indices)?, array(axes));
    if axes.dtype != DType::F32 || !is_contiguous(&axes) {
        return None;
    }
    let points = fresh_of(&indices, [1, count, 3], DType::F32);
    run("sample_points", count, &[&indices, &axes, &points], [n, count]);
    Some(tensor(points))
}

/// [`crate::kernels::SetKernels::sided`]. The sets' memory is written to.
fn sided(
    sides: &Sides<Cuda>,
    indices: Integers<1>,
    values: Tensor<Cuda, 1>,
    level: f32,
    near: f32,
) -> Option<Integers<1>> {
    let ([count], [n, _, words]) = (indices.dims(), sides.inside.dims());
    let (indices, values, inside) = (own(indices)?, array(values), own(sides.inside.clone())?);
    let (on, close) = match &sides.on_and_near {
        Some([on, close]) => (own(on.clone())?, own(close.clone())?),
        None => (inside.clone(), inside.clone()),
    };
    let known = matches!(values.dtype, DType::F16 | DType::BF16 | DType::F32);
    if !known || !is_contiguous(&values) || values.meta.num_elements() != count {
        return None;
    }
    let broken = placed(&indices, &[0]);
    let [level, near] = [level, near].map(|value| u64::from(value.to_bits()));
    let scalars = vec![n as u64, words as u64, count as u64, level, near, u64::from(sides.on_and_near.is_some())];
    let buffers = [&indices, &values, &inside, &on, &close, &broken];
    launch(programs::set_values(values.dtype), (count.div_ceil(THREADS), 1, 1), &[], &buffers, scalars);
    Some(integers(broken))
}

/// A GPU's client for as long as the process runs, since what reads by one borrows it until it has all.
fn client(of: &Array) -> &'static ComputeClient<CudaRuntime> {
    static CLIENTS: Mutex<BTreeMap<usize, &'static ComputeClient<CudaRuntime>>> = Mutex::new(BTreeMap::new());
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    clients.entry(of.device.index).or_insert_with(|| Box::leak(Box::new(of.client.clone())))
}

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, ServerError>> + Send>>;

/// A copy to the host's pinned memory that is in the stream. It is waited for also where nobody wants it any more: the memory would be given to
/// somebody else and written to all the same, and the stream's event be lost.
struct Coming(Option<Reading>);

impl Coming {
    fn wait(&mut self) -> Option<Result<Bytes, String>> {
        self.0.take().map(|reading| cubecl::future::block_on(reading).map_err(|error| error.to_string()))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.wait() {
            tracing::debug!(error, "of values that nobody waits for");
        }
    }
}

/// Values on their way to the host: the copy is in the stream when this returns, and what is launched behind it is not waited for.
fn fetch(values: Array) -> Option<Fetch> {
    if !is_contiguous(&values) {
        return None;
    }
    let (count, dtype) = (values.meta.num_elements(), values.dtype);
    let metadata = Metadata::new(vec![count], vec![1]);
    let descriptor = CopyDescriptor::new(
        values.handle.clone().binding(),
        metadata.shape().clone(),
        metadata.strides().clone(),
        dtype.size(),
    );
    let mut coming = Coming(Some(Box::pin(client(&values).read_one_tensor_async(descriptor))));
    Some(Box::new(move || {
        let bytes = coming.wait().unwrap_or_else(|| Err("nothing was on its way".to_owned()))?;
        Ok(TensorData::from_bytes(bytes, [count], dtype))
    }))
}
