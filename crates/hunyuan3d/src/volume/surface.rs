//! Where a finer level is asked, by what a coarser one says: the same for sets on the host and on a device.

use super::bricks::Bricks;
use crate::kernels::Mask;

/// The reference's band around the surface, in logits.
pub const BAND: f32 = 0.95;

/// A set of a grid's samples.
pub trait SampleSet: Clone {
    /// Samples along an edge.
    fn samples(&self) -> usize;
    /// What is not in the set.
    fn complement(self) -> Self;
    /// What is in both.
    fn within(self, other: &Self) -> Self;
    /// What is in this set but not in another.
    fn without(self, other: &Self) -> Self;
    /// What is in one of both.
    fn with(self, other: &Self) -> Self;
    /// Every sample with one of the set no further away along any axis than so many samples.
    fn dilated(&self, reach: usize) -> Self;
    /// Every sample with one of the set among itself and its six neighbours.
    fn dilated_by_faces(&self) -> Self;
    /// The set on a grid of twice the resolution: every second sample of `samples` along an edge.
    fn doubled(&self, samples: usize) -> Self;
    /// On a grid of twice the resolution (or one more), the samples whose coarse one is in the set.
    fn repeated(&self, samples: usize) -> Self;
    /// Whether there is certainly no sample in it; false where that is not known without waiting.
    fn is_seen_empty(&self) -> bool;
}

impl SampleSet for Mask {
    fn samples(&self) -> usize {
        self.samples()
    }

    fn complement(self) -> Self {
        self.complement()
    }

    fn within(self, other: &Self) -> Self {
        self.within(other)
    }

    fn without(self, other: &Self) -> Self {
        self.without(other)
    }

    fn with(self, other: &Self) -> Self {
        self.with(other)
    }

    fn dilated(&self, reach: usize) -> Self {
        self.dilated(reach)
    }

    fn dilated_by_faces(&self) -> Self {
        self.dilated_by_faces()
    }

    fn doubled(&self, samples: usize) -> Self {
        self.doubled(samples)
    }

    fn repeated(&self, samples: usize) -> Self {
        self.repeated(samples)
    }

    fn is_seen_empty(&self) -> bool {
        self.is_empty()
    }
}

/// What a level's values say of its samples.
#[derive(Clone)]
pub struct Known<S> {
    /// The level or more.
    pub inside: S,
    /// The level itself.
    pub on: S,
    /// Less than [`BAND`] from it.
    pub near: S,
    /// Those that have a value; none: all.
    pub asked: Option<S>,
}

impl Known<Mask> {
    /// Of values on the host, by what is inside. NaN is no value.
    pub fn of(values: &Bricks, inside: Mask, level: f32) -> Self {
        Self {
            inside,
            on: values.mask(|value| value - level == 0.0),
            near: values.mask(|value| (value - level).abs() < BAND),
            asked: Some(values.mask(|value| !value.is_nan())),
        }
    }
}

impl<S: SampleSet> Known<S> {
    /// Samples of whose six neighbours one lies on another side of the level, and those near it; where nothing was asked, neither.
    ///
    /// The reference adds the level where it has to subtract it, which goes unnoticed at its default of 0.
    pub fn near_surface(self) -> S {
        let Self { inside, on, near, asked } = self;
        let outside = match asked {
            Some(asked) => asked.without(&inside),
            None => inside.clone().complement(),
        };
        let sides = [outside, inside.without(&on), on];
        let beside = [0, 1, 2].map(|side: usize| sides[side].dilated_by_faces());
        let mut all = near;
        for (side, own) in sides.into_iter().enumerate() {
            let others = beside[(side + 1) % 3].clone().with(&beside[(side + 2) % 3]);
            all = all.with(&own.within(&others));
        }
        all
    }
}

/// What the reference asks of a finer level: around what is near the coarse one's surface, as wide as it says.
pub fn band<S: SampleSet>(near: &S, samples: usize, last: bool) -> S {
    match last {
        true => near.doubled(samples).dilated(2),
        false => near.dilated(1).doubled(samples).dilated(1),
    }
}

/// On a grid of twice the resolution, all samples of the cells of this one whose eight corners are not all on one side.
pub fn crossed_cells<S: SampleSet>(inside: &S, samples: usize) -> S {
    // From a corner, the middles of its cells, faces and edges are next to it: what is next to both sides is the middle of
    // something that is crossed, and every cell around that is.
    let beside = |side: &S| side.doubled(samples).dilated(1);
    beside(inside).within(&beside(&inside.clone().complement())).dilated(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::axes::Axes;

    fn near(values: &Bricks, level: f32) -> Mask {
        Known::of(values, values.mask(|value| value >= level), level).near_surface()
    }

    /// Gives a sample a value.
    fn set(values: &mut Bricks, [x, y, z]: [usize; 3], value: f32) {
        let n = values.samples();
        let axes = Axes::even([[0.0; 3], [1.0; 3]], n - 1);
        values.set(&axes, &[((x * n + y) * n + z) as u32], &[1], &[value]);
    }

    #[test]
    fn of_a_crossed_cell_all_samples_are_asked_and_of_others_none() {
        // Rows of a word and a bit, an inside of one corner, and a resolution that did not halve.
        for (coarse, samples) in [(6, 11), (6, 12), (65, 129)] {
            let mut values = Bricks::uniform(coarse, -1.0);
            for place in [[2, 3, 3], [coarse - 1; 3]] {
                set(&mut values, place, 0.0);
            }
            let crossed = crossed_cells(&values.mask(|value| value >= 0.0), samples);
            let mut expected = std::collections::BTreeSet::new();
            for cell in (0..coarse.pow(3)).map(|i| [i / (coarse * coarse), i / coarse % coarse, i % coarse]) {
                let corner = |i: usize| [0, 1, 2].map(|axis| (cell[axis] + (i >> axis & 1)).min(coarse - 1));
                let inside = (0..8).filter(|i| values.value(corner(*i)) >= 0.0).count();
                for i in (0..27).filter(|_| (1..8).contains(&inside)) {
                    let place = [2 * cell[0] + i / 9, 2 * cell[1] + i / 3 % 3, 2 * cell[2] + i % 3];
                    if place.iter().all(|at| *at < samples) {
                        expected.insert(((place[0] * samples + place[1]) * samples + place[2]) as u32);
                    }
                }
            }
            assert!(crossed.indices().into_iter().eq(expected), "{samples}");
        }
    }

    #[test]
    fn the_surface_is_where_the_side_changes_or_is_close() {
        let samples = 6;
        let mut values = Bricks::uniform(samples, 5.0);
        let places = || (0..216).map(|i| [i / 36, i / 6 % 6, i % 6]);
        places().filter(|[x, _, _]| *x < 3).for_each(|place| set(&mut values, place, -5.0));
        let mask = near(&values, 0.0);
        assert!(mask.indices().iter().copied().eq(72..144));
        // The band, and a level other than 0.
        set(&mut values, [0; 3], 4.2);
        let indices = near(&values, 4.0).indices();
        assert!(indices.contains(&0) && indices.contains(&1) && !indices.contains(&5));
        // What was not asked is no surface.
        places().for_each(|place| {
            if values.value(place) > 0.0 {
                set(&mut values, place, f32::NAN);
            }
        });
        assert!(near(&values, 0.0).indices().is_empty());
    }
}
