//! Where the samples of a level lie.

/// Coordinates of a cubic grid's samples, x slowest.
pub(super) struct Axes {
    samples: u32,
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
        Self { samples: resolution as u32 + 1, tables: std::array::from_fn(table) }
    }

    /// A sample's places along x, y and z. Samples are counted in 32 bits, whose division is several times as fast as that of 64.
    pub fn place(&self, index: u32) -> [u32; 3] {
        let row = index / self.samples;
        [row / self.samples, row % self.samples, index % self.samples]
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

    /// Samples along an axis.
    pub fn samples(&self) -> u32 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
