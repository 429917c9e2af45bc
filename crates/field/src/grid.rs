//! A sparse grid of signed samples in blocks of 8 × 8 × 8.

use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::unknown::settled;

/// Samples along a block's edge.
pub const BLOCK_EDGE: usize = 8;
/// Samples in a block.
pub const BLOCK_SAMPLES: usize = BLOCK_EDGE * BLOCK_EDGE * BLOCK_EDGE;
/// Samples along the edge of a block with one neighbour sample on every side.
pub const HALO_EDGE: usize = BLOCK_EDGE + 2;
/// Samples of a block with its halo.
pub const HALO_SAMPLES: usize = HALO_EDGE * HALO_EDGE * HALO_EDGE;

/// An axis-aligned box, `[x, y, z]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Position of the first sample.
    pub min: [f32; 3],
    /// Position of the last sample.
    pub max: [f32; 3],
}

impl Bounds {
    /// The cube from `-half` to `half`.
    #[must_use]
    pub fn cube(half: f32) -> Self {
        Self { min: [-half; 3], max: [half; 3] }
    }
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockState {
    /// Every sample, and every neighbour of one, is outside.
    Outside = 0,
    /// Every sample, and every neighbour of one, is inside.
    Inside = 1,
    /// The surface passes here; all samples are stored.
    Dense = 2,
}

/// A block as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum BlockRef<'a> {
    /// All outside.
    Outside,
    /// All inside.
    Inside,
    /// Stored samples, `[8, 8, 8]`, z fastest.
    Dense(&'a [f16; BLOCK_SAMPLES]),
}

/// Samples relative to the iso level, `[x, y, z]` with z fastest. A sample is inside when its sign bit is clear, so
/// that rounding to half precision never moves a sample to the other side (+0 is inside, -0 outside).
///
/// A block without surface keeps only its sign; every edge of the grid that the surface crosses has both its ends in
/// dense blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseGrid {
    samples: [usize; 3],
    blocks: [usize; 3],
    /// Per block: `u32::MAX - 1` outside, `u32::MAX` inside, else the index of its samples.
    index: Vec<u32>,
    values: Vec<[f16; BLOCK_SAMPLES]>,
}

const OUTSIDE: u32 = u32::MAX - 1;
const INSIDE: u32 = u32::MAX;

/// Half precision that keeps the sign bit and stays finite.
fn to_half(value: f32) -> f16 {
    let limited = if value.is_nan() { -1.0 } else { value.clamp(-60_000.0, 60_000.0) };
    f16::from_f32(limited)
}

impl SparseGrid {
    /// Builds a grid of `samples` per axis from a function that fills one block with its halo.
    ///
    /// `fill` gets the index of the block's first sample on each axis and a buffer `[10, 10, 10]` (z fastest) whose
    /// element `[1, 1, 1]` is that sample; positions beyond the grid are filled too but their values are not used. It
    /// may return early with [`BlockState::Outside`] or [`BlockState::Inside`] for a block that it knows has no
    /// surface in it or next to it, and [`BlockState::Dense`] to have its samples looked at. NaN counts as outside.
    pub fn from_blocks<F>(samples: [usize; 3], fill: F) -> Self
    where
        F: Fn([usize; 3], &mut [f32; HALO_SAMPLES]) -> BlockState + Sync,
    {
        let blocks = samples.map(|n| n.div_ceil(BLOCK_EDGE));
        let count = blocks[0] * blocks[1] * blocks[2];
        let made: Vec<(u32, Option<Box<[f16; BLOCK_SAMPLES]>>)> = (0..count)
            .into_par_iter()
            .map_init(
                || Box::new([0f32; HALO_SAMPLES]),
                |halo, block| {
                    let position = [block / (blocks[1] * blocks[2]), block / blocks[2] % blocks[1], block % blocks[2]];
                    let origin = position.map(|p| p * BLOCK_EDGE);
                    match fill(origin, halo) {
                        BlockState::Outside => (OUTSIDE, None),
                        BlockState::Inside => (INSIDE, None),
                        BlockState::Dense => classify(samples, origin, halo),
                    }
                },
            )
            .collect();
        let mut index = Vec::with_capacity(count);
        let mut values = Vec::new();
        for (state, block) in made {
            match block {
                Some(block) => {
                    index.push(values.len() as u32);
                    values.push(*block);
                }
                None => index.push(state),
            }
        }
        Self { samples, blocks, index, values }
    }

    /// Builds a grid from all its samples, `[x, y, z]` with z fastest, and the level that separates inside (at or
    /// above it) from outside. NaN, the reference's "not evaluated", is inside where everything known around it is.
    ///
    /// Returns `None` where `values` does not hold the product of `samples`, or an axis has fewer than two.
    #[must_use]
    pub fn from_dense(samples: [usize; 3], values: &[f32], iso: f32) -> Option<Self> {
        let expected = samples[0].checked_mul(samples[1])?.checked_mul(samples[2])?;
        if values.len() != expected || samples.iter().any(|n| *n < 2) {
            return None;
        }
        let values = settled(samples, values, iso);
        Some(Self::from_blocks(samples, |origin, halo| {
            for x in 0..HALO_EDGE {
                let gx = (origin[0] + x).saturating_sub(1).min(samples[0] - 1);
                for y in 0..HALO_EDGE {
                    let gy = (origin[1] + y).saturating_sub(1).min(samples[1] - 1);
                    let row = (gx * samples[1] + gy) * samples[2];
                    for z in 0..HALO_EDGE {
                        let gz = (origin[2] + z).saturating_sub(1).min(samples[2] - 1);
                        halo[(x * HALO_EDGE + y) * HALO_EDGE + z] = values[row + gz] - iso;
                    }
                }
            }
            BlockState::Dense
        }))
    }

    /// Puts a grid together from its parts, as the codec reads them.
    pub(crate) fn from_parts(
        samples: [usize; 3],
        states: &[BlockState],
        values: Vec<[f16; BLOCK_SAMPLES]>,
    ) -> Option<Self> {
        let blocks = samples.map(|n| n.div_ceil(BLOCK_EDGE));
        if states.len() != blocks[0] * blocks[1] * blocks[2] {
            return None;
        }
        let mut next = 0u32;
        let index: Vec<u32> = states
            .iter()
            .map(|state| match state {
                BlockState::Outside => OUTSIDE,
                BlockState::Inside => INSIDE,
                BlockState::Dense => {
                    next += 1;
                    next - 1
                }
            })
            .collect();
        (next as usize == values.len()).then_some(Self { samples, blocks, index, values })
    }

    /// Samples per axis, `[x, y, z]`.
    #[must_use]
    pub fn samples(&self) -> [usize; 3] {
        self.samples
    }

    /// Blocks per axis, `[x, y, z]`; the last ones may reach beyond the grid, and repeat its last samples there.
    #[must_use]
    pub fn blocks(&self) -> [usize; 3] {
        self.blocks
    }

    /// The state of every block, `[x, y, z]` with z fastest.
    pub fn states(&self) -> impl Iterator<Item = BlockState> + '_ {
        self.index.iter().map(|slot| match *slot {
            OUTSIDE => BlockState::Outside,
            INSIDE => BlockState::Inside,
            _ => BlockState::Dense,
        })
    }

    /// The stored samples of the dense blocks, in the order of [`Self::states`].
    #[must_use]
    pub fn dense_values(&self) -> &[[f16; BLOCK_SAMPLES]] {
        &self.values
    }

    /// One block. Indices beyond the grid read as outside.
    #[must_use]
    pub fn block(&self, [x, y, z]: [usize; 3]) -> BlockRef<'_> {
        if x >= self.blocks[0] || y >= self.blocks[1] || z >= self.blocks[2] {
            return BlockRef::Outside;
        }
        match self.index[(x * self.blocks[1] + y) * self.blocks[2] + z] {
            OUTSIDE => BlockRef::Outside,
            INSIDE => BlockRef::Inside,
            slot => BlockRef::Dense(&self.values[slot as usize]),
        }
    }

    /// One sample, relative to the iso level; blocks without surface read as ±1, positions beyond the grid as -1.
    #[must_use]
    pub fn sample(&self, [x, y, z]: [usize; 3]) -> f32 {
        if x >= self.samples[0] || y >= self.samples[1] || z >= self.samples[2] {
            return -1.0;
        }
        match self.block([x / BLOCK_EDGE, y / BLOCK_EDGE, z / BLOCK_EDGE]) {
            BlockRef::Outside => -1.0,
            BlockRef::Inside => 1.0,
            BlockRef::Dense(values) => {
                let [x, y, z] = [x % BLOCK_EDGE, y % BLOCK_EDGE, z % BLOCK_EDGE];
                values[(x * BLOCK_EDGE + y) * BLOCK_EDGE + z].to_f32()
            }
        }
    }

    /// Whether any sample is inside.
    #[must_use]
    pub fn has_inside(&self) -> bool {
        self.index.contains(&INSIDE) || self.values.par_iter().any(|block| block.iter().any(|v| v.is_sign_positive()))
    }
}

/// Decides what to keep of a block. The halo is looked at too, so that both ends of every crossed edge are stored.
fn classify(
    samples: [usize; 3],
    origin: [usize; 3],
    halo: &[f32; HALO_SAMPLES],
) -> (u32, Option<Box<[f16; BLOCK_SAMPLES]>>) {
    // Beyond the grid the nearest sample stands in, so that it neither hides nor makes a crossing.
    let inner = |axis: usize, offset: usize| -> usize {
        let low = usize::from(origin[axis] == 0);
        let high = (samples[axis] - origin[axis]).min(HALO_EDGE - 1);
        offset.clamp(low, high)
    };
    let (mut any_inside, mut any_outside) = (false, false);
    let axes: [[usize; HALO_EDGE]; 3] = std::array::from_fn(|axis| std::array::from_fn(|offset| inner(axis, offset)));
    for x in axes[0] {
        for y in axes[1] {
            for z in axes[2] {
                // NaN must not carry a positive sign into the grid.
                let value = halo[(x * HALO_EDGE + y) * HALO_EDGE + z];
                let inside = !value.is_nan() && value.is_sign_positive();
                any_inside |= inside;
                any_outside |= !inside;
            }
        }
    }
    match (any_inside, any_outside) {
        (true, false) => (INSIDE, None),
        (false, _) => (OUTSIDE, None),
        (true, true) => {
            let mut block = Box::new([f16::ZERO; BLOCK_SAMPLES]);
            for x in 0..BLOCK_EDGE {
                for y in 0..BLOCK_EDGE {
                    for z in 0..BLOCK_EDGE {
                        // `halo` index clamp: offset 1..=8 maps into the grid's last sample where the block sticks out.
                        let [hx, hy, hz] = [x + 1, y + 1, z + 1];
                        let clamp = |axis: usize, offset: usize| offset.min(samples[axis] - origin[axis]);
                        let from = (clamp(0, hx) * HALO_EDGE + clamp(1, hy)) * HALO_EDGE + clamp(2, hz);
                        block[(x * BLOCK_EDGE + y) * BLOCK_EDGE + z] = to_half(halo[from]);
                    }
                }
            }
            (0, Some(block))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(samples: [usize; 3], radius: f32) -> Vec<f32> {
        let mut values = Vec::new();
        for x in 0..samples[0] {
            for y in 0..samples[1] {
                for z in 0..samples[2] {
                    let at = |i: usize, n: usize| i as f32 / (n - 1) as f32 * 2.0 - 1.0;
                    let (x, y, z) = (at(x, samples[0]), at(y, samples[1]), at(z, samples[2]));
                    values.push(radius - (x * x + y * y + z * z).sqrt());
                }
            }
        }
        values
    }

    #[test]
    fn every_crossed_edge_has_both_ends_stored() {
        for samples in [[33, 33, 33], [20, 41, 9], [8, 8, 8], [9, 17, 25]] {
            let values = ball(samples, 0.7);
            let grid = SparseGrid::from_dense(samples, &values, 0.0).unwrap();
            let at = |p: [usize; 3]| values[(p[0] * samples[1] + p[1]) * samples[2] + p[2]];
            let dense = |p: [usize; 3]| matches!(grid.block(p.map(|i| i / BLOCK_EDGE)), BlockRef::Dense(_));
            let mut crossings = 0;
            for x in 0..samples[0] {
                for y in 0..samples[1] {
                    for z in 0..samples[2] {
                        let here = [x, y, z];
                        assert_eq!(grid.sample(here) >= 0.0, at(here) >= 0.0, "{here:?}");
                        for axis in 0..3 {
                            let mut there = here;
                            there[axis] += 1;
                            if there[axis] < samples[axis] && (at(here) >= 0.0) != (at(there) >= 0.0) {
                                crossings += 1;
                                assert!(dense(here) && dense(there), "{here:?} {there:?}");
                                assert!((grid.sample(here) - at(here)).abs() < 1e-3);
                            }
                        }
                    }
                }
            }
            assert!(crossings > 20);
        }
    }

    #[test]
    fn signs_survive_rounding_and_nan_is_outside() {
        let mut values = vec![-1.0f32; 27];
        values[13] = 1e-30;
        values[0] = f32::NAN;
        let grid = SparseGrid::from_dense([3, 3, 3], &values, 0.0).unwrap();
        assert!(grid.sample([1, 1, 1]).is_sign_positive());
        assert!(grid.sample([0, 0, 0]).is_sign_negative());
        values[13] = -1e-30;
        assert!(!SparseGrid::from_dense([3, 3, 3], &values, 0.0).unwrap().has_inside());
    }

    #[test]
    fn a_large_grid_is_mostly_empty() {
        let samples = [65, 65, 65];
        let grid = SparseGrid::from_dense(samples, &ball(samples, 0.8), 0.0).unwrap();
        assert!(grid.states().any(|s| s == BlockState::Inside) && grid.states().any(|s| s == BlockState::Outside));
        assert!(grid.dense_values().len() < grid.states().count());
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(SparseGrid::from_dense([3, 3, 3], &[0.0; 26], 0.0).is_none());
        assert!(SparseGrid::from_dense([1, 3, 3], &[0.0; 9], 0.0).is_none());
        assert!(SparseGrid::from_dense([usize::MAX, 2, 2], &[0.0; 9], 0.0).is_none());
    }
}
