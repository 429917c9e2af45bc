//! Where the samples of a level lie.

/// Coordinates of a cubic grid's samples, x slowest.
pub(super) struct Axes {
    samples: u32,
    /// 2⁶⁴ over the samples, rounded up: a multiplication in a division's place.
    reciprocal: u64,
    /// Of x, y and z, by the sample's place along the axis.
    tables: [Vec<f32>; 3],
}

impl Axes {
    /// As `numpy.linspace` gives them.
    pub fn even([low, high]: [[f32; 3]; 2], resolution: usize) -> Self {
        Self::of(resolution, |axis, i| {
            let (low, high) = (f64::from(low[axis]), f64::from(high[axis]));
            let step = (high - low) / resolution as f64;
            (if i == resolution { high } else { low + i as f64 * step }) as f32
        })
    }

    /// In float32, place by spacing, as the reference has it for finer levels.
    pub fn spaced([low, high]: [[f32; 3]; 2], resolution: usize) -> Self {
        Self::of(resolution, |axis, i| {
            let spacing = ((f64::from(high[axis]) - f64::from(low[axis])) / resolution as f64) as f32;
            i as f32 * spacing + low[axis]
        })
    }

    fn of(resolution: usize, coordinate: impl Fn(usize, usize) -> f32) -> Self {
        let table = |axis| (0..=resolution).map(|i| coordinate(axis, i)).collect();
        let samples = resolution as u32 + 1;
        // Two samples at the least: a resolution has a cell.
        let reciprocal = u64::MAX / u64::from(samples) + 1;
        Self { samples, reciprocal, tables: std::array::from_fn(table) }
    }

    /// A sample's places along x, y and z.
    pub fn place(&self, index: u32) -> [u32; 3] {
        let row = self.over(index);
        let plane = self.over(row);
        [plane, row - plane * self.samples, index - row * self.samples]
    }

    /// A number over the samples along an axis, without the rest. Exact for all of 32 bits: the reciprocal is too large by less than
    /// 1, so the quotient by less than 2³² / 2⁶⁴, and whatever is no multiple is further below the next one (Granlund and Montgomery 1994).
    fn over(&self, number: u32) -> u32 {
        ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u32
    }

    /// A sample's coordinates.
    pub fn point(&self, index: u32) -> [f32; 3] {
        let place = self.place(index);
        std::array::from_fn(|axis| self.coordinate(axis, place[axis]))
    }

    /// The coordinate of a place along an axis.
    pub fn coordinate(&self, axis: usize, place: u32) -> f32 {
        self.tables[axis][place as usize]
    }

    /// Coordinates of all places, `[3, samples]`.
    pub fn coordinates(&self) -> Vec<f32> {
        self.tables.concat()
    }

    /// Samples along an axis.
    pub fn samples(&self) -> u32 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_that_division_gives() {
        for resolution in [1, 2, 3, 96, 191, 384, 511, 1023, 1024] {
            let n = resolution as u32 + 1;
            let axes = Axes::even([[0.0; 3], [1.0; 3]], resolution);
            let last = n.saturating_pow(3) - 1;
            let around = |at: u32| at.saturating_sub(2)..=at.saturating_add(2);
            let corners = [0, n, n * n, last / 2, last / n * n, last, u32::MAX / n * n, u32::MAX];
            let spread = (0..10_000u32).map(|i| i.wrapping_mul(2_654_435_761));
            for index in corners.into_iter().flat_map(around).chain(spread) {
                assert_eq!(axes.place(index), [index / n / n, index / n % n, index % n], "{index} of {n}");
            }
        }
    }

    #[test]
    fn samples_lie_from_corner_to_corner() {
        let bounds = [[-1.0, 0.0, 2.0], [1.0, 4.0, 8.0]];
        for axes in [Axes::even(bounds, 4), Axes::spaced(bounds, 4)] {
            assert_eq!(axes.point(0), bounds[0]);
            assert_eq!(axes.point(5 * 5 * 5 - 1), bounds[1]);
            assert_eq!(axes.place(25 + 10 + 3), [1, 2, 3]);
            assert_eq!(axes.point(25 + 10 + 3), [-0.5, 2.0, 6.5]);
        }
    }
}
