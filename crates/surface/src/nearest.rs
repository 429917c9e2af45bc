//! How far points are from a surface.

use rayon::prelude::*;

use crate::Mesh;
use crate::buckets::Buckets;
use crate::mesh::dot;

/// Cells of the grid for each triangle.
const CELLS_PER_TRIANGLE: f64 = 2.0;

/// The largest distance of any of the points from the mesh; 0 without points, infinite without triangles.
pub(crate) fn largest_distance(points: &[[f32; 3]], mesh: &Mesh) -> f64 {
    if mesh.triangles.is_empty() {
        return if points.is_empty() { 0.0 } else { f64::INFINITY };
    }
    let nearest = Nearest::new(mesh);
    let squares = points.par_iter().with_min_len(256).map(|point| nearest.square(*point));
    squares.reduce(|| 0.0, f64::max).sqrt()
}

/// A grid of cubes over a mesh, each with the triangles whose box reaches into it.
struct Nearest<'a> {
    mesh: &'a Mesh,
    low: [f64; 3],
    cell: f64,
    cells: [usize; 3],
    triangles: Buckets,
}

impl<'a> Nearest<'a> {
    fn new(mesh: &'a Mesh) -> Self {
        let (low, high) = mesh.bounds().unwrap_or_default();
        let [low, high] = [low, high].map(|corner| corner.map(f64::from));
        let side: [f64; 3] = std::array::from_fn(|k| high[k] - low[k]);
        // A surface fills about the square of the cells along a side.
        let along = (mesh.triangles.len() as f64 * CELLS_PER_TRIANGLE / 6.0).sqrt().clamp(1.0, 256.0);
        let cell = (side.iter().copied().fold(0.0, f64::max) / along).max(1e-9);
        let cells = side.map(|side| (side / cell) as usize + 1);
        let mut grid = Self { mesh, low, cell, cells, triangles: Buckets::new(0, |_| {}) };
        grid.triangles = Buckets::new(cells.iter().product(), |put| {
            for (number, triangle) in mesh.triangles.iter().enumerate() {
                grid.reached(*triangle, |at| put(at, number as u32));
            }
        });
        grid
    }

    fn index(&self, axis: usize, value: f64) -> usize {
        (((value - self.low[axis]) / self.cell) as usize).min(self.cells[axis] - 1)
    }

    fn reached(&self, triangle: [u32; 3], mut each: impl FnMut(usize)) {
        let corners = self.mesh.corners(triangle);
        let range: [_; 3] = std::array::from_fn(|k| {
            let values = corners.map(|corner| f64::from(corner[k]));
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            self.index(k, low)..=self.index(k, high)
        });
        for x in range[0].clone() {
            for y in range[1].clone() {
                for z in range[2].clone() {
                    each((x * self.cells[1] + y) * self.cells[2] + z);
                }
            }
        }
    }

    /// The square of a point's distance: shell after shell of cells, until what was found is nearer than the next.
    fn square(&self, point: [f32; 3]) -> f64 {
        let point = point.map(f64::from);
        let centre: [usize; 3] = std::array::from_fn(|k| self.index(k, point[k]));
        let mut best = f64::INFINITY;
        let most = self.cells.iter().copied().max().unwrap_or(1);
        for shell in 0..=most {
            // Everything beyond this shell is at least so far off.
            let clear = (shell as f64 - 1.0).max(0.0) * self.cell;
            if best <= clear * clear {
                break;
            }
            self.shell(centre, shell, |at| {
                for number in self.triangles.of(at) {
                    let corners = self.mesh.corners(self.mesh.triangles[*number as usize]);
                    best = best.min(square_to_triangle(point, corners.map(|corner| corner.map(f64::from))));
                }
            });
        }
        best
    }

    /// Calls `each` with the cells whose largest distance on an axis from `centre` is `shell`.
    fn shell(&self, centre: [usize; 3], shell: usize, mut each: impl FnMut(usize)) {
        let range = |k: usize| centre[k].saturating_sub(shell)..=(centre[k] + shell).min(self.cells[k] - 1);
        for x in range(0) {
            for y in range(1) {
                let inner = x.abs_diff(centre[0]) < shell && y.abs_diff(centre[1]) < shell;
                let row = (x * self.cells[1] + y) * self.cells[2];
                if inner {
                    // Only the two ends are as far away.
                    if centre[2] >= shell {
                        each(row + centre[2] - shell);
                    }
                    if shell > 0 && centre[2] + shell < self.cells[2] {
                        each(row + centre[2] + shell);
                    }
                } else {
                    range(2).for_each(|z| each(row + z));
                }
            }
        }
    }
}

/// The square of a point's distance from a triangle (Ericson 2005, by the region that the point lies over).
fn square_to_triangle(p: [f64; 3], [a, b, c]: [[f64; 3]; 3]) -> f64 {
    let minus = |u: [f64; 3], v: [f64; 3]| -> [f64; 3] { std::array::from_fn(|k| u[k] - v[k]) };
    let along = |u: [f64; 3], v: [f64; 3], t: f64| -> [f64; 3] { std::array::from_fn(|k| u[k] + t * (v[k] - u[k])) };
    let square = |u: [f64; 3]| {
        let d = minus(p, u);
        dot(d, d)
    };
    let (ab, ac, ap) = (minus(b, a), minus(c, a), minus(p, a));
    let (d1, d2) = (dot(ab, ap), dot(ac, ap));
    if d1 <= 0.0 && d2 <= 0.0 {
        return square(a);
    }
    let bp = minus(p, b);
    let (d3, d4) = (dot(ab, bp), dot(ac, bp));
    if d3 >= 0.0 && d4 <= d3 {
        return square(b);
    }
    let vc = d1 * d4 - d3 * d2;
    if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        return square(along(a, b, d1 / (d1 - d3)));
    }
    let cp = minus(p, c);
    let (d5, d6) = (dot(ab, cp), dot(ac, cp));
    if d6 >= 0.0 && d5 <= d6 {
        return square(c);
    }
    let vb = d5 * d2 - d1 * d6;
    if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        return square(along(a, c, d2 / (d2 - d6)));
    }
    let va = d3 * d6 - d5 * d4;
    if va <= 0.0 && d4 - d3 >= 0.0 && d5 - d6 >= 0.0 {
        return square(along(b, c, (d4 - d3) / ((d4 - d3) + (d5 - d6))));
    }
    let sum = 1.0 / (va + vb + vc);
    square(std::array::from_fn(|k| a[k] + ab[k] * vb * sum + ac[k] * vc * sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fixture is skimage 0.26.0's `marching_cubes(method="lewiner")` on this grid, written by trimesh.
    #[test]
    fn marching_cubes_is_within_half_a_cell_of_skimage_everywhere() {
        const SAMPLES: usize = 40;
        let at = |index: usize| index as f32 / (SAMPLES - 1) as f32 * 2.02 - 1.01;
        let mut values = Vec::new();
        for index in 0..SAMPLES.pow(3) {
            let [x, y, z] = [index / SAMPLES / SAMPLES, index / SAMPLES % SAMPLES, index % SAMPLES].map(at);
            let (u, v, w) = (3.0 * x, 3.0 * y, 3.0 * z);
            let gyroid = u.sin() * v.cos() + v.sin() * w.cos() + w.sin() * u.cos();
            values.push((0.9 - (x * x + y * y + z * z).sqrt()).min(0.6 - gyroid.abs()));
        }
        let provenance = orfeas_contract::Provenance {
            engine: "test".into(),
            model: "none".into(),
            weights_sha256: None,
            seed: 0,
            steps: 0,
            guidance: 0.0,
            resolution: SAMPLES as u32 - 1,
        };
        let grid = orfeas_field::SparseGrid::from_dense([SAMPLES; 3], &values, 0.0).unwrap();
        let field = orfeas_field::Field { grid, bounds: orfeas_field::Bounds::cube(1.01), provenance };
        let theirs = crate::read(include_bytes!("../tests/fixtures/skimage_gyroid_40.ply"), None).unwrap();
        let cell = 2.02 / (SAMPLES - 1) as f64;
        // The middles of triangles too: what lies between the vertices counts.
        let points = |mesh: &Mesh| -> Vec<[f32; 3]> {
            let middle = |t: &[u32; 3]| {
                let [a, b, c] = mesh.corners(*t);
                std::array::from_fn(|k| (a[k] + b[k] + c[k]) / 3.0)
            };
            mesh.vertices.iter().copied().chain(mesh.triangles.iter().map(middle)).collect()
        };
        for (name, ours, bound) in
            [("marching cubes", crate::extract(&field).unwrap(), 0.5), ("dual", crate::dual(&field).unwrap(), 1.0)]
        {
            let there = largest_distance(&points(&theirs), &ours) / cell;
            let back = largest_distance(&points(&ours), &theirs) / cell;
            assert!(there.max(back) < bound, "{name}: {there} and {back} cells");
        }
    }

    #[test]
    fn distances_are_those_of_brute_force() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 2.0 - 1.0
        };
        let vertices: Vec<[f32; 3]> = (0..90).map(|_| std::array::from_fn(|_| random())).collect();
        let triangles = (0..60u32).map(|t| [t, (t * 7 + 13) % 90, (t * 11 + 29) % 90]).collect();
        let mesh = Mesh { vertices, triangles };
        let nearest = Nearest::new(&mesh);
        for _ in 0..500 {
            let point: [f32; 3] = std::array::from_fn(|_| random() * 2.0);
            let wide = point.map(f64::from);
            // Points of each triangle, near enough to each other.
            let brute = (mesh.triangles.iter())
                .map(|t| square_to_triangle(wide, mesh.corners(*t).map(|corner| corner.map(f64::from))))
                .fold(f64::INFINITY, f64::min);
            assert!((nearest.square(point) - brute).abs() < 1e-12);
            for triangle in &mesh.triangles {
                let corners = mesh.corners(*triangle).map(|corner| corner.map(f64::from));
                let exact = square_to_triangle(wide, corners).sqrt();
                let mut sampled = f64::INFINITY;
                for i in 0..=20 {
                    for j in 0..=20 - i {
                        let (u, v) = (f64::from(i) / 20.0, f64::from(j) / 20.0);
                        let at: [f64; 3] = std::array::from_fn(|k| {
                            corners[0][k] * (1.0 - u - v) + corners[1][k] * u + corners[2][k] * v
                        });
                        sampled = sampled.min((0..3).map(|k| (at[k] - wide[k]).powi(2)).sum::<f64>());
                    }
                }
                assert!(exact <= sampled.sqrt() + 1e-9 && sampled.sqrt() - exact < 0.15);
            }
        }
    }
}
