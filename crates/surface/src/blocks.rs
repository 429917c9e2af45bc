//! The blocks of a sparse grid as an extractor walks them.
//!
//! The grid is thought of with one layer of outside samples around it, so the surface is closed even where the inside
//! reaches the box.

use half::f16;
use orfeas_field::{BLOCK_EDGE, BLOCK_SAMPLES, BlockState, Field};
use rayon::prelude::*;

/// How close a vertex may come to a sample, in cells. Three vertices of one triangle never lie on one line then, nor
/// closer than about a hundredth of a cell: far more than the rounding of an f32 in a grid of a thousand cells.
pub(crate) const CLEARANCE: f32 = 0.02;

pub(crate) const OUTSIDE: u32 = u32::MAX - 1;
const INSIDE: u32 = u32::MAX;

/// One bit per sample of a block: word x, bit `8 y + z`, set where inside.
type Signs = [u64; BLOCK_EDGE];

/// The grid's blocks with one layer of outside blocks around them.
pub(crate) struct Blocks<'a> {
    pub field: &'a Field,
    pub samples: [usize; 3],
    /// Blocks per axis, with the two layers.
    padded: [usize; 3],
    /// Per padded block: `OUTSIDE`, `INSIDE`, or the number of its samples.
    pub slots: Vec<u32>,
    /// Per dense block.
    signs: Vec<Signs>,
}

impl<'a> Blocks<'a> {
    pub fn new(field: &'a Field) -> Self {
        let grid = &field.grid;
        let (samples, count) = (grid.samples(), grid.blocks());
        let padded = count.map(|n| n + 2);
        let mut slots = vec![OUTSIDE; padded[0] * padded[1] * padded[2]];
        let mut next = 0;
        for (number, state) in grid.states().enumerate() {
            let (x, y, z) = (number / (count[1] * count[2]), number / count[2] % count[1], number % count[2]);
            slots[((x + 1) * padded[1] + y + 1) * padded[2] + z + 1] = match state {
                BlockState::Outside => OUTSIDE,
                BlockState::Inside => INSIDE,
                BlockState::Dense => {
                    next += 1;
                    next - 1
                }
            };
        }
        let signs = grid.dense_values().par_iter().with_min_len(256).map(signs).collect();
        Self { field, samples, padded, slots, signs }
    }

    pub fn position(&self, at: usize) -> [usize; 3] {
        [at / (self.padded[1] * self.padded[2]), at / self.padded[2] % self.padded[1], at % self.padded[2]]
    }

    /// The padded block that lies `step` (0 or 1 an axis) above `at`.
    pub fn above(&self, at: usize, step: [usize; 3]) -> usize {
        at + (step[0] * self.padded[1] + step[1]) * self.padded[2] + step[2]
    }

    /// The padded blocks in whose cells the sign can change: those that are not, with the seven above them, all
    /// outside or all inside.
    pub fn active(&self) -> Vec<usize> {
        let [nx, ny, nz] = self.padded;
        (0..(nx - 1) * ny)
            .into_par_iter()
            .with_min_len(64)
            .flat_map_iter(|row| (0..nz - 1).map(move |z| row * nz + z))
            .filter(|at| {
                let first = self.slots[*at];
                let lonely = self.position(*at)[1] == ny - 1;
                !lonely
                    && (first < OUTSIDE
                        || (1..8).any(|k| self.slots[self.above(*at, [k >> 2, k >> 1 & 1, k & 1])] != first))
            })
            .collect()
    }

    /// Signs of a padded block; samples beyond the grid are outside.
    fn signs(&self, at: usize) -> Signs {
        let slot = self.slots[at];
        let mut signs = match slot {
            OUTSIDE => return [0; BLOCK_EDGE],
            INSIDE => [u64::MAX; BLOCK_EDGE],
            dense => self.signs[dense as usize],
        };
        let position = self.position(at);
        // Dense and inside blocks lie within the grid, so their position is at least one.
        let valid: [usize; 3] =
            std::array::from_fn(|k| (self.samples[k] + BLOCK_EDGE - position[k] * BLOCK_EDGE).min(BLOCK_EDGE));
        if valid != [BLOCK_EDGE; 3] {
            let row = (1u64 << valid[2]) - 1;
            let plane = (0..valid[1]).fold(0u64, |plane, y| plane | row << (8 * y));
            for (x, word) in signs.iter_mut().enumerate() {
                *word &= if x < valid[0] { plane } else { 0 };
            }
        }
        signs
    }

    /// The cells' corners: `[x][2 dy + dz]` is plane x of the samples, moved by dy and dz; nine planes.
    pub fn planes(&self, at: usize) -> [[u64; 4]; BLOCK_EDGE + 1] {
        let step = |x, y, z| self.signs(self.above(at, [x, y, z]));
        let low = [step(0, 0, 0), step(0, 0, 1), step(0, 1, 0), step(0, 1, 1)];
        let high = [step(1, 0, 0), step(1, 0, 1), step(1, 1, 0), step(1, 1, 1)];
        std::array::from_fn(|x| {
            let [here, z, y, yz] = if x < BLOCK_EDGE { low.map(|s| s[x]) } else { high.map(|s| s[0]) };
            let (along_z, y_along_z) = (shift_z(here, z), shift_z(y, yz));
            [here, along_z, here >> 8 | y << 56, along_z >> 8 | y_along_z << 56]
        })
    }

    /// The padded block at a position.
    pub fn at(&self, [x, y, z]: [usize; 3]) -> usize {
        (x * self.padded[1] + y) * self.padded[2] + z
    }

    /// Whether a sample, counted from one block before the grid, is inside.
    pub fn inside(&self, place: [usize; 3]) -> bool {
        self.known(place) && self.value(self.at(place.map(|p| p / BLOCK_EDGE)), local(place)).is_sign_positive()
    }

    /// A sample, counted from one block before the grid; ±1 away from the surface.
    pub fn sample(&self, place: [usize; 3]) -> f32 {
        if self.known(place) { self.value(self.at(place.map(|p| p / BLOCK_EDGE)), local(place)) } else { -1.0 }
    }

    /// Whether a place is one of the grid's samples.
    fn known(&self, place: [usize; 3]) -> bool {
        (0..3).all(|k| (BLOCK_EDGE..BLOCK_EDGE + self.samples[k]).contains(&place[k]))
    }

    /// The field's slope at a sample, per cell, from the stored samples around it; 0 on an axis where there are none.
    ///
    /// Of the differences to both sides the one across smoother ground counts more (weights as in Jiang and Shu's
    /// scheme, 1996): beside an edge of the shape the other side of the edge says nothing about this one.
    /// Beside each slope stands how far it is to be trusted.
    pub fn gradient(&self, place: [usize; 3]) -> [(f64, f64); 3] {
        std::array::from_fn(|axis| {
            let stored = |offset: isize| {
                let place =
                    std::array::from_fn(|k| if k == axis { place[k].wrapping_add_signed(offset) } else { place[k] });
                let at = self.at(place.map(|p| p / BLOCK_EDGE));
                (self.known(place) && self.slots[at] < OUTSIDE).then(|| f64::from(self.value(at, local(place))))
            };
            let Some(here) = stored(0) else { return (0.0, 0.0) };
            match (stored(-1), stored(1)) {
                (Some(below), Some(above)) => {
                    let bend = above - 2.0 * here + below;
                    let lower = stored(-2).map_or(bend, |further| here - 2.0 * below + further);
                    let upper = stored(2).map_or(bend, |further| further - 2.0 * above + here);
                    let scale = (above - below).abs() * 1e-3 + f64::MIN_POSITIVE.sqrt();
                    let [low, high] = [lower, upper].map(|bend| 1.0 / (bend * bend + scale * scale));
                    ((low * (here - below) + high * (above - here)) / (low + high), low + high)
                }
                (Some(below), None) => (here - below, f64::MIN_POSITIVE),
                (None, Some(above)) => (above - here, f64::MIN_POSITIVE),
                (None, None) => (0.0, 0.0),
            }
        })
    }

    /// How far up a crossed edge the surface passes, in cells; the edge begins at `local` of the padded block `at`.
    pub fn crossing(&self, at: usize, axis: usize, local: [usize; 3]) -> f32 {
        // Counted from one block before the grid, as the padded blocks are.
        let index = self.position(at)[axis] * BLOCK_EDGE + local[axis];
        if index < BLOCK_EDGE || index + 1 >= self.samples[axis] + BLOCK_EDGE {
            // The cap where the inside reaches the box.
            return 0.5;
        }
        let stride = [64, 8, 1][axis];
        let place = local[0] * 64 + local[1] * 8 + local[2];
        let low = self.value(at, place);
        let high = if local[axis] + 1 < BLOCK_EDGE {
            self.value(at, place + stride)
        } else {
            let up = self.above(at, std::array::from_fn(|k| usize::from(k == axis)));
            self.value(up, place - stride * (BLOCK_EDGE - 1))
        };
        let along = low / (low - high);
        // Both zero, of either sign.
        if along.is_nan() { 0.5 } else { along.clamp(CLEARANCE, 1.0 - CLEARANCE) }
    }

    /// One sample; `at` is the padded block, `local` the place in it.
    fn value(&self, at: usize, local: usize) -> f32 {
        match self.slots[at] {
            OUTSIDE => -1.0,
            INSIDE => 1.0,
            dense => half_to_f32(self.field.grid.dense_values()[dense as usize][local]),
        }
    }
}

/// A sample's place in its block.
fn local(place: [usize; 3]) -> usize {
    let [x, y, z] = place.map(|p| p % BLOCK_EDGE);
    x * 64 + y * 8 + z
}

/// The samples one step up in z: bit z of each byte gets bit z + 1, the last one bit 0 of the block above.
fn shift_z(here: u64, above: u64) -> u64 {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    (here >> 1) & LOW_SEVEN | (above << 7) & !LOW_SEVEN
}

fn signs(values: &[f16; BLOCK_SAMPLES]) -> Signs {
    std::array::from_fn(|x| {
        let plane = &values[x * 64..x * 64 + 64];
        let mut word = 0u64;
        for (y, row) in plane.chunks_exact(8).enumerate() {
            let mut byte = 0u64;
            for (z, value) in row.iter().enumerate() {
                byte |= u64::from(!value.to_bits() >> 15) << z;
            }
            word |= byte << (8 * y);
        }
        word
    })
}

/// Exact for finite values, subnormal ones too (the product scales the exponent's bias); without the standard
/// conversion's look for what the processor can do.
fn half_to_f32(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// Calls `each` with the place and the sign case of every cell of a block that the surface passes.
pub(crate) fn for_cells(planes: &[[u64; 4]; BLOCK_EDGE + 1], mut each: impl FnMut(usize, u32, usize)) {
    for x in 0..BLOCK_EDGE {
        let (a, b) = (planes[x], planes[x + 1]);
        let any = a[0] | a[1] | a[2] | a[3] | b[0] | b[1] | b[2] | b[3];
        let all = a[0] & a[1] & a[2] & a[3] & b[0] & b[1] & b[2] & b[3];
        let mut cells = any & !all;
        while cells != 0 {
            let bit = cells.trailing_zeros();
            cells &= cells - 1;
            let mut case = 0;
            for k in 0..4 {
                case |= (a[k] >> bit & 1) << k | (b[k] >> bit & 1) << (k + 4);
            }
            each(x, bit, case as usize);
        }
    }
}
