//! Vertices that are one, triangles that are none.

use std::collections::HashMap;

use super::{RepairReport, open_edges};
use crate::Mesh;
use crate::mesh::{area_normal, dot, flat_in_single_precision};

/// Equal positions become one vertex.
pub(super) fn welded(mesh: Mesh, report: &mut RepairReport) -> Mesh {
    let before = mesh.vertices.len();
    let welded = mesh.welded();
    report.welded_vertices += (before - welded.vertices.len()) as u64;
    welded
}

/// Leaves out triangles that name a vertex twice or have no area in single precision, and all but one of those that
/// have the same corners; all of them where they are a wall within ([`inner_walls`]).
pub(super) fn drop_useless(mesh: &mut Mesh, report: &mut RepairReport) {
    let before = mesh.triangles.len();
    let vertices = std::mem::take(&mut mesh.vertices);
    mesh.triangles.retain(|triangle| {
        let [a, b, c] = *triangle;
        let corners = triangle.map(|v| vertices[v as usize]);
        let normal = area_normal(corners);
        // As the print report looks at it, and as a number too small for single precision.
        let flat = flat_in_single_precision(corners) || dot(normal, normal) as f32 <= 0.0;
        a != b && b != c && c != a && !flat
    });
    mesh.vertices = vertices;
    let mut order: Vec<([u32; 3], u32)> = (mesh.triangles.iter().enumerate())
        .map(|(number, triangle)| {
            let mut corners = *triangle;
            corners.sort_unstable();
            (corners, number as u32)
        })
        .collect();
    order.sort_unstable();
    let mut doubled: Vec<u32> = order.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).collect();
    if !doubled.is_empty() {
        doubled.extend(inner_walls(mesh, &order));
        let mut keep = vec![true; mesh.triangles.len()];
        doubled.iter().for_each(|number| keep[*number as usize] = false);
        let mut keep = keep.into_iter();
        mesh.triangles.retain(|_| keep.next().unwrap_or(true));
    }
    report.removed_triangles += (before - mesh.triangles.len()) as u64;
}

/// The first triangles of pairs that face each other where two solids touch face to face: without them and their twins the two are one.
///
/// That is so where pairs that hang together end at edges of which each has an even number of other triangles, and some have any: two
/// solids' sides. Where it is an odd number, a triangle was merely written twice, and one of the two is needed.
fn inner_walls(mesh: &Mesh, order: &[([u32; 3], u32)]) -> Vec<u32> {
    // Whether a triangle runs through its corners, sorted, the even way.
    let even = |number: u32| {
        let [a, b, c] = mesh.triangles[number as usize];
        [a < b, b < c, c < a].iter().filter(|rises| **rises).count() == 2
    };
    let groups: Vec<&[([u32; 3], u32)]> = order.chunk_by(|a, b| a.0 == b.0).collect();
    let faces_itself = |group: &[([u32; 3], u32)]| group.len() == 2 && even(group[0].1) != even(group[1].1);
    let edges = |[a, b, c]: [u32; 3]| [(a, b), (b, c), (a, c)];
    let mut walls: HashMap<(u32, u32), (u32, Vec<usize>)> = HashMap::new();
    for (number, group) in groups.iter().enumerate().filter(|(_, group)| faces_itself(group)) {
        edges(group[0].0).into_iter().for_each(|edge| walls.entry(edge).or_default().1.push(number));
    }
    if walls.is_empty() {
        return Vec::new();
    }
    // Of doubled ones one stays.
    for group in groups.iter().filter(|group| !faces_itself(group)) {
        for edge in edges(group[0].0) {
            if let Some((others, _)) = walls.get_mut(&edge) {
                *others += 1;
            }
        }
    }
    let mut found = Vec::new();
    let mut seen = vec![false; groups.len()];
    for start in 0..groups.len() {
        if seen[start] || !faces_itself(groups[start]) {
            continue;
        }
        let (mut wall, mut next, mut ends, mut whole) = (Vec::new(), vec![start], false, true);
        seen[start] = true;
        while let Some(number) = next.pop() {
            wall.push(groups[number][0].1);
            for edge in edges(groups[number][0].0) {
                let Some((others, beside)) = walls.get(&edge) else { continue };
                (ends, whole) = (ends || *others > 0, whole && others.is_multiple_of(2));
                for other in beside {
                    if !std::mem::replace(&mut seen[*other], true) {
                        next.push(*other);
                    }
                }
            }
        }
        if ends && whole {
            found.extend(wall);
        }
    }
    found
}

/// Vertices of open edges within `tolerance` of each other become one.
pub(super) fn weld_open_edges(mesh: &mut Mesh, tolerance: f64, report: &mut RepairReport) {
    let mut open: Vec<u32> = open_edges(mesh).iter().flat_map(|half_edge| super::ends(mesh, *half_edge)).collect();
    open.sort_unstable();
    open.dedup();
    if open.is_empty() || tolerance <= 0.0 {
        return;
    }
    let cell = |vertex: u32| mesh.vertices[vertex as usize].map(|c| (f64::from(c) / (2.0 * tolerance)).floor() as i64);
    let mut cells: HashMap<[i64; 3], Vec<u32>> = HashMap::new();
    let mut target: Vec<u32> = (0..mesh.vertices.len() as u32).collect();
    let mut welded = 0;
    for vertex in open {
        let own = cell(vertex);
        let near = (0..27).find_map(|k| {
            let at: [i64; 3] = [own[0] + k / 9 - 1, own[1] + k / 3 % 3 - 1, own[2] + k % 3 - 1];
            cells.get(&at)?.iter().copied().find(|other| {
                let d = crate::mesh::difference(mesh.vertices[*other as usize], mesh.vertices[vertex as usize]);
                dot(d, d) <= tolerance * tolerance
            })
        });
        match near {
            Some(other) => {
                target[vertex as usize] = other;
                welded += 1;
            }
            None => cells.entry(own).or_default().push(vertex),
        }
    }
    if welded > 0 {
        mesh.triangles.as_flattened_mut().iter_mut().for_each(|vertex| *vertex = target[*vertex as usize]);
        report.welded_vertices += welded;
        drop_useless(mesh, report);
    }
}

/// Leaves out triangles none of whose edges has a second one: there is nothing that they bound.
pub(super) fn drop_lone(mesh: &mut Mesh, report: &mut RepairReport) {
    let mut open = vec![0u8; mesh.triangles.len()];
    open_edges(mesh).iter().for_each(|half_edge| open[*half_edge as usize / 3] += 1);
    let before = mesh.triangles.len();
    let mut open = open.into_iter();
    mesh.triangles.retain(|_| open.next() != Some(3));
    report.removed_triangles += (before - mesh.triangles.len()) as u64;
}
