//! FlashVDM's groups of queries, and how many keys each keeps.

use rayon::prelude::*;

use super::ask::Batch;
use super::axes::Axes;
use crate::kernels::Cells;

/// Groups along an edge of the box around a level's queries.
const GROUPS: usize = 6;
/// Groups of the whole box: a byte's worth of numbers.
const ALL: usize = GROUPS * GROUPS * GROUPS;

/// How many keys FlashVDM keeps of `tokens`.
pub fn flash_key_count(tokens: usize) -> usize {
    match tokens {
        3072 => 1024,
        512 => 256,
        other => (other / 3).max(1),
    }
}

/// The group along an axis of a place in the box that queries fill, from the least to the greatest place.
fn cells_along(axes: &Axes, axis: usize, [low, high]: [u32; 2]) -> impl Fn(u32) -> usize {
    // Of no query at all there is no least place.
    let corner = |place: u32| axes.coordinate(axis, place.min(axes.samples() - 1));
    let (low, extent) = (corner(low), corner(high) - corner(low));
    move |place| {
        let share = if extent > 0.0 { (axes.coordinate(axis, place) - low) / extent } else { 0.0 };
        ((share * (GROUPS as f32 - 0.001)).floor() as usize).min(GROUPS - 1)
    }
}

/// The groups' cells in a box of queries, for a search on the device.
pub fn cells_of_groups(axes: &Axes, low: [u32; 3], high: [u32; 3]) -> Cells {
    let cells = [0, 1, 2].map(|axis| cells_along(axes, axis, [low[axis], high[axis]]));
    Cells::of(axes.samples() as usize, GROUPS, |axis, place| cells[axis](place as u32))
}

/// A level's queries by the cells of a coarse grid over the box that they fill.
pub struct Groups {
    /// Group behind group.
    indices: Vec<u32>,
    /// How many each has; none is empty.
    sizes: Vec<usize>,
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
            let cell = cells_along(axes, axis, [low[axis], high[axis]]);
            (0..axes.samples()).map(|place| (weight * cell(place)) as u8).collect()
        };
        let tables: [Vec<u8>; 3] = std::array::from_fn(table);
        let group = |index: u32| -> u8 {
            let place = axes.place(index);
            (0..3).map(|axis| tables[axis][place[axis] as usize]).sum()
        };
        // First how many each piece has of each group, then each at its place.
        let pieces: Vec<(Vec<u8>, [usize; ALL])> = indices
            .par_chunks(PIECE)
            .map(|piece| {
                let numbers: Vec<u8> = piece.iter().map(|index| group(*index)).collect();
                let mut counts = [0; ALL];
                numbers.iter().for_each(|number| counts[usize::from(*number)] += 1);
                (numbers, counts)
            })
            .collect();
        let mut sorted = vec![0; indices.len()];
        let mut rest = sorted.as_mut_slice();
        let mut places: Vec<Vec<_>> = pieces.iter().map(|_| Vec::with_capacity(ALL)).collect();
        for group in 0..ALL {
            for ((_, counts), places) in pieces.iter().zip(&mut places) {
                places.push(rest.split_off_mut(..counts[group]).unwrap_or_default().iter_mut());
            }
        }
        indices.par_chunks(PIECE).zip(&pieces).zip(places).for_each(|((piece, (numbers, _)), mut places)| {
            for (index, number) in piece.iter().zip(numbers) {
                if let Some(place) = places[usize::from(*number)].next() {
                    *place = *index;
                }
            }
        });
        let size = |group: usize| pieces.iter().map(|(_, counts)| counts[group]).sum();
        Self { indices: sorted, sizes: (0..ALL).map(size).filter(|size| *size > 0).collect() }
    }

    /// The groups, as many at a time as have about `queries` queries together.
    pub fn batches(&self, queries: usize) -> impl Iterator<Item = Batch> {
        let mut together = 0;
        let batches = self.sizes.chunk_by(move |size, _| {
            together += size;
            let more = together < queries;
            together = if more { together } else { 0 };
            more
        });
        let mut rest = self.indices.as_slice();
        batches.map(move |sizes| {
            let (own, others) = rest.split_at(sizes.iter().sum());
            rest = others;
            Batch { indices: own.to_vec(), groups: sizes.to_vec() }
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
        let mut rest = groups.indices.as_slice();
        let of_group = |size: &usize| rest.split_off(..*size).unwrap();
        let each: Vec<&[u32]> = groups.sizes.iter().map(of_group).collect();
        assert!(each.iter().all(|group| group.is_sorted() && !group.is_empty()) && each.len() > 100);
        let mut all = each.concat();
        all.sort_unstable();
        assert_eq!(all, indices);
        // Each group's samples are in one cell of the coarse grid.
        let cell = |index: &u32| axes.place(*index).map(|at| (at as f32 / 9.0 * 5.999) as u32);
        assert!(each.iter().all(|group| group.iter().all(|index| cell(index) == cell(&group[0]))));
        let batches: Vec<_> = groups.batches(100).collect();
        let indices = batches.iter().flat_map(|batch| &batch.indices).copied();
        assert!(indices.eq(groups.indices.iter().copied()));
        assert!(batches.iter().flat_map(|batch| &batch.groups).eq(&groups.sizes));
        assert!(batches.iter().all(|batch| batch.groups.iter().sum::<usize>() == batch.indices.len()));
        let sizes = batches.iter().map(|batch| batch.indices.len());
        assert!(batches.len() > 3 && sizes.rev().skip(1).all(|size| (100..200).contains(&size)));
        // A flat set has no extent along an axis.
        assert_eq!(Groups::of(&[5, 6], &axes).indices.len(), 2);
    }
}
