//! Every stage's tensor of one run, under the names of the parity cases, for comparison with the reference.

use std::collections::BTreeMap;
use std::path::Path;

use image::RgbaImage;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::config::SchedulerConfig;
use crate::device::read;
use crate::kernels::Kernels;
use crate::model::{Model, Probe};
use crate::sampling::Latents;
use crate::schedule::{Schedule, consistency_table};
use crate::volume::{Method, Volume, VolumeOptions, to_device};
use crate::weights::Checkpoint;
use crate::{ModelError, image as pictures};

/// Resolution of the dense grid.
const DENSE: usize = 32;
/// Resolution of the refined ones.
const REFINED: usize = 128;

/// What to trace.
#[derive(Debug)]
pub struct TraceRequest {
    /// Pictures whose alpha is the subject, each with its place.
    pub views: Vec<(usize, RgbaImage)>,
    /// `latents_0`, where given; else [`Self::seed`]'s noise.
    pub latents: Option<Vec<f32>>,
    /// Points to ask the geometry decoder at, x, y and z.
    pub queries: Option<Vec<f32>>,
    /// Seed of the noise.
    pub seed: u64,
    /// Sampling steps.
    pub steps: u32,
    /// Guidance scale.
    pub guidance: f64,
}

impl TraceRequest {
    /// Takes `latents_0` and, where there, `queries` from a safetensors file.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] for an unreadable file or one without `latents_0`.
    pub fn take_noise(&mut self, path: &Path) -> Result<(), ModelError> {
        let file = Checkpoint::open_path(path)?;
        self.latents = Some(file.any("latents_0")?.1);
        self.queries = if file.has("queries") { Some(file.any("queries")?.1) } else { None };
        Ok(())
    }
}

/// The tensors of one run: name → shape and values.
#[derive(Debug, Default)]
pub struct Trace {
    /// Each as float32.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Trace {
    /// Writes a safetensors file.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ModelError> {
        let wrong = |error: &dyn std::fmt::Display| {
            ModelError::weights(format!("{} cannot be written: {error}", path.display()))
        };
        let views = self.tensors.iter().map(|(name, (shape, values))| {
            let bytes = bytemuck::cast_slice(values);
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        safetensors::serialize_to_file(views, None, path).map_err(|error| wrong(&error))
    }

    fn put(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.tensors.insert(name.to_owned(), (shape.to_vec(), values));
    }
}

impl Probe for Trace {
    fn tensor(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &mut dyn FnMut() -> Result<Vec<f32>, ModelError>,
    ) -> Result<(), ModelError> {
        self.put(name, shape, values()?);
        Ok(())
    }
}

/// Runs a model and keeps every stage.
///
/// # Errors
/// As the stages'.
pub fn trace<B: Kernels>(model: &Model<B>, request: &TraceRequest) -> Result<Trace, ModelError> {
    if let Some(queries) = request.queries.as_ref().filter(|q| q.is_empty() || !q.len().is_multiple_of(3)) {
        return Err(ModelError::request(format!("the queries have {} values, which are no points", queries.len())));
    }
    model.check_steps(request.steps)?;
    let mut trace = Trace::default();
    let config = &model.config.image_processor;
    let mut views = Vec::new();
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    let mut pictures: Vec<_> = request.views.iter().collect();
    pictures.sort_by_key(|(index, _)| *index);
    for (index, picture) in pictures {
        let (view, mask) = pictures::process(config, picture, *index)?;
        images.extend_from_slice(&view.image);
        masks.extend(mask);
        views.push(view);
    }
    let (side, count) = (config.size as usize, views.len());
    let several = |channels: usize| match config.multi_view {
        true => vec![1, count, channels, side, side],
        false => vec![count, channels, side, side],
    };
    trace.put("processed_image", &several(3), images);
    trace.put("processed_mask", &several(1), masks);

    let condition = model.encode(&views, request.guidance, &mut trace)?;
    let begin = match &request.latents {
        Some(values) => Latents { step: 0, values: values.clone() },
        None => model.noise(request.seed),
    };
    let vae = &model.config.vae;
    trace.put("latents_0", &[1, vae.num_latents, vae.embed_dim], begin.values.clone());
    let schedule = Schedule::new(&model.config.scheduler, request.steps);
    let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
    trace.put("timesteps", &[schedule.steps()], narrow(&schedule.times));
    // The reference's consistency scheduler shows its whole table under that name.
    let sigmas = match &model.config.scheduler {
        SchedulerConfig::FlowMatchEuler { .. } => schedule.sigmas.clone(),
        SchedulerConfig::Consistency { num_train_timesteps, pcm_timesteps } => {
            consistency_table(*num_train_timesteps, *pcm_timesteps)
        }
    };
    trace.put("sigmas", &[sigmas.len()], narrow(&sigmas));
    let mut go_on = |_: usize, _: usize, _: &mut dyn FnMut() -> Result<Latents, ModelError>| {
        Ok(std::ops::ControlFlow::Continue(()))
    };
    let latents = model.sample(&condition, begin, request.steps, request.guidance, &mut go_on, &mut trace)?;
    let tokens = model.tokens(latents)?;
    trace.put("vae_tokens", &tokens.dims(), read(tokens.clone())?);
    if let Some(queries) = &request.queries {
        let shape = [1, queries.len() / 3, 3];
        let points = to_device::<B>(queries[..shape[1] * 3].to_vec(), model.device());
        let vae = model.vae()?;
        let keys = vae.geometry.keys(tokens.clone());
        let logits = read(vae.geometry.logits(points, &keys))?;
        trace.put("queries", &shape, queries.clone());
        trace.put("query_logits", &[1, shape[1], 1], logits);
    }
    for (name, method, resolution) in [
        ("grid_vanilla_32", Method::Dense, DENSE),
        ("grid_hierarchical_128", Method::Hierarchical, REFINED),
        ("grid_flashvdm_128", Method::FlashVdm, REFINED),
    ] {
        let options = VolumeOptions { close: false, ..VolumeOptions::new(method, resolution) };
        let volume = model.volume(tokens.clone(), &options, &mut |_, _, _, _| std::ops::ControlFlow::Continue(()))?;
        let shape = [1, volume.samples, volume.samples, volume.samples];
        if method != Method::Dense {
            let (samples, every_fourth) = thinned(&volume, 4);
            trace.put(&format!("{name}_every_4th"), &[1, samples, samples, samples], every_fourth);
            trace.put(&format!("{name}_count"), &[1], vec![volume.evaluated() as f32]);
            trace.put(&format!("{name}_shape"), &[4], shape.iter().map(|n| *n as f32).collect());
        }
        trace.put(name, &shape, volume.dense());
    }
    Ok(trace)
}

/// Every `step`-th sample of a volume along each axis.
fn thinned(volume: &Volume, step: usize) -> (usize, Vec<f32>) {
    let n = volume.samples;
    let axis = || (0..n).step_by(step);
    let places = axis().flat_map(|x| axis().flat_map(move |y| axis().map(move |z| [x, y, z])));
    (n.div_ceil(step), places.map(|place| volume.value(place)).collect())
}
