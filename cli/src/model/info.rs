//! `orfeas model info`: what a checkpoint is.

use std::path::PathBuf;

use clap::Args;
use orfeas_hunyuan3d::config::{ModelConfig, Views};
use orfeas_hunyuan3d::memory::{MemoryNeed, Parameters};
use orfeas_hunyuan3d::weights::Checkpoint;
use orfeas_hunyuan3d::{Precision, Residency};
use serde::Serialize;

use crate::exit::{Ended, say, say_json};

/// Queries at a time that the memory is told for, and GiB of cards: their allocator's pages grow with them.
const CHUNKS: [usize; 2] = [8_192, 65_536];
const CARDS: [u64; 3] = [8, 24, 80];
/// Resolutions that the host's grid is told for.
const RESOLUTIONS: [u64; 3] = [256, 384, 512];

#[derive(Args)]
pub struct Info {
    /// Checkpoint folder
    checkpoint: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct About {
    folder: PathBuf,
    variant: String,
    views: usize,
    classifier_free_guidance: bool,
    default_steps: u32,
    num_latents: usize,
    parameters: Parameters,
    total_parameters: u64,
    /// Elements that the weights file holds; none where there is no file.
    stored_parameters: Option<u64>,
    memory: Vec<Memory>,
}

#[derive(Serialize)]
struct Memory {
    precision: String,
    /// GiB of the card.
    card_gib: u64,
    /// Whether only the part that computes is on it.
    low_vram: bool,
    chunk: usize,
    device_bytes: u64,
}

impl Info {
    pub fn run(self) -> Ended {
        let config = ModelConfig::read(&self.checkpoint)?;
        let stored = match Checkpoint::open(&self.checkpoint) {
            Ok(checkpoint) => Some(checkpoint.parameters()),
            // A folder that has no weights yet still has a configuration to tell of; damaged ones are an error.
            Err(_) if !has_weights(&self.checkpoint) => None,
            Err(error) => return Err(error.into()),
        };
        let parameters = Parameters::of(&config);
        let precisions = [Precision::Float16, Precision::Bfloat16, Precision::Float32];
        let memory = precisions.into_iter().flat_map(|precision| memory(&config, precision));
        let about = About {
            variant: config.variant(),
            views: match config.conditioner.views {
                Views::One => 1,
                Views::Several(views) => views,
            },
            classifier_free_guidance: config.classifier_free_guidance(),
            default_steps: config.default_steps(),
            num_latents: config.vae.num_latents,
            total_parameters: parameters.total(),
            parameters,
            stored_parameters: stored,
            memory: memory.collect(),
            folder: self.checkpoint,
        };
        if self.json {
            return say_json(&about);
        }
        let millions = |count: u64| count as f64 / 1e6;
        say(format!("variant       {}", about.variant));
        say(format!("views         {}", about.views));
        say(format!("guidance      {}", if about.classifier_free_guidance { "classifier-free" } else { "distilled" }));
        say(format!("steps         {} unless asked otherwise", about.default_steps));
        say(format!("latents       {}", about.num_latents));
        let Parameters { conditioner, denoiser, vae } = about.parameters;
        say(format!(
            "parameters    {:.1} million: conditioner {:.1}, denoiser {:.1}, vae {:.1}",
            millions(about.total_parameters),
            millions(conditioner),
            millions(denoiser),
            millions(vae)
        ));
        match about.stored_parameters {
            Some(stored) => say(format!("weights       {:.1} million elements stored", millions(stored))),
            None => say("weights       none in this folder"),
        }
        for Memory { precision, card_gib, low_vram, chunk, device_bytes } in &about.memory {
            let gib = *device_bytes as f64 / f64::from(1 << 30);
            let how = if *low_vram { ", one part at a time" } else { "" };
            say(format!(
                "device        {gib:.2} GiB at the most of a card of {card_gib} in {precision} with {chunk} queries at a time{how}"
            ));
        }
        for resolution in RESOLUTIONS {
            // The finer grid and the coarser one that it is refined from, float32, and two masks.
            let samples = (resolution + 1).pow(3);
            let mib = (samples * (4 + 2) + samples / 8 * 4) >> 20;
            say(format!("host          {mib} MiB for the grid at resolution {resolution}"));
        }
        Ok(())
    }
}

/// What a GPU with kernels of ours (sm_80 and later) takes at the most, where its memory has room for it at all.
fn memory(config: &ModelConfig, precision: Precision) -> Vec<Memory> {
    let need = MemoryNeed::of(config, precision, true);
    let mut all = Vec::new();
    for card_gib in CARDS {
        for residency in [Residency::Whole, Residency::InTurn] {
            for chunk in CHUNKS {
                let peak = need.peak(card_gib << 30, chunk, residency);
                if let Some(device_bytes) = peak.filter(|bytes| *bytes <= card_gib << 30) {
                    let low_vram = residency == Residency::InTurn;
                    all.push(Memory { precision: precision.to_string(), card_gib, low_vram, chunk, device_bytes });
                }
            }
        }
    }
    all
}

fn has_weights(folder: &std::path::Path) -> bool {
    orfeas_hunyuan3d::weights::WEIGHT_FILES.iter().any(|name| folder.join(name).exists())
}
