//! Which path a GPU takes.

use std::collections::HashMap;
use std::sync::Mutex;

use burn::tensor::{DType, Tensor};
use burn_cuda::Cuda;

use super::launch::Array;
use crate::kernels::programs::Generation;

/// What is known of a GPU.
#[derive(Clone, Copy)]
struct Seen {
    generation: Option<Generation>,
    /// Bytes of its memory; none: there is no such GPU.
    memory: Option<u64>,
}

static SEEN: Mutex<Option<HashMap<usize, Seen>>> = Mutex::new(None);

/// The path of the GPU where a tensor lies; none: plain Burn.
pub fn generation(x: &Array) -> Option<Generation> {
    of_device(x.device.index)
}

/// The path of a GPU by its number, named in the log when it is first asked for.
pub fn of_device(number: usize) -> Option<Generation> {
    seen(number).generation
}

/// Bytes of a GPU's memory, by its number as CUDA counts; none where there is no such GPU.
pub fn memory_of(number: usize) -> Option<u64> {
    seen(number).memory
}

fn seen(number: usize) -> Seen {
    let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *seen.get_or_insert_default().entry(number).or_insert_with(|| look(number))
}

fn look(number: usize) -> Seen {
    let context = cudarc::driver::CudaContext::new(number);
    let memory = context.as_ref().ok().and_then(|context| context.total_mem().ok()).map(|bytes| bytes as u64);
    let capability = context.and_then(|context| context.compute_capability()).unwrap_or((0, 0));
    let forced = std::env::var("HUNYUAN3D_KERNELS").unwrap_or_default();
    let generation = match capability {
        _ if forced == "plain" => None,
        (9, 0) if forced != "mma" => Some(Generation::Hopper),
        (major, _) if major >= 8 => Some(Generation::Ampere),
        _ => None,
    };
    let path = match generation {
        Some(Generation::Hopper) => "wgmma and bulk tensor copies",
        Some(Generation::Ampere) => "mma.sync and cp.async",
        None => "Burn's own",
    };
    tracing::info!(device = number, capability = format!("{}.{}", capability.0, capability.1), path, "CUDA kernels");
    Seen { generation, memory }
}

/// Whether kernels of ours compute in a tensor's precision on its GPU.
pub fn takes<const D: usize>(x: &Tensor<Cuda, D>) -> bool {
    matches!(x.dtype(), DType::F16 | DType::BF16) && of_device(x.device().index).is_some()
}

/// Multiprocessors of the GPU where a tensor lies.
pub fn multiprocessors(x: &Array) -> usize {
    x.client.properties().hardware.num_streaming_multiprocessors.unwrap_or(1).max(1) as usize
}
