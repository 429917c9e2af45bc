//! `orfeas model bench`: every stage's time at full size.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use orfeas_hunyuan3d::bench::{BenchReport, BenchRequest, Growth, bench, peak_resident_bytes};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::presets::{PRESETS, preset};
use orfeas_hunyuan3d::volume::Method;
use orfeas_hunyuan3d::{DeviceName, Precision, Residency};
use serde::Serialize;

use crate::exit::{Ended, Exit, say, say_json};

#[derive(Args)]
pub struct Bench {
    /// A published model's sizes
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(PRESETS), required_unless_present = "checkpoint")]
    preset: Option<String>,
    /// Needed beside `--preset`, so that nobody takes what comes out for the published weights' doing
    #[arg(long, requires = "preset")]
    random_weights: bool,
    /// Time a checkpoint folder with its own weights instead
    #[arg(long, value_name = "DIR", conflicts_with = "preset")]
    checkpoint: Option<PathBuf>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// float16, bfloat16 or float32 [default: the device's own]
    #[arg(long)]
    precision: Option<Precision>,
    /// Sampling steps to time
    #[arg(long, default_value_t = 3)]
    steps: u32,
    /// Cells along the volume's edge; 0: only the queries
    #[arg(long, default_value_t = 384)]
    resolution: usize,
    /// How the volume is decoded
    #[arg(long, default_value = "hierarchical")]
    decoder: Decoder,
    /// Queries at a time
    #[arg(long, default_value_t = 65_536)]
    chunk: usize,
    /// Queries of the stage `queries`
    #[arg(long, default_value_t = 100_000)]
    queries: usize,
    /// How often each stage is run after its first call
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Time whole jobs instead: encoding, so many steps, decoding at the resolution. With --repeat, says too what memory is held
    /// after the first jobs and after the last
    #[arg(long)]
    jobs: bool,
    /// Sample so many jobs in one batch, as HUNYUAN3D_BATCH does; the time of a step or a job is that of all of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    batch: u32,
    /// Keep only the part of the checkpoint on the device that computes, as HUNYUAN3D_LOW_VRAM=on does
    #[arg(long, requires = "checkpoint")]
    low_vram: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Decoder {
    Dense,
    Hierarchical,
    Flashvdm,
    Narrowband,
}

#[derive(Serialize)]
struct Outcome {
    model: String,
    weights: &'static str,
    #[serde(flatten)]
    report: BenchReport,
    peak_host_bytes: u64,
    /// Of the whole card, by NVML, whoever uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_device_bytes: Option<u64>,
}

impl Bench {
    pub fn run(self) -> Ended {
        if self.preset.is_some() && !self.random_weights {
            return Err(Exit::usage("a preset has no weights: add --random-weights, or give --checkpoint DIR"));
        }
        let (model, config) = match (&self.preset, &self.checkpoint) {
            (Some(name), _) => (name.clone(), preset(name)?),
            (None, Some(folder)) => (folder.display().to_string(), ModelConfig::read(folder)?),
            (None, None) => return Err(Exit::usage("there is nothing to time: give --preset or --checkpoint")),
        };
        let weights = if self.checkpoint.is_some() { "checkpoint" } else { "random" };
        let request = BenchRequest {
            config,
            folder: self.checkpoint,
            residency: if self.low_vram { Residency::InTurn } else { Residency::Whole },
            device: self.device,
            precision: self.precision,
            steps: self.steps,
            resolution: self.resolution,
            chunk: self.chunk.max(1),
            queries: self.queries,
            method: match self.decoder {
                Decoder::Dense => Method::Dense,
                Decoder::Hierarchical => Method::Hierarchical,
                Decoder::Flashvdm => Method::FlashVdm,
                Decoder::Narrowband => Method::NarrowBand,
            },
            repeat: self.repeat,
            jobs: self.jobs,
            batch: self.batch as usize,
        };
        let watch = match self.device {
            DeviceName::Cuda(number) => Some(DeviceMemory::watch(number as u32)),
            DeviceName::Cpu => None,
        };
        let report = bench(&request)?;
        let peak_device_bytes = watch.and_then(DeviceMemory::peak);
        let outcome =
            Outcome { model, weights, report, peak_host_bytes: peak_resident_bytes().unwrap_or(0), peak_device_bytes };
        if self.json {
            return say_json(&outcome);
        }
        let report = &outcome.report;
        let billions = report.parameters as f64 / 1e9;
        say(format!(
            "{} ({weights} weights, {billions:.3} billion parameters), {} {}",
            outcome.model, report.device, report.precision
        ));
        say(format!("{:16} {:>12.1} ms", "load", report.load_ms));
        for stage in &report.stages {
            let rate = stage.queries.map_or_else(String::new, |count| {
                format!("  {count} queries, {:.2} M/s", count as f64 / stage.steady_ms / 1e3)
            });
            let each = stage.jobs.map_or_else(String::new, |jobs| {
                format!("  {jobs} jobs together, {:.1} ms each", stage.steady_ms / jobs as f64)
            });
            say(format!(
                "{:16} {:>12.1} ms first {:>12.1} ms steady{rate}{each}",
                stage.stage, stage.first_ms, stage.steady_ms
            ));
        }
        say(format!("{:16} {:>12.2} GiB host", "peak", outcome.peak_host_bytes as f64 / f64::from(1 << 30)));
        if let Some(bytes) = outcome.peak_device_bytes {
            say(format!("{:16} {:>12.2} GiB device", "", bytes as f64 / f64::from(1 << 30)));
        }
        if let Some(Growth { warm_up, jobs, host_bytes, device_bytes }) = report.memory {
            for (held, place) in [(host_bytes, "host"), (device_bytes, "device's allocator")] {
                let Some([first, last]) = held.map(|held| held.map(|bytes| bytes as f64 / f64::from(1 << 20))) else {
                    continue;
                };
                say(format!(
                    "{:16} {first:>12.1} MiB after {warm_up} jobs, {last:.1} after {jobs} more, {place}",
                    "held"
                ));
            }
        }
        Ok(())
    }
}

/// Looks at a card's used memory every few milliseconds.
struct DeviceMemory {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl DeviceMemory {
    fn watch(number: u32) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, highest) = (stop.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            let Ok(nvml) = nvml_wrapper::Nvml::init() else { return };
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(memory) = nvml.device_by_index(number).and_then(|device| device.memory_info()) {
                    highest.fetch_max(memory.used, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, peak, thread }
    }

    fn peak(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        Some(self.peak.load(Ordering::Relaxed)).filter(|peak| *peak > 0)
    }
}
