//! Whole runs: seeds, resuming, cancelling, the ways to read a volume off, several views, decoders of their own.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests fail as tests do.

mod low_vram;
mod measured;
mod sampling;
mod surfaces;
mod together;
mod views;
mod volumes;

use std::ops::ControlFlow;
use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::conditioner::ProcessedView;
use orfeas_hunyuan3d::volume::{Method, Volume, VolumeOptions};
use orfeas_hunyuan3d::weights::Checkpoint;
use orfeas_hunyuan3d::{
    Begin, Latents, Model, ModelError, Phase, Precision, ShapeModel, ShapeRequest, ShapeWatch, image,
};

type Cpu = Model<Flex>;

fn folder(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(case)
}

fn load(case: &str) -> Cpu {
    Model::load(&folder(case), None, FlexDevice, Precision::Float32, &mut |_, _| {}).unwrap()
}

/// A case's pictures by their views' names, processed.
fn views(model: &Cpu, case: &str, names: &[&str]) -> Vec<ProcessedView> {
    let view = |name: &&str| {
        let file = if case == "mv" { format!("input_{name}.png") } else { "input.png".to_owned() };
        let picture = ::image::open(folder(case).join(file)).unwrap().into_rgba8();
        image::process(&model.config.image_processor, &picture, image::view_index(name).unwrap()).unwrap().0
    };
    names.iter().map(view).collect()
}

/// A short run of a model with one view.
fn request(model: &Cpu, case: &str, seed: u64, steps: u32) -> ShapeRequest {
    let volume = VolumeOptions::new(Method::Dense, 8);
    ShapeRequest { views: views(model, case, &["front"]), begin: Begin::Seed(seed), steps, guidance: 5.0, volume }
}

/// Counts what it is told, keeps what it wants, and breaks where it should.
#[derive(Default)]
struct Watch {
    told: Vec<(Phase, usize, usize)>,
    wanted: Vec<usize>,
    kept: Vec<Latents>,
    break_at: Option<(Phase, usize)>,
}

impl Watch {
    fn count(&self, phase: Phase) -> usize {
        self.told.iter().filter(|told| told.0 == phase).count()
    }
}

impl ShapeWatch for Watch {
    fn progress(&mut self, phase: Phase, done: usize, all: usize) -> ControlFlow<()> {
        self.told.push((phase, done, all));
        match self.break_at {
            Some((at, calls)) if at == phase && self.count(phase) == calls => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn wants(&self, step: usize) -> bool {
        self.wanted.contains(&step)
    }

    fn keep(&mut self, latents: Latents) {
        self.kept.push(latents);
    }
}

fn generate(model: &Cpu, request: &ShapeRequest) -> Volume {
    model.generate(request, &mut Watch::default()).unwrap()
}

fn bits(volume: &Volume) -> Vec<u32> {
    volume.dense().iter().map(|value| value.to_bits()).collect()
}

/// The shape tokens of a case's last latents.
fn golden_tokens(model: &Cpu, case: &str) -> Tensor<Flex, 3> {
    let golden = Checkpoint::open_path(&folder(case).join("stages.safetensors")).unwrap();
    let (shape, latents) = golden.any("latents_5").unwrap();
    model.tokens(Tensor::from_data(TensorData::new(latents, shape), &FlexDevice)).unwrap()
}

fn volume(model: &Cpu, tokens: &Tensor<Flex, 3>, options: &VolumeOptions) -> Result<Volume, ModelError> {
    model.volume(tokens.clone(), options, &mut |_, _, _, _| ControlFlow::Continue(()))
}
