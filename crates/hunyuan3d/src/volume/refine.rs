//! FlashVDM's groups of queries, and how many keys each keeps.

use rayon::prelude::*;

use super::axes::Axes;

/// Groups along an edge of the box around a level's queries.
const GROUPS: usize = 6;

/// How many keys FlashVDM keeps of `tokens`.
pub fn flash_key_count(tokens: usize) -> usize {
    match tokens {
        3072 => 1024,
        512 => 256,
        other => (other / 3).max(1),
    }
}

/// A level's queries by the cells of a coarse grid over the box that they fill.
pub struct Groups {
    groups: Vec<Vec<u32>>,
}

impl Groups {
    /// Groups samples by where they lie; within a group their order stays.
    pub fn of(indices: &[u32], axes: &Axes) -> Self {
        /// Samples that a thread takes at a time.
        const PIECE: usize = 1 << 16;
        let whole = ([u32::MAX; 3], [0; 3]);
        let join = |a: ([u32; 3], [u32; 3]), b: ([u32; 3], [u32; 3])| {
            (std::array::from_fn(|axis| a.0[axis].min(b.0[axis])), std::array::from_fn(|axis| a.1[axis].max(b.1[axis])))
        };
        let corners = |index: &u32| {
            let place = axes.place(*index);
            (place, place)
        };
        let (low, high) = indices.par_iter().map(corners).reduce(|| whole, join);
        // What a place along an axis adds to a group's number; places beyond the box are never asked for.
        let table = |axis: usize| -> Vec<u8> {
            let weight = [GROUPS * GROUPS, GROUPS, 1][axis];
            // Of no query at all there is no least place.
            let corner = |place: u32| axes.coordinate(axis, place.min(axes.samples() - 1));
            let (low, extent) = (corner(low[axis]), corner(high[axis]) - corner(low[axis]));
            let cell = |place: u32| {
                let share = if extent > 0.0 { (axes.coordinate(axis, place) - low) / extent } else { 0.0 };
                ((share * (GROUPS as f32 - 0.001)).floor() as usize).min(GROUPS - 1)
            };
            (0..axes.samples()).map(|place| (weight * cell(place)) as u8).collect()
        };
        let tables: [Vec<u8>; 3] = std::array::from_fn(table);
        let group = |index: u32| -> usize {
            let place = axes.place(index);
            (0..3).map(|axis| usize::from(tables[axis][place[axis] as usize])).sum()
        };
        let pieces: Vec<Vec<Vec<u32>>> = indices
            .par_chunks(PIECE)
            .map(|piece| {
                let mut groups = vec![Vec::new(); GROUPS * GROUPS * GROUPS];
                piece.iter().for_each(|index| groups[group(*index)].push(*index));
                groups
            })
            .collect();
        let mut groups: Vec<Vec<u32>> = (0..GROUPS * GROUPS * GROUPS)
            .into_par_iter()
            .map(|group| pieces.iter().flat_map(|piece| &piece[group]).copied().collect())
            .collect();
        groups.retain(|group| !group.is_empty());
        Self { groups }
    }

    /// The groups that hold any, as many at a time as have about `queries` queries together.
    pub fn batches(&self, queries: usize) -> impl Iterator<Item = &[Vec<u32>]> {
        let mut together = 0;
        self.groups.chunk_by(move |group, _| {
            together += group.len();
            let more = together < queries;
            together = if more { together } else { 0 };
            more
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_in_one_group_and_in_order() {
        let indices: Vec<u32> = (0..1000).filter(|i| i % 3 != 0).collect();
        let axes = Axes::even([[0.0; 3], [9.0; 3]], 9);
        let groups = Groups::of(&indices, &axes);
        let mut all: Vec<u32> = groups.groups.iter().flatten().copied().collect();
        assert!(groups.groups.iter().all(|group| group.is_sorted()) && groups.groups.len() > 100);
        all.sort_unstable();
        assert_eq!(all, indices);
        let batches: Vec<_> = groups.batches(100).collect();
        assert_eq!(batches.concat(), groups.groups);
        let sizes = batches.iter().map(|batch| batch.iter().map(Vec::len).sum::<usize>());
        assert!(batches.len() > 3 && sizes.rev().skip(1).all(|size| (100..200).contains(&size)));
        // A flat set has no extent along an axis.
        assert_eq!(Groups::of(&[5, 6], &axes).groups.iter().map(Vec::len).sum::<usize>(), 2);
    }
}
