//! The surface of any field is closed, manifold, oriented and free of degenerate triangles, whatever extracts it.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, check, check_alone, euler, field, sampled};
use orfeas_field::Field;
use orfeas_surface::{Mesh, SurfaceError, SurfaceErrorKind, dual, extract, report};
use rayon::prelude::*;

type Extractor = fn(&Field) -> Result<Mesh, SurfaceError>;
const EXTRACTORS: [(&str, Extractor); 2] = [("marching cubes", extract), ("dual", dual)];

/// Trilinear noise of lattice values `cell` samples apart.
fn noise(random: &mut Random, samples: [usize; 3], cell: usize) -> Vec<f32> {
    let coarse = samples.map(|n| n / cell + 2);
    let lattice: Vec<f32> = (0..coarse.iter().product::<usize>()).map(|_| random.signed()).collect();
    grid(samples, |at| {
        let low = at.map(|i| i / cell);
        let part = at.map(|i| (i % cell) as f32 / cell as f32);
        (0..8usize)
            .map(|k| {
                let step = [k >> 2, k >> 1 & 1, k & 1];
                let weight: f32 = (0..3).map(|a| if step[a] == 1 { part[a] } else { 1.0 - part[a] }).product();
                let at = [low[0] + step[0], low[1] + step[1], low[2] + step[2]];
                weight * lattice[(at[0] * coarse[1] + at[1]) * coarse[2] + at[2]]
            })
            .sum()
    })
}

fn grid(samples: [usize; 3], value: impl Fn([usize; 3]) -> f32) -> Vec<f32> {
    let mut values = Vec::with_capacity(samples.iter().product());
    for x in 0..samples[0] {
        for y in 0..samples[1] {
            for z in 0..samples[2] {
                values.push(value([x, y, z]));
            }
        }
    }
    values
}

fn random_direction(random: &mut Random) -> [f32; 3] {
    loop {
        let v: [f32; 3] = std::array::from_fn(|_| random.signed());
        let length = v.iter().map(|c| c * c).sum::<f32>().sqrt();
        if length > 0.1 {
            return v.map(|c| c / length);
        }
    }
}

/// Values of one of many kinds, and a name for it.
fn values(random: &mut Random, kind: usize, samples: [usize; 3]) -> (&'static str, Vec<f32>) {
    let count = samples.iter().product::<usize>();
    let middle = samples.map(|n| (n - 1) as f32 / 2.0);
    match kind {
        0 => ("three levels", (0..count).map(|_| random.below(3) as f32 - 1.0).collect()),
        1 => {
            let share = 1 + random.below(9);
            ("two levels", (0..count).map(|_| if random.below(10) < share { 1.0 } else { -1.0 }).collect())
        }
        2 => {
            let odd = [0.0, -0.0, 1e-30, -1e-30, 6e-8, -6e-8, 1e9, -1e9, f32::NAN];
            ("odd numbers", (0..count).map(|_| odd[random.below(odd.len())]).collect())
        }
        3 => ("white noise", (0..count).map(|_| random.signed()).collect()),
        4 => {
            let cell = 2 + random.below(6);
            ("smooth noise", noise(random, samples, cell))
        }
        5 => {
            // Thinner than a cell, at any angle: it shows in pieces.
            let (n, d) = (random_direction(random), random.signed() * 2.0);
            let thin = 0.2 + random.below(100) as f32 / 100.0;
            let sheet = grid(samples, |at| {
                let height: f32 = (0..3).map(|k| n[k] * (at[k] as f32 - middle[k])).sum::<f32>() - d;
                thin / 2.0 - height.abs()
            });
            ("thin sheet", sheet)
        }
        6 => {
            // Balls that touch in a sample, on an edge or nearly.
            let radius = 1.0 + random.below(30) as f32 / 10.0;
            let step = random_direction(random);
            let centres: Vec<[f32; 3]> = (0..4)
                .map(|i| std::array::from_fn(|k| middle[k] + step[k] * 2.0 * radius * (i as f32 - 1.5)))
                .collect();
            let balls = grid(samples, |at| {
                let nearest = centres
                    .iter()
                    .map(|c| (0..3).map(|k| (at[k] as f32 - c[k]).powi(2)).sum::<f32>().sqrt())
                    .fold(f32::MAX, f32::min);
                radius - nearest
            });
            ("touching balls", balls)
        }
        7 => {
            // Saddles: every face of the lattice alternates, with values close to the level.
            let tilt = random_direction(random);
            let saddles = grid(samples, |at| {
                let sign = if at.iter().sum::<usize>() % 2 == 0 { 1.0 } else { -1.0 };
                sign * 0.5 + (0..3).map(|k| tilt[k] * (at[k] as f32 - middle[k])).sum::<f32>() * 0.2
            });
            ("saddles", saddles)
        }
        8 => {
            let turn = 0.3 + random.below(100) as f32 / 60.0;
            let gyroid = grid(samples, |at| {
                let [x, y, z] = at.map(|i| i as f32 * turn);
                x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()
            });
            ("gyroid", gyroid)
        }
        _ => {
            // Flat faces exactly through samples.
            let low: [f32; 3] = std::array::from_fn(|_| random.below(3) as f32);
            let block = grid(samples, |at| {
                (0..3).map(|k| (at[k] as f32 - low[k]).min(samples[k] as f32 - 2.0 - at[k] as f32)).fold(9.0, f32::min)
            });
            ("box", block)
        }
    }
}

#[test]
fn thousands_of_random_fields_give_closed_manifolds() {
    let surfaces: usize = (0..4000u64)
        .into_par_iter()
        .map(|round| {
            let mut random = Random::new(round + 1);
            let most = if round % 8 == 0 { 22 } else { 8 };
            let samples: [usize; 3] = std::array::from_fn(|_| 2 + random.below(most));
            let (kind, mut values) = values(&mut random, round as usize % 10, samples);
            // The level may lie anywhere: everything is cut by the box sooner or later.
            let shift = if round % 3 == 0 { random.signed() * 0.3 } else { 0.0 };
            values.iter_mut().for_each(|value| *value += shift);
            let field = field(samples, &values);
            let mut surfaces = 0;
            for (name, extractor) in EXTRACTORS {
                let what = format!("{name}, round {round}: {kind}, {samples:?}");
                match extractor(&field) {
                    Ok(mesh) => {
                        // The report samples walls and casts rays: too slow for every one of thousands.
                        if round % 16 == 0 {
                            check(&mesh, &what)
                        } else {
                            check_alone(&mesh, &what)
                        }
                        surfaces += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), SurfaceErrorKind::Empty, "{what}");
                        assert!(!field.grid.has_inside(), "{what}");
                    }
                }
            }
            surfaces
        })
        .sum();
    assert!(surfaces > 6000, "{surfaces}");
}

/// The distance to a torus in the plane of x and y.
fn ring(p: [f32; 3], centre: [f32; 3], large: f32, small: f32) -> f32 {
    let [x, y, z] = std::array::from_fn(|k| p[k] - centre[k]);
    small - ((x.hypot(y) - large).powi(2) + z * z).sqrt()
}

#[test]
fn the_topology_is_the_fields_own() {
    let chain = |count: usize| {
        move |p: [f32; 3]| {
            (0..count)
                .map(|i| ring(p, [(i as f32 - (count as f32 - 1.0) / 2.0) * 0.42, 0.0, 0.0], 0.2, 0.07))
                .fold(-1.0, f32::max)
        }
    };
    for (name, extractor) in EXTRACTORS {
        let of = |value: &dyn Fn([f32; 3]) -> f32| extractor(&sampled(90, value)).unwrap();
        let ball = of(&|p| 0.7 - p.iter().map(|v| v * v).sum::<f32>().sqrt());
        assert_eq!(euler(&ball), 2, "{name}");
        // A chain of k rings that run into each other has k holes.
        for count in 1..=4 {
            assert_eq!(euler(&of(&chain(count))), 2 - 2 * count as i64, "{name}, {count} rings");
        }
        // A hollow ball: two surfaces.
        let hollow = of(&|p| 0.2 - (p.iter().map(|v| v * v).sum::<f32>().sqrt() - 0.6).abs());
        assert_eq!((euler(&hollow), report(&hollow, 0).components), (4, 2), "{name}");
    }
}

#[test]
fn both_extractors_agree_on_a_gyroid() {
    let gyroid = sampled(80, |[x, y, z]| {
        let [x, y, z] = [x, y, z].map(|v| v * 6.0);
        let value = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos();
        (0.6 - value.abs()).min(0.9 * 6.0 - (x * x + y * y + z * z).sqrt())
    });
    let (cubes, contoured) = (extract(&gyroid).unwrap(), dual(&gyroid).unwrap());
    assert_eq!(euler(&cubes), euler(&contoured));
    assert!(euler(&cubes) < -20, "{}", euler(&cubes));
    let (a, b) = (report(&cubes, 0), report(&contoured, 0));
    assert!((a.volume_cm3 / b.volume_cm3 - 1.0).abs() < 0.01 && a.components == b.components, "{a:?} {b:?}");
}

#[test]
fn volume_and_area_are_those_of_the_shape() {
    use std::f64::consts::PI;
    let ball = sampled(128, |p| 0.8 - p.iter().map(|v| v * v).sum::<f32>().sqrt());
    let torus = sampled(128, |p| ring(p, [0.0; 3], 0.6, 0.25));
    // A tilted box of 1.2 × 0.8 × 0.6.
    let (sine, cosine) = 0.5f32.sin_cos();
    let block = sampled(128, move |[x, y, z]| {
        let (u, v) = (cosine * x + sine * y, cosine * y - sine * x);
        let d = [u.abs() - 0.6, v.abs() - 0.4, z.abs() - 0.3];
        let outside: f32 = d.iter().map(|d| d.max(0.0).powi(2)).sum::<f32>().sqrt();
        -(outside + d[0].max(d[1]).max(d[2]).min(0.0))
    });
    let shapes: [(&str, &Field, f64, f64); 3] = [
        ("ball", &ball, 4.0 / 3.0 * PI * 0.8f64.powi(3), 4.0 * PI * 0.64),
        ("torus", &torus, 2.0 * PI * PI * 0.6 * 0.0625, 4.0 * PI * PI * 0.6 * 0.25),
        ("box", &block, 1.2 * 0.8 * 0.6, 2.0 * (1.2 * 0.8 + 1.2 * 0.6 + 0.8 * 0.6)),
    ];
    for (name, extractor) in EXTRACTORS {
        for (shape, field, volume, area) in shapes {
            let found = report(&extractor(field).unwrap(), 0);
            let (volume, area) = (found.volume_cm3 * 1000.0 / volume - 1.0, found.area_cm2 * 100.0 / area - 1.0);
            // Marching cubes cuts the tilted box's edges off, and with them a part of its area; the dual method cuts
            // less.
            let bound = match (name, shape) {
                ("marching cubes", "box") => 0.015,
                (_, "box") => 0.006,
                _ => 0.005,
            };
            assert!(
                volume.abs() < bound && area.abs() < bound,
                "{name}, {shape}: volume {volume:+.4}, area {area:+.4}"
            );
        }
    }
}

#[test]
fn the_dual_method_keeps_a_corner_that_marching_cubes_cuts() {
    // The corner at 0.5 lies between samples.
    let cube = sampled(42, |p| 0.5 - p.iter().map(|v| v.abs()).fold(0.0, f32::max));
    let corner = |mesh: &Mesh| {
        let reach = |v: &[f32; 3]| v.iter().map(|c| c - 0.5).map(|c| c * c).sum::<f32>().sqrt();
        mesh.vertices.iter().map(reach).fold(f32::MAX, f32::min)
    };
    let cell = 2.0 / 41.0;
    let (cubes, contoured) = (corner(&extract(&cube).unwrap()) / cell, corner(&dual(&cube).unwrap()) / cell);
    assert!(contoured < 0.05 && cubes > 0.2, "dual {contoured}, marching cubes {cubes} cells from the corner");
}

#[test]
fn threads_do_not_matter_to_the_dual_method() {
    let field = sampled(50, |p| ring(p, [0.0; 3], 0.6, 0.25));
    let on = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| dual(&field).unwrap())
    };
    assert_eq!(on(1), on(5));
}
