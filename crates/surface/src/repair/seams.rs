//! T-junctions: vertices that lie on an open edge without being part of it.

use std::collections::HashMap;

use super::{RepairReport, ends, open_edges};
use crate::Mesh;
use crate::mesh::{difference, dot};

/// Cells that an edge is looked up in at the most; along longer ones the grid is too fine, and they are left open.
const MOST_CELLS: usize = 1 << 16;

/// Puts the vertices of open edges that lie on other open edges into those, and says how many.
pub(super) fn stitch(mesh: &mut Mesh, tolerance: f64, report: &mut RepairReport) -> u64 {
    let open = open_edges(mesh);
    if open.is_empty() || tolerance <= 0.0 {
        return 0;
    }
    let mut vertices: Vec<u32> = open.iter().flat_map(|half_edge| ends(mesh, *half_edge).into_iter().take(2)).collect();
    vertices.sort_unstable();
    vertices.dedup();
    // Cells about as long as the edges are, so that an edge reaches into few.
    let length = |half_edge: u32| {
        let [a, b, _] = ends(mesh, half_edge);
        let d = difference(mesh.vertices[a as usize], mesh.vertices[b as usize]);
        dot(d, d).sqrt()
    };
    let mean = open.iter().map(|half_edge| length(*half_edge)).sum::<f64>() / open.len() as f64;
    let size = mean.max(4.0 * tolerance);
    let cell = |point: [f64; 3]| point.map(|c| (c / size).floor() as i64);
    let mut cells: HashMap<[i64; 3], Vec<u32>> = HashMap::new();
    for vertex in vertices {
        cells.entry(cell(mesh.vertices[vertex as usize].map(f64::from))).or_default().push(vertex);
    }
    // One edge a triangle and round: its corners are others afterwards.
    let mut taken = vec![false; mesh.triangles.len()];
    let mut stitched = 0;
    for half_edge in open {
        let number = half_edge as usize / 3;
        if taken[number] {
            continue;
        }
        let [a, b, c] = ends(mesh, half_edge);
        let on = lying_on(mesh, &cells, &cell, [a, b, c], tolerance);
        if on.is_empty() {
            continue;
        }
        taken[number] = true;
        stitched += on.len() as u64;
        // A fan around the corner across.
        let chain: Vec<u32> = [a].into_iter().chain(on).chain([b]).collect();
        mesh.triangles[number] = [chain[0], chain[1], c];
        mesh.triangles.extend(chain[1..].windows(2).map(|pair| [pair[0], pair[1], c]));
    }
    report.stitched_t_junctions += stitched;
    stitched
}

/// The vertices on an edge, between its ends, in order.
fn lying_on(
    mesh: &Mesh,
    cells: &HashMap<[i64; 3], Vec<u32>>,
    cell: &impl Fn([f64; 3]) -> [i64; 3],
    [a, b, c]: [u32; 3],
    tolerance: f64,
) -> Vec<u32> {
    let at = |vertex: u32| mesh.vertices[vertex as usize].map(f64::from);
    let (p, q) = (at(a), at(b));
    let bound = |pick: fn(f64, f64) -> f64, step: f64| cell(std::array::from_fn(|k| pick(p[k], q[k]) + step));
    let (low, high) = (bound(f64::min, -tolerance), bound(f64::max, tolerance));
    let count = (0..3).map(|k| (high[k] - low[k] + 1) as usize).try_fold(1usize, usize::checked_mul);
    if count.is_none_or(|count| count > MOST_CELLS) {
        return Vec::new();
    }
    let along: [f64; 3] = std::array::from_fn(|k| q[k] - p[k]);
    let square = dot(along, along);
    let mut found: Vec<(f64, u32)> = Vec::new();
    for x in low[0]..=high[0] {
        for y in low[1]..=high[1] {
            for z in low[2]..=high[2] {
                for vertex in cells.get(&[x, y, z]).into_iter().flatten().filter(|v| ![a, b, c].contains(v)) {
                    let from: [f64; 3] = std::array::from_fn(|k| at(*vertex)[k] - p[k]);
                    let part = dot(from, along) / square;
                    let off: [f64; 3] = std::array::from_fn(|k| from[k] - part * along[k]);
                    let inside = part > 0.0 && part < 1.0;
                    if inside && dot(off, off) <= tolerance * tolerance {
                        found.push((part, *vertex));
                    }
                }
            }
        }
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    found.dedup_by_key(|entry| entry.1);
    found.into_iter().map(|(_, vertex)| vertex).collect()
}
