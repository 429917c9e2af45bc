//! Holes closed by triangles.

use std::collections::{HashMap, HashSet};

use super::{RepairReport, ends, open_edges};
use crate::Mesh;
use crate::mesh::{area_normal, dot};

/// The longest border that is filled by the triangulation of least area, whose work grows with the cube; longer ones
/// get a fan around their middle.
const LONGEST: usize = 160;

/// Closes every hole.
pub(super) fn close(mesh: &mut Mesh, report: &mut RepairReport) {
    let open = open_edges(mesh);
    if open.is_empty() {
        return;
    }
    // A border runs against its triangles. Every vertex has one fan by now, so at most one border passes it.
    let mut next: HashMap<u32, u32> = HashMap::with_capacity(open.len());
    for half_edge in &open {
        let [from, to, _] = ends(mesh, *half_edge);
        next.insert(to, from);
    }
    let mut starts: Vec<u32> = next.keys().copied().collect();
    starts.sort_unstable();
    let mut edges: HashSet<(u32, u32)> = (mesh.triangles.iter())
        .flat_map(|[a, b, c]| [(*a, *b), (*b, *c), (*c, *a)])
        .filter(|(a, b)| next.contains_key(a) && next.contains_key(b))
        .collect();
    for start in starts {
        let mut border = Vec::new();
        let mut at = start;
        while let Some(following) = next.remove(&at) {
            border.push(at);
            at = following;
        }
        if border.len() < 3 || at != start {
            continue;
        }
        report.closed_holes += 1;
        let exists = |a: u32, b: u32| edges.contains(&(a, b)) || edges.contains(&(b, a));
        match least_area(mesh, &border, &exists) {
            Some(triangles) => {
                edges.extend(triangles.iter().flat_map(|[a, b, c]| [(*a, *b), (*b, *c), (*c, *a)]));
                mesh.triangles.extend(triangles);
            }
            None => fan(mesh, &border),
        }
    }
}

/// A fan around the border's middle.
fn fan(mesh: &mut Mesh, border: &[u32]) {
    let mut middle = [0f64; 3];
    for vertex in border {
        let position = mesh.vertices[*vertex as usize];
        middle = std::array::from_fn(|k| middle[k] + f64::from(position[k]) / border.len() as f64);
    }
    let centre = mesh.vertices.len() as u32;
    mesh.vertices.push(middle.map(|c| c as f32));
    mesh.triangles.extend((0..border.len()).map(|k| [border[k], border[(k + 1) % border.len()], centre]));
}

/// The triangulation of least area (Klincsek 1980) without diagonals that are edges of the mesh already.
fn least_area(mesh: &Mesh, border: &[u32], exists: &dyn Fn(u32, u32) -> bool) -> Option<Vec<[u32; 3]>> {
    let n = border.len();
    if n > LONGEST {
        return None;
    }
    let area = |i: usize, j: usize, k: usize| {
        let normal = area_normal([i, j, k].map(|at| mesh.vertices[border[at] as usize]));
        dot(normal, normal).sqrt()
    };
    let mut best = vec![vec![(f64::INFINITY, 0usize); n]; n];
    for i in 0..n - 1 {
        best[i][i + 1] = (0.0, 0);
    }
    for span in 2..n {
        for i in 0..n - span {
            let j = i + span;
            let closing = span == n - 1;
            if !closing && exists(border[i], border[j]) {
                continue;
            }
            for k in i + 1..j {
                let sum = best[i][k].0 + best[k][j].0 + area(i, k, j);
                if sum < best[i][j].0 {
                    best[i][j] = (sum, k);
                }
            }
        }
    }
    if !best[0][n - 1].0.is_finite() {
        return None;
    }
    let mut triangles = Vec::with_capacity(n - 2);
    let mut rest = vec![(0, n - 1)];
    while let Some((i, j)) = rest.pop() {
        if j - i >= 2 {
            let k = best[i][j].1;
            triangles.push([border[i], border[k], border[j]]);
            rest.extend([(i, k), (k, j)]);
        }
    }
    Some(triangles)
}
