//! Every CUDA kernel against its definition in plain Burn operations, in float32 on the same GPU, at awkward sizes and
//! strides. Where there is no GPU, a line says so.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // Helpers of tests fail as tests do.

use burn::module::Param;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use burn_cuda::{Cuda, CudaDevice};
use orfeas_hunyuan3d::kernels::{
    Epilogue, FoldedPoints, Kernels, Norm, PointGroups, PointLayers, Stream, StreamHeads, cuda, plain,
};
use orfeas_hunyuan3d::noise::normal;
use orfeas_hunyuan3d::vae::{FOLDED, HostLinear, fold};
use orfeas_hunyuan3d::volume::{Method, VolumeOptions};
use orfeas_hunyuan3d::{
    Begin, DeviceName, Model, Phase, Precision, Residency, ShapeModel, ShapeRequest, ShapeWatch, image, open,
};

type Gpu<const D: usize> = Tensor<Cuda, D>;

const EPSILON: f64 = 1e-6;
const TYPES: [(DType, f64); 2] = [(DType::F16, 1.5e-3), (DType::BF16, 1.2e-2)];

fn gpu() -> Option<CudaDevice> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let device = cuda::device(0);
    std::panic::set_hook(hook);
    device.inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

struct Case {
    device: CudaDevice,
    dtype: DType,
    tolerance: f64,
    seed: std::cell::Cell<u64>,
}

impl Case {
    fn all(mut run: impl FnMut(&Self)) {
        let Some(device) = gpu() else { return };
        for (dtype, tolerance) in TYPES {
            run(&Self { device: device.clone(), dtype, tolerance, seed: std::cell::Cell::new(1) });
        }
    }

    fn random<const D: usize>(&self, shape: [usize; D]) -> Gpu<D> {
        self.seed.set(self.seed.get() + 1);
        let data = TensorData::new(normal(self.seed.get(), shape.iter().product()), shape);
        Gpu::<D>::from_data(data, (&self.device, DType::F32)).cast(self.dtype)
    }

    #[track_caller]
    fn same<const D: usize>(&self, what: &str, ours: Gpu<D>, plain: Gpu<D>) {
        assert_eq!(ours.dims(), plain.dims(), "{what}");
        let values = |x: Gpu<D>| -> Vec<f32> { wide(&x).into_data().into_vec().unwrap() };
        let (ours, plain) = (values(ours), values(plain));
        let difference: f64 = ours.iter().zip(&plain).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let size: f64 = plain.iter().map(|b| f64::from(*b).powi(2)).sum();
        let error = difference.sqrt() / size.sqrt().max(1e-30);
        assert!(error <= self.tolerance, "{what} {:?}: relative error {error:e}", self.dtype);
    }
}

fn wide<const D: usize>(x: &Gpu<D>) -> Gpu<D> {
    x.clone().cast(FloatDType::F32)
}

#[test]
fn attention() {
    Case::all(|case| {
        for (batch, heads, queries, keys, width) in [
            (1, 1, 1, 1, 64),
            (2, 3, 193, 129, 64),
            (1, 2, 500, 128, 64),
            (2, 1, 64, 1000, 64),
            (1, 4, 97, 300, 16),
            (3, 2, 385, 77, 48),
            (1, 2, 30, 30, 72),
        ] {
            let what = format!("{batch}x{heads}x{queries}x{keys}x{width}");
            // Cut out of rows of all parts, as the network's are.
            let tokens = queries.max(keys);
            let all = case.random([batch, tokens, 3 * heads * width]);
            let part = |index: usize, count: usize| {
                let own = all.clone().narrow(2, index * heads * width, heads * width);
                own.reshape([batch, tokens, heads, width]).swap_dims(1, 2).narrow(2, 0, count)
            };
            let (q, k, v) = (part(0, queries), part(1, keys), part(2, keys));
            let plain = plain::attend(wide(&q), wide(&k), wide(&v));
            case.same(&what, Cuda::attend(q, k, v), plain);
            let q = case.random([batch, heads, queries, width]);
            let (k, v) = (case.random([batch, heads, keys, width]), case.random([batch, heads, keys, width]));
            let plain = plain::attend(wide(&q), wide(&k), wide(&v));
            case.same(&what, Cuda::attend(q, k, v), plain);
        }
    });
}

#[test]
fn attention_with_scores_far_apart() {
    Case::all(|case| {
        let q = case.random([1, 2, 200, 64]) * 12.0;
        let (k, v) = (case.random([1, 2, 333, 64]), case.random([1, 2, 333, 64]));
        let plain = plain::attend(wide(&q), wide(&k), wide(&v));
        case.same("peaked", Cuda::attend(q, k, v), plain);
    });
}

#[test]
fn affine() {
    const EPILOGUES: [Epilogue; 5] =
        [Epilogue::None, Epilogue::Gelu, Epilogue::GeluTanh, Epilogue::Silu, Epilogue::Relu];
    Case::all(|case| {
        let shapes = [
            (1, 1, 64, 64),
            (1, 5, 256, 1000),
            (2, 97, 72, 136),
            (1, 513, 1000, 1032),
            (2, 129, 64, 256),
            (3, 500, 4096, 520),
            (1, 1500, 256, 1024),
            (2, 200, 256, 2056),
            (1, 26_000, 192, 136),
            (1, 33, 51, 72),
            (1, 40, 64, 1),
        ];
        for (batch, tokens, inputs, outputs) in shapes {
            let x = case.random([batch, tokens + 2, inputs]).narrow(1, 1, tokens);
            let weight = case.random([2 * outputs, inputs]).narrow(0, outputs, outputs) * (inputs as f32).powf(-0.5);
            for bias in [None, Some(case.random([outputs]))] {
                for epilogue in EPILOGUES {
                    let what = format!("{batch}x{tokens}x{inputs} to {outputs}, {epilogue:?}, bias {}", bias.is_some());
                    let plain = plain::affine(wide(&x), wide(&weight), bias.as_ref().map(wide), epilogue);
                    case.same(&what, Cuda::affine(x.clone(), weight.clone(), bias.clone(), epilogue), plain);
                }
            }
        }
    });
}

#[test]
fn affine_onto_a_residual() {
    Case::all(|case| {
        for (batch, tokens, inputs, outputs) in [
            (2, 97, 72, 136),
            (1, 1, 64, 64),
            (2, 513, 1000, 1032),
            (3, 300, 4096, 520),
            (2, 1500, 256, 1024),
            (1, 26_000, 192, 136),
        ] {
            let x = case.random([batch, tokens, inputs]);
            let weight = case.random([outputs, 2 * inputs]).narrow(1, inputs, inputs) * (inputs as f32).powf(-0.5);
            let (residual, bias) = (case.random([batch, tokens, outputs]), case.random([outputs]));
            let y = plain::affine(wide(&x), wide(&weight), Some(wide(&bias)), Epilogue::None);
            for items in [0, 1, batch] {
                let gate = (items > 0).then(|| case.random([items, 1, outputs]));
                let plain = match &gate {
                    Some(gate) => plain::gated_add(wide(&residual), wide(gate), y.clone()),
                    None => wide(&residual) + y.clone(),
                };
                let what = format!("{batch}x{tokens}x{inputs} to {outputs}, {items} gates");
                let ours = Cuda::affine_add(residual.clone(), gate, x.clone(), weight.clone(), Some(bias.clone()));
                case.same(&what, ours, plain);
            }
        }
    });
}

#[test]
fn norms_and_modulation() {
    Case::all(|case| {
        for (batch, tokens, width) in [(1, 1, 8), (2, 77, 1024), (3, 5, 1536), (1, 300, 64), (2, 3, 2056), (2, 9, 13)] {
            let what = format!("{batch}x{tokens}x{width}");
            let x = case.random([batch, tokens + 3, width]).narrow(1, 2, tokens) * 3.0 + 1.0;
            let (gain, offset) = (case.random([width]), case.random([width]));
            case.same(&what, Cuda::norm(x.clone(), None, EPSILON), plain::norm(wide(&x), None, EPSILON));
            let plain = plain::norm(wide(&x), Some((wide(&gain), wide(&offset))), EPSILON);
            case.same(&what, Cuda::norm(x.clone(), Some((gain.clone(), offset.clone())), EPSILON), plain.clone());
            for items in [1, batch] {
                let (scale, shift) = (case.random([items, 1, width]), case.random([items, 1, width]));
                let plain = plain::modulate(wide(&x), wide(&scale), wide(&shift), EPSILON);
                case.same(&what, Cuda::modulate(x.clone(), scale, shift, EPSILON), plain);
            }
            let (weight, bias) = (case.random([1, width]), case.random([1]));
            let ours =
                Cuda::norm_dot(x.clone() + 0.0, Some((gain, offset)), EPSILON, weight.clone(), Some(bias.clone()));
            case.same(&what, ours, plain::affine(plain, wide(&weight), Some(wide(&bias)), Epilogue::None));
            let plain = plain::affine(wide(&x), wide(&weight), None, Epilogue::None);
            case.same(&what, Cuda::norm_dot(x + 0.0, None, EPSILON, weight, None), plain);
        }
    });
}

/// Queries (part 0), keys or values out of a projection in float32, with the RMS norms of the first two.
fn heads_of(qkv: Gpu<3>, part: usize, heads: usize, gains: [&Gpu<1>; 2]) -> Gpu<4> {
    let [batch, tokens, row] = qkv.dims();
    let x = qkv.narrow(2, part * row / 3, row / 3).reshape([batch, tokens, heads, row / 3 / heads]).swap_dims(1, 2);
    match gains.get(part) {
        Some(gain) => plain::head_rms_norm(x, wide(gain), EPSILON),
        None => x,
    }
}

#[test]
fn heads() {
    Case::all(|case| {
        for (batch, heads, tokens, width) in [(1, 1, 1, 64), (2, 3, 77, 64), (1, 4, 100, 16), (2, 2, 9, 12)] {
            let what = format!("{batch}x{heads}x{tokens}x{width}");
            let all = case.random([batch, tokens, heads, 3 * width]).swap_dims(1, 2);
            let (gain, offset) = (case.random([width]), case.random([width]));
            for part in 0..3 {
                let x = Cuda::head_channels(all.clone(), part * width, width);
                let plain = all.clone().narrow(3, part * width, width);
                case.same(&what, x.clone(), plain.clone());
                let rms = plain::head_rms_norm(wide(&plain), wide(&gain), EPSILON);
                case.same(&what, Cuda::head_rms_norm(x.clone(), gain.clone(), EPSILON), rms);
                let normed = plain::head_layer_norm(wide(&plain), wide(&gain), wide(&offset), EPSILON);
                case.same(&what, Cuda::head_layer_norm(x, gain.clone(), offset.clone(), EPSILON), normed);
            }
            let stream = |tokens: usize| StreamHeads {
                qkv: case.random([batch, tokens, 3 * heads * width]),
                query_gain: case.random([width]),
                key_gain: case.random([width]),
            };
            for streams in [vec![stream(tokens)], vec![stream(tokens), stream(tokens + 5)]] {
                let ours = Cuda::stream_heads(streams.clone(), heads, EPSILON);
                for (part, ours) in ours.into_iter().enumerate() {
                    let own = streams
                        .iter()
                        .map(|stream| heads_of(wide(&stream.qkv), part, heads, [&stream.query_gain, &stream.key_gain]));
                    case.same(&what, ours, Tensor::cat(own.collect(), 2));
                }
            }
        }
    });
}

#[test]
fn projected_streams() {
    Case::all(|case| {
        // Kinds of heads that begin within a tile, one run of rows and several, rows that no tile divides.
        for (batch, heads, tokens, depth) in [(1, 1, 1, 64), (2, 3, 77, 64), (1, 5, 300, 72), (2, 16, 130, 1024)] {
            let width = 64;
            let stream = |tokens: usize, biased: bool| Stream {
                x: case.random([batch, tokens, depth]),
                weight: case.random([3 * heads * width, depth]) * (depth as f32).sqrt().recip(),
                bias: biased.then(|| case.random([3 * heads * width])),
                query_gain: case.random([width]),
                key_gain: case.random([width]),
            };
            for streams in [vec![stream(tokens, true)], vec![stream(tokens, true), stream(tokens + 5, false)]] {
                let what = format!("{batch}x{heads}x{tokens}x{depth}, {} streams", streams.len());
                let ours = Cuda::project_streams(streams.clone(), heads, EPSILON);
                for (part, ours) in ours.into_iter().enumerate() {
                    let own = streams.iter().map(|stream| {
                        let bias = stream.bias.as_ref().map(wide);
                        let qkv = plain::affine(wide(&stream.x), wide(&stream.weight), bias, Epilogue::None);
                        heads_of(qkv, part, heads, [&stream.query_gain, &stream.key_gain])
                    });
                    case.same(&what, ours, Tensor::cat(own.collect(), 2));
                }
            }
        }
    });
}

#[test]
fn queries_of_points_by_folded_layers() {
    Case::all(|case| {
        if !Cuda::folds_points(&case.device, case.dtype) {
            eprintln!("skipped: this GPU's kernels fold no points");
            return;
        }
        let frequencies: Vec<f32> = (0..8).map(|power| 2f32.powi(power)).collect();
        for (points, heads, biased) in [(1, 1, true), (777, 16, false), (2000, 3, true)] {
            let (width, inputs) = (64 * heads, 51);
            let weight = case.random([width, inputs]) * 0.14;
            let query_weight = case.random([width, width]) * (width as f32).sqrt().recip();
            let norm = || Norm { gain: case.random([width]), offset: case.random([width]), epsilon: EPSILON };
            let head_norm = Norm { gain: case.random([64]), offset: case.random([64]), epsilon: EPSILON };
            let mut layers = PointLayers {
                frequencies: frequencies.clone(),
                weight,
                bias: Some(case.random([width])),
                norm: norm(),
                query_weight,
                query_bias: biased.then(|| case.random([width])),
                head_norm: Some(head_norm),
                heads,
                projection_weight: case.random([width, width]) * (width as f32).sqrt().recip(),
                projection_bias: Some(case.random([width])),
                folded: None,
            };
            let host1 = |x: &Gpu<1>| -> Vec<f32> { wide(x).into_data().into_vec().unwrap() };
            let host2 = |x: &Gpu<2>| -> Vec<f32> { wide(x).into_data().into_vec().unwrap() };
            let projection = HostLinear { weight: host2(&layers.weight), bias: layers.bias.as_ref().map(host1) };
            let to_query =
                HostLinear { weight: host2(&layers.query_weight), bias: layers.query_bias.as_ref().map(host1) };
            let (gain, offset) = (host1(&layers.norm.gain), host1(&layers.norm.offset));
            let folded = fold(inputs, &projection, (&gain, &offset), &to_query).unwrap();
            let put = |values: Vec<f32>| {
                let count = values.len();
                Gpu::<1>::from_data(TensorData::new(values, [count]), (&case.device, DType::F32))
            };
            let rows = put(folded.rows).cast(case.dtype).reshape([width, FOLDED]);
            layers.folded = Some(FoldedPoints {
                projection: Param::from_tensor(Tensor::cat(vec![layers.projection_weight.clone(), rows], 1)),
                weight: Param::from_tensor(put(folded.weight).cast(case.dtype).reshape([width, FOLDED])),
                shift: Param::from_tensor(put(folded.shift).cast(case.dtype)),
                gram: Param::from_tensor(put(folded.gram).reshape([FOLDED, FOLDED])),
            });
            let at: Gpu<3> = wide(&case.random([1, points, 3])) * 0.5;
            let plain_norm = |norm: &Norm<Cuda>| (wide(&norm.gain), wide(&norm.offset));
            let embedded = plain::fourier(at.clone(), &frequencies);
            let bias = layers.bias.as_ref().map(wide);
            let rows = plain::affine(embedded, wide(&layers.weight), bias, Epilogue::None);
            let normed = plain::norm(rows.clone(), Some(plain_norm(&layers.norm)), EPSILON);
            let bias = layers.query_bias.as_ref().map(wide);
            let queries = plain::affine(normed, wide(&layers.query_weight), bias, Epilogue::None);
            let queries = queries.reshape([1, points, heads, 64]).swap_dims(1, 2);
            let head_norm = layers.head_norm.as_ref().unwrap();
            let (gain, offset) = plain_norm(head_norm);
            let queries = plain::head_layer_norm(queries, gain, offset, EPSILON);
            let what = format!("{points} points, {heads} heads");
            case.same(&what, Cuda::point_queries(at.clone(), layers.clone()), queries.clone());

            // All points with the same keys; one group and, of other keys, the rest in groups of uneven sizes.
            let group = |points: Vec<usize>, keys: usize| PointGroups {
                keys: case.random([points.len(), heads, keys, 64]),
                values: case.random([points.len(), heads, keys, 64]),
                points,
            };
            let (first, rest) = (points / 3 + 1, points - points / 3 - 1);
            let several: Vec<usize> = (1..=6).map(|i| rest * i / 6 * i / 6).collect();
            let sizes = several.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end)));
            let sizes: Vec<usize> = sizes.filter(|size| *size > 0).collect();
            let mut mixed = vec![group(vec![first], 200)];
            if !sizes.is_empty() {
                mixed.push(group(sizes, 65));
            }
            for groups in [vec![group(vec![points], 100)], mixed] {
                let mut begin = 0;
                let mut attention = Vec::new();
                for PointGroups { points, keys, values } in &groups {
                    for (group, points) in points.iter().enumerate() {
                        let own = queries.clone().narrow(2, begin, *points);
                        begin += points;
                        let [keys, values] = [keys, values].map(|all| wide(&all.clone().narrow(0, group, 1)));
                        attention.push(plain::attend(own, keys, values));
                    }
                }
                let attention = Tensor::cat(attention, 1);
                let bias = layers.projection_bias.as_ref().map(wide);
                let added = plain::affine(attention, wide(&layers.projection_weight), bias, Epilogue::None);
                let ours = Cuda::attend_points(at.clone(), layers.clone(), &groups);
                case.same(&format!("{what}, {} groups", groups.len()), ours, rows.clone() + added);
            }
        }
    });
}

#[test]
fn elementwise() {
    Case::all(|case| {
        for (batch, tokens, width) in [(1, 1, 8), (2, 77, 1024), (3, 5, 4096), (2, 9, 13)] {
            let what = format!("{batch}x{tokens}x{width}");
            let (x, y) = (case.random([batch, tokens, width]), case.random([batch, tokens, width]));
            for items in [1, batch] {
                let gate = case.random([items, 1, width]);
                let plain = plain::gated_add(wide(&x), wide(&gate), wide(&y));
                case.same(&what, Cuda::gated_add(x.clone(), gate, y.clone()), plain);
            }
            case.same(&what, Cuda::residual(x.clone(), y.clone()), wide(&x) + wide(&y));
            let both = Tensor::cat(vec![x, y], 2);
            case.same(&what, Cuda::swiglu(both.clone()), plain::swiglu(wide(&both)));
        }
    });
}

#[test]
fn embedded_points() {
    Case::all(|case| {
        let frequencies: Vec<f32> = (0..8).map(|power| 2f32.powi(power)).collect();
        for (points, outputs) in [(1, 64), (777, 1024), (100, 16)] {
            let weight = case.random([outputs, 51]) * 0.14;
            let bias = case.random([outputs]);
            let at: Gpu<3> = wide(&case.random([1, points, 3])) * 0.5;
            let embedded = plain::fourier(at.clone(), &frequencies);
            let plain = plain::affine(embedded, wide(&weight), Some(wide(&bias)), Epilogue::None);
            let ours = Cuda::embed_points(at, &frequencies, weight, Some(bias));
            case.same(&format!("{points} to {outputs}"), ours, plain);
        }
    });
}

#[test]
fn selected_keys() {
    Case::all(|case| {
        // Groups of one query, of a few, and more of them than a launch takes.
        let many: Vec<usize> = (0..19).map(|i| 1 + i * 5 % 7).collect();
        for (heads, groups, keys, width, count) in [
            (1, vec![1], 1, 64, 1),
            (3, vec![41], 3072, 64, 1024),
            (2, vec![7, 1, 30], 96, 16, 32),
            (2, many, 200, 64, 50),
        ] {
            let queries = groups.iter().sum();
            let q = case.random([1, heads, queries, width]);
            let k = case.random([1, keys, heads, 2 * width]).swap_dims(1, 2);
            let k = Cuda::head_channels(k, width, width);
            // Values that say whose they are, in numbers that every precision has.
            let names = (0..heads * keys * width).map(|i| match i % width {
                0 => (i / width % keys / 64) as f32,
                1 => (i / width % keys % 64) as f32,
                _ => 1.0,
            });
            let names = TensorData::new(names.collect::<Vec<_>>(), [1, heads, keys, width]);
            let v = Gpu::<4>::from_data(names, (&case.device, DType::F32)).cast(case.dtype);
            let ours = Cuda::select_keys(q.clone(), &groups, k.clone(), v, count);
            assert!(ours.iter().all(|own| own.dims() == [groups.len(), heads, count, width]));
            let host = |x: Gpu<4>| -> Vec<f32> { wide(&x).into_data().into_vec().unwrap() };
            let (q, k, [own_k, own_v]) = (host(q), host(k), ours.map(host));
            let mut before = 0;
            for (group, size) in groups.iter().enumerate() {
                for head in 0..heads {
                    let rows = |of: &[f32], first: usize, many: usize| of[first * width..][..many * width].to_vec();
                    let own_q = rows(&q, head * queries + before, *size);
                    let score = |key: &[f32]| -> f64 {
                        let of_query = |q: &[f32]| q.iter().zip(key).map(|(a, b)| f64::from(a * b)).sum::<f64>();
                        own_q.chunks_exact(width).map(of_query).sum::<f64>() / *size as f64
                    };
                    let mut scores: Vec<f64> = rows(&k, head * keys, keys).chunks_exact(width).map(score).collect();
                    let all = scores.clone();
                    scores.sort_by(f64::total_cmp);
                    // Scores that round differently may swap the last.
                    let least = scores[keys - count] - 1e-2 * (scores[keys - 1] - scores[0]).max(1e-3);
                    let mut seen = std::collections::BTreeSet::new();
                    for place in 0..count {
                        let place = (group * heads + head) * count + place;
                        let row = rows(&own_v, place, 1);
                        let key = row[0] as usize * 64 + row[1] as usize;
                        let what = format!("{count} of {keys}, group {group}, head {head}, key {key} {:?}", case.dtype);
                        assert!(seen.insert(key), "{what}: twice");
                        assert_eq!(rows(&own_k, place, 1), rows(&k, head * keys + key, 1), "{what}");
                        assert!(all[key] >= least, "{what}: a score of {} and not {least}", all[key]);
                    }
                }
                before += size;
            }
        }
    });
}

#[test]
fn a_whole_run_in_half_precision_and_one_part_at_a_time() {
    let Some(device) = gpu() else { return };
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/base");
    let picture = ::image::open(folder.join("input.png")).unwrap().into_rgba8();
    let load = |residency| {
        let precision = Precision::Float16;
        Model::<Cuda>::load_as(residency, &folder, None, device.clone(), precision, &mut |_, _| {}).unwrap()
    };
    let whole = load(Residency::Whole);
    let view = image::process(&whole.config.image_processor, &picture, 0).unwrap().0;
    for method in [Method::Hierarchical, Method::FlashVdm] {
        let volume = VolumeOptions { chunk: 5000, ..VolumeOptions::new(method, 64) };
        let begin = Begin::Seed(7);
        let request = ShapeRequest { views: vec![view.clone()], begin, steps: 5, guidance: 5.0, volume };
        let made = |model: &dyn ShapeModel| model.generate(&request, &mut Unwatched).unwrap();
        let (ours, turns) = (made(&whole), made(&load(Residency::InTurn)));
        assert_eq!(ours.dense(), turns.dense(), "{method:?}: another field with one part at a time");
        let plain = open(&folder, None, DeviceName::Cpu, None, &mut |_, _| {}).unwrap();
        let plain = plain.generate(&request, &mut Unwatched).unwrap();
        // Where both asked: half precision moves the band by a sample here and there.
        let (ours, plain) = (ours.dense(), plain.dense());
        let both = ours.iter().zip(&plain).filter(|(a, b)| a.abs() != 1.0 && b.abs() != 1.0);
        let (difference, size) = both.fold((0f64, 0f64), |(difference, size), (a, b)| {
            (difference + f64::from(a - b).powi(2), size + f64::from(*b).powi(2))
        });
        let error = (difference / size).sqrt();
        // FlashVDM's choice of keys flips where scores nearly tie.
        let most = if method == Method::FlashVdm { 5e-2 } else { 5e-3 };
        assert!(error <= most, "{method:?}: relative error {error:e} against float32 on the CPU");
    }
}

struct Unwatched;

impl ShapeWatch for Unwatched {
    fn progress(&mut self, _: Phase, _: usize, _: usize) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }
}
