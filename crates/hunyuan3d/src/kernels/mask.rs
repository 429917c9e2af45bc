//! Sets of a grid's samples on the host.

use rayon::prelude::*;

/// A set of samples of a cubic grid, a bit each: rows along z, each beginning a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    samples: usize,
    /// Words of a row.
    words: usize,
    /// `[samples, samples, words]`; bits past a row's end are 0.
    bits: Vec<u64>,
}

impl Mask {
    /// An empty set.
    pub fn empty(samples: usize) -> Self {
        let words = samples.div_ceil(64);
        Self { samples, words, bits: vec![0; samples * samples * words] }
    }

    /// Samples along an edge.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The samples of an x-plane, as the index of its first and its words.
    fn planes_mut(&mut self) -> impl IndexedParallelIterator<Item = (usize, &mut [u64])> {
        self.bits.par_chunks_mut(self.samples * self.words).enumerate()
    }

    /// A set by the bits of its rows at x and y, eight samples along z at a time.
    pub fn by_rows<I: Iterator<Item = u8>>(samples: usize, row: impl Fn([usize; 2]) -> I + Sync) -> Self {
        let mut mask = Self::empty(samples);
        let words = mask.words;
        mask.planes_mut().for_each(|(x, bits)| {
            for (y, bits) in bits.chunks_exact_mut(words).enumerate() {
                for (place, eight) in row([x, y]).enumerate() {
                    bits[place / 8] |= u64::from(eight) << (8 * (place % 8));
                }
            }
        });
        mask
    }

    /// A set by its words of 32 samples each, as many as [`Self::words`] gives.
    pub(super) fn from_words(samples: usize, mut words: impl Iterator<Item = u32>) -> Self {
        let mut mask = Self::empty(samples);
        for both in &mut mask.bits {
            let [low, high] = [(); 2].map(|()| u64::from(words.next().unwrap_or_default()));
            *both = low | high << 32;
        }
        mask
    }

    /// `[samples, samples, words]` of 32 samples along z each.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> {
        self.bits.iter().flat_map(|both| [*both as u32, (*both >> 32) as u32])
    }

    /// Adds a sample.
    pub fn insert(&mut self, index: u32) {
        let (row, z) = (index as usize / self.samples, index as usize % self.samples);
        self.bits[row * self.words + z / 64] |= 1 << (z % 64);
    }

    /// Of the row of samples along z at x and y eight, as a bit each: those beyond the grid 0.
    pub fn eight(&self, [x, y]: [usize; 2], place: usize) -> u8 {
        (self.bits[(x * self.samples + y) * self.words + place / 8] >> (8 * (place % 8))) as u8
    }

    /// Every sample with one of the set no further away along any axis than so many samples.
    pub fn dilated(&self, reach: usize) -> Self {
        let (n, words) = (self.samples, self.words);
        let mut within_planes = Self::empty(n);
        within_planes.planes_mut().for_each_init(
            || [vec![0; n * words], vec![0; words]],
            |[along, wider], (x, to)| {
                along.copy_from_slice(self.plane(x));
                for row in along.chunks_exact_mut(words) {
                    for _ in 0..reach {
                        widen_row(wider, row, n);
                        row.copy_from_slice(wider);
                    }
                }
                to.copy_from_slice(along);
                (1..=reach).for_each(|distance| join_rows(to, along, words, distance));
            },
        );
        let mut out = Self::empty(n);
        out.planes_mut().for_each(|(x, to)| {
            to.copy_from_slice(within_planes.plane(x));
            (1..=reach).for_each(|distance| within_planes.join_planes(to, x, distance));
        });
        out
    }

    /// Every sample with one of the set among itself and its six neighbours.
    pub fn dilated_by_faces(&self) -> Self {
        let (n, words) = (self.samples, self.words);
        let mut out = Self::empty(n);
        out.planes_mut().for_each(|(x, to)| {
            let own = self.plane(x);
            to.chunks_exact_mut(words).zip(own.chunks_exact(words)).for_each(|(to, from)| widen_row(to, from, n));
            join_rows(to, own, words, 1);
            self.join_planes(to, x, 1);
        });
        out
    }

    /// The words of an x-plane.
    fn plane(&self, x: usize) -> &[u64] {
        let plane = self.samples * self.words;
        &self.bits[x * plane..(x + 1) * plane]
    }

    /// Adds what is in the planes that lie so far before and behind one.
    fn join_planes(&self, to: &mut [u64], x: usize, distance: usize) {
        if x >= distance {
            join(to, self.plane(x - distance));
        }
        if x + distance < self.samples {
            join(to, self.plane(x + distance));
        }
    }

    /// On a grid of twice the resolution (or one more), the samples whose coarse one is in the set.
    pub fn repeated(&self, samples: usize) -> Self {
        self.spread(samples, 1, |bits| bits | bits << 1)
    }

    /// The set on a grid of twice the resolution: every second sample of `samples` along an edge.
    pub fn doubled(&self, samples: usize) -> Self {
        self.spread(samples, 2, |bits| bits)
    }

    /// On a grid of twice the resolution, of every so many planes and rows the coarse one's, its bits at every second place, and what a
    /// function makes of them.
    fn spread(&self, samples: usize, step: usize, bits: impl Fn(u64) -> u64 + Sync) -> Self {
        let mut out = Self::empty(samples);
        let words = out.words;
        out.planes_mut().filter(|(x, _)| x.is_multiple_of(step)).for_each(|(x, to)| {
            for (y, to) in to.chunks_exact_mut(words).enumerate().step_by(step) {
                let [x, y] = [x, y].map(|at| (at / 2).min(self.samples - 1));
                let row = &self.bits[(x * self.samples + y) * self.words..][..self.words];
                for (z, to) in to.iter_mut().enumerate() {
                    let half = row.get(z / 2).map_or(0, |word| word >> (32 * (z % 2)));
                    *to = bits(apart(half as u32));
                }
                end_row(to, samples);
            }
        });
        out
    }

    /// Whether there is no sample in the set.
    pub fn is_empty(&self) -> bool {
        self.bits.par_iter().all(|word| *word == 0)
    }

    /// Samples in the set.
    pub fn count(&self) -> usize {
        self.bits.par_iter().map(|word| word.count_ones() as usize).sum()
    }

    /// What is not in the set.
    pub fn complement(mut self) -> Self {
        let (n, words) = (self.samples, self.words);
        self.bits.par_chunks_exact_mut(words).for_each(|row| {
            row.iter_mut().for_each(|word| *word = !*word);
            end_row(row, n);
        });
        self
    }

    /// What is in this set but not in another.
    pub fn without(mut self, other: &Self) -> Self {
        self.bits.par_iter_mut().zip(&other.bits).for_each(|(own, other)| *own &= !other);
        self
    }

    /// What is in both.
    pub fn within(mut self, other: &Self) -> Self {
        self.bits.par_iter_mut().zip(&other.bits).for_each(|(own, other)| *own &= other);
        self
    }

    /// What is in one of both.
    pub fn with(mut self, other: &Self) -> Self {
        self.bits.par_iter_mut().zip(&other.bits).for_each(|(own, other)| *own |= other);
        self
    }

    /// The indices of the set, in order.
    pub fn indices(&self) -> Vec<u32> {
        let n = self.samples;
        let planes = || self.bits.par_chunks(n * self.words);
        let counts: Vec<usize> =
            planes().map(|plane| plane.iter().map(|word| word.count_ones() as usize).sum()).collect();
        let mut all = vec![0; counts.iter().sum()];
        let mut rest = all.as_mut_slice();
        let own = counts.iter().map(|count| rest.split_off_mut(..*count).unwrap_or_default());
        let own: Vec<&mut [u32]> = own.collect();
        planes().zip(own).enumerate().for_each(|(x, (plane, own))| {
            let row = |(y, row)| bits_of(row).map(move |z| ((x * n + y) * n + z) as u32);
            own.iter_mut().zip(plane.chunks_exact(self.words).enumerate().flat_map(row)).for_each(|(to, at)| *to = at);
        });
        all
    }
}

/// A row with each bit's neighbours.
fn widen_row(to: &mut [u64], from: &[u64], n: usize) {
    for (index, to) in to.iter_mut().enumerate() {
        let own = from[index];
        let before = if index > 0 { from[index - 1] >> 63 } else { 0 };
        let behind = if index + 1 < from.len() { from[index + 1] << 63 } else { 0 };
        *to = own | own << 1 | own >> 1 | before | behind;
    }
    end_row(to, n);
}

/// Empties what lies past the end of a row of `n`.
fn end_row(row: &mut [u64], n: usize) {
    if !n.is_multiple_of(64)
        && let Some(last) = row.last_mut()
    {
        *last &= (1 << (n % 64)) - 1;
    }
}

/// Adds to each row of a plane what is in the rows that lie so far before and behind it.
fn join_rows(to: &mut [u64], from: &[u64], words: usize, distance: usize) {
    // All at once: they lie so many rows' words before and behind.
    let apart = (distance * words).min(to.len());
    join(&mut to[apart..], from);
    join(to, &from[apart..]);
}

/// Adds a set's words to another's, as many as both have.
fn join(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
}

/// Bits at every second place.
fn apart(bits: u32) -> u64 {
    let mut spread = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555u64),
    ] {
        spread = (spread | spread << shift) & mask;
    }
    spread
}

/// The places of set bits.
fn bits_of(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(index, word)| {
        let rest = std::iter::successors(Some(*word), |word| Some(word & word.wrapping_sub(1)));
        rest.take_while(|word| *word != 0).map(move |word| index * 64 + word.trailing_zeros() as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(samples: usize, indices: &[usize]) -> Mask {
        let mut mask = Mask::empty(samples);
        for index in indices {
            mask.insert(*index as u32);
        }
        mask
    }

    #[test]
    fn words_know_their_neighbours_and_a_rows_end() {
        // A grid whose rows take three words; every index beside a word's edge.
        for samples in [64, 65, 130] {
            let at = |x: usize, y: usize, z: usize| (x * samples + y) * samples + z;
            let own: Vec<usize> =
                [0, 62, 63, 64, samples - 1].iter().map(|z| at(1, samples - 1, z % samples)).collect();
            let mask = set_of(samples, &own);
            assert!(mask.indices().is_sorted());
            let mut expected = std::collections::BTreeSet::new();
            for index in own {
                let (x, y, z) = (index / samples / samples, index / samples % samples, index % samples);
                for (dx, dy, dz) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                    let place = [x + dx, y + dy, z + dz];
                    if place.iter().all(|p| (1..=samples).contains(p)) {
                        expected.insert(at(place[0] - 1, place[1] - 1, place[2] - 1) as u32);
                    }
                }
            }
            let dilated = mask.dilated(1);
            assert!(dilated.indices().into_iter().eq(expected));
            assert_eq!(dilated.clone().without(&mask).with(&mask), dilated);
            assert_eq!(mask.dilated(2), dilated.dilated(1));
            assert_eq!(mask.dilated(2 * samples).complement(), Mask::empty(samples));
        }
    }

    #[test]
    fn dilation_and_doubling_are_what_the_reference_does() {
        let mut mask = set_of(5, &[62]);
        assert_eq!(mask.dilated(1).indices().len(), 27);
        assert_eq!(mask.dilated_by_faces().indices(), [37, 57, 61, 62, 63, 67, 87]);
        mask = mask.with(&set_of(5, &[0]));
        assert_eq!(mask.dilated(1).indices().len(), 27 + 8 - 1);
        assert_eq!(mask.doubled(9).indices(), [0, 4 * 81 + 4 * 9 + 4]);
        let repeated = |at: [u32; 3]| (0..8).map(move |i| [0, 1, 2].map(|axis| 2 * at[axis] + (i >> (2 - axis) & 1)));
        for samples in [9, 10] {
            let places = repeated([0; 3]).chain(repeated([2; 3])).filter(|place| place.iter().all(|p| *p < samples));
            let indices = places.map(|[x, y, z]| (x * samples + y) * samples + z);
            assert!(mask.repeated(samples as usize).indices().into_iter().eq(indices), "{samples}");
        }
        // A word's halves, and a row's end within one.
        let mut row = set_of(70, &[0, 31, 32, 69]);
        row = row.repeated(139);
        assert_eq!(row.indices()[..7], [0, 1, 62, 63, 64, 65, 138]);
    }
}
