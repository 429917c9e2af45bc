//! Simplification by collapsing edges, cheapest first.
//!
//! Garland and Heckbert 1997 in passes instead of with a priority queue: a pass looks at all edges at once (in
//! parallel), sorts the cheap ones and collapses them in order, where a vertex takes part at most once a pass. Until
//! then its quadric, hence the order, is exact, and its triangles are those of the pass's flat adjacency seen through
//! the merges so far, so every test sees the mesh as it is. No heap, no pointers, the same result for any number of
//! threads.
//!
//! A collapse must satisfy the link condition (Dey et al. 1999), which keeps a closed manifold one, must turn no
//! triangle over and make none much flatter.

mod parts;

use rayon::prelude::*;

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::mesh::{area_normal, cross, dot};
use crate::quadric::Quadric;
use parts::{PART_TRIANGLES, parts};

/// Where much is to go, the parts of a mesh are reduced by themselves first, to this many times the target.
const ROUGH: usize = 6;
/// A part keeps at least so many triangles for every vertex of its cuts.
const CUT_SHARE: usize = 4;
/// Longer fans are not made, and not looked at.
const MAX_FAN: usize = 48;
/// The least cosine between a triangle's normals before and after a collapse.
const MIN_TURN: f64 = 0.2;
/// The least quality (1 for equilateral, 0 without area) of a triangle that a collapse may make of a better one.
const MIN_QUALITY: f64 = 0.05;
/// Squared length of an edge as part of its cost: decides among the edges of a flat region.
const LENGTH_COST: f64 = 1e-6;

/// Collapses edges until at most `target_faces` triangles are left, or no edge may be collapsed any more: the caller
/// learns the count from the result. Keeps the number of pieces and each one's genus; where the mesh is open or not
/// manifold its vertices stay.
///
/// # Errors
/// [`SurfaceErrorKind::Damaged`] for indices that name no vertex.
pub fn simplify(mesh: Mesh, target_faces: usize) -> Result<Mesh, SurfaceError> {
    simplify_while(mesh, target_faces, &|| true)
}

/// [`simplify`], asking `go_on` every few ten thousand edges.
///
/// # Errors
/// [`SurfaceErrorKind::Cancelled`] too.
pub(crate) fn simplify_while(
    mesh: Mesh,
    target_faces: usize,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Mesh, SurfaceError> {
    if !mesh.indices_fit() {
        return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
    }
    if mesh.triangles.len() <= target_faces {
        return Ok(mesh);
    }
    let middle = middle(&mesh);
    let rough = target_faces.saturating_mul(ROUGH);
    let mut state = if mesh.triangles.len() > 2 * rough.max(PART_TRIANGLES) {
        let parts = parts(&mesh);
        drop(mesh);
        let whole: usize = parts.iter().map(|part| part.mesh.triangles.len()).sum();
        let parts: Vec<(State, Vec<u32>)> = parts
            .into_par_iter()
            .map(|part| {
                let share = (part.mesh.triangles.len() as f64 / whole as f64 * rough as f64) as usize;
                let mut state = State::new(part.mesh, middle);
                state.names = part.vertices;
                // Vertices of a cut stay, and keep about two triangles each: a share below that would be taken from the rest of the part alone.
                let cut = state.fixed.iter().filter(|fixed| **fixed).count();
                state.reduce(share.max(CUT_SHARE * cut), go_on)?;
                let names = std::mem::take(&mut state.names);
                Ok((state, names))
            })
            .collect::<Result<_, SurfaceError>>()?;
        State::joined(parts, middle)
    } else {
        State::new(mesh, middle)
    };
    state.reduce(target_faces, go_on)?;
    Ok(Mesh { vertices: state.positions, triangles: state.triangles }.compacted())
}

fn middle(mesh: &Mesh) -> [f64; 3] {
    let (low, high) = mesh.bounds().unwrap_or_default();
    std::array::from_fn(|k| (f64::from(low[k]) + f64::from(high[k])) / 2.0)
}

struct State {
    positions: Vec<[f32; 3]>,
    triangles: Vec<[u32; 3]>,
    quadrics: Vec<Quadric>,
    /// Vertices that never move: where the mesh is not a closed manifold.
    fixed: Vec<bool>,
    /// What the vertices are called in the mesh that this is a part of; empty where it is none.
    names: Vec<u32>,
    middle: [f64; 3],
    /// Whether the next pass looks at all edges rather than at the cheap ones.
    exhaustive: bool,
}

/// Triangles around each vertex: `items[first[v]..first[v + 1]]`.
struct Adjacency {
    first: Vec<u32>,
    items: Vec<u32>,
}

impl Adjacency {
    fn new(vertices: usize, triangles: &[[u32; 3]]) -> Self {
        let mut first = vec![0u32; vertices + 2];
        for vertex in triangles.as_flattened() {
            first[*vertex as usize + 2] += 1;
        }
        for v in 2..first.len() {
            first[v] += first[v - 1];
        }
        let mut items = vec![0; triangles.len() * 3];
        for (number, triangle) in triangles.iter().enumerate() {
            for vertex in triangle {
                let slot = &mut first[*vertex as usize + 1];
                items[*slot as usize] = number as u32;
                *slot += 1;
            }
        }
        Self { first, items }
    }

    fn around(&self, vertex: u32) -> &[u32] {
        &self.items[self.first[vertex as usize] as usize..self.first[vertex as usize + 1] as usize]
    }
}

/// The triangle turned so that it begins with `vertex`.
fn turned([a, b, c]: [u32; 3], vertex: u32) -> [u32; 3] {
    if a == vertex {
        [a, b, c]
    } else if b == vertex {
        [b, c, a]
    } else {
        [c, a, b]
    }
}

/// Twice the square root of three: makes the quality of an equilateral triangle one.
const EQUILATERAL: f64 = 3.464_101_615_137_754_6;

fn sides([a, b, c]: [[f64; 3]; 3]) -> ([f64; 3], f64) {
    let side = |p: [f64; 3], q: [f64; 3]| -> [f64; 3] { std::array::from_fn(|k| q[k] - p[k]) };
    let (u, v, w) = (side(a, b), side(a, c), side(b, c));
    (cross(u, v), dot(u, u) + dot(v, v) + dot(w, w))
}

impl State {
    fn new(mesh: Mesh, middle: [f64; 3]) -> Self {
        let Mesh { vertices: positions, triangles } = mesh;
        let adjacency = Adjacency::new(positions.len(), &triangles);
        let planes: Vec<Quadric> = triangles
            .par_iter()
            .with_min_len(1024)
            .map(|triangle| {
                let corners = triangle.map(|v| positions[v as usize]);
                let normal = area_normal(corners);
                let length = dot(normal, normal).sqrt();
                if length == 0.0 {
                    return Quadric::default();
                }
                let point = std::array::from_fn(|k| f64::from(corners[0][k]) - middle[k]);
                Quadric::plane(normal.map(|n| n / length), point, length)
            })
            .collect();
        let (quadrics, fixed) = (0..positions.len() as u32)
            .into_par_iter()
            .with_min_len(1024)
            .map(|vertex| {
                let around = adjacency.around(vertex);
                let sum = around.iter().fold(Quadric::default(), |sum, t| sum.plus(&planes[*t as usize]));
                (sum, !is_closed_fan(vertex, around, &triangles))
            })
            .unzip();
        Self { positions, triangles, quadrics, fixed, names: Vec::new(), middle, exhaustive: false }
    }

    /// Parts put together again: a vertex of several parts has not moved in any, and has the planes of all.
    fn joined(parts: Vec<(Self, Vec<u32>)>, middle: [f64; 3]) -> Self {
        let most = parts.iter().flat_map(|(_, names)| names).max().map_or(0, |name| *name as usize + 1);
        let mut target = vec![u32::MAX; most];
        let (mut positions, mut quadrics, mut triangles) = (Vec::new(), Vec::<Quadric>::new(), Vec::new());
        for (part, names) in parts {
            let number: Vec<u32> = (part.positions.iter().zip(&part.quadrics).zip(&names))
                .map(|((position, quadric), name)| {
                    let number = &mut target[*name as usize];
                    if *number == u32::MAX {
                        *number = positions.len() as u32;
                        positions.push(*position);
                        quadrics.push(*quadric);
                    } else {
                        let sum = &mut quadrics[*number as usize];
                        *sum = sum.plus(quadric);
                    }
                    *number
                })
                .collect();
            triangles.extend(part.triangles.iter().map(|t| t.map(|v| number[v as usize])));
        }
        let adjacency = Adjacency::new(positions.len(), &triangles);
        let fixed = (0..positions.len() as u32)
            .into_par_iter()
            .with_min_len(1024)
            .map(|vertex| !is_closed_fan(vertex, adjacency.around(vertex), &triangles))
            .collect();
        Self { positions, triangles, quadrics, fixed, names: Vec::new(), middle, exhaustive: false }
    }

    /// Passes until the target is reached, or nothing more may be collapsed.
    fn reduce(&mut self, target: usize, go_on: &dyn Fn() -> bool) -> Result<(), SurfaceError> {
        self.exhaustive = false;
        while self.triangles.len() > target {
            let before = self.triangles.len();
            self.pass(target, go_on)?;
            if self.triangles.len() == before && self.exhaustive {
                break;
            }
            // Nearly nothing among the cheap edges: the next pass looks at all of them.
            self.exhaustive = (before - self.triangles.len()) * 50 < before - target;
        }
        Ok(())
    }

    fn point(&self, vertex: u32) -> [f64; 3] {
        let position = self.positions[vertex as usize];
        std::array::from_fn(|k| f64::from(position[k]) - self.middle[k])
    }

    /// Where the edge would be collapsed to, relative to the middle, and what it costs.
    fn collapse(&self, a: u32, b: u32) -> ([f64; 3], f64) {
        let (p, q) = (self.point(a), self.point(b));
        let quadric = self.quadrics[a as usize].plus(&self.quadrics[b as usize]);
        let middle: [f64; 3] = std::array::from_fn(|k| (p[k] + q[k]) / 2.0);
        let square = (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f64>();
        let near = |point: &[f64; 3]| (0..3).map(|k| (point[k] - middle[k]).powi(2)).sum::<f64>() <= square;
        let (point, error) = match quadric.optimum(middle).filter(near) {
            Some(point) => (point, quadric.error(point)),
            None => [middle, p, q]
                .map(|point| (point, quadric.error(point)))
                .into_iter()
                .fold((middle, f64::MAX), |best, other| if other.1 < best.1 { other } else { best }),
        };
        (point, error + quadric.weight() * square * LENGTH_COST)
    }

    /// The edges of one pass as `cost << 32 | corner`, cheapest first.
    fn candidates(&self, wanted: usize) -> Vec<u64> {
        let mut keys: Vec<u64> = self
            .triangles
            .par_iter()
            .enumerate()
            .with_min_len(1024)
            .flat_map_iter(|(number, triangle)| {
                (0..3usize).filter_map(move |k| {
                    let (a, b) = (triangle[k], triangle[(k + 1) % 3]);
                    // Every edge between vertices that may move has two triangles, one for each direction.
                    let wanted = a < b && !self.fixed[a as usize] && !self.fixed[b as usize];
                    wanted.then(|| {
                        let (_, cost) = self.collapse(a, b);
                        u64::from((cost as f32).to_bits()) << 32 | (number * 3 + k) as u64
                    })
                })
            })
            .collect();
        if !self.exhaustive && wanted < keys.len() {
            let (_, limit, _) = keys.select_nth_unstable(wanted);
            // Neighbours of what is collapsed drop out, so somewhat dearer edges than the wanted number are let in.
            let limit = f32::from_bits((*limit >> 32) as u32) * 1.5;
            let limit = u64::from(limit.to_bits()) << 32 | u64::from(u32::MAX);
            keys.retain(|key| *key <= limit);
        }
        keys.par_sort_unstable();
        keys
    }

    fn pass(&mut self, target: usize, go_on: &dyn Fn() -> bool) -> Result<(), SurfaceError> {
        let check = || match go_on() {
            true => Ok(()),
            false => Err(SurfaceError::new(SurfaceErrorKind::Cancelled, "cancelled")),
        };
        check()?;
        let adjacency = Adjacency::new(self.positions.len(), &self.triangles);
        let keys = self.candidates((self.triangles.len() - target).div_ceil(2));
        let mut merges = Merges {
            target: (0..self.positions.len() as u32).collect(),
            busy: self.fixed.clone(),
            fan_a: Vec::new(),
            fan_b: Vec::new(),
        };
        let mut left = self.triangles.len();
        for (number, key) in keys.iter().enumerate() {
            if left <= target {
                break;
            }
            if number % 65_536 == 65_535 {
                check()?;
            }
            let corner = (key & u64::from(u32::MAX)) as usize;
            let triangle = self.triangles[corner / 3];
            let (a, b) = (triangle[corner % 3], triangle[(corner % 3 + 1) % 3]);
            if merges.busy[a as usize] || merges.busy[b as usize] {
                continue;
            }
            if let Some(position) = merges.allowed(self, &adjacency, a, b) {
                merges.busy[a as usize] = true;
                merges.busy[b as usize] = true;
                merges.target[b as usize] = a;
                self.positions[a as usize] = position;
                self.quadrics[a as usize] = self.quadrics[a as usize].plus(&self.quadrics[b as usize]);
                left -= 2;
            }
        }
        let target = merges.target;
        self.triangles.retain_mut(|triangle| {
            *triangle = triangle.map(|v| target[v as usize]);
            let [a, b, c] = *triangle;
            a != b && b != c && c != a
        });
        self.compact();
        Ok(())
    }

    /// Drops the vertices without triangles once there are many.
    fn compact(&mut self) {
        // A closed surface has about half as many vertices as triangles.
        if self.positions.len() < self.triangles.len() {
            return;
        }
        let mut target = vec![u32::MAX; self.positions.len()];
        for vertex in self.triangles.as_flattened() {
            target[*vertex as usize] = 0;
        }
        let mut count = 0;
        for (old, slot) in target.iter_mut().enumerate() {
            if *slot == 0 {
                *slot = count as u32;
                self.positions[count] = self.positions[old];
                self.quadrics[count] = self.quadrics[old];
                self.fixed[count] = self.fixed[old];
                if let Some(name) = self.names.get(old).copied() {
                    self.names[count] = name;
                }
                count += 1;
            }
        }
        self.positions.truncate(count);
        self.quadrics.truncate(count);
        self.fixed.truncate(count);
        self.names.truncate(count);
        for vertex in self.triangles.as_flattened_mut() {
            *vertex = target[*vertex as usize];
        }
    }
}

/// Whether the triangles around a vertex form one closed fan of consistent orientation.
fn is_closed_fan(vertex: u32, around: &[u32], triangles: &[[u32; 3]]) -> bool {
    if around.len() < 3 || around.len() > MAX_FAN {
        return false;
    }
    let mut edges = [[0u32; 2]; MAX_FAN];
    for (edge, number) in edges.iter_mut().zip(around) {
        let [_, p, q] = turned(triangles[*number as usize], vertex);
        *edge = [p, q];
    }
    let edges = &mut edges[..around.len()];
    for k in 1..edges.len() {
        let end = edges[k - 1][1];
        let Some(next) = edges[k..].iter().position(|edge| edge[0] == end) else {
            return false;
        };
        edges.swap(k, k + next);
    }
    // Closed, and no neighbour met twice.
    edges[edges.len() - 1][1] == edges[0][0]
        && (1..edges.len()).all(|k| edges[..k].iter().all(|edge| edge[0] != edges[k][0]))
        && edges.iter().all(|[p, q]| *p != vertex && *q != vertex && p != q)
}

/// What a pass has merged so far.
struct Merges {
    /// The vertex that each one has become; one step, because a vertex takes part once a pass.
    target: Vec<u32>,
    /// Vertices that have taken part, or never may.
    busy: Vec<bool>,
    fan_a: Vec<[u32; 3]>,
    fan_b: Vec<[u32; 3]>,
}

impl Merges {
    /// The triangles around a vertex that has not taken part yet, as they are now, each beginning with it.
    fn fan(target: &[u32], state: &State, adjacency: &Adjacency, vertex: u32, fan: &mut Vec<[u32; 3]>) {
        fan.clear();
        for number in adjacency.around(vertex) {
            let triangle = turned(state.triangles[*number as usize], vertex).map(|v| target[v as usize]);
            // Only the opposite edge can have shrunk to a point: the vertex itself has not taken part.
            if triangle[1] != triangle[2] {
                fan.push(triangle);
            }
        }
    }

    /// Where to collapse the edge to, if that leaves the mesh a manifold of decent triangles.
    fn allowed(&mut self, state: &State, adjacency: &Adjacency, a: u32, b: u32) -> Option<[f32; 3]> {
        let mut fan_a = std::mem::take(&mut self.fan_a);
        let mut fan_b = std::mem::take(&mut self.fan_b);
        Self::fan(&self.target, state, adjacency, a, &mut fan_a);
        Self::fan(&self.target, state, adjacency, b, &mut fan_b);
        let found = link_condition(&fan_a, &fan_b).then(|| state.collapse(a, b).0).and_then(|point| {
            let position: [f32; 3] = std::array::from_fn(|k| (point[k] + state.middle[k]) as f32);
            (shape_survives(state, &fan_a, b, position) && shape_survives(state, &fan_b, a, position))
                .then_some(position)
        });
        (self.fan_a, self.fan_b) = (fan_a, fan_b);
        found
    }
}

/// Whether the two ends have exactly the two neighbours of the edge in common. Two fans of three triangles are a
/// tetrahedron.
fn link_condition(fan_a: &[[u32; 3]], fan_b: &[[u32; 3]]) -> bool {
    if fan_a.len() + fan_b.len() > MAX_FAN + 4 || fan_a.len() + fan_b.len() <= 6 {
        return false;
    }
    let mut common = 0;
    for [_, p, _] in fan_a {
        common += usize::from(fan_b.iter().any(|[_, q, _]| p == q));
    }
    common == 2
}

/// Whether the triangles of a fan, those at `other` aside, keep their side and a decent shape as the vertex moves.
fn shape_survives(state: &State, fan: &[[u32; 3]], other: u32, position: [f32; 3]) -> bool {
    let wide = |p: [f32; 3]| p.map(f64::from);
    fan.iter().filter(|[_, p, q]| *p != other && *q != other).all(|[vertex, p, q]| {
        let [old, p, q] = [vertex, p, q].map(|v| wide(state.positions[*v as usize]));
        let ((before, before_sides), (after, after_sides)) = (sides([old, p, q]), sides([wide(position), p, q]));
        let (before_length, after_length) = (dot(before, before).sqrt(), dot(after, after).sqrt());
        let quality = EQUILATERAL * after_length / after_sides;
        let quality_before = EQUILATERAL * before_length / before_sides;
        // `>=` and `>` are false for NaN, so a triangle without sides does not pass.
        dot(before, after) > MIN_TURN * before_length * after_length
            && (quality >= MIN_QUALITY || quality >= quality_before && quality > 1e-4)
    })
}
