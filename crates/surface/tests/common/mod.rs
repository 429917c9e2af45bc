//! Fields to test with, and an examination of meshes that shares no code with the crate's report.
#![allow(dead_code)]

mod fields;

use std::collections::{HashMap, HashSet};

use orfeas_field::Field;
use orfeas_surface::{Mesh, report};

/// Xorshift: the same numbers in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    pub fn signed(&mut self) -> f32 {
        self.below(2_000_001) as f32 / 1e6 - 1.0
    }
}

/// A field over the cube from -1 to 1.
pub fn field(samples: [usize; 3], values: &[f32]) -> Field {
    fields::field(samples, 1.0, values)
}

/// A field over that cube from a function of the position.
pub fn sampled(samples: usize, value: impl Fn([f32; 3]) -> f32) -> Field {
    fields::sampled(samples, 1.0, value)
}

pub fn ball(samples: usize, radius: f32) -> Field {
    sampled(samples, |p| radius - p.iter().map(|v| v * v).sum::<f32>().sqrt())
}

pub fn torus(samples: usize) -> Field {
    sampled(samples, |[x, y, z]| 0.25 - (((x * x + z * z).sqrt() - 0.6).powi(2) + y * y).sqrt())
}

/// A box from `low` to `high`, closed and oriented.
pub fn cuboid(low: [f32; 3], high: [f32; 3]) -> Mesh {
    let corner = |n: usize| std::array::from_fn(|k| if n >> k & 1 == 1 { high[k] } else { low[k] });
    let quads: [[u32; 4]; 6] = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles = quads.iter().flat_map(|[a, b, c, d]| [[*a, *b, *c], [*a, *c, *d]]).collect();
    Mesh { vertices: (0..8).map(corner).collect(), triangles }
}

/// Two triangles.
pub fn square() -> Mesh {
    let vertices = vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]];
    Mesh { vertices, triangles: vec![[0, 1, 2], [0, 2, 3]] }
}

pub fn joined(parts: &[Mesh]) -> Mesh {
    let mut all = Mesh::default();
    for part in parts {
        let base = all.vertices.len() as u32;
        all.vertices.extend(&part.vertices);
        all.triangles.extend(part.triangles.iter().map(|t| t.map(|v| v + base)));
    }
    all
}

pub fn inside_out(mut mesh: Mesh) -> Mesh {
    mesh.triangles.iter_mut().for_each(|t| t.swap(0, 1));
    mesh
}

/// Vertices - edges + triangles.
pub fn euler(mesh: &Mesh) -> i64 {
    mesh.vertices.len() as i64 - mesh.triangles.len() as i64 / 2
}

/// What [`check_alone`] demands, and the report must agree.
pub fn check(mesh: &Mesh, what: &str) {
    check_alone(mesh, what);
    let report = report(mesh, 0);
    assert!(report.watertight && report.manifold && report.oriented, "{what}: {report:?}");
    assert_eq!(report.degenerate_triangles, 0, "{what}");
    assert!(report.volume_cm3 > 0.0, "{what}: {report:?}");
}

/// What [`check_topology`] demands, no two vertices in one place, every triangle with an area, a positive volume.
pub fn check_alone(mesh: &Mesh, what: &str) {
    check_topology(mesh, what);
    let places: HashSet<[u32; 3]> = mesh.vertices.iter().map(|v| v.map(|c| (c + 0.0).to_bits())).collect();
    assert_eq!(places.len(), mesh.vertices.len(), "{what}: two vertices in one place");
    let mut volume = 0.0;
    for triangle in &mesh.triangles {
        let [a, b, c] = triangle.map(|v| mesh.vertices[v as usize]);
        let cross = |u: [f32; 3], v: [f32; 3]| {
            [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
        };
        let (u, v): ([f32; 3], [f32; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
        // In single precision, as a slicer computes.
        let normal = cross(u, v);
        assert!(normal.iter().any(|n| n * n > 0.0), "{what}: a triangle without area");
        volume += (0..3).map(|k| f64::from(a[k]) * f64::from(normal[k])).sum::<f64>();
    }
    assert!(volume > 0.0, "{what}: the volume is {volume}");
}

/// Closed, edge- and vertex-manifold, oriented, no vertex unused; by maps of edges.
pub fn check_topology(mesh: &Mesh, what: &str) {
    let mut next: HashMap<(u32, u32), u32> = HashMap::new();
    let mut degree: HashMap<u32, usize> = HashMap::new();
    for [a, b, c] in &mesh.triangles {
        assert!(a != b && b != c && c != a, "{what}: a triangle names a vertex twice");
        for (p, q, r) in [(a, b, c), (b, c, a), (c, a, b)] {
            assert!(next.insert((*p, *q), *r).is_none(), "{what}: an edge is used twice in one direction");
            *degree.entry(*p).or_default() += 1;
        }
    }
    for (p, q) in next.keys() {
        assert!(next.contains_key(&(*q, *p)), "{what}: an edge has a triangle on one side only");
    }
    let mut start: HashMap<u32, u32> = HashMap::new();
    for (p, q) in next.keys() {
        start.insert(*p, *q);
    }
    for (vertex, first) in start {
        // The triangle (vertex, q, r) is followed by that on its edge (vertex, r).
        let (mut at, mut steps) = (first, 0);
        loop {
            at = next[&(vertex, at)];
            steps += 1;
            if at == first {
                break;
            }
        }
        assert_eq!(steps, degree[&vertex], "{what}: a vertex joins two fans");
    }
    assert_eq!(degree.len(), mesh.vertices.len(), "{what}: a vertex is unused");
}
