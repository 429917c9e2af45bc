//! Every kernel for sets of samples against its definition on the host, and whole searches on the GPU against those on the host. Where
//! there is no GPU, a line says so.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // Helpers of tests fail as tests do.

use std::ops::ControlFlow;

use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_cuda::{Cuda, CudaDevice};
use orfeas_hunyuan3d::kernels::{Cells, DeviceCells, Mask, SetKernels as _, SetOperation, Sides, Wanted, cuda, sets};
use orfeas_hunyuan3d::noise::normal;
use orfeas_hunyuan3d::presets::preset;
use orfeas_hunyuan3d::volume::{Method, Score, SearchOn, VolumeOptions};
use orfeas_hunyuan3d::weights::RandomWeights;
use orfeas_hunyuan3d::{Model, Precision};

/// Samples along an edge: rows of a part of a word, of whole words, of one sample more; a grid of one sample.
const SIZES: [usize; 7] = [1, 5, 31, 32, 33, 64, 97];

fn gpu() -> Option<CudaDevice> {
    if !cuda::has_own_kernels(0) {
        eprintln!("skipped: there is no GPU here that our kernels are for");
        return None;
    }
    Some(cuda::device(0).unwrap())
}

/// A set of about one in so many samples; of all for 1, of none for 0.
fn random_set(seed: u64, samples: usize, one_in: u32) -> Mask {
    let mut set = Mask::empty(samples);
    for (index, value) in normal(seed, samples.pow(3)).into_iter().enumerate() {
        if one_in > 0 && value.to_bits() % one_in == 0 {
            set.insert(index as u32);
        }
    }
    set
}

fn numbers<const D: usize>(x: Tensor<Cuda, D, Int>) -> Vec<i32> {
    x.into_data().iter::<i32>().collect()
}

#[test]
fn sets_made_of_sets() {
    let Some(device) = gpu() else { return };
    for samples in SIZES {
        for one_in in [0, 1, 2, 9, 400] {
            let on = |mask: &Mask| sets::to_device::<Cuda>(mask, &device);
            let (a, b) = (random_set(1, samples, one_in), random_set(2, samples, 3));
            let same = |operation: SetOperation, other: Option<&Mask>, to: usize, expected: Mask| {
                let made = Cuda::made_set(operation, on(&a), other.map(on), to);
                assert_eq!(made.dims(), [to, to, sets::words(to)]);
                assert!(sets::to_host(made) == expected, "{operation:?}, {samples} samples, one in {one_in}");
            };
            same(SetOperation::Complement, None, samples, a.clone().complement());
            same(SetOperation::Within, Some(&b), samples, a.clone().within(&b));
            same(SetOperation::Without, Some(&b), samples, a.clone().without(&b));
            same(SetOperation::With, Some(&b), samples, a.clone().with(&b));
            same(SetOperation::DilatedByFaces, None, samples, a.dilated_by_faces());
            for reach in [1, 2, 5] {
                same(SetOperation::Dilated(reach), None, samples, a.dilated(reach));
            }
            for to in [2 * samples - 1, 2 * samples] {
                same(SetOperation::Doubled, None, to, a.doubled(to));
                same(SetOperation::Repeated, None, to, a.repeated(to));
            }
        }
    }
    assert_by_kernels();
}

#[test]
fn ordered_samples() {
    let Some(device) = gpu() else { return };
    for samples in SIZES {
        let cuts = [
            Cells::one(samples),
            // Blocks, of which some are empty where there are few samples.
            Cells::of(samples, 4, |_, place| place * 4 / samples),
            // Another cut along each axis; cells beside a word's edge, of one place, of none.
            Cells::of(samples, 6, |axis, place| [place / 30, place.saturating_sub(29), place / 7][axis].min(5)),
        ];
        for cells in cuts {
            for one_in in [0, 1, 3, 200] {
                let what = format!("{samples} samples, one in {one_in}, {cells:?}");
                let set = sets::to_device::<Cuda>(&random_set(3, samples, one_in), &device);
                let cells = DeviceCells::new(cells.clone(), &device);
                let expected = sets::ordered_set(set.clone(), cells.clone());
                let ours = Cuda::ordered_set(set.clone(), cells);
                let starts = numbers(ours.starts.clone());
                assert_eq!(starts, numbers(expected.starts.clone()), "{what}");
                assert_eq!(numbers(Cuda::bounds_of_set(set.clone())), numbers(sets::bounds_of_set(set)), "{what}");
                let starts: Vec<usize> = starts.into_iter().map(|start| start as usize).collect();
                let count = *starts.last().unwrap();
                let mut to = vec![0];
                starts.windows(2).for_each(|pair| to.push(to[to.len() - 1] + (pair[1] - pair[0]).div_ceil(7)));
                let chosen = *to.last().unwrap();
                let part = |begin: usize, end: usize| Wanted { begin, end, stride: 1, to: &starts, count: end - begin };
                let mut all = vec![Wanted { begin: 0, end: count, stride: 7, to: &to, count: chosen }];
                // Parts that begin and end within rows and cells.
                all.extend([part(0, count), part(count / 3, count / 2), part(count / 2, count)]);
                for wanted in all.into_iter().filter(|wanted| wanted.count > 0) {
                    let indices = Cuda::indices_of_set(&ours, wanted);
                    assert_eq!(
                        numbers(indices.clone()),
                        numbers(sets::indices_of_set(&expected, wanted)),
                        "{what}, {wanted:?}"
                    );
                    // As one row, as decoding puts them there.
                    let axes = TensorData::new(normal(4, 3 * samples), [3 * samples]);
                    let axes = Tensor::<Cuda, 1>::from_data(axes, (&device, DType::F32)).reshape([3, samples]);
                    let [ours, plain] = [
                        Cuda::points_of_samples(indices.clone(), axes.clone()),
                        sets::points_of_samples(indices, axes),
                    ]
                    .map(|points: Tensor<Cuda, 3>| points.into_data().to_vec::<f32>().unwrap());
                    assert_eq!(ours, plain, "{what}");
                }
            }
        }
    }
    assert_by_kernels();
}

#[test]
fn samples_sided_by_their_values() {
    let Some(device) = gpu() else { return };
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        for (samples, all, break_with) in [
            (5, true, None),
            (33, true, None),
            (64, false, None),
            (33, false, Some(f32::NAN)),
            (33, true, Some(f32::INFINITY)),
        ] {
            let indices: Vec<i32> = random_set(5, samples, 3).indices().into_iter().map(u32::cast_signed).collect();
            let (level, near) = (0.25, 0.95);
            let mut values = normal(6, indices.len());
            // The level itself, and the border of what is near.
            values.iter_mut().step_by(3).for_each(|value| *value = level);
            values.iter_mut().skip(1).step_by(5).for_each(|value| *value = level - 0.95);
            if let Some(broken) = break_with {
                values[indices.len() / 2] = broken;
            }
            let shape = [values.len()];
            let values: Tensor<Cuda, 1> = Tensor::from_data(TensorData::new(values, shape), (&device, dtype));
            let indices = sets::integers::<Cuda>(indices, &device);
            let set = |seed: u64| sets::to_device::<Cuda>(&random_set(seed, samples, 50), &device);
            let fresh = || Sides { inside: set(7), on_and_near: all.then(|| [set(8), set(9)]) };
            let (ours, broken) = Cuda::sided(fresh(), indices.clone(), values.clone(), level, near);
            let (plain, expected) = sets::sided(fresh(), indices, values, level, near);
            assert_eq!(numbers(broken), numbers(expected.clone()));
            assert_eq!(numbers(expected), [i32::from(break_with.is_some())]);
            assert!(sets::to_host(ours.inside) == sets::to_host(plain.inside), "{dtype:?} {samples}");
            for (ours, plain) in ours.on_and_near.into_iter().flatten().zip(plain.on_and_near.into_iter().flatten()) {
                assert!(sets::to_host(ours) == sets::to_host(plain), "{dtype:?} {samples}");
            }
        }
    }
    assert_by_kernels();
}

#[test]
fn what_is_fetched_is_what_was_there_then() {
    let Some(device) = gpu() else { return };
    let values = normal(1, 1 << 20);
    let tensor: Tensor<Cuda, 1> = Tensor::from_data(TensorData::new(values.clone(), [1 << 20]), (&device, DType::F32));
    let set = sets::to_device::<Cuda>(&Mask::empty(64), &device);
    let sides = Sides { inside: set.clone(), on_and_near: None };
    let [first, empty] = [Cuda::fetch(tensor.clone()), Cuda::fetch_integers(set)];
    // What changes a set later is not seen.
    let indices = sets::integers::<Cuda>((0..1 << 18).collect(), &device);
    let (sides, _) = Cuda::sided(sides, indices, tensor.clone().narrow(0, 0, 1 << 18) * 0.0, -1.0, 1.0);
    let second = Cuda::fetch(tensor * 2.0);
    assert!(second().unwrap().iter::<f32>().eq(values.iter().map(|value| value * 2.0)));
    assert!(first().unwrap().iter::<f32>().eq(values.iter().copied()));
    assert!(empty().unwrap().iter::<i32>().all(|word| word == 0));
    assert_eq!(sets::to_host(sides.inside), Mask::empty(64).complement());
    assert_by_kernels();
}

/// Nothing here is compared with itself.
fn assert_by_kernels() {
    assert_eq!(cuda::fallen_back(), Vec::<&str>::new());
}

/// Thinner than the coarse level's cells: levels come back for what their bands miss.
fn sheet([x, y, z]: [f32; 3]) -> f32 {
    400.0 * (0.011 - (0.9993 * x + 0.03 * y + 0.02 * z).abs())
}

fn cut_by_the_box([x, y, z]: [f32; 3]) -> f32 {
    100.0 * (1.3 - (x * x + y * y + z * z).sqrt())
}

#[test]
fn whole_searches() {
    let Some(device) = gpu() else { return };
    let random = RandomWeights { seed: 1 };
    let config = preset("mini-turbo").unwrap();
    let model =
        Model::<Cuda>::from_source(config, &random, device.clone(), Precision::Float16, &mut |_, _| {}).unwrap();
    let latents = &model.config.vae;
    let shape = [1, latents.num_latents, latents.embed_dim];
    let noise = TensorData::new(normal(2, shape.iter().product()), shape);
    let tokens = model.tokens(Tensor::from_data(noise, (&device, DType::F16))).unwrap();
    let same = |options: VolumeOptions| {
        let [host, ours] = [Some(SearchOn::Host), None].map(|search| {
            let mut last = Vec::new();
            let mut watch = |level: usize, _: usize, done: usize, all: usize| {
                last.push((level, done, all));
                ControlFlow::Continue(())
            };
            let volume = model.volume(tokens.clone(), &VolumeOptions { search, ..options }, &mut watch).unwrap();
            let ends: Vec<_> = last.into_iter().filter(|(_, done, all)| done == all).collect();
            (volume.dense().into_iter().map(f32::to_bits).collect::<Vec<_>>(), ends)
        });
        assert_eq!(host.1, ours.1, "{options:?}");
        let differ = host.0.iter().zip(&ours.0).filter(|(a, b)| a != b).count();
        assert!(differ == 0, "{options:?}: {differ} samples differ");
    };
    for method in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand] {
        for (field, resolution) in [(sheet as fn([f32; 3]) -> f32, 126), (cut_by_the_box, 127), (sheet, 253)] {
            let options = VolumeOptions::new(method, resolution);
            let options = VolumeOptions { chunk: 20_000, score: Some(Score::Function(field)), ..options };
            same(options);
            same(VolumeOptions { close: false, ..options });
        }
    }
    same(VolumeOptions { score: Some(Score::Function(sheet)), ..VolumeOptions::new(Method::Dense, 70) });
    assert_by_kernels();
}
