//! Times each stage on a raw grid, as JSON: `cargo run --release -p orfeas-surface --example stages GRID.npy OUT.stl
//! [TARGET]`; benches/compare.py runs it beside the reference. Or, with `--sparse N`, on a field that was never dense.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/common/fields.rs"]
mod fields;

use std::time::Instant;

use orfeas_contract::Format;
use orfeas_field::{BlockState, Bounds, Field, HALO_EDGE, SparseGrid};
use orfeas_surface::{FileOptions, dual, extract, keep_components, place, report, simplify, write_to};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The smallest of a few timings in seconds, and the last result.
fn best<T>(name: &str, runs: usize, mut work: impl FnMut() -> T) -> T {
    let mut least = f64::MAX;
    let mut result = None;
    for _ in 0..runs {
        drop(result.take());
        let start = Instant::now();
        result = Some(work());
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!("\"{name}\": {least:.4},");
    result.unwrap()
}

/// The most memory that this process has had.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).map_or(0, |kb| kb / 1024)
}

/// The reference's field: a thick gyroid within a ball.
fn value([x, y, z]: [f32; 3]) -> f32 {
    let ball = 0.9 - (x * x + y * y + z * z).sqrt();
    let (u, v, w) = (6.0 * x, 6.0 * y, 6.0 * z);
    ball.min(0.6 - (u.sin() * v.cos() + v.sin() * w.cos() + w.sin() * u.cos()).abs())
}

/// The field sampled in the blocks alone that its slope, at most 14 in all, lets the surface pass.
fn sparse(samples: usize) -> Field {
    let step = 2.02 / (samples - 1) as f32;
    let at = |index: usize| index as f32 * step - 1.01;
    let grid = SparseGrid::from_blocks([samples; 3], |origin, halo| {
        let middle = value(origin.map(|o| at(o) + 3.5 * step));
        if middle.abs() > 14.0 * 5.5 * 3f32.sqrt() * step {
            return if middle > 0.0 { BlockState::Inside } else { BlockState::Outside };
        }
        for (index, out) in halo.iter_mut().enumerate() {
            let local = [index / (HALO_EDGE * HALO_EDGE), index / HALO_EDGE % HALO_EDGE, index % HALO_EDGE];
            *out = value(std::array::from_fn(|k| at(origin[k] + local[k]) - step));
        }
        BlockState::Dense
    });
    let Field { provenance, .. } = fields::field([2; 3], 1.0, &[1.0; 8]);
    Field { grid, bounds: Bounds::cube(1.01), provenance }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{{");
    if arguments[0] == "--sparse" {
        let samples = arguments[1].parse().unwrap();
        let field = best("sample", 1, || sparse(samples));
        println!("\"dense_blocks\": {},", field.grid.dense_values().len());
        println!("\"peak_mb_to_stl\": {},", peak_megabytes());
        let mesh = best("extract", 5, || extract(&field).unwrap());
        println!("\"triangles\": {}\n}}", mesh.triangles.len());
        return;
    }
    let bytes = std::fs::read(&arguments[0]).unwrap();
    let (samples, values) = best("load", 1, || orfeas_surface::npy::read(&bytes).unwrap());
    drop(bytes);
    let grid = best("sparse", 1, || SparseGrid::from_dense(samples, &values, 0.0).unwrap());
    drop(values);
    let Field { provenance, .. } = fields::field([2; 3], 1.0, &[1.0; 8]);
    let field = Field { grid, bounds: Bounds::cube(1.01), provenance };
    let stl = |mesh| {
        let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&arguments[1]).unwrap());
        write_to(&mesh, Format::Stl, &FileOptions::named("gyroid"), &mut file).unwrap();
    };
    best("field_to_stl", 5, || stl(place(extract(&field).unwrap(), 100.0).unwrap()));
    println!("\"peak_mb_to_stl\": {},", peak_megabytes());
    let mesh = best("extract", 5, || extract(&field).unwrap());
    best("dual", 3, || dual(&field).unwrap().triangles.len());
    let copies = std::cell::RefCell::new((0..3).map(|_| mesh.clone()).collect::<Vec<_>>());
    best("floaters", 3, || keep_components(copies.borrow_mut().pop().unwrap(), 0.005, false).unwrap().0);
    best("report", 3, || report(&mesh, 0).volume_cm3);
    let target = arguments.get(2).map_or(40_000, |text| text.parse().unwrap());
    let simple = best("reduce", 1, || simplify(mesh.clone(), target).unwrap());
    let found = report(&simple, 0);
    println!("\"watertight\": {}, \"manifold\": {},", found.watertight, found.manifold);
    println!("\"reduced_to\": {}, \"triangles\": {}\n}}", simple.triangles.len(), mesh.triangles.len());
}
