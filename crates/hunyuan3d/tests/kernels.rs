//! Every kernel of the CPU backend against its definition in plain Burn operations, at awkward sizes and strides.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::kernels::{Epilogue, Kernels, plain};
use orfeas_hunyuan3d::noise::normal;

type Cpu<const D: usize> = Tensor<Flex, D>;

const EPSILON: f64 = 1e-6;
const EPILOGUES: [Epilogue; 5] = [Epilogue::None, Epilogue::Gelu, Epilogue::GeluTanh, Epilogue::Silu, Epilogue::Relu];

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Cpu<D> {
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Cpu<D> {
    tensor(normal(seed, shape.iter().product()), shape)
}

fn values<const D: usize>(x: Cpu<D>) -> Vec<f32> {
    x.into_data().into_vec().unwrap()
}

/// Checks shape, finiteness and ‖a - b‖ ≤ 1e-5 ‖b‖.
#[track_caller]
fn same<const D: usize>(what: &str, ours: Cpu<D>, plain: Cpu<D>) {
    assert_eq!(ours.dims(), plain.dims(), "{what}");
    close(what, &values(ours), &values(plain));
}

#[track_caller]
fn close(what: &str, ours: &[f32], expected: &[f32]) {
    assert!(ours.iter().all(|value| value.is_finite()), "{what}: not finite");
    let difference: f64 = ours.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let size: f64 = expected.iter().map(|b| f64::from(*b).powi(2)).sum();
    let error = difference.sqrt() / size.sqrt().max(1e-30);
    assert!(error <= 1e-5, "{what}: relative error {error:e}");
}

/// Queries, keys and values as the networks make them: views into wider rows.
///
/// `layout` 0: contiguous; 1: DiT, `[batch, tokens, 3 * heads * width]` cut, then split into heads; 2: the shape
/// decoder's, each head with its parts side by side; 3: behind other tokens, as after a narrow along them.
fn heads(seed: u64, [batch, heads, tokens, width]: [usize; 4], layout: usize) -> [Cpu<4>; 3] {
    match layout {
        0 => std::array::from_fn(|part| random(seed + part as u64, [batch, heads, tokens, width])),
        1 => std::array::from_fn(|part| {
            let all = random(seed, [batch, tokens, 3 * heads * width]);
            let own = all.narrow(2, part * heads * width, heads * width);
            own.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
        }),
        2 => std::array::from_fn(|part| {
            let all = random(seed, [batch, tokens, heads, 3 * width]).swap_dims(1, 2);
            all.narrow(3, part * width, width)
        }),
        _ => std::array::from_fn(|part| {
            let all = random(seed + part as u64, [batch, tokens + 5, heads, width + 3]).swap_dims(1, 2);
            all.narrow(2, 3, tokens).narrow(3, 2, width)
        }),
    }
}

#[test]
fn affine() {
    let shapes = [(1, 1, 1, 1), (1, 1, 64, 3), (2, 97, 16, 8), (1, 513, 51, 72), (2, 3, 8, 1025), (3, 7, 1, 1)];
    for (index, (batch, tokens, inputs, outputs)) in shapes.into_iter().enumerate() {
        let seed = 10 * index as u64;
        // Cut out of a wider row, as after the attention of both streams.
        let x = random(seed, [batch, tokens + 2, inputs]).narrow(1, 1, tokens);
        // The second half of a taller matrix, as in the single stream blocks.
        let weight = random(seed + 1, [2 * outputs, inputs]).narrow(0, outputs, outputs);
        for bias in [None, Some(random(seed + 2, [2 * outputs]).narrow(0, outputs, outputs))] {
            for epilogue in EPILOGUES {
                let what = format!("{batch}x{tokens}x{inputs} to {outputs}, {epilogue:?}, bias {}", bias.is_some());
                let ours = Flex::affine(x.clone(), weight.clone(), bias.clone(), epilogue);
                same(&what, ours, plain::affine(x.clone(), weight.clone(), bias.clone(), epilogue));
            }
        }
    }
}

#[test]
fn activations_far_out() {
    let mut far = vec![-1e4f32, -1e3, -100.0, -88.1, -87.5, -20.0, -9.0, -5.0, -1.0, -1e-3, -1e-30, -0.0];
    far.extend(far.clone().iter().map(|x| -x));
    far.extend((-1000..=1000).map(|step| step as f32 * 0.1));
    let count = far.len();
    let identity = || tensor(vec![1.0], [1, 1]);
    for epilogue in EPILOGUES {
        let ours = values(Flex::affine(tensor(far.clone(), [1, count, 1]), identity(), None, epilogue));
        for (x, ours) in far.iter().zip(ours) {
            let d = f64::from(*x);
            let exact = match epilogue {
                Epilogue::None => d,
                Epilogue::Gelu => 0.5 * d * (1.0 + libm::erf(d / 2f64.sqrt())),
                Epilogue::GeluTanh => {
                    0.5 * d * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (d + 0.044_715 * d.powi(3))).tanh())
                }
                Epilogue::Silu => d / (1.0 + (-d).exp()),
                Epilogue::Relu => d.max(0.0),
            };
            let error = (f64::from(ours) - exact).abs();
            assert!(error <= 1e-6 * exact.abs().max(1.0), "{epilogue:?} of {x}: {ours}, not {exact}");
        }
    }
    // A gate of ±100 and a value of ±100 each.
    let gates: Vec<f32> = [-100.0, -1.0, 0.0, 1.0, 100.0].iter().flat_map(|g| [*g, 100.0, *g, -100.0]).collect();
    let x = tensor(gates, [1, 10, 2]);
    same("swiglu", Flex::swiglu(x.clone()), plain::swiglu(x));
}

#[test]
fn a_value_that_is_no_number_stays_visible() {
    for epilogue in [Epilogue::None, Epilogue::Gelu, Epilogue::GeluTanh, Epilogue::Silu] {
        let x = tensor(vec![1.0, f32::NAN, -1.0], [1, 3, 1]);
        let ours = values(Flex::affine(x, tensor(vec![1.0], [1, 1]), None, epilogue));
        assert!(ours[1].is_nan() && ours[0].is_finite() && ours[2].is_finite(), "{epilogue:?}: {ours:?}");
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut row = normal(1, 97);
        row[96] = bad;
        let normed = values(Flex::norm(tensor(row, [1, 1, 97]), None, EPSILON));
        assert!(normed.iter().any(|value| value.is_nan()), "norm of {bad}");
        let [q, mut k, v] = heads(1, [1, 1, 40, 8], 0);
        k = k.slice_assign([0..1, 0..1, 39..40, 3..4], tensor(vec![bad], [1, 1, 1, 1]));
        assert!(values(Flex::attend(q, k, v)).iter().any(|value| value.is_nan()), "attention with a key of {bad}");
    }
}

#[test]
fn attention_at_every_size_and_stride() {
    let mut seed = 0;
    for width in [1, 8, 16, 64, 72] {
        for (batch, count, queries, keys) in [
            (1, 1, 1, 1),
            (1, 2, 1, 1025),
            (2, 3, 97, 1),
            (1, 2, 97, 513),
            (2, 1, 96, 512),
            (1, 1, 193, 511),
            (1, 1, 95, 1025),
        ] {
            for layout in 0..4 {
                seed += 10;
                let [q, _, _] = heads(seed, [batch, count, queries, width], layout);
                let [_, k, v] = heads(seed + 5, [batch, count, keys, width], layout);
                let what = format!("{batch}x{count}x{queries}x{width}, {keys} keys, layout {layout}");
                same(&what, Flex::attend(q.clone(), k.clone(), v.clone()), plain::attend(q, k, v));
            }
        }
    }
}

#[test]
fn attention_with_keys_that_were_gathered() {
    // FlashVDM's: some of the keys, in another order.
    let [q, k, v] = heads(3, [1, 2, 97, 16], 1);
    let order: Vec<i32> = (0..32).flat_map(|i| [(i * 37) % 97; 16]).collect();
    let order = [order.clone(), order].concat();
    let chosen = Tensor::<Flex, 4, burn::tensor::Int>::from_data(TensorData::new(order, [1, 2, 32, 16]), &FlexDevice);
    let (k, v) = (k.gather(2, chosen.clone()), v.gather(2, chosen));
    same("gathered", Flex::attend(q.clone(), k.clone(), v.clone()), plain::attend(q, k, v));
}

/// Whole numbers, so that every score is exact in float32, whatever the order of its sum.
fn whole(seed: u64, shape: [usize; 4], factor: f32) -> Cpu<4> {
    let count = shape.iter().product();
    tensor(normal(seed, count).iter().map(|value| (value * 2.0).round() * factor).collect(), shape)
}

#[test]
fn attention_needs_its_maximum() {
    // Scores up to about ±1e4 after scaling, in one tile of keys, in several, and rising or falling from tile to tile.
    for (keys, width) in [(1, 16), (40, 64), (513, 16), (1025, 64), (1600, 16)] {
        let (q, k) = (whole(1, [1, 2, 97, width], 16.0), whole(2, [1, 2, keys, width], 32.0));
        let v = random(3, [1, 2, keys, width]);
        let what = format!("{keys} keys of {width}");
        same(&what, Flex::attend(q.clone(), k.clone(), v.clone()), plain::attend(q, k, v));
        for slope in [-16.0f32, 16.0] {
            let ramp: Vec<f32> = (0..keys).flat_map(|key| vec![slope * key as f32; width]).collect();
            let k = tensor([ramp.clone(), ramp].concat(), [1, 2, keys, width]);
            let (q, v) = (tensor(vec![1.0; 2 * 97 * width], [1, 2, 97, width]), random(4, [1, 2, keys, width]));
            let what = format!("{keys} keys of {width}, slope {slope}");
            same(&what, Flex::attend(q.clone(), k.clone(), v.clone()), plain::attend(q, k, v));
        }
    }
}

#[test]
fn attention_of_large_magnitudes_is_a_mean_of_values() {
    // The scale of heads of 8 and 72 is no power of two, so a score's product with it is rounded.
    for exponent in [2, 4, 6, 8, 10, 12, 15, 18] {
        for sign in [-1f32, 1.0] {
            let large = 10f32.powi(exponent) * sign * 1.234_567;
            // All keys the same: every score ties, so the answer is the mean of the values.
            let q = random(7, [1, 1, 33, 72]).abs() * large;
            let k = random(8, [1, 1, 1, 72]).abs().expand([1, 1, 600, 72]) * large.abs();
            let v = random(9, [1, 1, 600, 72]);
            let mean = v.clone().mean_dim(2).reshape([1, 1, 72]).expand([1, 33, 72]);
            same(&format!("scores of {large:e}²"), Flex::attend(q, k, v), mean);
            // Different keys: at least finite, and within the values.
            let [q, k, v] = heads(11, [2, 2, 97, 8], 1);
            let out = values(Flex::attend(q * large, k * large, v));
            assert!(out.iter().all(|value| value.is_finite() && value.abs() < 6.0), "{large:e}");
        }
    }
    let [q, k, v] = heads(12, [1, 2, 97, 16], 0);
    same("large values", Flex::attend(q.clone(), k.clone(), v.clone() * 1e30), plain::attend(q, k, v) * 1e30);
}

#[test]
fn norms() {
    for (index, (batch, tokens, width)) in
        [(1, 1, 1), (1, 1, 64), (2, 97, 72), (1, 513, 31), (2, 3, 1025), (1, 2, 20_000)].into_iter().enumerate()
    {
        let seed = 100 * index as u64;
        let what = format!("{batch}x{tokens}x{width}");
        let gain_offset = (random(seed + 1, [width]), random(seed + 2, [width]));
        for (shift, factor) in [(0.0, 1.0), (30.0, 1.0), (0.0, 1e4), (0.0, 1e-3)] {
            let contiguous = random(seed, [batch, tokens, width]) * factor + shift;
            let cut = (random(seed, [batch, tokens + 3, width + 2]) * factor + shift)
                .narrow(1, 2, tokens)
                .narrow(2, 1, width);
            let turned = (random(seed, [batch, width, tokens]) * factor + shift).swap_dims(1, 2);
            for x in [contiguous, cut, turned] {
                // A mean far from the spread costs both sides digits; not what is tested here.
                if shift != 0.0 && width < 31 {
                    continue;
                }
                for gain_offset in [None, Some(gain_offset.clone())] {
                    let ours = Flex::norm(x.clone(), gain_offset.clone(), EPSILON);
                    same(&what, ours, plain::norm(x.clone(), gain_offset, EPSILON));
                }
            }
        }
    }
    let flat = tensor(vec![3.0; 128], [1, 2, 64]);
    assert!(values(Flex::norm(flat, None, EPSILON)).iter().all(|value| value.abs() < 1e-6));
}

#[test]
fn head_norms() {
    let mut seed = 0;
    for width in [1, 8, 16, 64, 72] {
        for (batch, count, tokens) in [(1, 1, 1), (2, 3, 97), (1, 4, 513)] {
            for layout in 0..4 {
                seed += 10;
                let [_, x, _] = heads(seed, [batch, count, tokens, width], layout);
                let (gain, offset) = (random(seed + 8, [width]), random(seed + 9, [width]));
                let what = format!("{batch}x{count}x{tokens}x{width}, layout {layout}");
                let ours = Flex::head_layer_norm(x.clone(), gain.clone(), offset.clone(), EPSILON);
                same(&what, ours, plain::head_layer_norm(x.clone(), gain.clone(), offset, EPSILON));
                let ours = Flex::head_rms_norm(x.clone(), gain.clone(), EPSILON);
                same(&what, ours, plain::head_rms_norm(x.clone(), gain.clone(), EPSILON));
                // Channels that do not lie together, and one row for every token.
                let turned = x.clone().swap_dims(2, 3).swap_dims(0, 1).swap_dims(0, 1).swap_dims(2, 3);
                let ours = Flex::head_rms_norm(turned.clone(), gain.clone(), EPSILON);
                same(&what, ours, plain::head_rms_norm(turned, gain.clone(), EPSILON));
                let repeated = random(seed, [1, 1, 1, width]).expand([batch, count, tokens, width]);
                let ours = Flex::head_rms_norm(repeated.clone(), gain.clone(), EPSILON);
                same(&what, ours, plain::head_rms_norm(repeated, gain, EPSILON));
            }
        }
        let channels_apart = random(seed + 3, [2, width, 3, 7]).permute([0, 2, 3, 1]);
        let gain = random(seed + 4, [width]);
        let ours = Flex::head_rms_norm(channels_apart.clone(), gain.clone(), EPSILON);
        same("channels apart", ours, plain::head_rms_norm(channels_apart, gain, EPSILON));
    }
}

/// One of six vectors, cut out of a layer's output as [`modulation`] does.
///
/// [`modulation`]: orfeas_hunyuan3d::dit
fn modulation(seed: u64, batch: usize, width: usize, index: usize) -> Cpu<3> {
    random(seed, [batch, 1, 6 * width]).narrow(2, index * width, width)
}

#[test]
fn modulation_and_gates() {
    let mut seed = 0;
    for (batch, tokens, width) in [(1, 1, 1), (1, 1, 64), (2, 97, 72), (2, 1, 16), (2, 513, 8), (3, 2, 1025)] {
        for own in [1, batch] {
            seed += 10;
            let what = format!("{batch}x{tokens}x{width}, modulated by {own}");
            let x = random(seed, [batch, tokens, width]);
            let cut = random(seed + 1, [batch, tokens + 4, width]).narrow(1, 3, tokens);
            let [scale, shift, gate] = [0, 2, 5].map(|index| modulation(seed + 2, own, width, index));
            for (x, y) in [(x.clone(), cut.clone()), (cut, x)] {
                let ours = Flex::modulate(x.clone(), scale.clone(), shift.clone(), EPSILON);
                same(&what, ours, plain::modulate(x.clone(), scale.clone(), shift.clone(), EPSILON));
                let before = values(x.clone());
                let ours = Flex::gated_add(x.clone(), gate.clone(), y.clone());
                same(&what, ours, plain::gated_add(x.clone(), gate.clone(), y.clone()));
                // It adds in place only what nobody else holds.
                assert_eq!(values(x.clone()), before, "{what}: changed what another holds");
                same(&what, Flex::gated_add(x.clone(), gate.clone(), x.clone()), x.clone() + gate.clone() * x);
            }
        }
    }
    // A scale of its own for each item and a shift for all, and the other way round.
    let (x, one, two) = (random(1, [2, 9, 24]), random(2, [1, 1, 24]), random(3, [2, 1, 24]));
    for (scale, shift) in [(&one, &two), (&two, &one)] {
        let ours = Flex::modulate(x.clone(), scale.clone(), shift.clone(), EPSILON);
        same("mixed", ours, plain::modulate(x.clone(), scale.clone(), shift.clone(), EPSILON));
    }
}

#[test]
fn swiglu() {
    for (batch, tokens, width) in [(1, 1, 1), (2, 97, 72), (1, 513, 33), (2, 1, 20_000)] {
        let x = random(width as u64, [batch, tokens, 2 * width]);
        same("swiglu", Flex::swiglu(x.clone()), plain::swiglu(x));
        let cut = random(width as u64 + 1, [batch, tokens + 3, 2 * width + 5]).narrow(1, 2, tokens);
        let cut = cut.narrow(2, 4, 2 * width) * 20.0;
        same("swiglu of a view", Flex::swiglu(cut.clone()), plain::swiglu(cut));
    }
}

#[test]
fn fourier() {
    for count in [1, 97, 255, 256, 257, 1025] {
        for frequencies in [0, 1, 8, 12] {
            let frequencies: Vec<f32> = (0..frequencies).map(|power| 2f32.powi(power) * std::f32::consts::PI).collect();
            let points = random(count as u64, [1, count, 3]);
            let what = format!("{count} points, {} frequencies", frequencies.len());
            same(&what, Flex::fourier(points.clone(), &frequencies), plain::fourier(points, &frequencies));
            let cut = random(count as u64, [2, count + 2, 5]).narrow(1, 1, count).narrow(2, 1, 3);
            same(&what, Flex::fourier(cut.clone(), &frequencies), plain::fourier(cut, &frequencies));
        }
    }
}
