//! Which pieces of a mesh lie within which.

use rayon::prelude::*;

use crate::Mesh;
use crate::buckets::Buckets;

/// Triangles in a cell of the grid that finds those on a ray, on average.
const TRIANGLES_PER_CELL: f64 = 8.0;
/// Cells of that grid along a side, at the most.
const MOST_CELLS: usize = 2048;

/// For each piece the pieces that it lies within: those that a ray from it crosses an odd number of times.
///
/// The pieces must be closed and must not cross each other, as the components of an extracted surface are.
pub(crate) fn ancestors(mesh: &Mesh, labels: &[u32], count: usize) -> Vec<Vec<u32>> {
    let mut first = vec![u32::MAX; count];
    for (number, label) in labels.iter().enumerate().rev() {
        first[*label as usize] = number as u32;
    }
    let columns = Columns::new(mesh);
    first
        .par_iter()
        .enumerate()
        .map(|(own, triangle)| {
            // A centroid: seldom in line with the lattice that the vertices come from.
            let corners = mesh.corners(mesh.triangles[*triangle as usize]).map(|corner| corner.map(f64::from));
            let origin: [f64; 3] = std::array::from_fn(|k| (corners[0][k] + corners[1][k] + corners[2][k]) / 3.0);
            let mut crossed: Vec<u32> = columns
                .at([origin[1], origin[2]])
                .iter()
                .filter(|number| labels[**number as usize] != own as u32)
                .filter(|number| crosses(mesh.corners(mesh.triangles[**number as usize]), origin))
                .map(|number| labels[*number as usize])
                .collect();
            crossed.sort_unstable();
            crossed.chunk_by(|a, b| a == b).filter(|run| run.len() % 2 == 1).map(|run| run[0]).collect()
        })
        .collect()
}

/// Whether the ray from `origin` towards +x passes a triangle. An edge belongs to one of its two triangles alone, so a
/// ray through it counts once.
fn crosses(corners: [[f32; 3]; 3], origin: [f64; 3]) -> bool {
    let corners = corners.map(|corner| corner.map(f64::from));
    let mut winding = 0;
    for k in 0..3 {
        let (a, b) = (corners[k], corners[(k + 1) % 3]);
        // Half-open in z; evaluated from the lower end, whichever way the triangle runs along the edge.
        let (up, low, high) = (a[2] <= b[2], if a[2] <= b[2] { a } else { b }, if a[2] <= b[2] { b } else { a });
        if low[2] <= origin[2] && origin[2] < high[2] {
            let side = (high[1] - low[1]) * (origin[2] - low[2]) - (origin[1] - low[1]) * (high[2] - low[2]);
            if side > 0.0 {
                winding += if up { 1 } else { -1 };
            }
        }
    }
    if winding == 0 {
        return false;
    }
    // The plane's x above the ray's start.
    let [a, b, c] = corners;
    let (u, v): ([f64; 3], [f64; 3]) = (std::array::from_fn(|k| b[k] - a[k]), std::array::from_fn(|k| c[k] - a[k]));
    let normal = crate::mesh::cross(u, v);
    let x = a[0] + (normal[1] * (a[1] - origin[1]) + normal[2] * (a[2] - origin[2])) / normal[0];
    x > origin[0]
}

/// The triangles over each cell of a grid in the plane of y and z.
struct Columns {
    low: [f64; 2],
    cell: [f64; 2],
    cells: usize,
    triangles: Buckets,
}

impl Columns {
    fn new(mesh: &Mesh) -> Self {
        let (low, high) = mesh.bounds().unwrap_or_default();
        let low = [f64::from(low[1]), f64::from(low[2])];
        let high = [f64::from(high[1]), f64::from(high[2])];
        let cells = ((mesh.triangles.len() as f64 / TRIANGLES_PER_CELL).sqrt() as usize).clamp(1, MOST_CELLS);
        let cell = std::array::from_fn(|k| ((high[k] - low[k]) / cells as f64).max(f64::MIN_POSITIVE));
        let mut columns = Self { low, cell, cells, triangles: Buckets::new(0, |_| {}) };
        columns.triangles = Buckets::new(cells * cells, |put| {
            for (number, triangle) in mesh.triangles.iter().enumerate() {
                columns.over(mesh, *triangle, |at| put(at, number as u32));
            }
        });
        columns
    }

    fn index(&self, axis: usize, value: f64) -> usize {
        (((value - self.low[axis]) / self.cell[axis]) as usize).min(self.cells - 1)
    }

    fn over(&self, mesh: &Mesh, triangle: [u32; 3], mut each: impl FnMut(usize)) {
        let corners = mesh.corners(triangle);
        let range = |axis: usize| {
            let values = corners.map(|corner| f64::from(corner[axis + 1]));
            let low = values.iter().copied().fold(f64::MAX, f64::min);
            let high = values.iter().copied().fold(f64::MIN, f64::max);
            self.index(axis, low)..=self.index(axis, high)
        };
        let (ys, zs) = (range(0), range(1));
        for y in ys {
            for z in zs.clone() {
                each(y * self.cells + z);
            }
        }
    }

    fn at(&self, point: [f64; 2]) -> &[u32] {
        self.triangles.of(self.index(0, point[0]) * self.cells + self.index(1, point[1]))
    }
}
