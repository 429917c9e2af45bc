//! Refinement on shapes that are known everywhere: whatever a level's band misses, the surface comes out closed.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::volume::{Method, Score, SearchOn, Volume, VolumeOptions};
use orfeas_hunyuan3d::weights::RandomWeights;
use orfeas_hunyuan3d::{Model, ModelErrorKind, Precision};

use super::Cpu;

type Field = fn([f32; 3]) -> f32;

/// A network of next to nothing: it is run, and its answers are replaced by the shape's.
fn model() -> &'static (Cpu, Tensor<Flex, 3>) {
    static MODEL: OnceLock<(Cpu, Tensor<Flex, 3>)> = OnceLock::new();
    MODEL.get_or_init(|| {
        let mut text = std::fs::read_to_string(super::folder("base").join("config.yaml")).unwrap();
        for (from, to) in [
            ("width: 64", "width: 2"),
            ("    heads: 4", "    heads: 1"),
            ("num_latents: 96", "num_latents: 3"),
            ("num_decoder_layers: 3", "num_decoder_layers: 0"),
            ("num_freqs: 8", "num_freqs: 0"),
            ("    qk_norm: true", "    qk_norm: true\n    geo_decoder_mlp_expand_ratio: 1"),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let config = ModelConfig::parse(&text).unwrap();
        let weights = RandomWeights { seed: 1 };
        let precision = Precision::Float32;
        let model = Model::from_source(config, &weights, FlexDevice, precision, &mut |_, _| {}).unwrap();
        let tokens = model.tokens(Tensor::ones([1, 3, 8], &FlexDevice)).unwrap();
        (model, tokens)
    })
}

fn options(method: Method, resolution: usize, field: Field) -> VolumeOptions {
    VolumeOptions { chunk: 1 << 16, score: Some(Score::Function(field)), ..VolumeOptions::new(method, resolution) }
}

fn decode(options: &VolumeOptions) -> Volume {
    let (model, tokens) = model();
    super::volume(model, tokens, options).unwrap()
}

/// The coordinates of the finest level's samples along an axis, as refinement computes them.
fn axis(volume: &Volume, axis: usize) -> Vec<f32> {
    let [low, high] = volume.bounds.map(|corner| corner[axis]);
    let spacing = ((f64::from(high) - f64::from(low)) / (volume.samples - 1) as f64) as f32;
    (0..volume.samples).map(|index| index as f32 * spacing + low).collect()
}

/// Every sample's exact value.
fn exact(volume: &Volume, field: Field) -> Vec<f32> {
    let [xs, ys, zs] = [0, 1, 2].map(|a| axis(volume, a));
    let mut values = Vec::with_capacity(volume.samples.pow(3));
    for x in xs {
        for y in &ys {
            values.extend(zs.iter().map(|z| field([x, *y, *z])));
        }
    }
    values
}

/// Whether a sample was filled rather than asked.
fn filled(value: f32, exact: f32, level: f32) -> bool {
    (value - level).abs() == 1.0 && (value - exact).abs() > 1e-4
}

/// No edge between an asked and a filled sample changes its side.
fn assert_closed(what: &str, volume: &Volume, exact: &[f32], level: f32) {
    let n = volume.samples;
    let values = volume.dense();
    let filled = |index: usize| filled(values[index], exact[index], level);
    for (index, value) in values.iter().enumerate() {
        assert!(value.is_finite(), "{what}: sample {index} has no side");
        let at = [index / (n * n), index / n % n, index % n];
        for (axis, step) in [n * n, n, 1].into_iter().enumerate().filter(|(axis, _)| at[*axis] + 1 < n) {
            let other = values[index + step];
            let open = filled(index) != filled(index + step) && (*value >= level) != (other >= level);
            assert!(!open, "{what}: the surface is open at {at:?} along {axis}: {value} {other}");
        }
    }
}

/// Compares with the exact field: the side at every sample, the value where it was asked. Returns how many were.
fn assert_right(what: &str, options: &VolumeOptions) -> usize {
    let (volume, level) = (decode(options), options.level);
    let Some(Score::Function(field)) = options.score else { panic!("{what} is a field of its own") };
    let exact = exact(&volume, field);
    assert_closed(what, &volume, &exact, level);
    let mut asked = 0;
    for (index, (value, exact)) in volume.dense().iter().zip(exact).enumerate() {
        // A lone level has its coordinates rounded another way.
        let near = (exact - level).abs() <= 1e-4;
        assert!(near || (*value >= level) == (exact >= level), "{what}: sample {index} is {value}, not {exact}");
        if !filled(*value, exact, level) {
            assert!(
                (value - exact).abs() <= 1e-4 * exact.abs().max(1.0),
                "{what}: sample {index} is {value}, not {exact}"
            );
            asked += 1;
        }
    }
    asked
}

fn length([x, y, z]: [f32; 3]) -> f32 {
    (x * x + y * y + z * z).sqrt()
}

fn sphere(p: [f32; 3]) -> f32 {
    40.0 * (0.61 - length(p))
}

/// Thinner than the coarse level's cells, steep, and for long stretches between two of its planes: the coarse level
/// sees holes where there are none.
fn sheet([x, y, z]: [f32; 3]) -> f32 {
    400.0 * (0.011 - (0.9993 * x + 0.03 * y + 0.02 * z).abs())
}

fn touching(p: [f32; 3]) -> f32 {
    let at = |x: f32| 0.4 - length([p[0] - x, p[1], p[2]]);
    300.0 * at(-0.4).max(at(0.4))
}

/// Cut by all six faces of the box.
fn cut(p: [f32; 3]) -> f32 {
    100.0 * (1.3 - length(p))
}

/// Around a corner of the box.
fn corner([x, y, z]: [f32; 3]) -> f32 {
    200.0 * (0.5 - length([x - 1.01, y - 1.01, z + 1.01]))
}

/// A tube thinner than the coarse level's cells, along a curve.
fn tube([x, y, z]: [f32; 3]) -> f32 {
    let (cy, cz) = (0.5 * (3.0 * x).sin(), 0.5 * (3.0 * x).cos());
    300.0 * (0.016 - ((y - cy).powi(2) + (z - cz).powi(2)).sqrt())
}

/// The outside of a sphere, hollow.
fn hollow(p: [f32; 3]) -> f32 {
    -333.0 * (0.7 - length(p))
}

/// Nothing that a coarse level could follow.
fn noise([x, y, z]: [f32; 3]) -> f32 {
    50.0 * (40.3 * x + 1.0).sin() * (37.1 * y).cos() * (43.7 * z - x).sin() - 20.0
}

const SHAPES: [(&str, Field); 7] = [
    ("sphere", sphere),
    ("thin sheet", sheet),
    ("touching spheres", touching),
    ("cut by the box", cut),
    ("in a corner", corner),
    ("thin tube", tube),
    ("hollow", hollow),
];

#[test]
fn every_side_is_right_hierarchically() {
    for (name, score) in SHAPES {
        let asked = assert_right(name, &options(Method::Hierarchical, 128, score));
        assert!(asked > 1000 && asked < 129 * 129 * 129 / 2, "{name}: {asked} samples were asked");
    }
}

#[test]
fn every_side_is_right_with_flashvdm() {
    for (name, score) in SHAPES {
        let asked = assert_right(name, &options(Method::FlashVdm, 128, score));
        assert!(asked > 1000 && asked < 127 * 127 * 127 / 2, "{name}: {asked} samples were asked");
    }
}

#[test]
fn every_side_is_right_in_a_narrow_band_and_fewer_are_asked() {
    for (name, score) in SHAPES {
        let narrow = assert_right(name, &options(Method::NarrowBand, 128, score));
        let usual = assert_right(name, &options(Method::Hierarchical, 128, score));
        assert!(narrow > 1000 && narrow < usual * 2 / 3, "{name}: {narrow} samples were asked, usually {usual}");
    }
}

#[test]
fn nothing_and_everything_inside() {
    for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
        assert_eq!(assert_right("nothing", &options(method, 128, |_| -7.0)), 0);
        assert_eq!(assert_right("everything", &options(method, 128, |_| 7.0)), 0);
    }
    assert_eq!(assert_right("nothing", &options(Method::Dense, 16, |_| -7.0)), 17 * 17 * 17);
}

#[test]
fn resolutions_that_do_not_halve() {
    for resolution in [125, 127, 129] {
        for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
            assert_right(&format!("thin sheet at {resolution}, {method:?}"), &options(method, resolution, sheet));
        }
    }
}

#[test]
fn three_levels() {
    for method in [Method::Hierarchical, Method::NarrowBand] {
        assert_right("touching spheres", &options(method, 255, touching));
    }
}

#[test]
fn what_is_far_from_the_surface_takes_no_room() {
    for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
        let volume = decode(&options(method, 192, sphere));
        let dense = volume.samples.pow(3) * size_of::<f32>();
        assert!(volume.bytes() < dense / 2, "{method:?}: {} bytes, densely {dense}", volume.bytes());
    }
}

#[test]
fn levels_other_than_zero() {
    for level in [-30.0, 2.5, 17.0] {
        for (name, score) in [("sphere", sphere as Field), ("in a corner", corner)] {
            let options = VolumeOptions { level, ..options(Method::Hierarchical, 128, score) };
            assert_right(&format!("{name} at level {level}"), &options);
        }
    }
}

#[test]
fn what_cannot_be_followed_is_closed_all_the_same() {
    for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
        let volume = decode(&options(method, 128, noise));
        assert_closed("noise", &volume, &exact(&volume, noise), 0.0);
    }
}

#[test]
fn a_search_on_the_device_asks_and_returns_the_same() {
    // On this backend by the definitions of its kernels.
    let same = |what: &str, options: VolumeOptions| {
        let [host, device] = [SearchOn::Host, SearchOn::Device].map(|search| {
            let (model, tokens) = model();
            let mut told = Vec::new();
            let mut watch = |level: usize, levels: usize, done: usize, all: usize| {
                told.push((level, levels, done, all));
                ControlFlow::Continue(())
            };
            let volume = model.volume(tokens.clone(), &VolumeOptions { search: Some(search), ..options }, &mut watch);
            // Batches differ, and chunks at their ends with them: what has been asked by the end of each round does not.
            let rounds: Vec<_> =
                told.chunk_by(|a, b| (a.0, a.3) == (b.0, b.3)).map(|round| round[round.len() - 1]).collect();
            (super::bits(&volume.unwrap()), rounds)
        });
        assert!(host.0 == device.0, "{what}: the values differ");
        assert_eq!(host.1, device.1, "{what}");
        assert!(host.1.iter().all(|(_, _, done, all)| done == all) && !host.1.is_empty(), "{what}: {:?}", host.1);
    };
    for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
        for (name, field) in [("thin sheet", sheet as Field), ("cut by the box", cut)] {
            same(&format!("{name}, {method:?}"), options(method, 126, field));
        }
        same("noise", options(method, 127, noise));
        same("a level", VolumeOptions { level: 2.5, ..options(method, 128, sphere) });
        same("open", VolumeOptions { close: false, ..options(method, 126, sheet) });
        same("nothing", options(method, 126, |_| -7.0));
        same("everything", options(method, 126, |_| 7.0));
        same("one level, small chunks", VolumeOptions { chunk: 1000, ..options(method, 30, corner) });
    }
    same("three levels", options(Method::NarrowBand, 252, touching));
    same("dense", options(Method::Dense, 40, noise));
    // The network's own answers, with the keys that each group chooses.
    for method in [Method::Hierarchical, Method::FlashVdm] {
        same("network", VolumeOptions { score: None, chunk: 3000, ..options(method, 126, noise) });
    }
}

#[test]
fn the_reference_s_band_is_left_open() {
    // What `close` is for: without it the sheet has holes.
    let options = VolumeOptions { close: false, ..options(Method::Hierarchical, 128, sheet) };
    let volume = decode(&options);
    let values = volume.dense();
    let missed = values.iter().zip(exact(&volume, sheet)).filter(|(value, exact)| value.is_nan() && *exact > 0.0);
    assert!(missed.count() > 0);
}

#[test]
fn cancelled_at_any_call_of_any_level() {
    for search in [SearchOn::Host, SearchOn::Device] {
        cancelled_at_any_call(VolumeOptions {
            chunk: 20_000,
            search: Some(search),
            ..options(Method::Hierarchical, 128, sheet)
        });
    }
}

fn cancelled_at_any_call(options: VolumeOptions) {
    let (model, tokens) = model();
    let mut calls = 0;
    let mut count = |_: usize, _: usize, _: usize, _: usize| {
        calls += 1;
        ControlFlow::Continue(())
    };
    model.volume(tokens.clone(), &options, &mut count).unwrap();
    for at in [1, calls / 2, calls - 1, calls] {
        let mut told = 0;
        let mut watch = |_: usize, _: usize, _: usize, _: usize| {
            told += 1;
            if told == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = model.volume(tokens.clone(), &options, &mut watch).unwrap_err();
        assert_eq!((error.kind(), told), (ModelErrorKind::Cancelled, at));
    }
}
