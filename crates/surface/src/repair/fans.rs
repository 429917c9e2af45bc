//! Which triangles belong together at an edge, and which way round they lie.

use super::{RepairReport, ends, sorted_edges};
use crate::Mesh;
use crate::mesh::{cross, difference, dot};
use crate::report::root;

/// No second half-edge.
const NONE: u32 = u32::MAX;

/// Turns triangles to agree within their patch, pairs those at crowded edges, and gives every fan its own vertex.
pub(super) fn orient_and_cut(mesh: &mut Mesh, report: &mut RepairReport) {
    let edges = sorted_edges(mesh);
    let mut mate = vec![NONE; 3 * mesh.triangles.len()];
    for group in edges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        if let [(_, _, one), (_, _, other)] = group {
            mate[*one as usize] = *other;
            mate[*other as usize] = *one;
        }
    }
    let turned = orient(mesh, &mate, report);
    // A turned triangle's corners run the other way, and so its half-edges have other numbers.
    let renamed = |half_edge: u32| match turned[half_edge as usize / 3] {
        // [a, b, c] has become [a, c, b]: ab is now ba, the third; bc is cb, the second; ca is ac, the first.
        true => half_edge / 3 * 3 + (2 - half_edge % 3),
        false => half_edge,
    };
    let mut mate = vec![NONE; mate.len()];
    for group in edges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let group: Vec<u32> = group.iter().map(|(_, _, half_edge)| renamed(*half_edge)).collect();
        match group[..] {
            [_] => {}
            [one, other] if ends(mesh, one)[0] != ends(mesh, other)[0] => {
                mate[one as usize] = other;
                mate[other as usize] = one;
            }
            // Two that no turning reconciles (a Möbius band) come apart.
            [_, _] => report.split_edges += 1,
            _ => {
                report.split_edges += 1;
                for [one, other] in pairs(mesh, &group) {
                    mate[one as usize] = other;
                    mate[other as usize] = one;
                }
            }
        }
    }
    cut(mesh, &mate);
    while part_doubled(mesh, &mut mate) {}
}

/// Where an edge is in several places between the same two vertices even so (a surface that touches itself along an
/// edge within one fan), gives all but one of them a vertex in the middle. Says whether there was one.
fn part_doubled(mesh: &mut Mesh, mate: &mut Vec<u32>) -> bool {
    let edges = sorted_edges(mesh);
    // A triangle is parted once a round: its half-edges have other numbers afterwards.
    let mut parted = vec![false; mesh.triangles.len()];
    let mut any = false;
    for group in edges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let kept = group[0].2;
        if group.len() > 1 && parted[kept as usize / 3] {
            any = true;
            continue;
        }
        let mated = mate[kept as usize];
        for (_, _, half_edge) in group.iter().skip(1).filter(|(_, _, half_edge)| *half_edge != mated) {
            let other = mate[*half_edge as usize];
            let (own, theirs) = (*half_edge as usize / 3, (other != NONE).then_some(other as usize / 3));
            any = true;
            if parted[own] || theirs.is_some_and(|triangle| parted[triangle]) {
                continue;
            }
            parted[own] = true;
            let [from, to, _] = ends(mesh, *half_edge);
            let (p, q) = (mesh.vertices[from as usize], mesh.vertices[to as usize]);
            mesh.vertices.push(std::array::from_fn(|k| p[k] / 2.0 + q[k] / 2.0));
            let upper = part(mesh, mate, *half_edge);
            if let Some(triangle) = theirs {
                parted[triangle] = true;
                let their_upper = part(mesh, mate, other);
                for (one, two) in [(*half_edge, their_upper), (upper, other)] {
                    mate[one as usize] = two;
                    mate[two as usize] = one;
                }
            }
        }
    }
    any
}

/// Parts a triangle by the last vertex, put into one of its edges; returns the half-edge from there to the old end.
fn part(mesh: &mut Mesh, mate: &mut Vec<u32>, half_edge: u32) -> u32 {
    let middle = mesh.vertices.len() as u32 - 1;
    let (triangle, k) = (half_edge as usize / 3, half_edge as usize % 3);
    let (next, [_, to, across]) = ((k + 1) % 3, ends(mesh, half_edge));
    let new = 3 * mesh.triangles.len() as u32;
    mesh.triangles[triangle][next] = middle;
    mesh.triangles.push([middle, to, across]);
    mate.extend([NONE; 3]);
    // The next edge is the new triangle's now.
    let next = 3 * triangle + next;
    let beyond = mate[next];
    mate[new as usize + 1] = beyond;
    if beyond != NONE {
        mate[beyond as usize] = new + 1;
    }
    mate[next] = new + 2;
    mate[new as usize + 2] = next as u32;
    mate[half_edge as usize] = NONE;
    new
}

/// Turns triangles over until neighbours agree, each patch the way that most of it lay already.
fn orient(mesh: &mut Mesh, mate: &[u32], report: &mut RepairReport) -> Vec<bool> {
    let count = mesh.triangles.len();
    let mut turn = vec![false; count];
    let mut seen = vec![false; count];
    for first in 0..count {
        if seen[first] {
            continue;
        }
        seen[first] = true;
        let mut patch = vec![first];
        let mut next = 0;
        while next < patch.len() {
            let triangle = patch[next];
            next += 1;
            for k in 0..3 {
                let half_edge = 3 * triangle + k;
                let other = mate[half_edge];
                if other == NONE || seen[other as usize / 3] {
                    continue;
                }
                seen[other as usize / 3] = true;
                // Neighbours agree when they run along the edge in opposite directions.
                let same = ends(mesh, half_edge as u32)[0] == ends(mesh, other)[0];
                turn[other as usize / 3] = turn[triangle] != same;
                patch.push(other as usize / 3);
            }
        }
        let turned = patch.iter().filter(|triangle| turn[**triangle]).count();
        if 2 * turned > patch.len() {
            patch.iter().for_each(|triangle| turn[*triangle] = !turn[*triangle]);
        }
    }
    for (triangle, turn) in mesh.triangles.iter_mut().zip(&turn) {
        if *turn {
            triangle.swap(1, 2);
            report.flipped_triangles += 1;
        }
    }
    turn
}

/// Pairs of the half-edges at a crowded edge: the two that have solid between them and nothing else.
fn pairs(mesh: &Mesh, group: &[u32]) -> Vec<[u32; 2]> {
    let [a, b, _] = ends(mesh, group[0]);
    let (low, high) = (mesh.vertices[a.min(b) as usize], mesh.vertices[a.max(b) as usize]);
    let axis = difference(low, high);
    let length = dot(axis, axis).sqrt();
    // Two directions across the edge, which with it make a right hand.
    let least = (0..3).min_by(|i, j| axis[*i].abs().total_cmp(&axis[*j].abs())).unwrap_or(0);
    let unit: [f64; 3] = std::array::from_fn(|k| f64::from(u8::from(k == least)));
    let u = cross(axis, unit);
    let w = cross(axis, u).map(|v| v / length);
    let mut around: Vec<(f64, bool, u32)> = (group.iter())
        .map(|half_edge| {
            let [from, to, across] = ends(mesh, *half_edge);
            let d = difference(low, mesh.vertices[across as usize]);
            (dot(d, w).atan2(dot(d, u)), from < to, *half_edge)
        })
        .collect();
    around.sort_by(|one, other| one.0.total_cmp(&other.0));
    // Running up the edge, a triangle has its outside at the larger angle; running down, at the smaller one. Solid lies
    // between one that runs down and the next that runs up.
    let mut found = Vec::new();
    while let Some(at) = (0..around.len()).find(|k| {
        let next = around[(k + 1) % around.len()];
        around.len() > 1 && !around[*k].1 && next.1
    }) {
        let next = (at + 1) % around.len();
        found.push([around[at].2, around[next].2]);
        around.remove(at.max(next));
        around.remove(at.min(next));
    }
    found
}

/// Gives the corners that hang together over paired edges one vertex, and others at the same place a copy.
fn cut(mesh: &mut Mesh, mate: &[u32]) {
    let mut parent: Vec<u32> = (0..3 * mesh.triangles.len() as u32).collect();
    let next = |half_edge: u32| if half_edge % 3 == 2 { half_edge - 2 } else { half_edge + 1 };
    for (half_edge, other) in mate.iter().enumerate().filter(|(_, other)| **other != NONE) {
        let half_edge = half_edge as u32;
        // The corner where this one begins is the corner where the other ends.
        for (one, two) in [(half_edge, next(*other)), (next(half_edge), *other)] {
            let (p, q) = (root(&mut parent, one), root(&mut parent, two));
            if p != q {
                parent[p.max(q) as usize] = p.min(q);
            }
        }
    }
    let mut vertex_of = vec![NONE; parent.len()];
    let mut used = vec![false; mesh.vertices.len()];
    for corner in 0..parent.len() as u32 {
        let first = root(&mut parent, corner) as usize;
        let (triangle, k) = (corner as usize / 3, corner as usize % 3);
        if vertex_of[first] == NONE {
            let vertex = mesh.triangles[triangle][k];
            vertex_of[first] = if used[vertex as usize] {
                mesh.vertices.push(mesh.vertices[vertex as usize]);
                used.push(true);
                mesh.vertices.len() as u32 - 1
            } else {
                vertex
            };
            used[vertex as usize] = true;
        }
        mesh.triangles[triangle][k] = vertex_of[first];
    }
}
