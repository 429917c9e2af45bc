//! All parameters of a network as one vector, and their names in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use half::f16;
use orfeas_hunyuan3d::ModelError;
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::weights::{DeviceParameters, Source, Weights};
use orfeas_shapes::random::Rng;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};

use super::network::Network;

/// One parameter's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The checkpoint's name of it.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Where it begins in the vector.
    pub begin: usize,
}

impl Slot {
    /// Its elements.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The parameters' order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// By name.
    pub slots: Vec<Slot>,
}

/// Writes down what is asked for.
struct Inventory(RefCell<BTreeMap<String, Vec<usize>>>);

impl Source for Inventory {
    fn tensor(&self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        self.0.borrow_mut().insert(name.to_owned(), shape.to_vec());
        let count = shape.iter().product();
        Ok(TensorData::new(vec![0f32; count], shape.to_vec()).convert_dtype(dtype))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn stored_bytes(&self, _name: &str) -> u64 {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }
}

impl Layout {
    /// What a configuration asks for.
    ///
    /// # Errors
    /// What the modules say.
    pub fn of(config: &ModelConfig) -> anyhow::Result<Self> {
        let inventory = Inventory(RefCell::default());
        let mut silent = |_, _| {};
        let weights = Weights::<Flex>::new(&inventory, FlexDevice, DType::F32, &mut silent);
        Network::load(weights, config)?;
        let mut begin = 0;
        let place = |(name, shape): (String, Vec<usize>)| {
            let slot = Slot { name, shape, begin };
            begin += slot.count();
            slot
        };
        Ok(Self { slots: inventory.0.into_inner().into_iter().map(place).collect() })
    }

    /// Elements of all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.last().map_or(0, |last| last.begin + last.count())
    }

    /// The first weights of a seed. Matrices keep the size of what goes through them; what modulates begins as nothing, so
    /// that every block begins as a plain one with closed gates (Peebles and Xie 2023).
    #[must_use]
    pub fn first(&self, seed: u64) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.count());
        for slot in &self.slots {
            let name = slot.name.as_str();
            let mut rng = Rng::new(name, &[seed]);
            let gain = name.ends_with(".scale")
                || name.ends_with("lambda1")
                || slot.shape.len() == 1 && name.ends_with(".weight");
            let closed = name.contains("modulation") || name.contains("_mod.lin");
            let spread = match (slot.shape.len(), slot.shape.iter().skip(1).product::<usize>()) {
                (0 | 1, _) => 0.0,
                _ if closed => 0.0,
                _ if name.contains("embeddings") && !name.ends_with(".weight") => 0.02,
                (_, inputs) => (1.0 / inputs.max(1) as f32).sqrt(),
            };
            let middle = if gain { 1.0 } else { 0.0 };
            values.extend((0..slot.count()).map(|_| {
                let drawn = if spread == 0.0 { 0.0 } else { rng.normal() };
                middle + spread * drawn
            }));
        }
        values
    }

    /// 1 where AdamW's decay applies, which is in matrices; else 0.
    #[must_use]
    pub fn decayed(&self) -> Vec<f32> {
        let mark = |slot: &Slot| if slot.shape.len() > 1 && slot.name.ends_with(".weight") { 1.0 } else { 0.0 };
        self.slots.iter().flat_map(|slot| std::iter::repeat_n(mark(slot), slot.count())).collect()
    }

    /// The parameters by name, each a leaf of a graph of its own.
    pub fn leaves<B: Backend>(&self, vector: &Tensor<B, 1>) -> DeviceParameters<B> {
        let leaf = |slot: &Slot| {
            let own = vector.clone().narrow(0, slot.begin, slot.count());
            (slot.name.clone(), own.require_grad())
        };
        self.slots.iter().map(leaf).collect()
    }

    /// Writes a checkpoint's weights in half precision.
    ///
    /// # Errors
    /// A value that half precision does not hold; what the disk says.
    pub fn export(&self, values: &[f32], path: &Path) -> anyhow::Result<()> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        if let Some(bad) = values.iter().position(|value| !f16::from_f32(*value).is_finite()) {
            anyhow::bail!("parameter {bad} is {}, which float16 does not hold", values[bad]);
        }
        let views = self.slots.iter().map(|slot| {
            let own = &bytes[2 * slot.begin..2 * (slot.begin + slot.count())];
            Ok((slot.name.as_str(), TensorView::new(Dtype::F16, slot.shape.clone(), own)?))
        });
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        serialize_to_file(views, None, path).with_context(|| format!("writing {}", path.display()))
    }
}
