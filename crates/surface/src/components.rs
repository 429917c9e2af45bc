//! Connected pieces, and the dust among them.

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};
use crate::mesh::{area_normal, difference, dot};
use crate::report::root;

/// A piece is dust when its longest side is below this part of the whole's longest side …
const DUST_SIDE: f64 = 0.01;
/// … and its volume below this part of the whole's volume …
const DUST_VOLUME: f64 = 1e-6;
/// … or when its longest side is below this part, whatever its volume: at 100 mm that is a fifth of a millimetre,
/// half the width of a usual printer's line.
const SPECK_SIDE: f64 = 0.002;

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

#[derive(Clone)]
struct Piece {
    low: [f32; 3],
    high: [f32; 3],
    /// Six times the signed volume.
    volume: f64,
}

impl Piece {
    fn longest_side(&self) -> f64 {
        (0..3).map(|k| f64::from(self.high[k]) - f64::from(self.low[k])).fold(0.0, f64::max)
    }
}

/// Leaves out what no printer can make; returns the rest and how many pieces were left out.
///
/// A piece goes when its longest side is below 1 % of the whole's and its volume below a millionth of the whole's, or
/// when its longest side is below 0.2 % of the whole's. Whatever is long stays, however thin it is, and so does the
/// wall of a hollow (its volume is negative, its size counts). If the wall of a hollow is dust, the hollow is filled.
///
/// # Errors
/// [`SurfaceErrorKind::Empty`] for a mesh without triangles.
pub fn drop_dust(mesh: Mesh) -> Result<(Mesh, u64), SurfaceError> {
    let Some((low, high)) = mesh.bounds().filter(|_| !mesh.triangles.is_empty()) else {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the surface has no triangles"));
    };
    let (labels, count) = labels(&mesh);
    if count == 1 {
        return Ok((mesh, 0));
    }
    let middle: [f32; 3] = std::array::from_fn(|k| (low[k] + high[k]) / 2.0);
    let mut pieces = vec![Piece { low: [f32::MAX; 3], high: [f32::MIN; 3], volume: 0.0 }; count];
    for (triangle, label) in mesh.triangles.iter().zip(&labels) {
        let corners = mesh.corners(*triangle);
        let piece = &mut pieces[*label as usize];
        for corner in corners {
            piece.low = std::array::from_fn(|k| piece.low[k].min(corner[k]));
            piece.high = std::array::from_fn(|k| piece.high[k].max(corner[k]));
        }
        piece.volume += dot(difference(middle, corners[0]), area_normal(corners));
    }
    let whole = Piece { low, high, volume: pieces.iter().map(|piece| piece.volume).sum() };
    let side = whole.longest_side();
    let keep: Vec<bool> = pieces
        .iter()
        .map(|piece| {
            let part = piece.longest_side() / side;
            let tiny = piece.volume.abs() < DUST_VOLUME * whole.volume.abs();
            part >= DUST_SIDE || (part >= SPECK_SIDE && !tiny)
        })
        .collect();
    let removed = keep.iter().filter(|keep| !**keep).count() as u64;
    if removed == 0 {
        return Ok((mesh, 0));
    }
    let Mesh { vertices, triangles } = mesh;
    let triangles: Vec<[u32; 3]> =
        triangles.into_iter().zip(&labels).filter(|(_, label)| keep[**label as usize]).map(|(t, _)| t).collect();
    if triangles.is_empty() {
        return Err(SurfaceError::new(SurfaceErrorKind::Empty, "the surface is nothing but dust"));
    }
    Ok((Mesh { vertices, triangles }.compacted(), removed))
}
