//! Where a module's parameters come from: a checkpoint, or a seed.
//!
//! Modules ask for each tensor by the name and shape that they need, so that the names stand where the parameters are
//! used. A [`Source`] answers strictly; [`Weights::finish`] refuses what nobody asked for.

mod checkpoint;
mod convert;
mod random;

use std::collections::BTreeSet;

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Shape, Tensor, TensorData};

pub use checkpoint::{Checkpoint, WEIGHT_FILES};
pub use random::RandomWeights;

use crate::ModelError;
use crate::device::device_failure;

/// Gives parameters by name.
pub trait Source {
    /// The tensor of that name, in `dtype`.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] names a tensor that is missing, has another shape or holds what is no number.
    fn tensor(&self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError>;

    /// All names, as far as the source knows any.
    fn names(&self) -> Vec<String>;

    /// Bytes of one tensor as it is stored, for progress; 0 where there is no such tensor.
    fn stored_bytes(&self, name: &str) -> u64;

    /// Bytes of all tensors as they are stored; 0 where unknown.
    fn bytes(&self) -> u64;
}

/// Told how far loading has come: bytes done, bytes in all.
pub type LoadProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// Takes parameters out of a source onto a device.
pub struct Weights<'a, B: Backend> {
    source: &'a dyn Source,
    device: B::Device,
    dtype: DType,
    prefix: String,
    used: BTreeSet<String>,
    done: u64,
    /// Bytes on their way to the device since it was last waited for.
    on_the_way: usize,
    progress: &'a mut LoadProgress<'a>,
}

impl<'a, B: Backend> Weights<'a, B> {
    /// Parameters for `device` in `dtype`.
    pub fn new(source: &'a dyn Source, device: B::Device, dtype: DType, progress: &'a mut LoadProgress<'a>) -> Self {
        Self { source, device, dtype, prefix: String::new(), used: BTreeSet::new(), done: 0, on_the_way: 0, progress }
    }

    /// Runs `build` with `part.` before every name.
    ///
    /// # Errors
    /// What `build` says.
    pub fn within<T>(
        &mut self,
        part: &str,
        build: impl FnOnce(&mut Self) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let length = self.prefix.len();
        if !part.is_empty() {
            self.prefix.push_str(part);
            self.prefix.push('.');
        }
        let built = build(self);
        self.prefix.truncate(length);
        built
    }

    /// One tensor as a parameter.
    ///
    /// # Errors
    /// As [`Source::tensor`].
    pub fn param<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<B, D>>, ModelError> {
        /// What may lie on the host at a time, waiting to be carried over.
        const MOST_ON_THE_WAY: usize = 128 << 20;
        let data = self.data(name, &shape, self.dtype)?;
        self.on_the_way += data.bytes.len();
        let tensor = Tensor::from_data(data, (&self.device, self.dtype));
        if self.on_the_way > MOST_ON_THE_WAY {
            self.on_the_way = 0;
            // CubeCL lets go of what it has copied when a kernel is launched, and only then; any will do.
            let _ = Tensor::<B, 1>::ones([1], (&self.device, DType::F32)) + 1.0;
            B::sync(&self.device).map_err(|error| device_failure(&error.to_string()))?;
        }
        Ok(Param::initialized(ParamId::new(), tensor))
    }

    /// One tensor in float32 on the host, for what is computed once from it.
    ///
    /// # Errors
    /// As [`Source::tensor`].
    pub fn host(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let data = self.data(name, shape, DType::F32)?;
        data.into_vec().map_err(|error| ModelError::weights(format!("tensor {name:?}: {error:?}")))
    }

    /// A tensor of host values on the device, in the parameters' precision.
    pub fn constant<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<B, D> {
        let data = TensorData::new(values, Shape::new(shape)).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
    }

    fn data(&mut self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let data = self.source.tensor(&name, shape, dtype)?;
        self.done += self.source.stored_bytes(&name);
        self.used.insert(name);
        let total = self.source.bytes();
        (self.progress)(self.done.min(total), total);
        Ok(data)
    }

    /// Refuses tensors of the source that nobody took.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] names the first ones.
    pub fn finish(self) -> Result<(), ModelError> {
        let surplus: Vec<_> = self.source.names().into_iter().filter(|name| !self.used.contains(name)).collect();
        if surplus.is_empty() {
            return Ok(());
        }
        let named = surplus.iter().take(3).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = if surplus.len() > 3 { format!(" and {} more", surplus.len() - 3) } else { String::new() };
        Err(ModelError::weights(format!(
            "the checkpoint holds tensors that config.yaml has no place for: {named}{more}"
        )))
    }
}
