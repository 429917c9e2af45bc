//! Meshes from anywhere made solids: welded, cut apart where they touch themselves, oriented, closed.

mod clean;
mod fans;
mod holes;
mod seams;

use serde::Serialize;

use crate::Mesh;
use crate::mesh::{area_normal, difference, dot};
use crate::nesting::ancestors;

/// Vertices at open edges this close, as a part of the longest side, are one; and a vertex this close to an open edge
/// lies on it. Far below what a printer can show, far above the rounding of a file in text.
const TOLERANCE: f64 = 1e-5;
/// A vertex put into an edge can end on another open edge: that many times stitching begins anew.
const ROUNDS: usize = 4;

/// What [`repair`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Vertices that became another one.
    pub welded_vertices: u64,
    /// Triangles without area, doubled ones, and ones that stood alone.
    pub removed_triangles: u64,
    /// Open edges that got a vertex which lay on them.
    pub stitched_t_junctions: u64,
    /// Edges of more than two triangles, and of two that no turning reconciles, that were cut apart.
    pub split_edges: u64,
    /// Triangles turned over.
    pub flipped_triangles: u64,
    /// Holes closed.
    pub closed_holes: u64,
}

/// Makes of any triangles a mesh that is closed, 2-manifold and oriented outwards, as far as that can be had without
/// moving a vertex.
///
/// In this order: equal vertices become one, and so do near ones at open edges; triangles without area and doubled ones
/// go; vertices that lie on open edges are put into them; triangles are turned to agree with the most of their patch;
/// edges with more than two triangles are cut apart, each pair that encloses solid between it staying together, and
/// vertices where fans touch get one copy a fan; holes are closed; pieces that are inside out are turned, unless they are
/// the wall of a cavity.
///
/// Pieces that cross each other stay so: slicers take their union.
#[must_use]
pub fn repair(mesh: Mesh) -> (Mesh, RepairReport) {
    let mut report = RepairReport::default();
    // A vertex that no triangle names is no part of the size.
    let mesh = mesh.compacted();
    let tolerance = mesh.longest_side() * TOLERANCE;
    let mut mesh = clean::welded(mesh, &mut report);
    clean::drop_useless(&mut mesh, &mut report);
    clean::weld_open_edges(&mut mesh, tolerance, &mut report);
    for _ in 0..ROUNDS {
        if seams::stitch(&mut mesh, tolerance, &mut report) == 0 {
            break;
        }
        clean::drop_useless(&mut mesh, &mut report);
    }
    fans::orient_and_cut(&mut mesh, &mut report);
    clean::drop_lone(&mut mesh, &mut report);
    holes::close(&mut mesh, &mut report);
    turn_outwards(&mut mesh, &mut report);
    (mesh.compacted(), report)
}

/// Turns the pieces of negative volume that lie within no other, and where one was turned what lies within it, unless it is a cavity
/// already: of a solid that is mirrored as a whole the walls of its hollows are turned too.
fn turn_outwards(mesh: &mut Mesh, report: &mut RepairReport) {
    let (labels, count) = crate::components::labels(mesh);
    let (low, high) = mesh.bounds().unwrap_or_default();
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let mut volumes = vec![0.0; count];
    for (triangle, label) in mesh.triangles.iter().zip(&labels) {
        let corners = mesh.corners(*triangle);
        volumes[*label as usize] += dot(difference(middle, corners[0]), area_normal(corners));
    }
    if volumes.iter().all(|volume| *volume >= 0.0) {
        return;
    }
    let around = ancestors(mesh, &labels, count);
    let turned: Vec<bool> = (0..count)
        .map(|piece| {
            let root = around[piece].iter().find(|other| around[**other as usize].is_empty());
            let mirrored = volumes[root.map_or(piece, |root| *root as usize)] < 0.0;
            if around[piece].len().is_multiple_of(2) { volumes[piece] < 0.0 } else { mirrored && volumes[piece] > 0.0 }
        })
        .collect();
    for (triangle, label) in mesh.triangles.iter_mut().zip(&labels) {
        if turned[*label as usize] {
            triangle.swap(1, 2);
            report.flipped_triangles += 1;
        }
    }
}

/// Edges of the mesh as `(lower vertex, higher vertex, half-edge)`, sorted; half-edge `3 t + k` runs from corner `k` of
/// triangle `t` to the next.
fn sorted_edges(mesh: &Mesh) -> Vec<(u32, u32, u32)> {
    use rayon::prelude::*;
    let mut edges: Vec<(u32, u32, u32)> = (mesh.triangles.iter().enumerate())
        .flat_map(|(number, triangle)| {
            (0..3).map(move |k| {
                let (a, b) = (triangle[k], triangle[(k + 1) % 3]);
                (a.min(b), a.max(b), (3 * number + k) as u32)
            })
        })
        .collect();
    edges.par_sort_unstable();
    edges
}

/// The two ends of a half-edge, and the corner across.
fn ends(mesh: &Mesh, half_edge: u32) -> [u32; 3] {
    let (triangle, k) = (mesh.triangles[half_edge as usize / 3], half_edge as usize % 3);
    [triangle[k], triangle[(k + 1) % 3], triangle[(k + 2) % 3]]
}

/// Half-edges without a second triangle.
fn open_edges(mesh: &Mesh) -> Vec<u32> {
    let edges = sorted_edges(mesh);
    let single = edges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|group| group.len() == 1);
    single.map(|group| group[0].2).collect()
}
