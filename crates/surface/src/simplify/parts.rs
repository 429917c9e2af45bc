//! A mesh in pieces, so that each can be reduced by itself.

use rayon::prelude::*;

use crate::Mesh;

/// About this many triangles each: few enough for a core's cache, many enough to have little border.
pub(super) const PART_TRIANGLES: usize = 100_000;

/// A piece of a mesh, cut out along its triangles' edges.
pub(super) struct Part {
    pub mesh: Mesh,
    /// What its vertices are called in the whole mesh.
    pub vertices: Vec<u32>,
}

/// Cuts a mesh into cubes, of a size that depends on the mesh alone: the result is the same for any number of threads.
pub(super) fn parts(mesh: &Mesh) -> Vec<Part> {
    let (low, high) = mesh.bounds().unwrap_or_default();
    let side = ((mesh.triangles.len() as f64 / PART_TRIANGLES as f64).cbrt().ceil() as usize).clamp(1, 16);
    let scale: [f32; 3] = std::array::from_fn(|k| side as f32 / (high[k] - low[k]).max(f32::MIN_POSITIVE));
    let cell = |triangle: &[u32; 3]| -> usize {
        let corner = mesh.vertices[triangle[0] as usize];
        (0..3).fold(0, |cell, k| cell * side + (((corner[k] - low[k]) * scale[k]) as usize).min(side - 1))
    };
    let cells: Vec<u16> = mesh.triangles.par_iter().with_min_len(8192).map(|t| cell(t) as u16).collect();
    let mut first = vec![0usize; side.pow(3) + 1];
    for cell in &cells {
        first[*cell as usize + 1] += 1;
    }
    for at in 1..first.len() {
        first[at] += first[at - 1];
    }
    let mut next = first.clone();
    let mut sorted = vec![0u32; cells.len()];
    for (number, cell) in cells.iter().enumerate() {
        let at = &mut next[*cell as usize];
        sorted[*at] = number as u32;
        *at += 1;
    }
    first
        .par_windows(2)
        .filter(|range| range[0] < range[1])
        .map(|range| part(mesh, &sorted[range[0]..range[1]]))
        .collect()
}

fn part(mesh: &Mesh, numbers: &[u32]) -> Part {
    let triangles: Vec<[u32; 3]> = numbers.iter().map(|number| mesh.triangles[*number as usize]).collect();
    let mut vertices = triangles.as_flattened().to_vec();
    vertices.sort_unstable();
    vertices.dedup();
    let (low, high) = (vertices.first().copied().unwrap_or(0), vertices.last().copied().unwrap_or(0));
    let mut own = vec![0u32; (high - low) as usize + 1];
    for (number, vertex) in vertices.iter().enumerate() {
        own[(vertex - low) as usize] = number as u32;
    }
    let triangles = triangles.into_iter().map(|t| t.map(|v| own[(v - low) as usize])).collect();
    let positions = vertices.iter().map(|vertex| mesh.vertices[*vertex as usize]).collect();
    Part { mesh: Mesh { vertices: positions, triangles }, vertices }
}
