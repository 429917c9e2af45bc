//! A network's own field, read off in chunks, coarse to fine, and within other boxes.

use std::ops::ControlFlow;

use orfeas_hunyuan3d::ModelErrorKind;
use orfeas_hunyuan3d::volume::{Method, VolumeOptions};

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};

use super::{golden_tokens, load, volume};

#[test]
fn chunks_do_not_show() {
    let model = load("base");
    let tokens = golden_tokens(&model, "base");
    for method in [Method::Dense, Method::FlashVdm] {
        let at = |chunk| volume(&model, &tokens, &VolumeOptions { chunk, ..VolumeOptions::new(method, 24) }).unwrap();
        let whole = at(100_000);
        for chunk in [1000, 997, usize::MAX] {
            let parts = at(chunk);
            assert_eq!(parts.samples, whole.samples);
            let far = parts.dense().iter().zip(&whole.dense()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(far <= 1e-5, "{method:?} in chunks of {chunk}: {far}");
        }
    }
}

#[test]
fn one_query_at_a_time() {
    let model = load("vae_turbo");
    let tokens = golden_tokens(&model, "vae_turbo");
    let at = |chunk| volume(&model, &tokens, &VolumeOptions { chunk, ..VolumeOptions::new(Method::Dense, 4) }).unwrap();
    let (one, all) = (at(1), at(125));
    assert!(one.dense().iter().zip(&all.dense()).all(|(a, b)| (a - b).abs() <= 1e-5));
}

/// A random network's field has islands smaller than a coarse cell, which nothing coarse can see. All that is promised
/// is that what is seen is right and closed, so that what is missed are whole islands.
#[test]
fn refined_is_the_dense_grid_but_for_whole_islands() {
    let model = load("vae_turbo");
    let tokens = golden_tokens(&model, "vae_turbo");
    let options = VolumeOptions { chunk: 16_384, ..VolumeOptions::new(Method::Dense, 128) };
    let dense = volume(&model, &tokens, &options).unwrap();
    let refined = VolumeOptions { method: Method::Hierarchical, ..options };
    let closed = volume(&model, &tokens, &refined).unwrap();
    assert_eq!(closed.samples, dense.samples);
    let n = dense.samples;
    let (closed, dense) = (closed.dense(), dense.dense());
    let filled: Vec<bool> = closed.iter().zip(&dense).map(|(a, b)| a.abs() == 1.0 && (a - b).abs() > 1e-4).collect();
    let (mut asked, mut missed) = (0, 0);
    for (index, (a, b)) in closed.iter().zip(&dense).enumerate() {
        if filled[index] {
            missed += usize::from((*a >= 0.0) != (*b >= 0.0));
        } else {
            asked += 1;
            assert!((a - b).abs() <= 1e-4, "sample {index} is {a}, densely {b}");
        }
        let at = [index / (n * n), index / n % n, index % n];
        for (_, step) in [n * n, n, 1].into_iter().enumerate().filter(|(axis, _)| at[*axis] + 1 < n) {
            let open = filled[index] != filled[index + step] && (*a >= 0.0) != (closed[index + step] >= 0.0);
            assert!(!open, "the surface is open at {at:?}");
        }
    }
    assert!(asked < n * n * n * 9 / 10, "{asked} samples were asked");
    assert!(missed < n * n * n / 4000, "{missed} samples are on the wrong side");
}

#[test]
fn another_box_is_another_place() {
    let model = load("vae_turbo");
    let tokens = golden_tokens(&model, "vae_turbo");
    let whole = volume(&model, &tokens, &VolumeOptions::new(Method::Dense, 16)).unwrap();
    // The upper eighth along x, y and z in steps of the same width: the same samples.
    let bounds = [[0.0; 3], [1.01; 3]];
    let part = VolumeOptions { bounds, ..VolumeOptions::new(Method::Dense, 8) };
    let part = volume(&model, &tokens, &part).unwrap();
    assert_eq!(part.bounds, bounds);
    for (index, value) in part.dense().iter().enumerate() {
        let at = [index / 81 + 8, index / 9 % 9 + 8, index % 9 + 8];
        let other = whole.value(at);
        assert!((value - other).abs() <= 1e-4, "{at:?}: {value} {other}");
    }
    // A box of unequal sides.
    let bounds = [[-1.0, -0.5, 0.0], [1.0, 0.5, 0.25]];
    let flat = VolumeOptions { bounds, ..VolumeOptions::new(Method::Hierarchical, 16) };
    assert_eq!(volume(&model, &tokens, &flat).unwrap().samples, 17);
}

#[test]
fn resolutions_out_of_range_and_breaking_off() {
    let model = load("vae_turbo");
    let tokens = golden_tokens(&model, "vae_turbo");
    for method in [Method::Dense, Method::Hierarchical, Method::FlashVdm] {
        for resolution in [0, 3, 1025] {
            let error = volume(&model, &tokens, &VolumeOptions::new(method, resolution)).unwrap_err();
            assert_eq!(error.kind(), ModelErrorKind::Request);
        }
        for resolution in [4, 5, 7, 11] {
            let options = VolumeOptions::new(method, resolution);
            let decoded = volume(&model, &tokens, &options).unwrap();
            assert_eq!(decoded.evaluated(), decoded.samples.pow(3), "{method:?} at {resolution}");
            let mut calls = 0;
            let mut watch = |_: usize, _: usize, _: usize, _: usize| {
                calls += 1;
                ControlFlow::Break(())
            };
            let error = model.volume(tokens.clone(), &options, &mut watch).unwrap_err();
            assert_eq!((error.kind(), calls), (ModelErrorKind::Cancelled, 1));
        }
    }
}

#[test]
fn shapes_of_a_batch_have_points_and_keys_of_their_own() {
    let model = load("base");
    let geometry = &model.vae().unwrap().geometry;
    let (first, second) = (golden_tokens(&model, "base"), golden_tokens(&model, "base") * 0.5);
    let points = |seed: u64| {
        let values = orfeas_hunyuan3d::noise::normal(seed, 3 * 50);
        Tensor::<Flex, 3>::from_data(TensorData::new(values, [1, 50, 3]), &FlexDevice)
    };
    let values = |x: Tensor<Flex, 3>| x.into_data().to_vec::<f32>().unwrap();
    let alone = [(&first, 1), (&second, 2)]
        .map(|(tokens, seed)| values(geometry.logits(points(seed), &geometry.keys(tokens.clone()))));
    let keys = geometry.keys(Tensor::cat(vec![first, second], 0));
    let both = values(geometry.logits(Tensor::cat(vec![points(1), points(2)], 0), &keys));
    let apart = both.iter().zip(alone.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(apart < 1e-4, "{apart}");
    assert!(alone[0].iter().zip(&alone[1]).any(|(a, b)| (a - b).abs() > 1e-2), "the test asks about something");
}
