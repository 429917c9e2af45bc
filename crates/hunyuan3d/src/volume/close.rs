//! Where nothing was asked, the side is known all the same: the coarse level's, or the neighbours'.

use super::bricks::Bricks;
use super::surface::SampleSet;
use crate::kernels::Mask;

/// What a sample that was not asked reads as: far inside or far outside. A grid whose values near the surface are real
/// needs no more.
const FAR: f32 = 1.0;

/// Where the band that is asked may stop short of the surface. It follows from what is asked alone, so a search on the host finds it while the device
/// computes; once the values are known, little is left to do.
pub struct Border<S> {
    /// Samples that are not asked, whose coarse side is outside and inside.
    unasked: [S; 2],
    /// Samples that are asked, next to one of those.
    beside: [S; 2],
}

impl<S: SampleSet> Border<S> {
    /// Of what is asked of a finer level, by what is inside on the coarse one.
    pub fn of(asked: &S, coarse_inside: &S) -> Self {
        let inside = coarse_inside.repeated(asked.samples()).without(asked);
        let outside = asked.clone().with(&inside).complement();
        let beside = |unasked: &S| unasked.dilated_by_faces().within(asked);
        Self { beside: [beside(&outside), beside(&inside)], unasked: [outside, inside] }
    }

    /// Samples that were not asked, next to one that was, whose coarse side is not that one's: the surface passes between
    /// them, and the band stopped short of it. With them come their own neighbours, so that it is soon caught up with.
    ///
    /// Of what is inside, only samples that were asked matter.
    pub fn open_ends(self, inside: &S, asked: &S) -> S {
        let [beside_outside, beside_inside] = self.beside;
        let across = [beside_outside.within(inside), beside_inside.without(inside)];
        let [out_to, in_to] = &across;
        if across.iter().all(S::is_seen_empty) {
            return out_to.clone();
        }
        let [outside, inside] = [(out_to, &self.unasked[0]), (in_to, &self.unasked[1])]
            .map(|(across, unasked)| across.dilated_by_faces().within(unasked));
        outside.with(&inside).dilated(1).without(asked)
    }
}

/// A finer level's samples, each with the coarse level's side, for those that will not be asked.
pub fn filled(samples: usize, coarse_inside: &Mask, level: f32) -> Bricks {
    Bricks::repeated(samples, coarse_inside, [level - FAR, level + FAR])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::normal;
    use crate::volume::Volume;

    /// The same sample by sample, as the definition says it.
    fn one_by_one(volume: &Volume, asked: &Mask, coarse: &Volume, level: f32) -> Vec<u32> {
        let n = volume.samples;
        let asked: std::collections::BTreeSet<u32> = asked.indices().into_iter().collect();
        let index = |[x, y, z]: [usize; 3]| ((x * n + y) * n + z) as u32;
        let around = |[x, y, z]: [usize; 3], reach: usize| {
            let near = move |at: usize| at.saturating_sub(1)..(at + 2).min(n);
            near(x)
                .flat_map(move |a| near(y).flat_map(move |b| near(z).map(move |c| [a, b, c])))
                .filter(move |place| place.iter().zip([x, y, z]).map(|(a, b)| a.abs_diff(b)).sum::<usize>() <= reach)
        };
        let places = (0..n * n * n).map(|i| [i / (n * n), i / n % n, i % n]);
        let open = places.filter(|place| {
            let side = coarse.value(place.map(|at| at / 2)) >= level;
            let differs = |beside| asked.contains(&index(beside)) && (volume.value(beside) >= level) != side;
            !asked.contains(&index(*place)) && around(*place, 1).any(differs)
        });
        let all: std::collections::BTreeSet<u32> =
            open.flat_map(|place| around(place, 3)).map(index).filter(|at| !asked.contains(at)).collect();
        all.into_iter().collect()
    }

    #[test]
    fn open_ends_are_those_that_the_definition_says() {
        // Rows of one word, and of a word and some bits; a level other than 0.
        for (coarse_samples, samples, level) in [(5, 9, 0.0), (6, 12, 0.3), (36, 71, 0.0)] {
            let volume = |seed: u64, samples: usize| {
                let values = normal(seed, samples.pow(3));
                Volume::from_dense(samples, [[-1.0; 3], [1.0; 3]], &values).unwrap()
            };
            let (coarse, fine) = (volume(1, coarse_samples), volume(2, samples));
            for share in [-2.0, 0.0, 1.0, 9.0] {
                let asked = volume(3, samples).values.mask(|value| value > share);
                let inside = |volume: &Volume| volume.values.mask(|value| value >= level);
                let ours = Border::of(&asked, &inside(&coarse)).open_ends(&inside(&fine), &asked).indices();
                assert_eq!(ours, one_by_one(&fine, &asked, &coarse, level), "{samples} {share}");
                assert_eq!(ours.is_empty(), share > 8.0, "the test asks about something");
            }
        }
    }
}
