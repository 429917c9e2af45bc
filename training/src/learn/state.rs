//! Weights on their way: AdamW, the mean of weights, and both on disk.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::kernels::Kernels;
use orfeas_hunyuan3d::weights::Weights;
use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, serialize_to_file};
use serde::{Deserialize, Serialize};

use super::batches::Batch;
use super::network::{Network, loss, tensor};
use super::parameters::Layout;
use super::plan::Plan;

/// AdamW's decays of the means of gradients and of their squares.
const BETAS: [f32; 2] = [0.9, 0.98];
const EPSILON: f32 = 1e-8;
/// The state's vectors in its file.
const VECTORS: [&str; 4] = ["weights", "first_moment", "second_moment", "mean"];

/// The entry of the file's metadata that tells what it is a state of.
const ABOUT: &str = "about";

#[derive(Serialize, Deserialize)]
struct About<P> {
    step: u64,
    plan: P,
}

/// The state of a run. All vectors are `[parameters]` in float32.
#[derive(Clone, Debug)]
pub struct State<B: Backend> {
    /// Steps that are done.
    pub step: u64,
    vectors: [Tensor<B, 1>; 4],
    decayed: Tensor<B, 1>,
    layout: Layout,
}

impl<B: Backend> State<B> {
    /// Before the first step.
    pub fn first(layout: &Layout, seed: u64, device: &B::Device) -> Self {
        let count = layout.count();
        let weights = tensor::<B, 1>(layout.first(seed), [count], device, DType::F32);
        let zeros = || Tensor::<B, 1>::zeros([count], (device, DType::F32));
        Self::of(layout, 0, [weights.clone(), zeros(), zeros(), weights], device)
    }

    fn of(layout: &Layout, step: u64, vectors: [Tensor<B, 1>; 4], device: &B::Device) -> Self {
        let decayed = tensor::<B, 1>(layout.decayed(), [layout.count()], device, DType::F32);
        Self { step, vectors, decayed, layout: layout.clone() }
    }

    /// The mean of weights: what is shipped.
    ///
    /// # Errors
    /// What the device says.
    pub fn mean(&self) -> anyhow::Result<Vec<f32>> {
        read(&self.vectors[3])
    }

    /// Writes the state under another name first: a file of this name is whole.
    ///
    /// # Errors
    /// What device and disk say.
    pub fn save(&self, plan: &Plan, path: &Path) -> anyhow::Result<()> {
        let vectors = self.vectors.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let bytes: Vec<&[u8]> = vectors.iter().map(|values| bytemuck::cast_slice(values)).collect();
        let shape = vec![self.layout.count()];
        let views = VECTORS
            .iter()
            .zip(bytes)
            .map(|(name, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        // One entry: the order of several would be another each time.
        let about = HashMap::from([(ABOUT.to_owned(), serde_json::to_string(&About { step: self.step, plan })?)]);
        let part = path.with_extension("tmp");
        serialize_to_file(views, Some(about), &part).with_context(|| format!("writing {}", part.display()))?;
        std::fs::rename(&part, path).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads a state of the same network and plan; the plan's steps may have become more or fewer.
    ///
    /// # Errors
    /// A file that is none, or of another network or plan.
    pub fn load(layout: &Layout, plan: &Plan, path: &Path, device: &B::Device) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let about = header.metadata().clone().unwrap_or_default();
        let about = about.get(ABOUT).with_context(|| format!("{} is no state of a run", path.display()))?;
        let About { step, plan: kept } = serde_json::from_str::<About<Plan>>(about)?;
        if (Plan { steps: plan.steps, ..kept.clone() }) != *plan {
            bail!("{} is of another plan: {kept:?}", path.display());
        }
        let file = SafeTensors::deserialize(&bytes)?;
        let count = layout.count();
        let vector = |name: &str| -> anyhow::Result<Tensor<B, 1>> {
            let view = file.tensor(name)?;
            if view.dtype() != Dtype::F32 || view.shape() != [count] {
                bail!("{}: {name} is {:?}, the network has {count} parameters", path.display(), view.shape());
            }
            let values = view.data().as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
            Ok(tensor(values, [count], device, DType::F32))
        };
        let [weights, first, second, mean] = VECTORS.map(vector);
        Ok(Self::of(layout, step, [weights?, first?, second?, mean?], device))
    }

    /// One step along a gradient.
    fn follow(&mut self, gradient: Tensor<B, 1>, plan: &Plan) {
        let [weights, first, second, mean] = self.vectors.clone();
        // Shortened on the device: nothing waits for its length.
        let length = gradient.clone().powi_scalar(2).sum().sqrt();
        let share = (length + 1e-12).recip().mul_scalar(plan.clip as f32).clamp_max(1.0);
        let gradient = gradient * share;
        let [beta1, beta2] = BETAS;
        let first = first * beta1 + gradient.clone() * (1.0 - beta1);
        let second = second * beta2 + gradient.powi_scalar(2) * (1.0 - beta2);
        let done = i32::try_from(self.step + 1).unwrap_or(i32::MAX);
        let unbiased = |beta: f32| (1.0 - f64::from(beta).powi(done)) as f32;
        let direction = first.clone() / unbiased(beta1) / ((second.clone() / unbiased(beta2)).sqrt() + EPSILON);
        let rate = plan.rate(self.step) as f32;
        let decay = self.decayed.clone() * weights.clone() * plan.weight_decay as f32;
        let weights = weights - (direction + decay) * rate;
        // The mean is young at first, and forgets faster then.
        let young = (1 + self.step) as f64 / (10 + self.step) as f64;
        let keep = plan.mean_decay.min(young) as f32;
        let mean = mean * keep + weights.clone() * (1.0 - keep);
        self.vectors = [weights, first, second, mean];
        self.step += 1;
    }
}

/// Learns from a batch; the loss, `[1]`, stays on the device, so that the next step need not wait.
///
/// # Errors
/// What the modules say.
pub fn learn<B>(
    state: &mut State<B::InnerBackend>,
    batch: Batch,
    plan: &Plan,
    config: &ModelConfig,
    dtype: DType,
) -> anyhow::Result<Tensor<B::InnerBackend, 1>>
where
    B: AutodiffBackend + Kernels,
{
    let device = state.vectors[0].device();
    let leaves = state.layout.leaves(&Tensor::<B, 1>::from_inner(state.vectors[0].clone()));
    let mut silent = |_, _| {};
    let weights = Weights::on_device(&leaves, device.clone(), dtype, &mut silent);
    let network = Network::<B>::load(weights, config)?;
    let side = config.conditioner.image_size;
    let pictures = tensor(batch.pictures, [plan.batch, 3, side, side], &device, dtype);
    let points = tensor(batch.points, [plan.batch, plan.points, 3], &device, DType::F32);
    let occupancy = tensor(batch.occupancy, [plan.batch, plan.points, 1], &device, DType::F32);
    let loss = loss(network.logits(pictures, points, batch.guidance), occupancy);
    let mut gradients = loss.backward();
    let parts = state.layout.slots.iter().map(|slot| {
        // What a step does not use is not changed by it.
        let zeros = || Tensor::zeros([slot.count()], (&device, DType::F32));
        leaves.get(&slot.name).and_then(|leaf| leaf.grad_remove(&mut gradients)).unwrap_or_else(zeros)
    });
    let gradient = Tensor::cat(parts.collect(), 0);
    state.follow(gradient, plan);
    Ok(loss.inner())
}

/// A vector on the host.
fn read<B: Backend>(vector: &Tensor<B, 1>) -> anyhow::Result<Vec<f32>> {
    let values: Vec<f32> = vector.clone().try_into_data()?.into_vec().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(bad) => bail!("a weight became {bad}: the run has failed; a lower learning rate may mend that"),
        None => Ok(values),
    }
}
