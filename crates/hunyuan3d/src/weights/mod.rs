//! Where a module's parameters come from: a checkpoint, or a seed.
//!
//! Modules ask for each tensor by the name and shape that they need, so that the names stand where the parameters are
//! used. A [`Source`] answers strictly; [`Weights::finish`] refuses what nobody asked for.

mod checkpoint;
mod convert;
mod random;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

pub(crate) use checkpoint::sha256_hex;
pub use checkpoint::{Checkpoint, WEIGHT_FILES};
pub use random::RandomWeights;

use crate::ModelError;
use crate::device::{device_failure, put};

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

/// Parameters that lie on a device already, by name, each `[elements]`: what training changes from step to step. What a
/// module makes of them stays part of the graph that gradients go back through.
pub type DeviceParameters<B> = BTreeMap<String, Tensor<B, 1>>;

/// Where parameters come from.
enum Origin<'a, B: Backend> {
    Source(&'a dyn Source),
    Device(&'a DeviceParameters<B>),
}

/// Takes parameters out of a source onto a device.
pub struct Weights<'a, B: Backend> {
    origin: Origin<'a, B>,
    device: B::Device,
    dtype: DType,
    prefix: String,
    used: BTreeSet<String>,
    done: u64,
    /// Bytes on their way to the device since it was last waited for.
    on_the_way: usize,
    progress: &'a mut LoadProgress<'a>,
}

/// What a module makes of its parameters: a parameter as far as the module is concerned. Not `Param::from_tensor`, which
/// wants a leaf of the graph.
pub(crate) fn derived<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Param<Tensor<B, D>> {
    Param::initialized(ParamId::new(), tensor)
}

impl<'a, B: Backend> Weights<'a, B> {
    /// Parameters for `device` in `dtype`.
    pub fn new(source: &'a dyn Source, device: B::Device, dtype: DType, progress: &'a mut LoadProgress<'a>) -> Self {
        Self::from_origin(Origin::Source(source), device, dtype, progress)
    }

    /// Parameters that lie on the device, in `dtype`: cast there where they are not.
    pub fn on_device(
        parameters: &'a DeviceParameters<B>,
        device: B::Device,
        dtype: DType,
        progress: &'a mut LoadProgress<'a>,
    ) -> Self {
        Self::from_origin(Origin::Device(parameters), device, dtype, progress)
    }

    fn from_origin(origin: Origin<'a, B>, device: B::Device, dtype: DType, progress: &'a mut LoadProgress<'a>) -> Self {
        Self { origin, device, dtype, prefix: String::new(), used: BTreeSet::new(), done: 0, on_the_way: 0, progress }
    }

    /// Whether the parameters lie on the device, where gradients may be wanted of them.
    #[must_use]
    pub fn are_on_device(&self) -> bool {
        matches!(self.origin, Origin::Device(_))
    }

    /// Where parameters go.
    #[must_use]
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// In which precision.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
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
        const MOST_ON_THE_WAY: usize = 256 << 20;
        if let Origin::Device(parameters) = self.origin {
            return self.given(parameters, name, shape);
        }
        let data = self.data(name, &shape, self.dtype)?;
        // CubeCL copies what it is given, also what lies in the file itself.
        self.on_the_way += data.bytes.len();
        let tensor = put(data, shape, &self.device);
        if self.on_the_way > MOST_ON_THE_WAY {
            self.on_the_way = 0;
            // CubeCL lets go of what it has copied when a kernel is launched, and only then; any will do.
            let _ = Tensor::<B, 1>::ones([1], (&self.device, DType::F32)) + 1.0;
            B::sync(&self.device).map_err(|error| device_failure(&error.to_string()))?;
        }
        Ok(derived(tensor))
    }

    fn given<const D: usize>(
        &mut self,
        parameters: &DeviceParameters<B>,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<B, D>>, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let count = shape.iter().product::<usize>();
        let tensor = match parameters.get(&name) {
            Some(tensor) if tensor.dims() == [count] => tensor.clone().reshape(shape),
            Some(tensor) => {
                let found = tensor.dims()[0];
                return Err(ModelError::weights(format!("tensor {name:?} has {found} elements, not {count}")));
            }
            None => return Err(ModelError::weights(format!("there is no tensor {name:?}"))),
        };
        self.used.insert(name);
        Ok(derived(if tensor.dtype() == self.dtype { tensor } else { tensor.cast(self.dtype) }))
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
        self.constant_in(self.dtype, values, shape)
    }

    /// The same in a precision of its own.
    pub fn constant_in<const D: usize>(&self, dtype: DType, values: Vec<f32>, shape: [usize; D]) -> Tensor<B, D> {
        put(TensorData::new(values, shape).convert_dtype(dtype), shape, &self.device)
    }

    fn data(&mut self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let Origin::Source(source) = self.origin else {
            return Err(ModelError::weights(format!("tensor {name:?} is wanted on the host, but lies on the device")));
        };
        let data = source.tensor(&name, shape, dtype)?;
        self.done += source.stored_bytes(&name);
        self.used.insert(name);
        let total = source.bytes();
        (self.progress)(self.done.min(total), total);
        Ok(data)
    }

    /// Refuses tensors of the source that nobody took.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] names the first ones.
    pub fn finish(self) -> Result<(), ModelError> {
        let names = match self.origin {
            Origin::Source(source) => source.names(),
            Origin::Device(parameters) => parameters.keys().cloned().collect(),
        };
        let surplus: Vec<_> = names.into_iter().filter(|name| !self.used.contains(name)).collect();
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
