//! A cubic grid of samples that keeps only what differs: in bricks of 8 x 8 x 8, those of one value as that value.

use rayon::prelude::*;

use super::axes::Axes;
use crate::kernels::Mask;

/// Samples along a brick's edge.
pub const BRICK_EDGE: usize = 8;
/// Samples of a brick.
pub const BRICK_SAMPLES: usize = BRICK_EDGE * BRICK_EDGE * BRICK_EDGE;

/// A part of a grid.
#[derive(Clone, Debug)]
pub enum Brick {
    /// All of its samples have this value.
    Uniform(f32),
    /// `[8, 8, 8]`, x slowest; what lies beyond the grid has no meaning.
    Stored(Box<[f32; BRICK_SAMPLES]>),
}

impl Brick {
    /// Of what a function gives for the place of each sample in the grid; the first one is at `origin`.
    fn of(origin: [usize; 3], sample: impl Fn([usize; 3]) -> f32) -> Self {
        let sample = |i: usize| {
            let within = [i / (BRICK_EDGE * BRICK_EDGE), i / BRICK_EDGE % BRICK_EDGE, i % BRICK_EDGE];
            sample(std::array::from_fn(|axis| origin[axis] + within[axis]))
        };
        let first = sample(0);
        match (1..BRICK_SAMPLES).all(|i| sample(i).to_bits() == first.to_bits()) {
            true => Self::Uniform(first),
            false => Self::Stored(Box::new(std::array::from_fn(sample))),
        }
    }

    fn value(&self, offset: usize) -> f32 {
        match self {
            Self::Uniform(value) => *value,
            Self::Stored(values) => values[offset],
        }
    }

    fn set(&mut self, offset: usize, value: f32) {
        if let Self::Uniform(all) = self {
            *self = Self::Stored(Box::new([*all; BRICK_SAMPLES]));
        }
        if let Self::Stored(values) = self {
            values[offset] = value;
        }
    }
}

/// Samples by brick, x slowest.
#[derive(Clone, Debug)]
pub struct Bricks {
    samples: usize,
    /// Bricks along an edge.
    edge: usize,
    bricks: Vec<Brick>,
}

/// A sample's number within its brick.
fn offset([x, y, z]: [usize; 3]) -> usize {
    ((x % BRICK_EDGE) * BRICK_EDGE + y % BRICK_EDGE) * BRICK_EDGE + z % BRICK_EDGE
}

impl Bricks {
    /// A grid whose samples are all the same.
    pub fn uniform(samples: usize, value: f32) -> Self {
        let edge = samples.div_ceil(BRICK_EDGE);
        Self { samples, edge, bricks: vec![Brick::Uniform(value); edge * edge * edge] }
    }

    /// A grid of all its samples, x slowest.
    pub fn from_dense(samples: usize, values: &[f32]) -> Self {
        let sample = |place: [usize; 3]| {
            let [x, y, z] = place.map(|at| at.min(samples - 1));
            values[(x * samples + y) * samples + z]
        };
        Self::of(samples, |origin| Brick::of(origin, sample))
    }

    /// Of what a function gives for the first sample of each brick.
    fn of(samples: usize, brick: impl Fn([usize; 3]) -> Brick + Send + Sync) -> Self {
        let edge = samples.div_ceil(BRICK_EDGE);
        let origin = |i: usize| [i / (edge * edge), i / edge % edge, i % edge].map(|at| at * BRICK_EDGE);
        let bricks = (0..edge * edge * edge).into_par_iter().with_min_len(64).map(|i| brick(origin(i))).collect();
        Self { samples, edge, bricks }
    }

    /// A grid of twice a set's resolution (or one more), each sample with one of two values: by whether the coarse one that it belongs to is in
    /// the set.
    pub fn repeated(samples: usize, set: &Mask, [out, within]: [f32; 2]) -> Self {
        let last = set.samples() - 1;
        Self::of(samples, |origin| {
            let below = |at: usize| (at / 2).min(last);
            // A brick's samples belong to four places along an axis. As few bits are left of the grid's last ones.
            let (z, bits) = (origin[2] / 2, (last + 1 - origin[2] / 2).min(BRICK_EDGE / 2));
            let wanted = u8::MAX >> (BRICK_EDGE - bits);
            let rows: [[u8; 4]; 4] = std::array::from_fn(|x| {
                std::array::from_fn(|y| {
                    let row = [below(origin[0] + 2 * x), below(origin[1] + 2 * y)];
                    set.eight(row, z / BRICK_EDGE) >> (z % BRICK_EDGE) & wanted
                })
            });
            let first = rows[0][0];
            if (first == 0 || first == wanted) && rows.as_flattened().iter().all(|row| *row == first) {
                return Brick::Uniform(if first == 0 { out } else { within });
            }
            Brick::of([0; 3], |[x, y, z]| {
                let bit = (z / 2).min(bits - 1);
                if rows[x / 2][y / 2] >> bit & 1 == 1 { within } else { out }
            })
        })
    }

    /// The samples whose values pass a test.
    pub fn mask(&self, test: impl Fn(f32) -> bool + Sync) -> Mask {
        Mask::by_rows(self.samples, |row| self.row_bits(row, &test))
    }

    /// Samples along an edge.
    #[cfg(test)]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// A brick by its place along x, y and z.
    pub fn brick(&self, [x, y, z]: [usize; 3]) -> &Brick {
        &self.bricks[(x * self.edge + y) * self.edge + z]
    }

    /// A sample by its place along x, y and z.
    pub fn value(&self, place: [usize; 3]) -> f32 {
        self.brick(place.map(|at| at / BRICK_EDGE)).value(offset(place))
    }

    /// Gives samples values of their own. Samples are told by their index, and come in runs, so many in each, that rise within
    /// themselves.
    pub fn set(&mut self, axes: &Axes, indices: &[u32], runs: &[usize], values: &[f32]) {
        let edge = self.edge;
        // What a thread takes: bricks of the same places along x, whose samples each run has together.
        let slab = (BRICK_EDGE * self.samples * self.samples) as u64;
        self.bricks.par_chunks_mut(edge * edge).enumerate().for_each(|(x, bricks)| {
            let (begin, end) = (x as u64 * slab, (x as u64 + 1) * slab);
            let mut before = 0;
            for run in runs {
                let own = &indices[before..before + run];
                let first = own.partition_point(|index| u64::from(*index) < begin);
                let last = own.partition_point(|index| u64::from(*index) < end);
                for at in before + first..before + last {
                    let place = axes.place(indices[at]).map(|at| at as usize);
                    bricks[place[1] / BRICK_EDGE * edge + place[2] / BRICK_EDGE].set(offset(place), values[at]);
                }
                before += run;
            }
        });
    }

    /// Of the row of samples along z at x and y, eight at a time, which pass a test: a bit each, those beyond the grid 0.
    fn row_bits(&self, [x, y]: [usize; 2], test: impl Fn(f32) -> bool) -> impl Iterator<Item = u8> {
        let first = offset([x, y, 0]);
        let row = &self.bricks[(x / BRICK_EDGE * self.edge + y / BRICK_EDGE) * self.edge..][..self.edge];
        row.iter().enumerate().map(move |(z, brick)| {
            let bits = match brick {
                Brick::Uniform(value) => u8::from(test(*value)) * u8::MAX,
                Brick::Stored(values) => {
                    (0..BRICK_EDGE).fold(0, |bits, z| bits | u8::from(test(values[first + z])) << z)
                }
            };
            bits & (u8::MAX >> BRICK_EDGE.saturating_sub(self.samples - z * BRICK_EDGE))
        })
    }

    /// Bytes that values take.
    pub fn bytes(&self) -> usize {
        let stored = self.bricks.iter().filter(|brick| matches!(brick, Brick::Stored(_))).count();
        stored * size_of::<[f32; BRICK_SAMPLES]>() + self.bricks.len() * size_of::<Brick>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(samples: usize, [x, y, z]: [usize; 3]) -> u32 {
        ((x * samples + y) * samples + z) as u32
    }

    #[test]
    fn runs_of_samples_are_set_whichever_slab_they_are_in() {
        for samples in [7, 8, 9, 33] {
            let axes = Axes::even([[0.0; 3], [1.0; 3]], samples - 1);
            let all = samples * samples * samples;
            // A run of every third sample, one of none, one of the rest, and a sample alone.
            let lone = index(samples, [samples / 2; 3]);
            let thirds: Vec<u32> = (0..all as u32).filter(|i| i % 3 == 0 && *i != lone).collect();
            let rest: Vec<u32> = (0..all as u32).filter(|i| i % 3 == 1 && *i != lone).collect();
            let runs = [thirds.len(), 0, rest.len(), 1];
            let indices = [thirds, rest, vec![lone]].concat();
            let values: Vec<f32> = indices.iter().map(|i| *i as f32).collect();
            let mut bricks = Bricks::uniform(samples, -1.0);
            bricks.set(&axes, &indices, &runs, &values);
            for i in 0..all as u32 {
                let expected = if i % 3 == 2 && i != lone { -1.0 } else { i as f32 };
                assert_eq!(bricks.value(axes.place(i).map(|at| at as usize)), expected, "{i} of {samples}");
            }
        }
    }

    #[test]
    fn a_sample_that_is_set_is_stored_with_its_brick_and_no_other() {
        for samples in [9, 16, 21] {
            let mut bricks = Bricks::uniform(samples, -1.0);
            let place = [samples - 1, 3, 8];
            let axes = Axes::even([[0.0; 3], [1.0; 3]], samples - 1);
            bricks.set(&axes, &[index(samples, place)], &[1], &[5.0]);
            assert_eq!(bricks.value(place), 5.0);
            assert_eq!(bricks.value([samples - 1, 3, 7]), -1.0);
            let stored = bricks.bricks.iter().filter(|brick| matches!(brick, Brick::Stored(_))).count();
            assert_eq!(stored, 1);
            let bits: Vec<u8> = bricks.row_bits([samples - 1, 3], |value| value > 0.0).collect();
            assert_eq!(bits.iter().map(|bits| bits.count_ones()).sum::<u32>(), 1);
            assert_eq!(bits[1], 1);
            let all: u32 = bricks.row_bits([0, 0], |value| value < 0.0).map(u8::count_ones).sum();
            assert_eq!(all as usize, samples, "what lies beyond the grid is in no set");
        }
    }

    #[test]
    fn of_a_set_each_sample_has_its_coarse_ones_side() {
        for (coarse, fine) in [(5, 9), (9, 17), (12, 23), (12, 24), (17, 33)] {
            let mut set = Mask::empty(coarse);
            (0..40).for_each(|i| set.insert(index(coarse, [i * 7 % coarse, i * 5 % coarse, i * 3 % coarse])));
            // A block that bricks lie within.
            let low = coarse / 2;
            let block = (0..coarse.pow(3)).map(|i| [i / (coarse * coarse), i / coarse % coarse, i % coarse]);
            block.filter(|place| place.iter().all(|at| *at >= low)).for_each(|place| set.insert(index(coarse, place)));
            let inside: std::collections::BTreeSet<u32> = set.indices().into_iter().collect();
            let repeated = Bricks::repeated(fine, &set, [-1.0, 1.0]);
            for i in 0..fine * fine * fine {
                let place = [i / (fine * fine), i / fine % fine, i % fine];
                let below = place.map(|at| (at / 2).min(coarse - 1));
                let expected = if inside.contains(&index(coarse, below)) { 1.0 } else { -1.0 };
                assert_eq!(repeated.value(place), expected, "{place:?} of {fine}");
            }
            let uniform =
                |value| repeated.bricks.iter().any(|brick| matches!(brick, Brick::Uniform(own) if *own == value));
            assert!((uniform(1.0) && uniform(-1.0)) || fine < 30, "{fine}");
        }
    }
}
