//! A grid of samples.

use rayon::prelude::*;

use super::bricks::{Brick, Bricks};

/// Samples of a field on a cubic grid: logits, positive inside. Where nothing was asked a side stands for them, or, in a volume that is not
/// closed, NaN.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Samples along an edge; a cell more than the resolution has.
    pub samples: usize,
    /// The first and last sample's coordinates, `[x, y, z]`.
    pub bounds: [[f32; 3]; 2],
    pub(super) values: Bricks,
}

impl Volume {
    /// A volume of all its samples, `[samples; 3]`, x slowest; none where there are not as many.
    #[must_use]
    pub fn from_dense(samples: usize, bounds: [[f32; 3]; 2], values: &[f32]) -> Option<Self> {
        (samples > 0 && values.len() == samples.checked_pow(3)?).then(|| Self {
            samples,
            bounds,
            values: Bricks::from_dense(samples, values),
        })
    }

    /// A sample by its place along x, y and z.
    #[must_use]
    pub fn value(&self, place: [usize; 3]) -> f32 {
        self.values.value(place)
    }

    /// The brick at a place along x, y and z, counted in bricks of [`crate::volume::BRICK_EDGE`] samples; those of a row that ends with the
    /// grid belong to it, further ones do not exist.
    #[must_use]
    pub fn brick(&self, place: [usize; 3]) -> &Brick {
        self.values.brick(place)
    }

    /// All samples, `[samples; 3]`, x slowest.
    #[must_use]
    pub fn dense(&self) -> Vec<f32> {
        let n = self.samples;
        (0..n * n * n).into_par_iter().map(|i| self.value([i / (n * n), i / n % n, i % n])).collect()
    }

    /// Samples that were asked for, where nothing took the place of the others.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.values.mask(|value| !value.is_nan()).count()
    }

    /// Bytes that the samples take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }
}
