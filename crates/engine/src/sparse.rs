//! From the network's samples to the field's blocks, without a dense grid in between.

use orfeas_field::{BLOCK_EDGE, BlockState, HALO_EDGE, SparseGrid};
use orfeas_hunyuan3d::volume::{BRICK_EDGE, Brick, Volume};

/// A brick becomes a block.
const _: () = assert!(BLOCK_EDGE == BRICK_EDGE);

/// A volume as a field has it: relative to the level, dense near the surface only. The volume is a closed one, where every sample has a
/// side and none is NaN.
pub(crate) fn sparse(volume: &Volume, level: f32) -> SparseGrid {
    let last = volume.samples - 1;
    SparseGrid::from_blocks([volume.samples; 3], |origin, halo| {
        if let Some(state) = far_from_surface(volume, origin, level) {
            return state;
        }
        for (i, value) in halo.iter_mut().enumerate() {
            let within = [i / (HALO_EDGE * HALO_EDGE), i / HALO_EDGE % HALO_EDGE, i % HALO_EDGE];
            let place = std::array::from_fn(|axis| (origin[axis] + within[axis]).saturating_sub(1).min(last));
            *value = volume.value(place) - level;
            debug_assert!(!value.is_nan(), "a sample without a side at {place:?}");
        }
        BlockState::Dense
    })
}

/// The side of a block that is all on one, with the blocks around it.
fn far_from_surface(volume: &Volume, origin: [usize; 3], level: f32) -> Option<BlockState> {
    let bricks = volume.samples.div_ceil(BRICK_EDGE);
    let around = |i: usize| -> Option<bool> {
        let step = [i / 9, i / 3 % 3, i % 3];
        let place =
            std::array::from_fn(|axis| (origin[axis] / BRICK_EDGE + step[axis]).saturating_sub(1).min(bricks - 1));
        match volume.brick(place) {
            Brick::Uniform(value) => Some((*value - level).is_sign_positive()),
            Brick::Stored(_) => None,
        }
    };
    let inside = around(0)?;
    let state = if inside { BlockState::Inside } else { BlockState::Outside };
    (1..27).all(|i| around(i) == Some(inside)).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_dense_grid() {
        for (samples, level) in [(9, 0.0), (32, 0.5), (41, -0.25)] {
            // A ball off the middle with a hollow, and a level's far sides where nothing was asked.
            let value = |i: usize| {
                let at = [i / (samples * samples), i / samples % samples, i % samples];
                let far = at.iter().map(|at| (*at as f32 / samples as f32 - 0.4).powi(2)).sum::<f32>().sqrt();
                let distance = 20.0 * (far - 0.15).min(0.35 - far);
                if distance.abs() > 2.0 { level + distance.signum() } else { distance }
            };
            let values: Vec<f32> = (0..samples * samples * samples).map(value).collect();
            let volume = Volume::from_dense(samples, [[-1.0; 3], [1.0; 3]], &values).unwrap();
            assert_eq!(volume.dense(), values);
            let grid = sparse(&volume, level);
            assert_eq!(grid, SparseGrid::from_dense([samples; 3], &values, level).unwrap(), "{samples}");
            assert!(grid.states().any(|state| state == BlockState::Dense));
        }
    }
}
