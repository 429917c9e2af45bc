//! The report says of shapes what is known of them.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ball, cuboid, inside_out, joined, sampled, torus};
use orfeas_contract::PrintReport;
use orfeas_surface::{Mesh, extract, place, report};

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, not {expected}");
}

#[test]
fn a_box_is_measured_exactly() {
    let found = report(&cuboid([10.0, 20.0, 5.0], [40.0, 30.0, 6.0]), 0);
    assert!(found.printable && found.reasons.is_empty() && found.warnings.is_empty(), "{found:?}");
    assert_eq!((found.triangles, found.vertices, found.components, found.cavities), (12, 8, 1, 0));
    assert_eq!((found.euler, found.genus), (2, Some(0)));
    near(found.volume_cm3, 0.3, 1e-9);
    near(found.area_cm2, 6.8, 1e-9);
    let centre = found.centre_of_mass_mm.unwrap();
    [25.0, 25.0, 5.5].into_iter().zip(centre).for_each(|(e, f)| near(f, e, 1e-6));
    near(found.wall_thickness_mm.unwrap(), 1.0, 1e-5);
    // Its lower side lies on the plate.
    near(found.overhang_cm2, 0.0, 1e-12);
    let sampling = found.wall_thickness_sampling.unwrap();
    assert!(sampling.samples > 1000 && sampling.error_mm < 1.0 && sampling.thin_cm2 == 0.0);
}

#[test]
fn a_vertex_that_no_triangle_names_is_not_measured() {
    let mut mesh = cuboid([0.0; 3], [10.0; 3]);
    let alone = report(&mesh, 0);
    mesh.vertices.push([0.0, 0.0, -100.0]);
    assert_eq!(report(&mesh, 0), alone);
}

#[test]
fn what_hangs_over_is_counted_and_the_plate_is_not() {
    let table = joined(&[cuboid([0.0; 3], [10.0; 3]), cuboid([-5.0, -5.0, 10.5], [15.0, 15.0, 12.0])]);
    let found = report(&table, 0);
    near(found.overhang_cm2, 4.0, 1e-9);
    assert_eq!(found.warnings, ["it consists of 2 pieces, which print separately unless they overlap"]);
    // 45° is what prints without support; a little more is not.
    for (lean, expected) in [(9.9f32, 0.0), (10.1, 1.0)] {
        let mut leaning = cuboid([0.0; 3], [10.0; 3]);
        leaning.vertices.iter_mut().filter(|v| v[2] > 5.0).for_each(|v| v[0] += lean);
        let area = 10.0 * (f64::from(lean).powi(2) + 100.0).sqrt() / 100.0;
        near(report(&leaning, 0).overhang_cm2, expected * area, 1e-6);
    }
}

#[test]
fn walls_are_found_thin_where_they_are() {
    // A ball of 40 mm with a hollow whose wall is 2 mm.
    let shell = sampled(161, |p| {
        let r = p.iter().map(|v| v * v).sum::<f32>().sqrt();
        (0.8 - r).min(r - 0.72)
    });
    let mesh = place(extract(&shell).unwrap(), 40.0).unwrap();
    let found = report(&mesh, 0);
    assert_eq!((found.components, found.cavities, found.genus), (2, 1, Some(0)));
    assert_eq!(found.euler, 4);
    assert_eq!(found.warnings, ["it has a closed hollow, which resin or powder cannot leave"]);
    near(found.wall_thickness_mm.unwrap(), 2.0, 0.05);
    let full = place(extract(&ball(80, 0.8)).unwrap(), 40.0).unwrap();
    near(report(&full, 0).wall_thickness_mm.unwrap(), 40.0, 0.5);
    let thin = report(&cuboid([0.0; 3], [30.0, 20.0, 0.5]), 0);
    near(thin.wall_thickness_mm.unwrap(), 0.5, 1e-4);
    assert!(thin.printable && thin.warnings.len() == 1, "{thin:?}");
    assert!(thin.warnings[0].contains("thinner than 0.8 mm, the thinnest 0.50 mm"), "{thin:?}");
}

#[test]
fn a_torus_has_a_handle_and_a_ball_has_none() {
    let mesh = place(extract(&torus(96)).unwrap(), 100.0).unwrap();
    let found = report(&mesh, 0);
    assert_eq!((found.euler, found.genus), (0, Some(1)));
    let (radius, tube) = (0.6 / 1.7 * 100.0, 0.25 / 1.7 * 100.0f64);
    let volume = 2.0 * std::f64::consts::PI.powi(2) * radius * tube * tube / 1000.0;
    let area = 4.0 * std::f64::consts::PI.powi(2) * radius * tube / 100.0;
    near(found.volume_cm3 / volume, 1.0, 0.005);
    near(found.area_cm2 / area, 1.0, 0.005);
    near(found.wall_thickness_mm.unwrap() / (2.0 * tube), 1.0, 0.02);
    let centre = found.centre_of_mass_mm.unwrap();
    [0.0, 0.0, tube].into_iter().zip(centre).for_each(|(e, f)| near(f, e, 0.05));
}

#[test]
fn every_fault_has_its_sentence() {
    let good = cuboid([0.0; 3], [10.0; 3]);
    let said = |mesh: &Mesh| {
        let found = report(mesh, 0);
        assert!(!found.printable && !found.printable());
        assert_eq!(found.wall_thickness_mm, None);
        found
    };
    let mut open = good.clone();
    open.triangles.pop();
    let found = said(&open);
    assert_eq!(found.reasons, ["3 edges are open: there are holes"]);
    assert_eq!((found.genus, found.centre_of_mass_mm, found.euler), (None, None, 1));
    let found = said(&inside_out(good.clone()));
    assert_eq!(found.reasons, ["it is inside out: the triangles face inwards"]);
    // Beside another one it would pass for a hollow, and its volume would be missing.
    let beside = joined(&[good.clone(), inside_out(cuboid([20.0; 3], [25.0; 3]))]);
    let found = said(&beside);
    assert_eq!((found.reasons, found.cavities), (vec!["one of its pieces is inside out".to_owned()], 0));
    // Both sides of a square, each cut along another diagonal.
    let mut flat = common::square();
    flat.triangles.extend([[0, 3, 1], [1, 3, 2]]);
    assert_eq!(said(&flat).reasons, ["it encloses no volume"]);
    let mut turned = good.clone();
    turned.triangles[3].swap(0, 1);
    assert_eq!(said(&turned).reasons, ["neighbouring triangles disagree on which side is out"]);
    let mut twice = good.clone();
    twice.triangles.extend([[0, 2, 3], [3, 2, 0]]);
    assert!(said(&twice).reasons[0].contains("join more than two triangles"), "{:?}", said(&twice));
    let touching = joined(&[good.clone(), cuboid([10.0; 3], [20.0; 3])]);
    assert_eq!(said(&touching).reasons, ["1 vertex is where the surface touches itself"]);
    assert_eq!(said(&Mesh::default()).reasons, ["it has no triangles"]);
    let stray = Mesh { vertices: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 9]] };
    assert_eq!(said(&stray).reasons, ["its triangles name vertices that are not there"]);
    let flat =
        Mesh { vertices: vec![[0.0; 3], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]], triangles: vec![[0, 1, 2], [2, 1, 0]] };
    assert_eq!(said(&flat).reasons[0], "2 triangles have no area");
}

#[test]
fn the_report_does_not_depend_on_threads_and_survives_the_wire() {
    let mesh = place(extract(&torus(70)).unwrap(), 100.0).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| report(&mesh, 3))
    };
    let found = on(1);
    assert_eq!(found, on(5));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(serde_json::from_value::<PrintReport>(json.clone()).unwrap(), found);
    for key in ["genus", "centre_of_mass_mm", "wall_thickness_mm", "reduction_error_mm", "printable", "reasons"] {
        assert!(json.get(key).is_some(), "{key}");
    }
}
