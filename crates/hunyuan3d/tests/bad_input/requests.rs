//! Requests that a model cannot do, and shape decoders that do not fit it.

use std::ops::ControlFlow;

use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::ModelErrorKind::{Config, Device, NoSubject, Request, Weights};
use orfeas_hunyuan3d::conditioner::ProcessedView;
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::trace::TraceRequest;
use orfeas_hunyuan3d::volume::{Method, VolumeOptions};
use orfeas_hunyuan3d::{
    Begin, DeviceName, Latents, Model, Phase, Precision, ShapeModel, ShapeRequest, ShapeWatch, checked, image,
};

use super::{Taken, assert_says, error_of, parity};

type Cpu = Model<Flex>;

fn model(case: &str) -> Cpu {
    Model::load(&parity(case), None, FlexDevice, Precision::Float32, &mut |_, _| {}).unwrap()
}

fn view(index: usize) -> ProcessedView {
    ProcessedView { image: vec![0.5; 3 * 16 * 16], size: 16, index }
}

struct GoOn;

impl ShapeWatch for GoOn {
    fn progress(&mut self, _: Phase, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn request() -> ShapeRequest {
    let volume = VolumeOptions::new(Method::Dense, 4);
    ShapeRequest { views: vec![view(0)], begin: Begin::Seed(1), steps: 1, guidance: 5.0, volume }
}

#[track_caller]
fn refused_request(what: &str, model: &Cpu, request: &ShapeRequest, parts: &[&str]) {
    assert_says(what, &error_of(what, || model.generate(request, &mut GoOn)), Request, parts);
}

#[test]
fn options_out_of_range() {
    let model = model("base");
    model.generate(&request(), &mut GoOn).unwrap();
    for method in [Method::Dense, Method::Hierarchical, Method::FlashVdm] {
        for resolution in [0, 1, 3, 1025, usize::MAX] {
            let volume = VolumeOptions::new(method, resolution);
            let wrong = ShapeRequest { volume, ..request() };
            refused_request("a resolution", &model, &wrong, &[&resolution.to_string(), "resolution"]);
        }
        let options = VolumeOptions::new(method, 4);
        let wrong = ShapeRequest { volume: VolumeOptions { chunk: 0, ..options }, ..request() };
        refused_request("no queries at a time", &model, &wrong, &["chunk"]);
        for level in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let wrong = ShapeRequest { volume: VolumeOptions { level, ..options }, ..request() };
            refused_request("a level", &model, &wrong, &["level"]);
        }
        for bounds in [[[1.0; 3], [-1.0; 3]], [[0.0; 3]; 2], [[f32::NAN; 3], [1.0; 3]], [[-1.0; 3], [f32::INFINITY; 3]]]
        {
            let wrong = ShapeRequest { volume: VolumeOptions { bounds, ..options }, ..request() };
            refused_request("a box", &model, &wrong, &["box"]);
        }
        // As many at a time as there can be.
        let most = ShapeRequest { volume: VolumeOptions { chunk: usize::MAX, ..options }, ..request() };
        model.generate(&most, &mut GoOn).unwrap();
    }
}

#[test]
fn latents_of_another_model() {
    let model = model("base");
    for latents in [
        Latents { step: 0, values: vec![] },
        Latents { step: 0, values: vec![0.0; 96 * 8 - 1] },
        Latents { step: 0, values: vec![0.0; 96 * 8 + 1] },
        Latents { step: 2, values: vec![0.0; 96 * 8] },
        Latents { step: usize::MAX, values: vec![0.0; 96 * 8] },
    ] {
        let wrong = ShapeRequest { begin: Begin::Latents(latents), ..request() };
        refused_request("latents", &model, &wrong, &["latents", "768"]);
    }
}

#[test]
fn noise_of_another_size() {
    let model = model("base");
    let picture = ::image::RgbaImage::from_pixel(8, 8, ::image::Rgba([200, 30, 30, 255]));
    for values in [0, 96 * 8 - 1, 96 * 8 * 2] {
        let mut taken = Taken { header: serde_json::Map::new(), data: Vec::new() };
        taken.push("latents_0", "F32", &[values], &vec![0; 4 * values]);
        let folder = super::folder_with(&taken.bytes());
        let views = vec![(0, picture.clone())];
        let mut request = TraceRequest { views, latents: None, queries: None, seed: 0, steps: 1, guidance: 5.0 };
        // Before a schedule of so many steps is made.
        request.steps = u32::MAX;
        assert_says("steps", &error_of("steps", || model.trace(&request)), Request, &["4294967295", "10000"]);
        request.steps = 1;
        request.take_noise(&folder.path().join("model.safetensors")).unwrap();
        let error = error_of("noise", || ShapeModel::trace(&model, &request));
        assert_says("noise", &error, Request, &["latents", &values.to_string(), "768"]);
    }
}

#[test]
fn views_that_the_model_does_not_take() {
    let one = model("base");
    let with = |views: Vec<ProcessedView>| ShapeRequest { views, ..request() };
    refused_request("no view", &one, &with(vec![]), &["views", "0"]);
    refused_request("two views", &one, &with(vec![view(0), view(0)]), &["1", "2"]);
    refused_request("a side view", &one, &with(vec![view(1)]), &["left"]);
    let several = model("mv");
    refused_request("no view", &several, &with(vec![]), &["views", "0"]);
    refused_request("five views", &several, &with((0..5).map(view).collect()), &["4", "5"]);
    refused_request("an unknown place", &several, &with(vec![view(4)]), &["4"]);
    refused_request("twice the same place", &several, &with(vec![view(0), view(2), view(2)]), &["back"]);
    let short = ProcessedView { image: vec![0.0; 7], size: 16, index: 0 };
    refused_request("a picture of another size", &one, &with(vec![short]), &["16", "7"]);
    let none = ProcessedView { image: vec![], size: 0, index: 0 };
    refused_request("a picture of no size", &one, &with(vec![none]), &["0"]);
    for name in ["top", "", "Front", "front ", "0"] {
        let error = error_of(name, || image::view_index(name));
        assert_says(name, &error, Request, &[&format!("{name:?}"), "front, left, back, right"]);
    }
}

#[test]
fn pictures_with_nothing_on_them() {
    let config = ModelConfig::read(&parity("base")).unwrap().image_processor;
    for (width, height) in [(0, 0), (1, 1), (16, 3)] {
        let picture = ::image::RgbaImage::new(width, height);
        let error = error_of("an empty picture", || image::process(&config, &picture, 0));
        assert_says("an empty picture", &error, NoSubject, &[]);
    }
    let opaque = |width, height| ::image::RgbaImage::from_pixel(width, height, ::image::Rgba([9, 9, 9, 255]));
    for (width, height) in [(8, 60), (60, 8), (9, 9)] {
        let (view, mask) = image::process(&config, &opaque(width, height), 0).unwrap();
        assert_eq!((view.image.len(), mask.len()), (3 * 128 * 128, 128 * 128));
        assert!(view.image.iter().all(|value| value.is_finite()));
    }
    // So thin that nothing is left of it at the model's size.
    for (width, height) in [(1, 1), (1, 500), (500, 1)] {
        let error = error_of("a hair", || image::process(&config, &opaque(width, height), 0));
        assert_says("a hair", &error, NoSubject, &["less than a pixel"]);
    }
}

#[test]
fn a_shape_decoder_that_does_not_fit() {
    let config = std::fs::read_to_string(parity("base").join("config.yaml")).unwrap();
    let begin = config.find("vae:\n").unwrap() + "vae:\n".len();
    let own: String =
        config[begin..config.find("conditioner:").unwrap()].lines().map(|line| format!("{}\n", &line[2..])).collect();
    let mut taken = Taken::base();
    let names: Vec<_> = taken.names();
    names.iter().filter(|name| !name.starts_with("vae.")).for_each(|name| taken.remove(name));
    taken.header = taken.header.into_iter().map(|(name, info)| (name.replacen("vae.", "", 1), info)).collect();
    let folder = tempfile::tempdir().unwrap();
    let load = || Cpu::load(&parity("base"), Some(folder.path()), FlexDevice, Precision::Float32, &mut |_, _| {});
    let write = |config: &str, taken: &Taken| {
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), taken.bytes()).unwrap();
    };
    write(&own, &taken);
    load().unwrap();
    // Latents that the transformer does not make.
    let mut narrow = taken.clone();
    narrow.remove("post_kl.weight");
    narrow.push("post_kl.weight", "F32", &[64, 4], &[0; 1024]);
    write(&own.replace("embed_dim: 8", "embed_dim: 4"), &narrow);
    assert_says("narrow latents", &error_of("narrow latents", load), Config, &["embed_dim", "4", "8"]);
    write(&config, &taken);
    assert_says("a whole model", &error_of("a whole model", load), Config, &["vae", "target"]);
    write(&own.replace("ShapeVAE", "MyVAE"), &taken);
    assert_says("another class", &error_of("another class", load), Config, &["MyVAE"]);
    write(&own, &Taken::base());
    assert_says("a whole model's weights", &error_of("a whole model's weights", load), Weights, &["vae.post_kl"]);
    taken.push("encoder.weight", "F32", &[1], &[0; 4]);
    write(&own, &taken);
    assert_says("an encoder", &error_of("an encoder", load), Weights, &["encoder.weight"]);
}

#[test]
fn devices_and_precisions_that_are_not_there() {
    for name in ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1.5", "cuda:0:0", "cuda0", "cpu:0"] {
        let error = error_of(name, || name.parse::<DeviceName>());
        assert_says(name, &error, Device, &[&format!("{name:?}")]);
    }
    for name in ["", "float64", "FP16", "int8"] {
        assert_says(name, &error_of(name, || name.parse::<Precision>()), Device, &[&format!("{name:?}")]);
    }
    for precision in [Precision::Float16, Precision::Bfloat16] {
        let error = error_of("half precision", || checked(DeviceName::Cpu, Some(precision)));
        assert_says("half precision", &error, Device, &[&precision.to_string()]);
    }
}
