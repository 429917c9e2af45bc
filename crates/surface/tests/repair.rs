//! What is broken in a known way comes back as the solid that it was.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, ball, check, cuboid, euler, inside_out, joined, sampled, torus};
use orfeas_surface::{Mesh, RepairReport, extract, repair, report};

/// Triangles that share no vertex, as in an STL file.
fn soup(mesh: &Mesh) -> Mesh {
    let vertices: Vec<[f32; 3]> = mesh.triangles.as_flattened().iter().map(|v| mesh.vertices[*v as usize]).collect();
    let triangles = (0..mesh.triangles.len() as u32).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
    Mesh { vertices, triangles }
}

#[track_caller]
fn volume_is(mesh: &Mesh, expected: f64) {
    let found = report(mesh, 0).volume_cm3 * 1000.0;
    assert!((found / expected - 1.0).abs() < 2e-3, "{found}, not {expected}");
}

fn volume(mesh: &Mesh) -> f64 {
    report(mesh, 0).volume_cm3 * 1000.0
}

#[test]
fn what_is_whole_stays_as_it_is() {
    for mesh in [extract(&torus(40)).unwrap(), cuboid([0.0; 3], [1.0, 2.0, 3.0])] {
        let (repaired, done) = repair(mesh.clone());
        assert_eq!(repaired, mesh);
        assert_eq!(done, RepairReport::default());
    }
}

#[test]
fn a_soup_with_every_fault_becomes_the_solid_again() {
    for (whole, seed) in [(extract(&torus(40)).unwrap(), 1), (extract(&ball(30, 0.7)).unwrap(), 2)] {
        let mut random = Random::new(seed);
        let mut broken = soup(&whole);
        // Rounding as of a text file, doubled triangles, some without area, a third turned over, holes.
        for vertex in &mut broken.vertices {
            *vertex = vertex.map(|c| c + 2e-6 * random.signed());
        }
        let copies: Vec<[u32; 3]> = (0..20).map(|_| broken.triangles[random.below(broken.triangles.len())]).collect();
        broken.triangles.extend(copies);
        broken.triangles.push([0, 0, 5]);
        for triangle in &mut broken.triangles {
            if random.below(3) == 0 {
                triangle.swap(0, 1);
            }
        }
        for _ in 0..5 {
            broken.triangles.swap_remove(random.below(broken.triangles.len() - 30));
        }
        let (repaired, done) = repair(broken);
        check(&repaired, "repaired");
        assert_eq!(euler(&repaired), euler(&whole));
        volume_is(&repaired, volume(&whole));
        assert!(done.welded_vertices > 0 && done.removed_triangles >= 21 && done.closed_holes > 0, "{done:?}");
        assert!(done.flipped_triangles > 0, "{done:?}");
    }
}

#[test]
fn t_junctions_are_stitched() {
    // Two halves of a box whose common border has vertices on one side only.
    let mut mesh = cuboid([0.0; 3], [2.0, 1.0, 1.0]);
    // The face x = 2 again, finer: its edges get middles that the neighbours know nothing of.
    mesh.triangles.retain(|t| !t.iter().all(|v| mesh.vertices[*v as usize][0] == 2.0));
    let n = 4;
    let base = mesh.vertices.len() as u32;
    for y in 0..=n {
        for z in 0..=n {
            mesh.vertices.push([2.0, y as f32 / n as f32, z as f32 / n as f32]);
        }
    }
    let at = |y: u32, z: u32| base + y * (n + 1) + z;
    for y in 0..n {
        for z in 0..n {
            mesh.triangles.push([at(y, z), at(y + 1, z), at(y + 1, z + 1)]);
            mesh.triangles.push([at(y, z), at(y + 1, z + 1), at(y, z + 1)]);
        }
    }
    assert!(!report(&mesh, 0).watertight);
    let (repaired, done) = repair(mesh);
    check(&repaired, "stitched");
    volume_is(&repaired, 2.0);
    assert_eq!((done.stitched_t_junctions, done.closed_holes, euler(&repaired)), (12, 0, 2));
}

#[test]
fn boxes_that_share_an_edge_or_a_corner_come_apart() {
    // Both boxes' own vertices on the edge become one when welded: an edge of four triangles.
    let edge = joined(&[cuboid([0.0; 3], [1.0; 3]), cuboid([1.0, 1.0, 0.0], [2.0, 2.0, 1.0])]);
    let corner = joined(&[cuboid([0.0; 3], [1.0; 3]), cuboid([1.0; 3], [2.0; 3])]);
    for (name, mesh, cut) in [("edge", edge, 1), ("corner", corner, 0)] {
        let before = report(&mesh, 0);
        assert!(!before.manifold, "{name}");
        let (repaired, done) = repair(mesh.welded());
        common::check_topology(&repaired, name);
        assert_eq!((done.split_edges, done.closed_holes, repaired.vertices.len()), (cut, 0, 16), "{name}");
        volume_is(&repaired, 2.0);
    }
}

#[test]
fn solids_that_share_a_face_become_one() {
    let one = cuboid([0.0; 3], [1.0; 3]);
    // Mirrored at its face, whose triangles then lie on their own mirror images.
    let mut other = inside_out(one.clone());
    other.vertices.iter_mut().for_each(|vertex| vertex[0] = 2.0 - vertex[0]);
    let (repaired, done) = repair(soup(&joined(&[one.clone(), other.clone()])));
    check(&repaired, "face to face");
    volume_is(&repaired, 2.0);
    assert_eq!((repaired.triangles.len(), done.removed_triangles, done.closed_holes), (20, 4, 0));
    // In a row of three, two walls.
    let mut third = other;
    third.vertices.iter_mut().for_each(|vertex| vertex[0] = 4.0 - vertex[0]);
    let second = {
        let mut second = inside_out(one.clone());
        second.vertices.iter_mut().for_each(|vertex| vertex[0] = 2.0 - vertex[0]);
        second
    };
    let (repaired, _) = repair(soup(&joined(&[one.clone(), second, inside_out(third)])));
    check(&repaired, "in a row");
    volume_is(&repaired, 3.0);
    // A triangle that is there again the other way round is no wall: one of the two is needed.
    let mut twice = one.clone();
    let [a, b, c] = twice.triangles[5];
    twice.triangles.push([a, c, b]);
    let (repaired, done) = repair(soup(&twice));
    check(&repaired, "a triangle twice");
    assert_eq!((repaired.triangles.len(), done.removed_triangles), (12, 1));
    // All of them twice: a solid with two sides everywhere is still that solid.
    let (repaired, _) = repair(soup(&joined(&[one.clone(), inside_out(one)])));
    check(&repaired, "every triangle twice");
    volume_is(&repaired, 1.0);
}

#[test]
fn inside_out_is_turned_and_a_cavity_is_not() {
    let (outer, inner) = (cuboid([0.0; 3], [3.0; 3]), cuboid([1.0; 3], [2.0; 3]));
    let (repaired, done) = repair(inside_out(outer.clone()));
    volume_is(&repaired, 27.0);
    assert_eq!(done.flipped_triangles, 12);
    let (hollow, done) = repair(joined(&[outer.clone(), inside_out(inner.clone())]));
    volume_is(&hollow, 26.0);
    assert_eq!(done.flipped_triangles, 0);
    // Mirrored as a whole: outside and hollow are turned.
    let (hollow, done) = repair(joined(&[inside_out(outer.clone()), inner.clone()]));
    assert_eq!(done.flipped_triangles, 24);
    let found = report(&hollow, 0);
    assert!(found.printable() && found.cavities == 1, "{found:?}");
    let (hollow, done) = repair(joined(&[inside_out(outer), inside_out(inner)]));
    volume_is(&hollow, 26.0);
    assert_eq!(done.flipped_triangles, 12);
}

#[test]
fn holes_of_any_size_are_closed() {
    let whole = extract(&ball(60, 0.8)).unwrap();
    for keep in [0.7f32, 0.3, -0.2] {
        let mut open = whole.clone();
        open.triangles.retain(|t| t.iter().all(|v| whole.vertices[*v as usize][2] < keep));
        let (closed, done) = repair(open);
        check(&closed, "capped");
        assert_eq!((done.closed_holes, euler(&closed)), (1, 2));
        let height = f64::from(keep) + 0.8;
        let cap = std::f64::consts::PI * height * height * (3.0 * 0.8 - height) / 3.0;
        assert!((volume(&closed) / cap - 1.0).abs() < 0.1, "{keep}: {} {cap}", volume(&closed));
    }
    // Both ends of a tube.
    let tube = extract(&sampled(50, |[x, y, z]| (0.3 - x.hypot(y)).min(0.8 - z.abs()))).unwrap();
    let mut open = tube.clone();
    open.triangles.retain(|t| t.iter().all(|v| tube.vertices[*v as usize][2].abs() < 0.7));
    let (closed, done) = repair(open);
    check(&closed, "tube");
    assert_eq!((done.closed_holes, euler(&closed)), (2, 2));
}

#[test]
fn any_triangles_at_all_come_back_without_a_crowded_edge() {
    for seed in 0..300 {
        let mut random = Random::new(seed + 1);
        let count = 3 + random.below(12);
        let vertices: Vec<[f32; 3]> = (0..count).map(|_| std::array::from_fn(|_| random.below(5) as f32)).collect();
        let triangles =
            (0..2 + random.below(40)).map(|_| std::array::from_fn(|_| random.below(count) as u32)).collect();
        let (repaired, _) = repair(Mesh { vertices, triangles });
        let found = report(&Mesh { ..repaired.clone() }, 0);
        if repaired.triangles.is_empty() {
            continue;
        }
        common::check_topology(&repaired, &format!("seed {seed}: {found:?}"));
    }
}

/// A sliver that has an area in double precision and none in single, beside an edge that it divides: what is mended is printable.
#[test]
fn what_the_report_finds_without_area_is_removed() {
    let [a, b, c, d] = [[12.088996, 33.26952], [71.11918, 93.64406], [53.293_327, 75.412_24], [80.0, 10.0]];
    let vertices = [0.0f32, 5.0].into_iter().flat_map(|z| [a, b, c, d].map(|[x, y]: [f32; 2]| [x, y, z])).collect();
    let triangles = vec![
        [0, 1, 3],
        [0, 2, 1],
        [4, 7, 6],
        [7, 5, 6],
        [0, 3, 7],
        [0, 7, 4],
        [3, 1, 5],
        [3, 5, 7],
        [1, 2, 6],
        [1, 6, 5],
        [2, 0, 4],
        [2, 4, 6],
    ];
    let mesh = Mesh { vertices, triangles };
    assert_eq!(report(&mesh, 0).degenerate_triangles, 1, "the test asks about something");
    let (repaired, done) = repair(mesh);
    assert!(report(&repaired, 0).printable, "{done:?} {:?}", report(&repaired, 0).reasons);
}

#[test]
fn a_vertex_that_no_triangle_names_is_no_measure() {
    let mut mesh = cuboid([0.0; 3], [10.0; 3]);
    mesh.triangles.pop();
    mesh.vertices.push([1e6, 0.0, 0.0]);
    let (repaired, done) = repair(mesh);
    check(&repaired, "closed");
    assert_eq!((done.closed_holes, done.welded_vertices), (1, 0), "{done:?}");
    volume_is(&repaired, 1000.0);
}
