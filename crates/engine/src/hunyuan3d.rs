//! The neural engine: a checkpoint of Hunyuan3D-2 behind the engine trait.

use std::ops::ControlFlow;
use std::path::PathBuf;

use image::RgbaImage;
use orfeas_contract::Provenance;
use orfeas_field::{Bounds, Field};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::memory::Budget;
use orfeas_hunyuan3d::volume::{Method, Volume, VolumeOptions};
use orfeas_hunyuan3d::weights::Checkpoint;
use orfeas_hunyuan3d::{
    Begin, DeviceName, Latents, ModelError, ModelErrorKind, Phase, Precision, ShapeJob, ShapeModel, ShapeRequest,
    ShapeWatch, checked, image as pictures, open_as,
};

use crate::fit::Fit;
use crate::registry::RESOLUTION;
use crate::sparse::sparse;
use crate::{
    Batching, Ended, Engine, EngineError, EngineErrorKind, LoadProgress, LowVram, Observer, Picture, Request, Resume,
    Task,
};

pub(crate) const NAME: &str = "hunyuan3d";

/// The guidance scale where nobody says: the reference's.
const GUIDANCE: f32 = 5.0;
/// Steps of any schedule, at the most.
const MOST_STEPS: u32 = 200;

/// A checkpoint and how to run it.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// The checkpoint folder.
    pub folder: PathBuf,
    /// A folder with a shape decoder to use instead of the checkpoint's own.
    pub vae: Option<PathBuf>,
    /// Where it runs.
    pub device: DeviceName,
    /// In which precision; none: the device's own.
    pub precision: Option<Precision>,
    /// How fields are decoded; none: as the checkpoint says, else FlashVDM where the shape decoder looks made for it, else
    /// hierarchical.
    pub decoder: Option<Method>,
    /// Queries that are decoded at a time, at the most.
    pub chunk: usize,
    /// Device memory that may be used; none: no bound.
    pub memory: Option<Budget>,
    /// Whether parts leave the device.
    pub low_vram: LowVram,
    /// Whether jobs advance together.
    pub batching: Batching,
    /// Jobs that there may be at once: no batch is larger.
    pub jobs: usize,
}

/// The neural engine.
pub struct Hunyuan3d {
    model: Box<dyn ShapeModel>,
    label: String,
    sha256: String,
    resolution: u32,
    decoder: Method,
    /// Queries at a time, as many as were asked for and fit.
    chunk: usize,
    /// Jobs in one batch, at the most.
    together: usize,
}

/// What becomes a shape's field, and what of it the provenance names.
struct Prepared {
    shape: ShapeRequest,
    seed: u64,
}

impl Hunyuan3d {
    /// Loads a checkpoint. Requests that name no resolution get `resolution`, without it the checkpoint's own, else 256.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unavailable`] for a checkpoint or device that is not there or not known,
    /// [`EngineErrorKind::InsufficientMemory`] where the model needs more than may be used.
    pub fn load(
        spec: &ModelSpec,
        resolution: Option<u32>,
        progress: &mut LoadProgress<'_>,
    ) -> Result<Self, EngineError> {
        let precision = checked(spec.device, spec.precision).map_err(|error| loading(&error))?;
        let config = ModelConfig::read_with(&spec.folder, spec.vae.as_deref()).map_err(|error| loading(&error))?;
        let resolution = resolution.or(config.own.resolution).unwrap_or(RESOLUTION);
        check_resolution(resolution)?;
        let fit = Fit::of(spec, &config, precision).map_err(|error| engine_error(&error))?;
        // Told apart from the run's own errors: whatever is wrong here is wrong for every job.
        let checkpoint = Checkpoint::open(&spec.folder).map_err(|error| loading(&error))?;
        let (model, sha256) = std::thread::scope(|scope| {
            // The hash reads what loading reads, and goes along with it.
            let hash = scope.spawn(|| checkpoint.sha256());
            let mut told = None;
            let mut percent = |done: u64, all: u64| {
                let percent = (done * 100 / all.max(1)).min(100) as u8;
                if told != Some(percent) {
                    told = Some(percent);
                    progress(percent);
                }
            };
            let vae = spec.vae.as_deref();
            let model = open_as(fit.residency, &spec.folder, vae, spec.device, Some(precision), &mut percent);
            (model, hash.join())
        });
        let model = model.map_err(|error| loading(&error))?;
        let unhashed = |_| EngineError::new(EngineErrorKind::Unavailable, "hashing the weights broke off");
        let sha256 = sha256.map_err(unhashed)?;
        let config = model.config();
        let folder = spec.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let narrow = config.vae.geo_decoder_downsample_ratio > 1 || !config.vae.geo_decoder_ln_post;
        let made_for = if narrow { Method::FlashVdm } else { Method::Hierarchical };
        Ok(Self {
            label: format!("{folder} ({})", config.variant()),
            sha256,
            resolution,
            decoder: spec.decoder.or(config.own.decoder).unwrap_or(made_for),
            chunk: fit.chunk,
            together: fit.together,
            model,
        })
    }

    /// Steps of a request.
    fn steps(&self, request: &Request) -> u32 {
        request.steps.unwrap_or_else(|| self.model.config().default_steps()).clamp(1, MOST_STEPS)
    }

    /// Its guidance scale.
    fn guidance(&self, request: &Request) -> f32 {
        let own = self.model.config().own.guidance.map(|own| own as f32);
        request.guidance.or(own).unwrap_or(GUIDANCE)
    }

    /// Where it goes on from, where an earlier attempt of as many steps left something of this model's shape.
    fn resume<'a>(&self, request: &'a Request) -> Option<&'a Resume> {
        let vae = &self.model.config().vae;
        let fits = |resume: &&Resume| {
            resume.step <= self.steps(request) && resume.latents.len() == vae.num_latents * vae.embed_dim
        };
        request.resume.as_ref().filter(fits)
    }

    /// What the model is asked for.
    fn prepare(&self, picture: &Picture, request: &Request) -> Result<Prepared, EngineError> {
        picture.check()?;
        let config = self.model.config();
        let resolution = request.resolution.unwrap_or(self.resolution);
        check_resolution(resolution)?;
        let pixels = RgbaImage::from_raw(picture.width, picture.height, picture.rgba.clone());
        let pixels =
            pixels.ok_or_else(|| EngineError::new(EngineErrorKind::Unsupported, "the picture has no pixels"))?;
        let view =
            pictures::process_prepared(&config.image_processor, &pixels, 0).map_err(|error| engine_error(&error))?;
        let begin = match self.resume(request) {
            Some(resume) => Begin::Latents(Latents { step: resume.step as usize, values: resume.latents.clone() }),
            None => Begin::Seed(request.seed),
        };
        let shape = ShapeRequest {
            views: vec![view],
            begin,
            steps: self.steps(request),
            guidance: f64::from(self.guidance(request)),
            volume: VolumeOptions { chunk: self.chunk, ..VolumeOptions::new(self.decoder, resolution as usize) },
        };
        Ok(Prepared { shape, seed: config.own.noise_seed.unwrap_or(request.seed) })
    }

    /// The field of what came out.
    fn field(&self, Prepared { shape, seed }: &Prepared, volume: &Volume) -> Field {
        let grid = sparse(volume, shape.volume.level);
        let provenance = Provenance {
            engine: NAME.to_owned(),
            model: self.label.clone(),
            weights_sha256: Some(self.sha256.clone()),
            seed: *seed,
            steps: shape.steps,
            guidance: shape.guidance as f32,
            // FlashVDM rounds what was asked for.
            resolution: volume.samples as u32 - 1,
        };
        let [min, max] = volume.bounds;
        Field { grid, bounds: Bounds { min, max }, provenance }
    }
}

fn check_resolution(resolution: u32) -> Result<(), EngineError> {
    if (16..=1024).contains(&resolution) {
        return Ok(());
    }
    let sentence = format!("hunyuan3d reads fields at resolutions from 16 to 1024, not {resolution}");
    Err(EngineError::new(EngineErrorKind::Unsupported, sentence))
}

fn loading(error: &ModelError) -> EngineError {
    match error.kind() {
        ModelErrorKind::Memory => engine_error(error),
        _ => EngineError::new(EngineErrorKind::Unavailable, error.to_string()),
    }
}

fn engine_error(error: &ModelError) -> EngineError {
    let kind = match error.kind() {
        ModelErrorKind::Cancelled => return EngineError::cancelled(),
        ModelErrorKind::NoSubject => EngineErrorKind::NoSubject,
        ModelErrorKind::Request => EngineErrorKind::Unsupported,
        ModelErrorKind::Memory => EngineErrorKind::InsufficientMemory,
        ModelErrorKind::OutOfMemory => EngineErrorKind::OutOfMemory,
        ModelErrorKind::Device | ModelErrorKind::Config | ModelErrorKind::Weights => EngineErrorKind::Unavailable,
        ModelErrorKind::Compute => EngineErrorKind::Failed,
    };
    EngineError::new(kind, error.to_string())
}

impl Engine for Hunyuan3d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> String {
        self.label.clone()
    }

    fn identity(&self) -> String {
        // Steps, guidance and the schedule are the configuration's, where a request does not say them.
        format!("{NAME} {} {}", self.sha256, self.model.config().sha256())
    }

    fn floaters(&self) -> Option<f32> {
        self.model.config().own.floaters
    }

    fn generate(
        &mut self,
        picture: &Picture,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Field, EngineError> {
        let prepared = self.prepare(picture, request)?;
        let volume =
            self.model.generate(&prepared.shape, &mut Watch(observer)).map_err(|error| engine_error(&error))?;
        Ok(self.field(&prepared, &volume))
    }

    fn most_together(&self) -> usize {
        self.together
    }

    fn goes_together(&self, one: &Request, other: &Request) -> bool {
        let shaping = |request: &Request| {
            let begun = self.resume(request).map_or(0, |resume| resume.step);
            (self.steps(request), self.guidance(request).to_bits(), begun)
        };
        shaping(one) == shaping(other)
    }

    fn generate_together(&mut self, tasks: &mut [Task<'_>], ended: &mut Ended<'_>) {
        let (mut places, mut prepared, mut watches) = (Vec::new(), Vec::new(), Vec::new());
        for (place, task) in tasks.iter_mut().enumerate() {
            match self.prepare(task.picture, task.request) {
                Ok(own) => {
                    places.push(place);
                    prepared.push(own);
                    watches.push(Watch(&mut *task.observer));
                }
                Err(error) => ended(place, Err(error)),
            }
        }
        let job = |(own, watch)| {
            let own: &Prepared = own;
            let watch: &mut Watch<'_> = watch;
            ShapeJob { request: &own.shape, watch }
        };
        let mut jobs: Vec<_> = prepared.iter().zip(&mut watches).map(job).collect();
        self.model.generate_together(&mut jobs, &mut |job, made| {
            let volume = made.map_err(|error| engine_error(&error));
            ended(places[job], volume.map(|volume| self.field(&prepared[job], &volume)));
        });
    }
}

/// The model's watch over the engine's observer.
struct Watch<'a>(&'a mut dyn Observer);

impl ShapeWatch for Watch<'_> {
    fn progress(&mut self, phase: Phase, done: usize, all: usize) -> ControlFlow<()> {
        self.0.progress(phase.name(), done as u32, all as u32);
        if self.0.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn wants(&self, step: usize) -> bool {
        self.0.keeps(step as u32)
    }

    fn keep(&mut self, latents: Latents) {
        self.0.keep(Resume { step: latents.step as u32, latents: latents.values });
    }
}
