//! Devices and precisions, and reading back from a device.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{DType, DataError, Element, Shape, Tensor, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::kernels::Fetch;
use crate::kernels::sets::integers_of;
use crate::{ModelError, ModelErrorKind};

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor (Burn's Flex).
    Cpu,
    /// An NVIDIA GPU by its number among those that `CUDA_VISIBLE_DEVICES` leaves.
    Cuda(usize),
}

impl std::str::FromStr for DeviceName {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        let unknown = || {
            let sentence = format!("the device {name:?} is not known; cpu, cuda and cuda:N are");
            ModelError::new(ModelErrorKind::Device, sentence)
        };
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// A precision by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE half.
    Float16,
    /// Brain float.
    Bfloat16,
    /// IEEE single.
    Float32,
}

impl Precision {
    /// Burn's type of it.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Self::Float16 => DType::F16,
            Self::Bfloat16 => DType::BF16,
            Self::Float32 => DType::F32,
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub fn bytes(self) -> u64 {
        if self == Self::Float32 { 4 } else { 2 }
    }

    /// What a device computes in where nobody says.
    #[must_use]
    pub fn of_device(device: DeviceName) -> Self {
        match device {
            DeviceName::Cpu => Self::Float32,
            DeviceName::Cuda(_) => Self::Float16,
        }
    }
}

impl std::str::FromStr for Precision {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        match name {
            "float16" | "fp16" | "half" => Ok(Self::Float16),
            "bfloat16" | "bf16" => Ok(Self::Bfloat16),
            "float32" | "fp32" => Ok(Self::Float32),
            _ => {
                let sentence = format!("the precision {name:?} is not known; float16, bfloat16 and float32 are");
                Err(ModelError::new(ModelErrorKind::Device, sentence))
            }
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float32 => "float32",
        })
    }
}

/// A precision's name for people.
pub(crate) fn precision_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        _ => "float32",
    }
}

/// A failure that the device reports, by Burn only as text.
pub(crate) fn device_failure(what: &str) -> ModelError {
    let lower = what.to_lowercase();
    let words = ["out of memory", "outofmemory", "out_of_memory", "buffer too big", "can't allocate buffer"];
    if words.iter().any(|word| lower.contains(word)) {
        return ModelError::new(ModelErrorKind::OutOfMemory, format!("the device ran out of memory: {what}"));
    }
    ModelError::new(ModelErrorKind::Compute, format!("the device failed: {what}"))
}

/// The first failure on a thread of the device's own since a run began.
///
/// Where the GPU's memory is full, CubeCL 0.10 panics on its own thread and goes on with memory that nobody wrote: seen on
/// an H200, where a run ended in numbers that were none. Nothing but the panic's hook hears of it.
static DEVICE_PANIC: Mutex<Option<String>> = Mutex::new(None);

fn device_panic() -> MutexGuard<'static, Option<String>> {
    DEVICE_PANIC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has panics of the device's threads heard from now on, beside whoever hears of panics already.
fn hear_panics() {
    static HEARING: Once = Once::new();
    HEARING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or("it broke off");
            let place = panic.location().map_or("", |location| location.file());
            if place.contains("cubecl") || text.contains("can't allocate buffer") {
                device_panic().get_or_insert_with(|| text.to_owned());
            }
            before(panic);
        }));
    });
}

/// Runs work whose failure Burn may report by a panic, on this thread or on one of the device's own, and makes an error
/// of it. The device's unused memory is given back then, so that the next run begins as the first did.
pub(crate) fn guarded<B: Backend, T>(
    device: &B::Device,
    work: impl FnOnce() -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    hear_panics();
    *device_panic() = None;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(device_failure(text.unwrap_or("it broke off")))
    });
    // What such a run gave, or failed of later, follows from its first failure.
    let outcome = match device_panic().take() {
        Some(text) => Err(device_failure(&text)),
        None => outcome,
    };
    if outcome.is_err() {
        B::memory_cleanup(device);
    }
    outcome
}

/// Puts host values on a device.
///
/// They cross over as one row, in one piece. What has more axes CubeCL copies row by row, and gives rows of an odd length a place each that
/// wider reads could begin at: kernels of ours, which want points behind one another, would not take those.
pub(crate) fn put<B: Backend, const D: usize>(data: TensorData, shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    let dtype = data.dtype;
    let row = TensorData { shape: Shape::new([shape.iter().product()]), ..data };
    Tensor::<B, 1>::from_data(row, (device, dtype)).reshape(shape)
}

/// A tensor's values on the host, in float32.
///
/// # Errors
/// [`ModelErrorKind::Compute`] where the device failed or a value is no finite number.
pub(crate) fn read<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>, ModelError> {
    finite(checked(tensor.try_into_data().map_err(|error| error.to_string()))?)
}

/// Values that were on their way to the host, in float32.
///
/// # Errors
/// As [`read`].
pub(crate) fn arrived(fetch: Fetch) -> Result<Vec<f32>, ModelError> {
    finite(checked(fetch())?)
}

/// Integers that were on their way to the host.
///
/// # Errors
/// [`ModelErrorKind::Compute`] where the device failed.
pub(crate) fn arrived_integers(fetch: Fetch) -> Result<Vec<u32>, ModelError> {
    checked(fetch()).map(integers_of)
}

/// What came from a device, unless it has failed.
fn checked(data: Result<TensorData, String>) -> Result<TensorData, ModelError> {
    let data = data.map_err(|error| device_failure(&error))?;
    // Latents are kept for a later attempt: none of a run that has failed already.
    match device_panic().as_deref() {
        Some(text) => Err(device_failure(text)),
        None => Ok(data),
    }
}

/// Values in float32, all of them finite numbers.
fn finite(data: TensorData) -> Result<Vec<f32>, ModelError> {
    let failed = |what: String| ModelError::new(ModelErrorKind::Compute, what);
    let values = match data.dtype {
        DType::F16 => widened::<f16>(&data),
        DType::BF16 => widened::<bf16>(&data),
        _ => data.convert_dtype(DType::F32).into_vec(),
    };
    let values = values.map_err(|error| failed(format!("the device gave another type than asked for: {error:?}")))?;
    if values.par_iter().any(|value| !value.is_finite()) {
        return Err(ModelError::not_finite());
    }
    Ok(values)
}

/// Values of half the width in float32, by all threads: the device waits meanwhile.
fn widened<T: Element>(data: &TensorData) -> Result<Vec<f32>, DataError>
where
    [T]: HalfFloatSliceExt,
{
    /// Values that a thread takes at a time.
    const PIECE: usize = 1 << 15;
    let values = data.as_slice::<T>()?;
    let mut wide = vec![0.0; values.len()];
    let pieces = wide.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE));
    pieces.for_each(|(to, from)| from.convert_to_f32_slice(to));
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn what_is_read_is_the_devices_in_every_precision() {
        let expected: Vec<f32> = (0..100_000).map(|i| (i % 251) as f32 - 125.0).collect();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let data = |values: Vec<f32>| TensorData::new(values, [100_000]).convert_dtype(dtype);
            assert_eq!(finite(data(expected.clone())).unwrap(), expected, "{dtype:?}");
            let mut with_nan = expected.clone();
            with_nan[77_777] = f32::NAN;
            assert_eq!(finite(data(with_nan)).unwrap_err().kind(), ModelErrorKind::Compute, "{dtype:?}");
        }
    }

    #[test]
    fn a_failure_on_the_devices_own_thread_fails_the_run_and_not_the_next() {
        let run = |sentence: &'static str| {
            guarded::<Flex, _>(&FlexDevice, move || {
                let _ = std::thread::spawn(move || panic!("{sentence}")).join();
                Ok(read(Tensor::<Flex, 1>::ones([1], &FlexDevice)).map(|_| ()))
            })
        };
        let full = "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 586366976";
        let failed = run(full).unwrap_err();
        assert_eq!(failed.kind(), ModelErrorKind::OutOfMemory);
        assert!(failed.to_string().contains("586366976"), "{failed}");
        // A thread of somebody else's is none of the device's business; and the next run begins anew.
        assert_eq!(run("something else").unwrap(), Ok(()));
        // What is read after the failure, within the run, is not believed.
        let within = guarded::<Flex, _>(&FlexDevice, || {
            let _ = std::thread::spawn(move || panic!("{full}")).join();
            read(Tensor::<Flex, 1>::ones([1], &FlexDevice)).map(|_| ())
        });
        assert_eq!(within.unwrap_err().kind(), ModelErrorKind::OutOfMemory);
    }
}
