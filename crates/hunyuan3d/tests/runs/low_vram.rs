//! Only the part that computes is on the device: the same shapes, bit for bit, and less of the model at a time.

use orfeas_hunyuan3d::volume::{Method, VolumeOptions};
use orfeas_hunyuan3d::{ModelErrorKind, NoProbe, Part, Phase, Residency, ShapeRequest};

use super::*;

fn in_turn(folder: &std::path::Path, vae: Option<&std::path::Path>) -> Cpu {
    Model::load_as(Residency::InTurn, folder, vae, FlexDevice, Precision::Float32, &mut |_, _| {}).unwrap()
}

#[test]
fn shapes_are_the_same_bit_for_bit_job_after_job() {
    for case in ["base", "fast", "turbo", "vae_turbo"] {
        let (whole, turns) = (load(case), in_turn(&folder(case), None));
        for (seed, method) in [(7, Method::Hierarchical), (8, Method::FlashVdm), (7, Method::Hierarchical)] {
            let volume = VolumeOptions { chunk: 500, ..VolumeOptions::new(method, 24) };
            let request = ShapeRequest { volume, ..request(&whole, case, seed, 2) };
            assert_eq!(bits(&generate(&whole, &request)), bits(&generate(&turns, &request)), "{case} {seed}");
        }
    }
    let (whole, turns) = (load("mv"), in_turn(&folder("mv"), None));
    let request =
        ShapeRequest { views: views(&whole, "mv", &["left", "front"]), ..request(&load("base"), "base", 1, 2) };
    assert_eq!(bits(&generate(&whole, &request)), bits(&generate(&turns, &request)), "several views");
}

#[test]
fn one_part_at_a_time_and_none_before_the_first_job() {
    let model = in_turn(&folder("base"), None);
    assert_eq!(model.resident(), []);
    let request = request(&model, "base", 1, 2);
    let condition = model.encode(&request.views, 5.0, &mut NoProbe).unwrap();
    assert_eq!(model.resident(), [Part::Denoiser], "the conditioner leaves after encoding");
    // Nobody else holds it: what the next asks for is another copy from the file.
    let (first, again) = (model.conditioner().unwrap(), model.conditioner().unwrap());
    assert_eq!((model.resident(), std::sync::Arc::strong_count(&first)), (vec![Part::Conditioner], 3));
    let gone = std::sync::Arc::downgrade(&first);
    drop((first, again));
    let mut watch = |_: usize, _: usize, _: &mut dyn FnMut() -> Result<Latents, ModelError>| {
        assert_eq!(model.resident(), [Part::Denoiser]);
        Ok(ControlFlow::Continue(()))
    };
    let latents = model.sample(&condition, model.noise(1), 2, 5.0, &mut watch, &mut NoProbe).unwrap();
    assert!(gone.upgrade().is_none(), "the conditioner's parameters are still there");
    let tokens = model.tokens(latents).unwrap();
    assert_eq!(model.resident(), [Part::Vae]);
    volume(&model, &tokens, &request.volume).unwrap();
    assert_eq!(load("base").resident(), [Part::Conditioner, Part::Denoiser, Part::Vae]);
}

#[test]
fn cancelled_anywhere_the_next_job_is_whole() {
    let (whole, turns) = (load("base"), in_turn(&folder("base"), None));
    let request = request(&whole, "base", 3, 2);
    let expected = bits(&generate(&whole, &request));
    for phase in [Phase::Encode, Phase::Sample, Phase::Decode] {
        let mut watch = Watch { break_at: Some((phase, 1)), ..Watch::default() };
        assert_eq!(turns.generate(&request, &mut watch).unwrap_err().kind(), ModelErrorKind::Cancelled);
        assert_eq!(bits(&generate(&turns, &request)), expected, "after {phase:?}");
    }
}

#[test]
fn a_damaged_part_is_found_at_the_start() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["config.yaml", "model.safetensors"] {
        std::fs::copy(folder("base").join(name), copy.path().join(name)).unwrap();
    }
    let config = copy.path().join("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("num_decoder_layers: 3", "num_decoder_layers: 2", 1)).unwrap();
    let loaded = Cpu::load_as(Residency::InTurn, copy.path(), None, FlexDevice, Precision::Float32, &mut |_, _| {});
    let error = loaded.err().unwrap();
    assert_eq!(error.kind(), ModelErrorKind::Weights);
    assert!(error.to_string().contains("no place for"), "{error}");
}
