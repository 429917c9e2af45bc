//! Operations that were computed without the kernel of ours that is there for them: right, slower, and otherwise unseen.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Int, Tensor};
use burn_cuda::Cuda;

use super::architecture;

static FALLEN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// What a kernel made of `x`, or nothing. Where that is nothing though the GPU has our kernels and they take the precision, the log says so
/// once for each operation.
pub fn noted<T, const D: usize>(operation: &'static str, x: &Tensor<Cuda, D>, made: Option<T>) -> Option<T> {
    if made.is_none() && architecture::takes(x) {
        note(operation, &x.dims());
    }
    made
}

/// The same of integers, a set's say.
pub fn noted_integers<T, const D: usize>(
    operation: &'static str,
    x: &Tensor<Cuda, D, Int>,
    made: Option<T>,
) -> Option<T> {
    if made.is_none() && architecture::of_device(x.device().index).is_some() {
        note(operation, &x.dims());
    }
    made
}

fn note(operation: &'static str, shape: &[usize]) {
    if FALLEN.lock().unwrap_or_else(PoisonError::into_inner).insert(operation) {
        tracing::warn!(
            operation,
            ?shape,
            "our CUDA kernel does not take these tensors: computed without it, more slowly"
        );
    }
}

/// Every operation that fell back since the process began.
#[must_use]
pub fn fallen_back() -> Vec<&'static str> {
    FALLEN.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
}
