//! How triangles hang together.

use rayon::prelude::*;

use crate::Mesh;

#[derive(Default)]
pub(super) struct Topology {
    /// Vertices with a triangle.
    pub used: u64,
    /// Edges.
    pub edges: u64,
    /// Triangles that name three vertices.
    pub triangles: u64,
    /// Edges with one triangle.
    pub boundary: u64,
    /// Edges with three or more.
    pub crowded: u64,
    /// Edges whose triangles do not run along it in both directions equally often (one with a single triangle aside).
    pub disagreeing: u64,
    /// Vertices whose triangles form more than one fan.
    pub split: u64,
}

impl Topology {
    fn plus(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            edges: self.edges + other.edges,
            triangles: self.triangles + other.triangles,
            boundary: self.boundary + other.boundary,
            crowded: self.crowded + other.crowded,
            disagreeing: self.disagreeing + other.disagreeing,
            split: self.split + other.split,
        }
    }
}

/// The triangles around each vertex. Those that name a vertex twice are left out.
pub(super) struct Fans {
    first: Vec<u32>,
    edges: Vec<[u32; 2]>,
}

impl Fans {
    pub fn new(mesh: &Mesh) -> Self {
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
        Self { first, edges }
    }

    /// The triangles at a vertex v: `[p, q]` stands for (v, p, q).
    pub fn around(&self, vertex: usize) -> &[[u32; 2]] {
        &self.edges[self.first[vertex] as usize..self.first[vertex + 1] as usize]
    }
}

/// Looks around every vertex.
pub(super) fn topology(mesh: &Mesh, fans: &Fans) -> Topology {
    let sum = (0..mesh.vertices.len())
        .into_par_iter()
        .with_min_len(4096)
        .fold(
            || (Topology::default(), Vec::new(), Vec::new()),
            |(mut sum, mut ends, mut parent), vertex| {
                look_around(vertex as u32, fans.around(vertex), &mut sum, &mut ends, &mut parent);
                (sum, ends, parent)
            },
        )
        .map(|(sum, _, _)| sum)
        .reduce(Topology::default, Topology::plus);
    Topology { triangles: fans.edges.len() as u64 / 3, ..sum }
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
        sum.edges += 1;
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
