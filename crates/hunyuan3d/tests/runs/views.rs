//! Several views, and shape decoders of their own.

use burn_flex::FlexDevice;
use orfeas_hunyuan3d::conditioner::ProcessedView;
use orfeas_hunyuan3d::trace::TraceRequest;
use orfeas_hunyuan3d::volume::{Method, VolumeOptions};
use orfeas_hunyuan3d::weights::{Checkpoint, Source};
use orfeas_hunyuan3d::{Begin, Model, NoProbe, Precision, ShapeRequest};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Cpu, bits, folder, generate, load, request, views};

fn shape(model: &Cpu, views: &[&ProcessedView]) -> Vec<u32> {
    let views = views.iter().map(|view| (*view).clone()).collect();
    let volume = VolumeOptions::new(Method::Dense, 8);
    bits(&generate(model, &ShapeRequest { views, begin: Begin::Seed(4), steps: 2, guidance: 5.0, volume }))
}

#[test]
fn views_in_any_order_are_the_same_shape() {
    let model = load("mv");
    let views = views(&model, "mv", &["front", "left", "back"]);
    let [a, b, c] = [&views[0], &views[1], &views[2]];
    let all = shape(&model, &[a, b, c]);
    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
        assert_eq!(shape(&model, &order), all);
    }
    // Fewer views are another shape, and so is the same picture in another place.
    assert_ne!(shape(&model, &[a, b]), all);
    assert_ne!(shape(&model, &[a]), shape(&model, &[&ProcessedView { index: 2, ..a.clone() }]));
    let four = [a.clone(), b.clone(), c.clone(), ProcessedView { index: 3, ..b.clone() }];
    model.encode(&four, 5.0, &mut NoProbe).unwrap();
}

#[test]
fn queries_of_a_trace() {
    let model = load("base");
    let picture = ::image::open(folder("base").join("input.png")).unwrap().into_rgba8();
    // What is no whole number of points must be refused before anything is computed.
    for queries in [0, 1, 2, 4] {
        let queries = Some(vec![0.0; queries]);
        let views = vec![(0, picture.clone())];
        let request = TraceRequest { views, latents: None, queries, seed: 1, steps: 1, guidance: 5.0 };
        let error = orfeas_hunyuan3d::ShapeModel::trace(&model, &request).unwrap_err();
        assert_eq!(error.kind(), orfeas_hunyuan3d::ModelErrorKind::Request);
        assert!(error.to_string().contains("queries"), "{error}");
    }
}

/// The shape decoder of a case as a folder of its own, as `hunyuan3d-vae-v2-0-turbo` is published.
fn decoder_of(case: &str) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(folder(case).join("config.yaml")).unwrap();
    let (begin, end) = (config.find("vae:\n").unwrap() + "vae:\n".len(), config.find("conditioner:").unwrap());
    let own: String = config[begin..end].lines().map(|line| format!("{}\n", &line[2..])).collect();
    std::fs::write(to.path().join("config.yaml"), own).unwrap();
    let whole = Checkpoint::open(&folder(case)).unwrap();
    let names = whole.names().into_iter().filter(|name| name.starts_with("vae."));
    let tensors: Vec<_> = names.map(|name| (name.clone(), whole.any(&name).unwrap())).collect();
    let view = |(name, (shape, values)): &(String, (Vec<usize>, Vec<f32>))| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (name["vae.".len()..].to_owned(), shape.clone(), bytes)
    };
    let stripped: Vec<_> = tensors.iter().map(view).collect();
    let tensors =
        stripped.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(tensors, None, &to.path().join("model.safetensors")).unwrap();
    to
}

#[test]
fn a_decoder_of_its_own_is_the_same() {
    for (whole, decoder) in [("base", "base"), ("vae_turbo", "vae_turbo"), ("base", "vae_turbo")] {
        let own = decoder_of(decoder);
        let (mut last, mut total, mut rose) = (0, 0, true);
        let mut progress = |done: u64, all: u64| {
            rose &= done >= last && done <= all && (total == 0 || all == total);
            (last, total) = (done, all);
        };
        let mixed: Cpu =
            Model::load(&folder(whole), Some(own.path()), FlexDevice, Precision::Float32, &mut progress).unwrap();
        assert!(rose && last == total && total > 0, "progress ended at {last} of {total}");
        // Both checkpoints have the same networks but for the decoder's, so the decoder's own model tells.
        if whole == decoder {
            let model = load(decoder);
            let expected = bits(&generate(&model, &request(&model, decoder, 6, 2)));
            assert_eq!(bits(&generate(&mixed, &request(&mixed, whole, 6, 2))), expected, "{whole}");
        } else {
            let latents = super::golden_tokens(&load(decoder), decoder);
            let options = VolumeOptions::new(Method::Dense, 8);
            let expected = super::volume(&load(decoder), &latents, &options).unwrap();
            let ours = super::volume(&mixed, &super::golden_tokens(&mixed, decoder), &options).unwrap();
            assert_eq!(bits(&ours), bits(&expected));
        }
    }
}
