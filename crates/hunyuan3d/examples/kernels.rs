//! Times the CPU kernels by themselves: `cargo run --release -p orfeas-hunyuan3d --example kernels`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::kernels::{Epilogue, Kernels, plain};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type T<const D: usize> = Tensor<Flex, D>;

fn random<const D: usize>(shape: [usize; D]) -> T<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &FlexDevice)
}

/// Milliseconds, the median of five after one to warm up.
fn time<R>(name: &str, flops: f64, mut f: impl FnMut() -> R) {
    f();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(f());
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:40} {:9.2} ms  {:7.1} GFLOP/s", times[2], flops / times[2] / 1e6);
}

fn main() {
    let (tokens, width) = (1024, 1024);
    let x = random([1, tokens, width]);
    let weight = random([4 * width, width]);
    let bias = random([4 * width]);
    let flops = 2.0 * (tokens * width * 4 * width) as f64;
    time("linear 1024 x 1024 -> 4096", flops, || {
        Flex::affine(x.clone(), weight.clone(), Some(bias.clone()), Epilogue::None)
    });
    time("  with gelu", flops, || Flex::affine(x.clone(), weight.clone(), Some(bias.clone()), Epilogue::Gelu));
    time("  with tanh gelu", flops, || Flex::affine(x.clone(), weight.clone(), Some(bias.clone()), Epilogue::GeluTanh));
    time("  plain, with gelu", flops, || plain::affine(x.clone(), weight.clone(), Some(bias.clone()), Epilogue::Gelu));
    for (queries, keys) in [(1024, 1024), (8000, 512), (8000, 96)] {
        let q = random([1, 8, queries, 64]);
        let (k, v) = (random([1, 8, keys, 64]), random([1, 8, keys, 64]));
        let flops = 4.0 * (8 * queries * keys * 64) as f64;
        time(&format!("attention 8 x {queries} x {keys}"), flops, || Flex::attend(q.clone(), k.clone(), v.clone()));
        time("  plain", flops, || plain::attend(q.clone(), k.clone(), v.clone()));
    }
    let (gain, offset) = (random([width]), random([width]));
    time("layer norm 1024 x 1024", 0.0, || Flex::norm(x.clone(), Some((gain.clone(), offset.clone())), 1e-6));
    time("  plain", 0.0, || plain::norm(x.clone(), Some((gain.clone(), offset.clone())), 1e-6));
    let points = random([1, 8000, 3]);
    time("fourier 8000", 0.0, || Flex::fourier(points.clone(), &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]));
}
