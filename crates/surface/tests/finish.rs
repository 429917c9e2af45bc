//! Simplification, dust and the whole way keep the mesh printable.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;

use common::{Random, ball, check, euler, sampled, torus};
use orfeas_surface::{FinishOptions, Mesh, SurfaceErrorKind, drop_dust, extract, finish, report, simplify};

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
fn dust_goes_and_thin_parts_stay() {
    let mesh = extract(&crowd()).unwrap();
    assert_eq!(report(&mesh, 0).components, 3);
    let (kept, removed) = drop_dust(mesh).unwrap();
    check(&kept, "without dust");
    assert_eq!((removed, report(&kept, removed).components), (1, 2));
    assert_eq!(drop_dust(Mesh::default()).unwrap_err().kind(), SurfaceErrorKind::Empty);
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
    let asked = Cell::new(0);
    let stop_at = |limit| {
        asked.set(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > limit
        };
        finish(
            &torus(60),
            &FinishOptions { target_faces: Some(500), ..FinishOptions::default() },
            &mut |_| {},
            &cancelled,
        )
        .map(|_| ())
        .map_err(|error| error.kind())
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
