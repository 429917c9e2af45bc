//! The solid's samples from its height function.

use orfeas_field::{BlockState, HALO_EDGE, HALO_SAMPLES, SparseGrid};

use super::profile::Profile;

/// Samples of `(f - z²) / sqrt(|∇f|² + 2 (max(f, 0) + z²))` in cells, `[size; 3]`, z symmetric about the middle.
///
/// The divisor equals the gradient's length on the surface, where z² = f. Off it, it makes the quotient linear in z to
/// second order, so that linear interpolation between samples finds the surface; and it is smooth at z = 0, so that
/// the front and the back meet without a seam.
pub(crate) fn volume(profile: &Profile) -> SparseGrid {
    let size = profile.size;
    let middle = (size - 1) as f64 / 2.0;
    // Twice the coordinate is a whole number, so both signs give the same bits.
    let squared = |index: usize| {
        let twice = (2 * index).abs_diff(size - 1) as f64;
        twice * twice / 4.0
    };
    SparseGrid::from_blocks([size; 3], |origin, halo| {
        // The halo begins one sample before the block; beyond the grid the nearest sample stands in.
        let axis = |origin: usize, offset: usize| (origin + offset).saturating_sub(1).min(size - 1);
        let columns = |at: usize| axis(origin[1], at % HALO_EDGE) * size + axis(origin[0], at / HALO_EDGE);
        let mut most = f64::NEG_INFINITY;
        let mut least = f64::INFINITY;
        for column in 0..HALO_EDGE * HALO_EDGE {
            let height = profile.height[columns(column)];
            most = most.max(height);
            least = least.min(height);
        }
        let (first, last) = (axis(origin[2], 0), axis(origin[2], HALO_EDGE - 1));
        let straddles = first as f64 <= middle && middle <= last as f64;
        let nearest = if straddles { 0.0 } else { squared(first).min(squared(last)) };
        let farthest = squared(first).max(squared(last));
        if most < nearest {
            return BlockState::Outside;
        }
        if least >= farthest {
            return BlockState::Inside;
        }
        fill(profile, halo, columns, |offset| squared(axis(origin[2], offset)));
        BlockState::Dense
    })
}

fn fill(
    profile: &Profile,
    halo: &mut [f32; HALO_SAMPLES],
    columns: impl Fn(usize) -> usize,
    squared: impl Fn(usize) -> f64,
) {
    let squares: [f64; HALO_EDGE] = std::array::from_fn(squared);
    for (column, out) in halo.chunks_exact_mut(HALO_EDGE).enumerate() {
        let at = columns(column);
        let (height, slope) = (profile.height[at], profile.slope_squared[at]);
        for (value, square) in out.iter_mut().zip(squares) {
            let length = (slope + 2.0 * (height.max(0.0) + square)).sqrt().max(1e-6);
            let sample = ((height - square) / length) as f32;
            // What rounds to nothing keeps its side.
            *value = if height < square { sample.min(-f32::MIN_POSITIVE) } else { sample };
        }
    }
}
