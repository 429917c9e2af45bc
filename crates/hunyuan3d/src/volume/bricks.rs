//! A cubic grid of samples that keeps only what differs: in bricks of 8 x 8 x 8, those of one value as that value.

use rayon::prelude::*;

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

    /// A grid of twice the resolution (or one more), each sample with what `side` makes of the coarse one that it belongs to.
    pub fn doubled(&self, samples: usize, side: impl Fn(f32) -> f32 + Send + Sync) -> Self {
        let below = |place: [usize; 3]| place.map(|at| (at / 2).min(self.samples - 1));
        Self::of(samples, |origin| {
            // A fine brick lies within one coarse brick.
            match self.brick(below(origin).map(|at| at / BRICK_EDGE)) {
                Brick::Uniform(value) => Brick::Uniform(side(*value)),
                Brick::Stored(values) => Brick::of(origin, |place| side(values[offset(below(place))])),
            }
        })
    }

    /// Samples along an edge.
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

    /// Gives a sample a value of its own.
    pub fn set(&mut self, place: [usize; 3], value: f32) {
        let [x, y, z] = place.map(|at| at / BRICK_EDGE);
        let brick = &mut self.bricks[(x * self.edge + y) * self.edge + z];
        if let Brick::Uniform(all) = brick {
            *brick = Brick::Stored(Box::new([*all; BRICK_SAMPLES]));
        }
        if let Brick::Stored(values) = brick {
            values[offset(place)] = value;
        }
    }

    /// Of the row of samples along z at x and y, eight at a time, which pass a test: a bit each, those beyond the grid 0.
    pub fn row_bits(&self, [x, y]: [usize; 2], test: impl Fn(f32) -> bool) -> impl Iterator<Item = u8> {
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

    #[test]
    fn a_sample_that_is_set_is_stored_with_its_brick_and_no_other() {
        for samples in [9, 16, 21] {
            let mut bricks = Bricks::uniform(samples, -1.0);
            let place = [samples - 1, 3, 8];
            bricks.set(place, 5.0);
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
    fn doubling_gives_each_sample_its_coarse_ones_side() {
        for (coarse, fine) in [(9, 17), (12, 23), (12, 24), (17, 33)] {
            let mut bricks = Bricks::uniform(coarse, -2.0);
            for i in 0..40 {
                bricks.set([i * 7 % coarse, i * 5 % coarse, i * 3 % coarse], 3.0);
            }
            let doubled = bricks.doubled(fine, f32::signum);
            for i in 0..fine * fine * fine {
                let place = [i / (fine * fine), i / fine % fine, i % fine];
                let below = place.map(|at| (at / 2).min(coarse - 1));
                assert_eq!(doubled.value(place), bricks.value(below).signum(), "{place:?} of {fine}");
            }
            assert!(doubled.bricks.iter().any(|brick| matches!(brick, Brick::Uniform(_))) || fine < 30);
        }
    }
}
