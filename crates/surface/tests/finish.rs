//! Simplification, dust and the whole way keep the mesh printable.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{Random, ball, check, euler, sampled, torus};
use orfeas_surface::{
    FinishOptions, Mesh, SurfaceErrorKind, extract, finish, keep_components, report, simplify, smooth,
};

#[test]
fn simplification_keeps_the_mesh_closed_and_its_genus() {
    for (name, field, genus) in [("ball", ball(60, 0.8), 2), ("torus", torus(60), 0)] {
        let mesh = extract(&field).unwrap();
        let before = report(&mesh, 0);
        for target in [mesh.triangles.len() / 2, 4000, 600, 100] {
            let simple = simplify(mesh.clone(), target).unwrap();
            check(&simple, &format!("{name} to {target}"));
            assert_eq!(euler(&simple), genus, "{name} to {target}");
            assert!(simple.triangles.len() <= target && simple.triangles.len() + 2 >= target, "{name} to {target}");
            let after = report(&simple, 0);
            let tolerance = if target >= 4000 {
                0.002
            } else if target >= 600 {
                0.02
            } else {
                0.1
            };
            assert!((after.volume_cm3 / before.volume_cm3 - 1.0).abs() < tolerance, "{name} to {target}: {after:?}");
        }
        // Not a tetrahedron less than what the topology allows, and never broken.
        let least = simplify(mesh, 0).unwrap();
        check(&least, &format!("{name} as small as it gets"));
        assert_eq!(euler(&least), genus);
    }
}

#[test]
fn simplification_of_noise_stays_manifold() {
    let mut random = Random::new(9);
    for round in 0..60 {
        let n = 6 + random.below(10);
        let values: Vec<f32> = (0..n * n * n).map(|_| random.signed() - 0.2).collect();
        let mesh = extract(&common::field([n; 3], &values)).unwrap();
        let pieces = report(&mesh, 0).components;
        for target in [mesh.triangles.len() * 3 / 4, mesh.triangles.len() / 3, 0] {
            let simple = simplify(mesh.clone(), target).unwrap();
            common::check_topology(&simple, &format!("round {round} to {target}"));
            let found = report(&simple, 0);
            assert_eq!((found.components, found.degenerate_triangles), (pieces, 0), "round {round} to {target}");
            assert_eq!(euler(&simple), euler(&mesh));
        }
    }
}

#[test]
fn a_flat_box_becomes_few_triangles_and_keeps_its_size() {
    let mesh = extract(&common::field([40, 40, 40], &[1.0; 64_000])).unwrap();
    let before = report(&mesh, 0);
    let simple = simplify(mesh, 200).unwrap();
    check(&simple, "box");
    assert!(simple.triangles.len() <= 200);
    assert!((report(&simple, 0).volume_cm3 / before.volume_cm3 - 1.0).abs() < 1e-3);
}

#[test]
fn simplification_does_not_depend_on_threads_and_leaves_open_borders() {
    let mesh = extract(&torus(50)).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| simplify(mesh.clone(), 800).unwrap())
    };
    assert_eq!(on(1), on(5));
    let mut open = mesh.clone();
    open.triangles.truncate(mesh.triangles.len() / 2);
    let before = report(&open, 0);
    let after = report(&simplify(open, 500).unwrap(), 0);
    assert_eq!((after.boundary_edges, after.non_manifold_edges), (before.boundary_edges, 0));
    assert!(after.triangles < before.triangles);
}

#[test]
fn a_large_mesh_is_reduced_in_parts_and_shows_no_seam() {
    let field = sampled(300, |[x, y, z]| {
        let bumps = ((14.0 * x).sin() * (14.0 * y).cos() + (14.0 * z).sin()) * 0.02;
        0.85 + bumps - (x * x + y * y + z * z).sqrt()
    });
    let mesh = extract(&field).unwrap();
    assert!(mesh.triangles.len() > 500_000, "{}", mesh.triangles.len());
    let on = |threads, target| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| simplify(mesh.clone(), target).unwrap())
    };
    let whole = report(&mesh, 0).volume_cm3;
    for target in [500, 1000, 5000, 30_000] {
        let simple = on(2, target);
        check(&simple, "in parts");
        assert_eq!((euler(&simple), simple.triangles.len() <= target), (2, true));
        // Large and small triangles where the surface asks for them, not where the parts met.
        let mut areas: Vec<f64> = (simple.triangles.iter())
            .map(|t| {
                let [a, b, c] = t.map(|v| simple.vertices[v as usize].map(f64::from));
                let (u, v): ([f64; 3], [f64; 3]) =
                    (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
                let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
                n.iter().map(|n| n * n).sum::<f64>().sqrt()
            })
            .collect();
        areas.sort_by(f64::total_cmp);
        let (low, middle) = (areas[areas.len() / 100], areas[areas.len() / 2]);
        assert!(target < 5000 || low > 0.05 * middle, "{target}: {low} {middle}");
        // What chords cut off a ball goes with their number. A part whose cuts keep all triangles that it may gives way where it has none.
        let lost = 1.0 - report(&simple, 0).volume_cm3 / whole;
        assert!(lost < 4.0 / target as f64, "{target}: {lost} of the volume is gone");
        assert_eq!(simple, on(5, target));
    }
}

#[test]
fn a_triangle_that_names_nothing_is_an_error() {
    let mesh = Mesh { vertices: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 3]; 9] };
    assert_eq!(simplify(mesh.clone(), 1).unwrap_err().kind(), SurfaceErrorKind::Damaged);
    assert!(!report(&mesh, 0).printable());
}

/// A ball, a speck, a thin needle beside it.
fn crowd() -> orfeas_field::Field {
    sampled(201, |[x, y, z]| {
        let ball = 0.5 - (x * x + y * y + z * z).sqrt();
        let speck = 0.0055 - ((x - 0.8).powi(2) + (y - 0.8).powi(2) + z * z).sqrt();
        let needle = (0.012 - ((x + 0.8).powi(2) + z * z).sqrt()).min(0.3 - y.abs());
        ball.max(speck).max(needle)
    })
}

#[test]
fn floaters_go_by_their_share_of_the_faces_and_the_largest_comes_first() {
    let mesh = extract(&crowd()).unwrap();
    assert_eq!(report(&mesh, 0).components, 3);
    let (kept, removed) = keep_components(mesh.clone(), 0.005, false).unwrap();
    check(&kept, "without the speck");
    assert_eq!((removed.floaters, removed.cavities, report(&kept, 0).components), (1, 0, 2));
    // The ball is larger than the needle, and comes first.
    let first = kept.triangles[0].map(|v| kept.vertices[v as usize]);
    assert!(first.iter().all(|v| v.iter().map(|c| c * c).sum::<f32>().sqrt() < 0.6), "{first:?}");
    let all = keep_components(mesh.clone(), 0.0, false).unwrap();
    assert_eq!((all.1.floaters, report(&all.0, 0).components), (0, 3));
    let one = keep_components(mesh, 1.0, false).unwrap();
    assert_eq!((one.1.floaters, report(&one.0, 0).components), (2, 1));
    assert_eq!(keep_components(Mesh::default(), 0.005, false).unwrap_err().kind(), SurfaceErrorKind::Empty);
}

/// A hollow ball with a grain in its cavity, and beside it a small hollow ball.
fn hollows() -> orfeas_field::Field {
    sampled(161, |[x, y, z]| {
        let from = |cx: f32| ((x - cx).powi(2) + y * y + z * z).sqrt();
        let shell = 0.08 - (from(-0.3) - 0.5).abs();
        let grain = 0.15 - from(-0.3);
        let small = 0.04 - (from(0.8) - 0.1).abs();
        shell.max(grain).max(small)
    })
}

#[test]
fn cavities_stay_or_are_filled_with_what_is_in_them() {
    let mesh = extract(&hollows()).unwrap();
    assert_eq!(report(&mesh, 0).components, 5);
    let ball = |r: f64| 4.0 / 3.0 * std::f64::consts::PI * r.powi(3) / 1000.0;
    let near = |mesh: &Mesh, volume: f64| {
        let found = report(mesh, 0).volume_cm3;
        assert!((found / volume - 1.0).abs() < 0.01, "{found}, not {volume}");
    };
    let shell = ball(0.58) - ball(0.42);
    let (kept, removed) = keep_components(mesh.clone(), 0.0, false).unwrap();
    assert_eq!((removed.floaters, removed.cavities), (0, 0));
    near(&kept, shell + ball(0.15) + ball(0.14) - ball(0.06));
    let (filled, removed) = keep_components(mesh.clone(), 0.0, true).unwrap();
    check(&filled, "filled");
    assert_eq!((removed.floaters, removed.cavities), (0, 3));
    near(&filled, ball(0.58) + ball(0.14));
    // The small ball's shell has a tenth of the largest's faces: its cavity goes with it, and so does the grain.
    let (large, removed) = keep_components(mesh, 0.1, false).unwrap();
    check(&large, "the large one");
    assert_eq!((removed.floaters, report(&large, 0).components), (3, 2));
    near(&large, shell);
}

#[test]
fn the_wall_of_a_cavity_is_no_measure_of_floaters() {
    // A box whose hollow, a lattice, has many more triangles than its outside.
    let mesh = extract(&sampled(100, |p| {
        let solid = 0.66 - p.into_iter().map(f32::abs).fold(0.0, f32::max);
        let rods = |[a, b]: [f32; 2]| 0.084 - ((a * 14.0).sin().powi(2) + (b * 14.0).sin().powi(2)).sqrt() * 0.12;
        let lattice = rods([p[0], p[1]]).max(rods([p[1], p[2]])).max(rods([p[2], p[0]]));
        let hollow = lattice.min(0.6 - p.into_iter().map(f32::abs).fold(0.0, f32::max));
        solid.min(-hollow)
    }))
    .unwrap();
    let (outside, hollow) = {
        let (filled, _) = keep_components(mesh.clone(), 0.0, true).unwrap();
        (filled.triangles.len(), mesh.triangles.len() - filled.triangles.len())
    };
    assert!(hollow > outside, "{hollow} in the hollow, {outside} outside");
    for fill in [false, true] {
        let (kept, _) = keep_components(mesh.clone(), 1.0, fill).unwrap();
        assert!(kept.triangles.len() >= outside, "{} triangles are left", kept.triangles.len());
    }
}

#[test]
fn smoothing_takes_noise_off_and_leaves_the_volume() {
    let mut random = Random::new(5);
    let mut mesh = extract(&ball(60, 0.8)).unwrap();
    let roughness = |mesh: &Mesh| {
        mesh.vertices.iter().map(|v| (v.iter().map(|c| c * c).sum::<f32>().sqrt() - 0.8).abs()).sum::<f32>()
            / mesh.vertices.len() as f32
    };
    for vertex in &mut mesh.vertices {
        *vertex = vertex.map(|c| c + 0.008 * random.signed());
    }
    let (before, rough) = (report(&mesh, 0), roughness(&mesh));
    smooth(&mut mesh, 10);
    let after = report(&mesh, 0);
    assert!(roughness(&mesh) < 0.4 * rough, "{} of {rough}", roughness(&mesh));
    assert!((after.volume_cm3 / before.volume_cm3 - 1.0).abs() < 0.01, "{before:?} {after:?}");
    check(&mesh, "smoothed");
    // An open border stays where it is.
    let mut open = extract(&torus(40)).unwrap();
    open.triangles.truncate(open.triangles.len() / 2);
    let edges = report(&open, 0).boundary_edges;
    let before = open.clone();
    smooth(&mut open, 3);
    let moved = before.vertices.iter().zip(&open.vertices).filter(|(a, b)| a != b).count();
    assert!(moved > 0 && report(&open, 0).boundary_edges == edges);
}

#[test]
fn the_whole_way() {
    let mut phases = Vec::new();
    let (mesh, found) = finish(
        &crowd(),
        &FinishOptions { size_mm: 120.0, target_faces: Some(5000), ..FinishOptions::default() },
        &mut |phase| phases.push(phase.to_owned()),
        &|| false,
    )
    .unwrap();
    assert_eq!(phases, ["extract", "simplify", "report"]);
    check(&mesh, "finished");
    assert!(found.printable() && found.triangles <= 5000);
    assert_eq!((found.removed_components, found.components), (1, 2));
    // The surface is smooth: 5000 triangles come closer than a tenth of a millimetre.
    let error = found.reduction_error_mm.unwrap();
    assert!(error > 1e-4 && error < 0.2, "{error}");
    let longest = found.bounds_mm.iter().copied().fold(0.0, f64::max);
    assert!((longest - 120.0).abs() < 1e-3, "{found:?}");
    let (low, high) = mesh.bounds().unwrap();
    assert!(low[2].abs() < 1e-6 && (low[0] + high[0]).abs() < 1e-3 && (low[1] + high[1]).abs() < 1e-3);
}

#[test]
fn up_becomes_z_and_the_front_looks_to_minus_y() {
    // Longest upwards, and a nose in front.
    let field = sampled(60, |[x, y, z]| {
        let body = 0.3 - (x * x + (y * 0.5).powi(2) + z * z).sqrt();
        body.max(0.2 - (x * x + y * y + (z - 0.5).powi(2)).sqrt())
    });
    let (mesh, found) = finish(&field, &FinishOptions::default(), &mut |_| {}, &|| false).unwrap();
    assert!((found.bounds_mm[2] - 100.0).abs() < 1e-3);
    let nose = mesh.vertices.iter().min_by(|a, b| a[1].total_cmp(&b[1])).unwrap();
    assert!((nose[2] - 50.0).abs() < 2.0 && nose[0].abs() < 2.0, "{nose:?}");
}

#[test]
fn who_cancels_gets_told_so() {
    let asked = AtomicUsize::new(0);
    let options = FinishOptions { target_faces: Some(500), ..FinishOptions::default() };
    let stop_at = |limit| {
        asked.store(0, Relaxed);
        let cancelled = || asked.fetch_add(1, Relaxed) >= limit;
        finish(&torus(60), &options, &mut |_| {}, &cancelled).map(|_| ()).map_err(|error| error.kind())
    };
    for limit in 0..4 {
        assert_eq!(stop_at(limit), Err(SurfaceErrorKind::Cancelled), "{limit}");
    }
    assert_eq!(stop_at(1000), Ok(()));
    for size in [0.0, -1.0, f32::NAN] {
        let error =
            finish(&torus(20), &FinishOptions { size_mm: size, ..FinishOptions::default() }, &mut |_| {}, &|| false)
                .unwrap_err();
        assert_eq!(error.kind(), SurfaceErrorKind::Argument);
    }
}
