//! NVIDIA GPUs: for now every kernel in plain Burn operations.

use burn_cuda::{Cuda, CudaDevice};

use super::Kernels;
use crate::{ModelError, ModelErrorKind};

impl Kernels for Cuda {}

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
        let ones = burn::tensor::Tensor::<Cuda, 1>::ones([1], &CudaDevice::new(number));
        ones.try_into_data().map(|_| ()).map_err(|error| error.to_string())
    });
    match probe {
        Ok(Ok(())) => Ok(device),
        Ok(Err(error)) => Err(absent(error)),
        Err(_) => Err(absent("the NVIDIA driver or its compiler NVRTC did not start".into())),
    }
}
