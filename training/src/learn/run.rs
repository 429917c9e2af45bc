//! A run: from the last state that was kept to the plan's end, or to the end of the time there is.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::kernels::Kernels;

use super::batches::{Batch, Batches};
use super::parameters::Layout;
use super::plan::Plan;
use super::state::{State, learn};

/// The state's file in a run's folder.
const STATE: &str = "state.safetensors";
/// The log's file there: a line of JSON for every so many steps.
const LOG: &str = "log.jsonl";

/// Looks at a checkpoint now and then.
#[derive(Clone, Copy)]
pub struct Evaluate<'a> {
    /// Steps between two looks.
    pub every: u64,
    /// Gets the checkpoint's folder and the step.
    pub look: &'a dyn Fn(&Path, u64) -> anyhow::Result<()>,
}

/// Where and how long.
#[derive(Clone)]
pub struct Run<'a> {
    /// What is done.
    pub plan: Plan,
    /// The network, as `config.yaml` has it.
    pub config: String,
    /// State, log and checkpoint go here.
    pub folder: PathBuf,
    /// Shards lie here.
    pub data: PathBuf,
    /// When it stops by itself, its state kept.
    pub time: Option<Duration>,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two states that are kept.
    pub save_every: u64,
    /// Looks at what was learned.
    pub evaluate: Evaluate<'a>,
    /// What the network computes in; weights stay in float32.
    pub dtype: DType,
}

impl Run<'_> {
    /// Learns. Gives the steps that are done.
    ///
    /// # Errors
    /// A state of another plan, damaged shards, weights that are no numbers, what device and disk say.
    pub fn go<B>(&self, device: &B::Device) -> anyhow::Result<u64>
    where
        B: AutodiffBackend + Kernels,
        B::InnerBackend: Kernels,
    {
        self.plan.check()?;
        let config = ModelConfig::parse(&self.config)?;
        let layout = Layout::of(&config)?;
        fs::create_dir_all(&self.folder).with_context(|| format!("creating {}", self.folder.display()))?;
        let path = self.folder.join(STATE);
        let mut state = match path.exists() {
            true => State::<B::InnerBackend>::load(&layout, &self.plan, &path, device)?,
            false => State::first(&layout, self.plan.seed, device),
        };
        println!("{} parameters, step {} of {}", layout.count(), state.step, self.plan.steps);
        let batches = ahead(Batches::new(&self.plan, state.step, &config.image_processor, &self.data)?, state.step);
        let mut losses: Vec<Tensor<B::InnerBackend, 1>> = Vec::new();
        let (began, mut last) = (Instant::now(), Instant::now());
        while state.step < self.plan.steps && self.time.is_none_or(|time| began.elapsed() < time) {
            let batch = batches.recv().context("the batches ended early")??;
            losses.push(learn::<B>(&mut state, batch, &self.plan, &config, self.dtype)?);
            if state.step.is_multiple_of(self.log_every) || state.step == self.plan.steps {
                let count = losses.len();
                let loss = mean(std::mem::take(&mut losses))?;
                self.log(state.step, loss, last.elapsed().as_secs_f64() / count as f64)?;
                last = Instant::now();
            }
            if state.step.is_multiple_of(self.save_every) {
                state.save(&self.plan, &path)?;
            }
            if state.step.is_multiple_of(self.evaluate.every) {
                (self.evaluate.look)(&self.export(&layout, &state.mean()?)?, state.step)?;
            }
            if state.step.is_multiple_of(self.save_every) || state.step.is_multiple_of(self.evaluate.every) {
                last = Instant::now();
            }
        }
        state.save(&self.plan, &path)?;
        self.export(&layout, &state.mean()?)?;
        Ok(state.step)
    }

    fn log(&self, step: u64, loss: f64, seconds: f64) -> anyhow::Result<()> {
        let rate = self.plan.rate(step);
        println!("step {step:>6}  loss {loss:.5}  rate {rate:.2e}  {:.1} ms a step", 1e3 * seconds);
        let line = serde_json::json!({"step": step, "loss": loss, "rate": rate, "seconds": seconds});
        let mut log = OpenOptions::new().create(true).append(true).open(self.folder.join(LOG))?;
        Ok(writeln!(log, "{line}")?)
    }

    /// The mean of weights as a checkpoint that the product reads.
    fn export(&self, layout: &Layout, values: &[f32]) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("model");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.yaml"), &self.config)?;
        let part = folder.join("model.fp16.tmp");
        layout.export(values, &part)?;
        fs::rename(part, folder.join("model.fp16.safetensors"))?;
        Ok(folder)
    }
}

/// Batches from a step on, made while the steps before them run.
fn ahead(mut batches: Batches, step: u64) -> Receiver<anyhow::Result<Batch>> {
    let (send, receive) = sync_channel(2);
    std::thread::spawn(move || {
        let mut step = step;
        // Ends when nobody wants more, or when there are none.
        loop {
            let batch = batches.batch(step);
            let last = batch.is_err();
            if send.send(batch).is_err() || last {
                return;
            }
            step += 1;
        }
    });
    receive
}

fn mean<B: burn::tensor::backend::Backend>(losses: Vec<Tensor<B, 1>>) -> anyhow::Result<f64> {
    let values: Vec<f32> =
        Tensor::cat(losses, 0).try_into_data()?.into_vec().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    anyhow::ensure!(
        mean.is_finite(),
        "the loss became {mean}: the run has failed; a lower learning rate may mend that"
    );
    Ok(mean)
}
