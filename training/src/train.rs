//! The command that learns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use burn::backend::Autodiff;
use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use clap::Args;
use orfeas_hunyuan3d::{DeviceName, Precision};
use orfeas_shapes::{FAMILIES, Family};

use crate::learn::plan::Plan;
use crate::learn::run::{Evaluate, Run};
use crate::{bench, sheet};

/// The network that is shipped.
const STARTER: &str = include_str!("../../models/starter/config.yaml");
/// Every so many families is looked at while learning.
const SEEN_EVERY: usize = 6;

/// How to learn.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// State, log, sheets and checkpoint go here
    #[arg(long)]
    folder: PathBuf,
    /// Shards lie here, and are made where they are missing
    #[arg(long)]
    data: PathBuf,
    /// The network, as config.yaml has it; the starter model's by default
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// What the network computes in: float32, or bfloat16 on a GPU
    #[arg(long)]
    precision: Option<Precision>,
    /// Minutes after which it stops by itself, its state kept
    #[arg(long)]
    minutes: Option<f64>,
    /// Steps between two lines of the log
    #[arg(long, default_value_t = 100)]
    log_every: u64,
    /// Steps between two states that are kept
    #[arg(long, default_value_t = 2000)]
    save_every: u64,
    /// Steps between two evaluations, each with a sheet
    #[arg(long, default_value_t = 5000)]
    evaluate_every: u64,
    /// Steps in all
    #[arg(long, default_value_t = Plan::default().steps)]
    steps: u64,
    /// Samples of a step
    #[arg(long, default_value_t = Plan::default().batch)]
    batch: usize,
    /// Points of a sample that a step looks at
    #[arg(long, default_value_t = Plan::default().points)]
    points: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = Plan::default().learning_rate)]
    learning_rate: f64,
    /// Steps in which it rises
    #[arg(long, default_value_t = Plan::default().warm_up)]
    warm_up: u64,
    /// Samples that a step may choose from
    #[arg(long, default_value_t = Plan::default().window)]
    window: usize,
    /// Times that a sample is used, on average
    #[arg(long, default_value_t = Plan::default().reuse)]
    reuse: usize,
    /// Of first weights and choices
    #[arg(long, default_value_t = Plan::default().seed)]
    seed: u64,
}

impl Arguments {
    /// Learns.
    ///
    /// # Errors
    /// As [`Run::go`].
    pub fn run(self) -> anyhow::Result<()> {
        let config = match &self.config {
            Some(path) => std::fs::read_to_string(path)?,
            None => STARTER.to_owned(),
        };
        let precision = self.precision.unwrap_or(match self.device {
            DeviceName::Cpu => Precision::Float32,
            DeviceName::Cuda(_) => Precision::Bfloat16,
        });
        if precision == Precision::Float16 {
            anyhow::bail!("float16 has too little range for gradients; bfloat16 and float32 are learned in");
        }
        let plan = Plan {
            steps: self.steps,
            batch: self.batch,
            points: self.points,
            learning_rate: self.learning_rate,
            warm_up: self.warm_up,
            window: self.window,
            reuse: self.reuse,
            seed: self.seed,
            ..Plan::default()
        };
        let (device, dtype) = (self.device, precision.dtype());
        let look = |model: &Path, step: u64| evaluate(model, device, step);
        let run = Run {
            plan,
            config,
            folder: self.folder,
            data: self.data,
            time: self.minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes.max(0.0))),
            log_every: self.log_every.max(1),
            save_every: self.save_every.max(1),
            evaluate: Evaluate { every: self.evaluate_every.max(1), look: &look },
            dtype,
        };
        let step = go(&run, device, dtype)?;
        println!("{step} steps are done; the model is in {}", run.folder.join("model").display());
        Ok(())
    }
}

fn go(run: &Run<'_>, device: DeviceName, dtype: DType) -> anyhow::Result<u64> {
    match device {
        DeviceName::Cpu => {
            anyhow::ensure!(dtype == DType::F32, "the cpu learns in float32");
            run.go::<Autodiff<Flex>>(&FlexDevice)
        }
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => {
            run.go::<Autodiff<burn_cuda::Cuda>>(&orfeas_hunyuan3d::kernels::cuda::device(number)?)
        }
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => anyhow::bail!("this binary was built without CUDA (cargo feature `cuda`)"),
    }
}

/// Scores some families by the product's own engine and draws them: picture, truth and prediction.
fn evaluate(folder: &Path, device: DeviceName, step: u64) -> anyhow::Result<()> {
    let mut engine = bench::model(folder, device, Some(bench::RESOLUTION))?;
    let families: Vec<&'static Family> = FAMILIES.iter().step_by(SEEN_EVERY).collect();
    let engine = engine.as_mut();
    let mut groups = bench::Groups::default();
    // All held-out families, and those of the others that are drawn.
    let drawn = |family: &Family| families.iter().any(|chosen| chosen.name == family.name);
    for family in FAMILIES.iter().filter(|family| family.held_out || drawn(family)) {
        groups.of(family).push(bench::score(engine, family, 0, 224)?);
    }
    let [seen, unseen, composed] =
        [groups.seen, groups.held_out, groups.composed].map(|scores| bench::mean(&scores).as_made);
    println!(
        "step {step:>6}  mean IoU {seen:.3}, of held-out families {unseen:.3}, of random compositions {composed:.3}"
    );
    let sheet = sheet::predicted(engine, &families, 160)?;
    sheet::write(&sheet, &folder.with_file_name(format!("sheet-{step:06}.png")))
}
