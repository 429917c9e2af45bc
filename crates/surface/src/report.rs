//! The print report, counted on the mesh itself.

use orfeas_contract::PrintReport;
use rayon::prelude::*;

use crate::Mesh;
use crate::components::labels;
use crate::mesh::{area_normal, difference, dot};

/// Measures a mesh in millimetres with z up.
///
/// Vertices at bit-equal positions count as one, which is what a reader of the STL file sees. An edge of a triangle
/// that names a vertex twice is not counted; such a triangle, and one without area in single precision, is degenerate.
/// A mesh whose indices name no vertex is measured as empty.
///
/// `removed` goes into the report as it is.
#[must_use]
pub fn report(mesh: &Mesh, removed: u64) -> PrintReport {
    let mut report = PrintReport {
        triangles: mesh.triangles.len() as u64,
        vertices: 0,
        watertight: false,
        manifold: false,
        oriented: false,
        components: 0,
        volume_cm3: 0.0,
        area_cm2: 0.0,
        bounds_mm: [0.0; 3],
        boundary_edges: 0,
        non_manifold_edges: 0,
        non_manifold_vertices: 0,
        degenerate_triangles: 0,
        removed_components: removed,
        reduction_error_mm: None,
    };
    if mesh.triangles.is_empty() || !mesh.indices_fit() {
        return report;
    }
    let welded = mesh.welded();
    let topology = topology(&welded);
    let shape = shape(&welded);
    report.vertices = topology.used;
    report.watertight = topology.boundary == 0;
    report.manifold = topology.crowded == 0 && topology.split == 0;
    report.oriented = topology.disagreeing == 0;
    report.components = labels(&welded).1 as u64;
    report.volume_cm3 = shape.volume / 6000.0;
    report.area_cm2 = shape.area / 200.0;
    report.bounds_mm = shape.size;
    report.boundary_edges = topology.boundary;
    report.non_manifold_edges = topology.crowded;
    report.non_manifold_vertices = topology.split;
    report.degenerate_triangles = shape.degenerate;
    report
}

#[derive(Default)]
struct Topology {
    /// Vertices with a triangle.
    used: u64,
    /// Edges with one triangle.
    boundary: u64,
    /// Edges with three or more.
    crowded: u64,
    /// Edges whose triangles do not run along it in both directions equally often (one with a single triangle aside).
    disagreeing: u64,
    /// Vertices whose triangles form more than one fan.
    split: u64,
}

impl Topology {
    fn plus(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            boundary: self.boundary + other.boundary,
            crowded: self.crowded + other.crowded,
            disagreeing: self.disagreeing + other.disagreeing,
            split: self.split + other.split,
        }
    }
}

/// Triangles around each vertex, as the edge opposite to it: `[first[v]..first[v + 1]]`. Triangles that name a vertex
/// twice are left out.
fn opposite_edges(mesh: &Mesh) -> (Vec<u32>, Vec<[u32; 2]>) {
    let proper = |t: &&[u32; 3]| t[0] != t[1] && t[1] != t[2] && t[2] != t[0];
    let mut first = vec![0u32; mesh.vertices.len() + 2];
    for vertex in mesh.triangles.iter().filter(proper).flatten() {
        first[*vertex as usize + 2] += 1;
    }
    for v in 2..first.len() {
        first[v] += first[v - 1];
    }
    let mut edges = vec![[0u32; 2]; first.last().copied().unwrap_or(0) as usize];
    for [a, b, c] in mesh.triangles.iter().filter(proper) {
        for (vertex, edge) in [(a, [*b, *c]), (b, [*c, *a]), (c, [*a, *b])] {
            let slot = &mut first[*vertex as usize + 1];
            edges[*slot as usize] = edge;
            *slot += 1;
        }
    }
    (first, edges)
}

fn topology(mesh: &Mesh) -> Topology {
    let (first, edges) = opposite_edges(mesh);
    (0..mesh.vertices.len())
        .into_par_iter()
        .with_min_len(4096)
        .fold(
            || (Topology::default(), Vec::new(), Vec::new()),
            |(mut sum, mut ends, mut parent), vertex| {
                let around = &edges[first[vertex] as usize..first[vertex + 1] as usize];
                look_around(vertex as u32, around, &mut sum, &mut ends, &mut parent);
                (sum, ends, parent)
            },
        )
        .map(|(sum, _, _)| sum)
        .reduce(Topology::default, Topology::plus)
}

/// Counts the edges from a vertex to vertices of a higher number, and whether its triangles form one fan.
///
/// An edge `[p, q]` opposite to the vertex stands for the triangle (vertex, p, q): it leaves the vertex along p and
/// comes back along q.
fn look_around(
    vertex: u32,
    around: &[[u32; 2]],
    sum: &mut Topology,
    ends: &mut Vec<(u32, bool)>,
    parent: &mut Vec<u32>,
) {
    if around.is_empty() {
        return;
    }
    sum.used += 1;
    ends.clear();
    ends.extend(around.iter().flat_map(|[p, q]| [(*p, true), (*q, false)]));
    ends.sort_unstable();
    for run in ends.chunk_by(|a, b| a.0 == b.0).filter(|run| run[0].0 > vertex) {
        let leaving = run.iter().filter(|(_, leaves)| *leaves).count();
        sum.boundary += u64::from(run.len() == 1);
        sum.crowded += u64::from(run.len() > 2);
        sum.disagreeing += u64::from(run.len() > 1 && leaving * 2 != run.len());
    }
    // One fan: the opposite edges are connected (union-find over the neighbours).
    ends.dedup_by_key(|end| end.0);
    parent.clear();
    parent.extend(0..ends.len() as u32);
    let mut fans = ends.len();
    for edge in around {
        let [p, q] = edge.map(|end| {
            let at = ends.partition_point(|(neighbour, _)| *neighbour < end);
            root(parent, at as u32)
        });
        if p != q {
            parent[p.max(q) as usize] = p.min(q);
            fans -= 1;
        }
    }
    sum.split += u64::from(fans > 1);
}

/// The root of a union-find tree, halving the path on the way.
pub(crate) fn root(parent: &mut [u32], mut node: u32) -> u32 {
    while parent[node as usize] != node {
        parent[node as usize] = parent[parent[node as usize] as usize];
        node = parent[node as usize];
    }
    node
}

struct Shape {
    /// Six times the volume, mm³.
    volume: f64,
    /// Twice the area, mm².
    area: f64,
    size: [f64; 3],
    degenerate: u64,
}

fn shape(mesh: &Mesh) -> Shape {
    let (low, high) = mesh.bounds().unwrap_or_default();
    // Relative to the middle, so that a mesh far from the origin does not lose its volume to rounding.
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    // Sums of chunks in a fixed order: the same for any number of threads.
    let parts: Vec<(f64, f64, u64)> = mesh
        .triangles
        .par_chunks(8192)
        .map(|chunk| {
            let (mut volume, mut area, mut degenerate) = (0.0, 0.0, 0);
            for triangle in chunk {
                let corners = mesh.corners(*triangle);
                let normal = area_normal(corners);
                let twice = dot(normal, normal).sqrt();
                volume += dot(difference(middle, corners[0]), normal);
                area += twice;
                let repeated = triangle[0] == triangle[1] || triangle[1] == triangle[2] || triangle[2] == triangle[0];
                degenerate += u64::from(repeated || !twice.is_finite() || flat_in_single_precision(corners));
            }
            (volume, area, degenerate)
        })
        .collect();
    let sum = parts.iter().fold((0.0, 0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    Shape {
        volume: sum.0,
        area: sum.1,
        size: std::array::from_fn(|k| f64::from(high[k]) - f64::from(low[k])),
        degenerate: sum.2,
    }
}

/// Whether a slicer that works in f32 finds no area.
fn flat_in_single_precision([a, b, c]: [[f32; 3]; 3]) -> bool {
    let (u, v): ([f32; 3], [f32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
    let n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    n[0] * n[0] + n[1] * n[1] + n[2] * n[2] == 0.0
}
