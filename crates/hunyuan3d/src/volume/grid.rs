//! A grid of samples, and which of its neighbourhoods the surface passes through.

use rayon::prelude::*;

/// Samples of a field on a cubic grid.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Samples along an edge; a cell more than the resolution has.
    pub samples: usize,
    /// The first and last sample's coordinates, `[x, y, z]`.
    pub bounds: [[f32; 3]; 2],
    /// `[samples; 3]`, x slowest: logits, positive inside; NaN where nothing was asked.
    pub values: Vec<f32>,
}

impl Volume {
    /// Samples that were asked for.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.values.par_iter().filter(|value| !value.is_nan()).count()
    }
}

/// A set of samples of a cubic grid, a byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    pub samples: usize,
    pub set: Vec<bool>,
}

impl Mask {
    /// Samples of whose six neighbours one lies on another side of the level, and those within 0.95 of it; where
    /// nothing was asked, neither.
    ///
    /// The reference adds the level where it has to subtract it, which goes unnoticed at its default of 0.
    pub fn near_surface(values: &[f32], samples: usize, level: f32) -> Self {
        /// The reference's band around the surface, in logits.
        const BAND: f32 = 0.95;
        let side = |value: f32| -> i8 {
            let value = value - level;
            i8::from(value > 0.0) - i8::from(value < 0.0)
        };
        let plane = samples * samples;
        let mut set = vec![false; values.len()];
        set.par_chunks_mut(plane).enumerate().for_each(|(x, set)| {
            for (index, set) in set.iter_mut().enumerate() {
                let at = x * plane + index;
                let value = values[at];
                if value.is_nan() {
                    continue;
                }
                let (y, z) = (index / samples, index % samples);
                let own = side(value);
                // NaN compares with nothing, and so counts as the same side, as in the reference.
                let differs =
                    |inside: bool, other: usize| inside && !values[other].is_nan() && side(values[other]) != own;
                *set = (value - level).abs() < BAND
                    || differs(x > 0, at.wrapping_sub(plane))
                    || differs(x + 1 < samples, at.wrapping_add(plane).min(values.len() - 1))
                    || differs(y > 0, at.wrapping_sub(samples).min(values.len() - 1))
                    || differs(y + 1 < samples, (at + samples).min(values.len() - 1))
                    || differs(z > 0, at.saturating_sub(1))
                    || differs(z + 1 < samples, (at + 1).min(values.len() - 1));
            }
        });
        Self { samples, set }
    }

    /// Every sample with one of the set among itself and its 26 neighbours.
    pub fn dilated(&self) -> Self {
        let n = self.samples;
        let pass = |from: &[bool], stride: usize| -> Vec<bool> {
            let mut to = vec![false; from.len()];
            to.par_chunks_mut(n * n).enumerate().for_each(|(x, to)| {
                for (index, to) in to.iter_mut().enumerate() {
                    let at = x * n * n + index;
                    let along = at / stride % n;
                    *to = from[at] || along > 0 && from[at - stride] || along + 1 < n && from[at + stride];
                }
            });
            to
        };
        let set = pass(&pass(&pass(&self.set, 1), n), n * n);
        Self { samples: n, set }
    }

    /// The set on a grid of twice the resolution: every second sample of `samples` along an edge.
    pub fn doubled(&self, samples: usize) -> Self {
        let mut set = vec![false; samples * samples * samples];
        let n = self.samples;
        for (index, _) in self.set.iter().enumerate().filter(|(_, set)| **set) {
            let position = [index / (n * n) * 2, index / n % n * 2, index % n * 2];
            if position.iter().all(|p| *p < samples) {
                set[(position[0] * samples + position[1]) * samples + position[2]] = true;
            }
        }
        Self { samples, set }
    }

    /// The indices of the set, in order.
    pub fn indices(&self) -> Vec<u32> {
        self.set.par_iter().enumerate().filter(|(_, set)| **set).map(|(index, _)| index as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dilation_and_doubling_are_what_the_reference_does() {
        let mut mask = Mask { samples: 5, set: vec![false; 125] };
        mask.set[62] = true;
        assert_eq!(mask.dilated().indices().len(), 27);
        mask.set[0] = true;
        assert_eq!(mask.dilated().indices().len(), 27 + 8 - 1);
        assert_eq!(mask.doubled(9).indices(), [0, 4 * 81 + 4 * 9 + 4]);
    }

    #[test]
    fn the_surface_is_where_the_side_changes_or_is_close() {
        let samples = 6;
        let mut values: Vec<f32> = (0..216).map(|i| if i / 36 < 3 { -5.0 } else { 5.0 }).collect();
        let mask = Mask::near_surface(&values, samples, 0.0);
        assert!(mask.set.iter().enumerate().all(|(i, set)| *set == (i / 36 == 2 || i / 36 == 3)));
        // The band, and a level other than 0.
        values[0] = 4.2;
        let indices = Mask::near_surface(&values, samples, 4.0).indices();
        assert!(indices.contains(&0) && indices.contains(&1) && !indices.contains(&5));
        // What was not asked is no surface.
        values.iter_mut().for_each(|v| {
            if *v > 0.0 {
                *v = f32::NAN
            }
        });
        assert!(Mask::near_surface(&values, samples, 0.0).indices().is_empty());
    }
}
