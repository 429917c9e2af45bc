//! Pictures of test fields: `cargo run --release --example portrait FOLDER`.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/fields.rs"]
mod fields;

use std::time::Instant;

use orfeas_field::Field;
use orfeas_surface::{FinishOptions, RenderOptions, finish, render_png};

/// Distance from an ellipsoid's surface, about; positive inside.
fn ellipsoid([x, y, z]: [f32; 3], [cx, cy, cz]: [f32; 3], [rx, ry, rz]: [f32; 3]) -> f32 {
    let r = (((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) + ((z - cz) / rz).powi(2)).sqrt();
    (1.0 - r) * rx.min(ry).min(rz)
}

/// A maximum that rounds the seam.
fn blend(a: f32, b: f32, k: f32) -> f32 {
    let h = (0.5 + 0.5 * (a - b) / k).clamp(0.0, 1.0);
    b + (a - b) * h + k * h * (1.0 - h)
}

fn duck(p: [f32; 3]) -> f32 {
    let mirrored = [p[0].abs(), p[1], p[2]];
    let body = ellipsoid(p, [0.0, -0.3, -0.1], [0.5, 0.42, 0.68]);
    let tail = ellipsoid(p, [0.0, -0.02, -0.68], [0.22, 0.16, 0.24]);
    let head = ellipsoid(p, [0.0, 0.38, 0.34], [0.33, 0.33, 0.33]);
    let bill = ellipsoid(p, [0.0, 0.31, 0.68], [0.17, 0.06, 0.2]);
    let wing = ellipsoid(mirrored, [0.47, -0.22, -0.15], [0.1, 0.22, 0.4]);
    let eye = ellipsoid(mirrored, [0.17, 0.47, 0.6], [0.06, 0.06, 0.06]);
    let solid = blend(blend(blend(blend(body, tail, 0.2), head, 0.22), bill, 0.06), wing, 0.06);
    solid.max(eye)
}

fn field(samples: usize, value: impl Fn([f32; 3]) -> f32) -> Field {
    fields::sampled(samples, 1.01, value)
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let torus = field(129, |[x, y, z]| 0.28 - (((x * x + z * z).sqrt() - 0.65).powi(2) + y * y).sqrt());
    let block = field(129, |[x, y, z]| {
        let cube = 0.62 - x.abs().max(y.abs()).max(z.abs());
        cube.min((x * x + y * y).sqrt() - 0.35).min((z * z + y * y).sqrt() - 0.35)
    });
    for (name, field) in [("duck", field(193, duck)), ("torus", torus), ("block", block)] {
        let options = FinishOptions { size_mm: 120.0, target_faces: Some(60_000), ..FinishOptions::default() };
        let (mesh, report) = finish(&field, &options, &mut |_| {}, &|| false).unwrap();
        println!("{name}: {report:?}");
        let options = [("", RenderOptions::default()), ("-sheet", RenderOptions::sheet(640))];
        for (suffix, options) in options {
            let start = Instant::now();
            let png = render_png(&mesh, &options).unwrap();
            println!("{}{suffix}: {} ms, {} bytes", name, start.elapsed().as_millis(), png.len());
            std::fs::write(format!("{folder}/{name}{suffix}.png"), png).unwrap();
        }
    }
}
