//! The surface of any field is closed, manifold and oriented.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ball, check, field, torus};
use orfeas_surface::{SurfaceErrorKind, extract, report};

#[test]
fn a_ball_has_its_volume_and_a_torus_its_hole() {
    for (samples, tolerance) in [(24, 0.02), (65, 0.003)] {
        let mesh = extract(&ball(samples, 0.8)).unwrap();
        let found = report(&mesh, 0);
        let expected = 4.0 / 3.0 * std::f64::consts::PI * 0.8f64.powi(3) / 1000.0;
        assert!((found.volume_cm3 / expected - 1.0).abs() < tolerance, "{found:?}");
        assert_eq!(common::euler(&mesh), 2);
        assert!(found.printable());
        for vertex in &mesh.vertices {
            assert!((vertex.iter().map(|v| v * v).sum::<f32>().sqrt() - 0.8).abs() < 0.02);
        }
    }
    let mesh = extract(&torus(60)).unwrap();
    assert_eq!(common::euler(&mesh), 0);
    let expected = 2.0 * std::f64::consts::PI.powi(2) * 0.6 * 0.25 * 0.25 / 1000.0;
    assert!((report(&mesh, 0).volume_cm3 / expected - 1.0).abs() < 0.02);
}

#[test]
fn where_all_is_inside_the_box_is_the_surface() {
    for samples in [[2, 2, 2], [8, 8, 8], [9, 9, 9], [20, 17, 31], [24, 24, 24]] {
        let mesh = extract(&field(samples, &vec![1.0; samples.iter().product()])).unwrap();
        check(&mesh, &format!("{samples:?}"));
        assert_eq!(common::euler(&mesh), 2);
        let (low, high) = mesh.bounds().unwrap();
        for k in 0..3 {
            // The box reaches from -1 to 1; the cap lies half a cell beyond it.
            let half = 1.0 / (samples[k] - 1) as f32;
            assert!((low[k] + 1.0 + half).abs() < 1e-5 && (high[k] - 1.0 - half).abs() < 1e-5, "{low:?} {high:?}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let field = torus(50);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| extract(&field).unwrap())
    };
    let one = on(1);
    assert!(!one.triangles.is_empty());
    assert_eq!(one, on(2));
    assert_eq!(one, on(7));
}

#[test]
fn nothing_inside_is_an_error() {
    let error = extract(&field([9, 9, 9], &[-1.0; 729])).unwrap_err();
    assert_eq!((error.kind(), error.code()), (SurfaceErrorKind::Empty, orfeas_contract::Code::EmptySurface));
}
