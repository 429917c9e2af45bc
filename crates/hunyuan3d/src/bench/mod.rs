//! Times every stage of a model by itself, first call and steady state apart.

mod growth;

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use serde::Serialize;

use crate::conditioner::ProcessedView;
use crate::config::ModelConfig;
use crate::device::{DeviceName, Precision, device_failure, read};
use crate::kernels::Kernels;
use crate::model::{Model, NoProbe};
use crate::noise;
use crate::open::{Begin, Phase, ShapeJob, ShapeModel as _, ShapeRequest, ShapeWatch};
use crate::parts::Residency;
use crate::sampling::{Latents, Run};
use crate::volume::{Method, Score, VolumeOptions, to_device};
use crate::weights::{Checkpoint, RandomWeights};
use crate::{ModelError, checked};
pub use growth::{Growth, peak_resident_bytes, resident_bytes};

/// What to time.
#[derive(Clone, Debug)]
pub struct BenchRequest {
    /// The model's sizes.
    pub config: ModelConfig,
    /// A checkpoint's weights; none: random ones.
    pub folder: Option<std::path::PathBuf>,
    /// Whether all of a checkpoint's parts are on the device. In turn, a stage's time has that of fetching its part in it.
    pub residency: Residency,
    /// Where.
    pub device: DeviceName,
    /// In which precision; none: the device's own.
    pub precision: Option<Precision>,
    /// Sampling steps that are timed.
    pub steps: u32,
    /// Resolution of the volume; 0: no volume, only the queries.
    pub resolution: usize,
    /// Queries at a time.
    pub chunk: usize,
    /// Queries of the stage `queries`.
    pub queries: usize,
    /// How the volume is decoded.
    pub method: Method,
    /// How often each stage is run after its first call.
    pub repeat: usize,
    /// Whether whole jobs are timed instead: encoding, all steps, decoding.
    pub jobs: bool,
    /// Jobs that are sampled in one batch.
    pub batch: usize,
}

/// The times of a stage, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct StageTime {
    /// Its name.
    pub stage: String,
    /// Of the first call, which may compile and allocate.
    pub first_ms: f64,
    /// The median of the calls after it.
    pub steady_ms: f64,
    /// Jobs that these times are of together, where they are more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<usize>,
    /// Queries of a volume stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<usize>,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Where.
    pub device: String,
    /// In which precision.
    pub precision: String,
    /// Parameters of the whole model.
    pub parameters: u64,
    /// Making or reading the weights and carrying them to the device.
    pub load_ms: f64,
    /// The stages in their order.
    pub stages: Vec<StageTime>,
    /// What whole jobs left behind, where there were enough of them to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Growth>,
}

/// Runs the benchmark on the device that is asked for.
///
/// # Errors
/// [`crate::ModelErrorKind::Device`] for a device that is not there; else as the stages'.
pub fn bench(request: &BenchRequest) -> Result<BenchReport, ModelError> {
    match request.device {
        DeviceName::Cpu => run::<Flex>(request, FlexDevice),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => run::<burn_cuda::Cuda>(request, crate::kernels::cuda::device(number)?),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => Err(crate::open::no_cuda()),
    }
}

/// Nobody watches.
struct Unwatched;

impl ShapeWatch for Unwatched {
    fn progress(&mut self, _: Phase, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Makes shapes in one batch, all of them.
fn together<B: Kernels>(model: &Model<B>, requests: &[ShapeRequest]) -> Result<(), ModelError> {
    let mut watches: Vec<_> = requests.iter().map(|_| Unwatched).collect();
    let job = |(request, watch)| {
        let watch: &mut Unwatched = watch;
        ShapeJob { request, watch }
    };
    let mut jobs: Vec<_> = requests.iter().zip(&mut watches).map(job).collect();
    let mut all = Ok(());
    model.generate_together(&mut jobs, &mut |_, made| {
        if let Err(error) = made {
            all = Err(error);
        }
    });
    all
}

fn run<B: Kernels>(request: &BenchRequest, device: B::Device) -> Result<BenchReport, ModelError> {
    let precision = checked(request.device, request.precision)?;
    let begin = Instant::now();
    let model = match &request.folder {
        Some(folder) => {
            Model::<B>::load_as(request.residency, folder, None, device.clone(), precision, &mut |_, _| {})?
        }
        None => {
            let random = RandomWeights { seed: 1 };
            Model::<B>::from_source(request.config.clone(), &random, device.clone(), precision, &mut |_, _| {})?
        }
    };
    model.wait()?;
    let load_ms = milliseconds(begin);
    let parameters = match &request.folder {
        Some(folder) => Checkpoint::open(folder)?.parameters(),
        None => count_parameters(&model)?,
    };
    let mut stages = Vec::new();

    let size = request.config.image_processor.size as usize;
    let views: Vec<_> = (0..request.config.conditioner.most_views())
        .map(|index| ProcessedView { image: noise::normal(index as u64, 3 * size * size), size, index })
        .collect();
    if request.jobs {
        let volume = VolumeOptions {
            chunk: request.chunk.max(1),
            score: Some(Score::TorusAndBall),
            ..VolumeOptions::new(request.method, request.resolution)
        };
        let steps = request.steps.max(1);
        let seed = |job: usize| Begin::Seed(3 + job as u64);
        let job = |job| ShapeRequest { views: views.clone(), begin: seed(job), steps, guidance: 5.0, volume };
        let jobs: Vec<_> = (0..request.batch.max(1)).map(job).collect();
        // Twenty rounds, or a fifth of few.
        let warm_up = (request.repeat / 5).min(20);
        let (mut round, mut held) = (0, Vec::new());
        let mut stage = timed("job", request.repeat, || {
            together(&model, &jobs)?;
            if round >= warm_up {
                held.push((resident_bytes(), B::reserved_bytes(&device)));
            }
            round += 1;
            Ok(())
        })?;
        stage.jobs = Some(jobs.len()).filter(|jobs| *jobs > 1);
        stages.push(stage);
        let memory = Growth::of(&held, (warm_up + 1) * jobs.len(), (request.repeat - warm_up) * jobs.len());
        return Ok(BenchReport {
            device: B::name(&device),
            precision: precision.to_string(),
            parameters,
            load_ms,
            stages,
            memory,
        });
    }

    let mut condition = None;
    stages.push(timed("conditioner", request.repeat, || {
        condition = Some(model.encode(&views, 5.0, &mut NoProbe)?);
        model.wait()
    })?);
    let Some(condition) = condition else { return Err(ModelError::request("nothing was timed")) };

    stages.push(attention::<B>(request, &device, precision)?);

    // Each step by itself, from the watch that the sampler calls before it.
    let mut marks = Vec::new();
    let mut mark = |run: usize, _: usize, _: usize, _: &mut dyn FnMut() -> Result<Latents, ModelError>| {
        if run == 0 {
            model.wait()?;
            marks.push(Instant::now());
        }
        Ok(ControlFlow::Continue(()))
    };
    let batch = request.batch.max(1);
    let runs = (0..batch).map(|run| Run { condition: condition.clone(), begin: model.noise(3 + run as u64) }).collect();
    // A step more than is timed, where the model takes as many: the last one of a flow-matching schedule is not computed.
    let steps = (request.steps.max(1) + 1).min(request.config.own.most_steps.unwrap_or(u32::MAX));
    let sampled = model.sample_together(runs, steps, 5.0, &mut mark, &mut NoProbe)?;
    model.wait()?;
    marks.push(Instant::now());
    let Some(latents) = sampled.into_iter().next() else { return Err(ModelError::request("nothing was timed")) };
    let latents = latents?;
    let mut steps: Vec<f64> = marks.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
    steps.truncate(request.steps.max(1) as usize);
    stages.push(StageTime {
        stage: "step".into(),
        first_ms: steps.first().copied().unwrap_or(0.0),
        steady_ms: if steps.len() > 1 { median(steps[1..].to_vec()) } else { steps.first().copied().unwrap_or(0.0) },
        jobs: Some(batch).filter(|jobs| *jobs > 1),
        queries: None,
    });

    let mut tokens = None;
    stages.push(timed("shape decoder", request.repeat, || {
        tokens = Some(model.tokens(latents.clone())?);
        model.wait()
    })?);
    let Some(tokens) = tokens else { return Err(ModelError::request("nothing was timed")) };

    let vae = model.vae()?;
    let keys = vae.geometry.keys(tokens.clone());
    // Points lie on the device, as the reference's do; the volume's time has their way there in it. Logits come over together.
    let chunk = request.chunk.max(1);
    let points = to_device::<B>(noise::normal(4, 3 * request.queries.max(1)), &device);
    let mut queries = timed("queries", request.repeat, || {
        let logits = (0..request.queries).step_by(chunk).map(|begin| {
            let count = chunk.min(request.queries - begin);
            vae.geometry.logits(points.clone().narrow(1, begin, count), &keys).reshape([count])
        });
        let logits: Vec<Tensor<B, 1>> = logits.collect();
        if !logits.is_empty() {
            read(Tensor::cat(logits, 0))?;
        }
        Ok(())
    })?;
    queries.queries = Some(request.queries);
    stages.push(queries);

    if request.resolution > 0 {
        let options = VolumeOptions {
            chunk: request.chunk,
            score: Some(Score::TorusAndBall),
            ..VolumeOptions::new(request.method, request.resolution)
        };
        let mut asked = 0;
        let mut volume = timed("volume", request.repeat.min(1), || {
            asked = 0;
            let mut last = (0, 0);
            model.volume(tokens.clone(), &options, &mut |level, _, done, _| {
                asked += done - if last.0 == level { last.1 } else { 0 };
                last = (level, done);
                ControlFlow::Continue(())
            })?;
            Ok(())
        })?;
        volume.queries = Some(asked);
        stages.push(volume);
    }
    B::run_ended();
    let precision = precision.to_string();
    Ok(BenchReport { device: B::name(&device), precision, parameters, load_ms, stages, memory: None })
}

/// The transformer's attention by itself, as many times in a row as hide what a launch takes.
fn attention<B: Kernels>(
    request: &BenchRequest,
    device: &B::Device,
    precision: Precision,
) -> Result<StageTime, ModelError> {
    let config = &request.config;
    let heads = config.denoiser.num_heads;
    let shape = [config.halves(), heads, config.step_tokens(), config.denoiser.hidden_size / heads];
    let dtype = precision.dtype();
    let [q, k, v] = [1, 2, 3].map(|seed| {
        let data = TensorData::new(noise::normal(seed, shape.iter().product()), shape).convert_dtype(dtype);
        Tensor::<B, 4>::from_data(data, (device, dtype))
    });
    let times = if request.device == DeviceName::Cpu { 1 } else { 50 };
    let mut stage = timed("attention", request.repeat, || {
        for _ in 0..times {
            B::attend(q.clone(), k.clone(), v.clone());
        }
        B::sync(device).map_err(|error| device_failure(&error.to_string()))
    })?;
    stage.first_ms /= f64::from(times);
    stage.steady_ms /= f64::from(times);
    Ok(stage)
}

fn count_parameters<B: Kernels>(model: &Model<B>) -> Result<u64, ModelError> {
    use burn::module::Module as _;
    let parts = [model.conditioner()?.num_params(), model.denoiser()?.num_params(), model.vae()?.num_params()];
    Ok(parts.iter().sum::<usize>() as u64)
}

fn timed(stage: &str, repeat: usize, mut run: impl FnMut() -> Result<(), ModelError>) -> Result<StageTime, ModelError> {
    let begin = Instant::now();
    run()?;
    let first_ms = milliseconds(begin);
    let mut times = Vec::new();
    for _ in 0..repeat {
        let begin = Instant::now();
        run()?;
        times.push(milliseconds(begin));
    }
    let steady_ms = if times.is_empty() { first_ms } else { median(times) };
    Ok(StageTime { stage: stage.to_owned(), first_ms, steady_ms, jobs: None, queries: None })
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
