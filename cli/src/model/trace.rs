//! `orfeas model trace`: every stage's tensor of one run.

use std::path::PathBuf;

use clap::Args;
use orfeas_hunyuan3d::trace::TraceRequest;
use orfeas_hunyuan3d::{DeviceName, Precision, image, open};
use orfeas_vision::{Limits, decode};

use crate::exit::{Ended, Exit, say};

#[derive(Args)]
pub struct Trace {
    /// Checkpoint folder: config.yaml and model.fp16.safetensors or model.safetensors
    checkpoint: PathBuf,
    /// The picture, its alpha the subject; for a model of several views, the front one
    #[arg(long, value_name = "PICTURE")]
    image: Option<PathBuf>,
    /// A view of a model that takes several: front, left, back or right
    #[arg(long = "view", value_name = "NAME=PICTURE")]
    views: Vec<String>,
    /// Safetensors file that holds the noise as `latents_0` and, where wanted, points to ask at as `queries`
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Seed of the noise, where no file gives it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Sampling steps [default: the model's own]
    #[arg(long)]
    steps: Option<u32>,
    /// Guidance scale; below 0 there is no unconditional half
    #[arg(long, default_value_t = 5.0, allow_negative_numbers = true)]
    guidance: f64,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// float16, bfloat16 or float32 [default: the device's own]
    #[arg(long)]
    precision: Option<Precision>,
    /// Folder of a shape decoder to use instead of the checkpoint's own
    #[arg(long, value_name = "DIR")]
    vae: Option<PathBuf>,
    /// Where the tensors go
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

impl Trace {
    pub fn run(self) -> Ended {
        let mut paths = Vec::new();
        if let Some(path) = self.image {
            paths.push((0, path));
        }
        for view in &self.views {
            let (name, path) =
                view.split_once('=').ok_or_else(|| Exit::usage(format!("{view:?} is not NAME=PICTURE")))?;
            paths.push((image::view_index(name)?, PathBuf::from(path)));
        }
        if paths.is_empty() {
            return Err(Exit::usage("there is no picture: give --image or --view"));
        }
        let mut views = Vec::new();
        for (index, path) in paths {
            let bytes = std::fs::read(&path).map_err(|error| Exit::other(format!("{}: {error}", path.display())))?;
            let decoded = decode(&bytes, &Limits::default());
            views.push((index, decoded.map_err(|error| Exit::other(format!("{}: {error}", path.display())))?.image));
        }
        let model = open(&self.checkpoint, self.vae.as_deref(), self.device, self.precision, &mut |_, _| {})?;
        let steps = self.steps.unwrap_or_else(|| model.config().default_steps());
        let mut request =
            TraceRequest { views, latents: None, queries: None, seed: self.seed, steps, guidance: self.guidance };
        if let Some(noise) = &self.noise {
            request.take_noise(noise)?;
        }
        let trace = model.trace(&request)?;
        trace.write(&self.output)?;
        say(format!("{} tensors in {}", trace.tensors.len(), self.output.display()));
        Ok(())
    }
}
