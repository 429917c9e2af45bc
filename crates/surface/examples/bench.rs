//! Times of every step on fields like those of the engine: `cargo run --release --example bench [samples…]`.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/fields.rs"]
mod fields;

use std::time::Instant;

use orfeas_contract::Format;
use orfeas_field::Field;
use orfeas_surface::{Mesh, extract, place, report, simplify, write};

/// The field of the reference's figures: a thick gyroid within a ball, 2.4 M triangles at 385 samples.
fn reference(samples: usize) -> Field {
    fields::sampled(samples, 1.01, |[x, y, z]| {
        let ball = 0.9 - (x * x + y * y + z * z).sqrt();
        let (u, v, w) = (6.0 * x, 6.0 * y, 6.0 * z);
        ball.min(0.6 - (u.sin() * v.cos() + v.sin() * w.cos() + w.sin() * u.cos()).abs())
    })
}

/// A ball with bumps (`rough` false) or a gyroid within a ball (`rough` true).
fn field(samples: usize, rough: bool) -> Field {
    fields::sampled(samples, 1.01, |[x, y, z]| {
        let ball = 0.85 - (x * x + y * y + z * z).sqrt();
        let (u, v, w) = (14.0 * x, 14.0 * y, 14.0 * z);
        let gyroid = u.sin() * v.cos() + v.sin() * w.cos() + w.sin() * u.cos();
        if rough { ball.min(0.04 * (gyroid + 0.2)) } else { ball + 0.03 * gyroid }
    })
}

/// The middle of `runs` timings after one to warm up, in milliseconds, and the last result.
fn median<T>(runs: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    let mut result = work();
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        result = work();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    (times[runs / 2], result)
}

fn steps(name: &str, field: &Field) {
    let (time, mesh) = median(7, || extract(field).unwrap());
    println!("{name}: {} triangles, {} dense blocks", mesh.triangles.len(), field.grid.dense_values().len());
    println!("  extract             {time:8.1} ms");
    let (time, placed) = median(5, || place(mesh.clone(), 100.0).unwrap());
    println!("  place (with a copy) {time:8.1} ms");
    let (time, measured) = median(5, || report(&placed, 0));
    println!("  report              {time:8.1} ms   printable: {}", measured.printable());
    for target in [100_000, 40_000] {
        let (time, simple) = median(3, || simplify(placed.clone(), target).unwrap());
        let measured = report(&simple, 0);
        println!(
            "  simplify to {target:6}  {time:8.1} ms   {} triangles, printable: {}",
            simple.triangles.len(),
            measured.printable()
        );
    }
    let simple: Mesh = simplify(placed, 300_000).unwrap();
    println!("  files of {} triangles:", simple.triangles.len());
    let (time, _) = median(5, || report(&simple, 0));
    println!("    report            {time:8.1} ms");
    for format in Format::ALL {
        let (time, bytes) = median(5, || write(&simple, format, "bench").unwrap());
        println!("    {:5}             {time:8.1} ms   {} bytes", format.name(), bytes.len());
    }
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    for samples in if sizes.is_empty() { vec![257, 385] } else { sizes } {
        steps(&format!("the reference's field {samples}³"), &reference(samples));
        steps(&format!("bumpy ball {samples}³"), &field(samples, false));
        steps(&format!("gyroid {samples}³"), &field(samples, true));
    }
}
