//! Connected pieces: which stay, and in what order.

use rayon::prelude::*;

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::mesh::{area_normal, difference, dot};
use crate::nesting::ancestors;
use crate::report::root;

/// The piece that each triangle belongs to, numbered by first appearance, and how many there are. Triangles that share
/// a vertex belong together.
pub(crate) fn labels(mesh: &Mesh) -> (Vec<u32>, usize) {
    let mut parent: Vec<u32> = (0..mesh.vertices.len() as u32).collect();
    for [a, b, c] in &mesh.triangles {
        for other in [b, c] {
            let (p, q) = (root(&mut parent, *a), root(&mut parent, *other));
            if p != q {
                parent[p.max(q) as usize] = p.min(q);
            }
        }
    }
    let mut number = vec![u32::MAX; mesh.vertices.len()];
    let mut count = 0;
    let labels = mesh
        .triangles
        .iter()
        .map(|[a, _, _]| {
            let piece = &mut number[root(&mut parent, *a) as usize];
            if *piece == u32::MAX {
                *piece = count;
                count += 1;
            }
            *piece
        })
        .collect();
    (labels, count as usize)
}

#[derive(Clone, Copy, Default)]
struct Piece {
    faces: u64,
    /// Six times the signed volume: below zero for the wall of a cavity.
    volume: f64,
}

/// What [`keep_components`] leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Pieces with too small a share of the faces, and what lay within them.
    pub floaters: u64,
    /// Walls of cavities that were filled, and what lay within them.
    pub cavities: u64,
}

/// Leaves out floaters and, where asked, cavities; sorts the pieces by volume, largest first.
///
/// A piece is a floater when it has fewer faces than `floaters` (0 to 1) times the largest solid's: the rule of the
/// reference, MeshLab's "small disconnected components by face count" with 0.005. The wall of a cavity, which may have more of them than
/// what it is in, is no measure. Whatever lies within a piece that
/// goes, goes too: the cavity of a floater, the loose grain in a cavity that is filled.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] for a mesh without triangles.
pub fn keep_components(mesh: Mesh, floaters: f32, fill_cavities: bool) -> Result<(Mesh, Removed), SurfaceError> {
    if mesh.triangles.is_empty() {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the surface has no triangles"));
    }
    let (labels, count) = labels(&mesh);
    if count == 1 {
        return Ok((mesh, Removed::default()));
    }
    let pieces = measure(&mesh, &labels, count);
    let solids = pieces.iter().filter(|piece| piece.volume > 0.0).map(|piece| piece.faces).max();
    let largest = solids.or(pieces.iter().map(|piece| piece.faces).max()).unwrap_or(0);
    let least = f64::from(floaters) * largest as f64;
    let mut keep: Vec<bool> = pieces.iter().map(|piece| piece.faces as f64 >= least).collect();
    let mut removed = Removed::default();
    // Without the wall of a cavity no piece lies within another's surface.
    if pieces.iter().any(|piece| piece.volume < 0.0) {
        let around = ancestors(&mesh, &labels, count);
        let floats: Vec<bool> = around.iter().map(|around| around.iter().any(|piece| !keep[*piece as usize])).collect();
        for (keep, floats) in keep.iter_mut().zip(floats) {
            *keep &= !floats;
        }
        if fill_cavities {
            for (keep, around) in keep.iter_mut().zip(&around).filter(|(keep, around)| **keep && !around.is_empty()) {
                *keep = false;
                removed.cavities += u64::from(!around.is_empty());
            }
        }
    }
    removed.floaters = keep.iter().filter(|keep| !**keep).count() as u64 - removed.cavities;
    let mut order: Vec<u32> = (0..count as u32).filter(|piece| keep[*piece as usize]).collect();
    order.sort_by(|a, b| pieces[*b as usize].volume.abs().total_cmp(&pieces[*a as usize].volume.abs()));
    Ok((in_order(mesh, &labels, &pieces, &order), removed))
}

fn measure(mesh: &Mesh, labels: &[u32], count: usize) -> Vec<Piece> {
    let (low, high) = mesh.bounds().unwrap_or_default();
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let volumes: Vec<f64> = mesh
        .triangles
        .par_iter()
        .with_min_len(8192)
        .map(|triangle| {
            let corners = mesh.corners(*triangle);
            dot(difference(middle, corners[0]), area_normal(corners))
        })
        .collect();
    let mut pieces = vec![Piece::default(); count];
    for (volume, label) in volumes.iter().zip(labels) {
        let piece = &mut pieces[*label as usize];
        piece.faces += 1;
        piece.volume += volume;
    }
    pieces
}

/// The triangles of the pieces in `order`, one piece after the other, and the vertices that they use.
fn in_order(mesh: Mesh, labels: &[u32], pieces: &[Piece], order: &[u32]) -> Mesh {
    let mut next = vec![usize::MAX; pieces.len()];
    let mut total = 0;
    for piece in order {
        next[*piece as usize] = total;
        total += pieces[*piece as usize].faces as usize;
    }
    let mut triangles = vec![[0; 3]; total];
    for (triangle, label) in mesh.triangles.iter().zip(labels) {
        let at = &mut next[*label as usize];
        if *at != usize::MAX {
            triangles[*at] = *triangle;
            *at += 1;
        }
    }
    Mesh { vertices: mesh.vertices, triangles }.compacted()
}
