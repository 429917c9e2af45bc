//! FlashVDM's key selection on the GPU.

use super::architecture::generation;
use super::launch::{Array, fresh, has_rows, launch, layout, view};
use crate::kernels::programs::{self, GROUPS_AT_ONCE};

/// Keys of a head at the most.
const MOST: usize = 4096;
/// Channels of a head at the most.
const WIDEST: usize = 64;

/// Of each group of queries, the `count` keys of each head, with their values, whose scores against them are highest on average.
///
/// # Shapes
/// q `[1, heads, queries, width]`, so many of each group behind one another; k and v `[1, heads, keys, width]` → twice
/// `[groups, heads, count, width]`.
pub fn select(q: &Array, groups: &[usize], k: &Array, v: &Array, count: usize) -> Option<[Array; 2]> {
    let ([batch, heads, queries, width], q_strides) = layout(q)?;
    let ([_, _, keys, _], k_strides) = layout::<4>(k)?;
    let (_, v_strides) = layout::<4>(v)?;
    generation(q)?;
    let fits = [q, k, v].iter().all(|x| has_rows(x) && x.dtype == q.dtype);
    if !fits || batch != 1 || width > WIDEST || keys > MOST || count > keys || count == 0 {
        return None;
    }
    if groups.contains(&0) || groups.iter().sum::<usize>() != queries {
        return None;
    }
    let places = keys.next_power_of_two().max(1024);
    let group = count * heads * width;
    let out = [(); 2].map(|()| fresh(q, [groups.len(), count, heads, width]));
    let mut before = 0;
    for (at, groups) in groups.chunks(GROUPS_AT_ONCE).enumerate() {
        let first = firsts(before, groups);
        before = first[GROUPS_AT_ONCE];
        let numbers = [keys, heads, width, count].into_iter();
        let steps = [q_strides, k_strides, v_strides].into_iter().flat_map(|strides| [strides[1], strides[2]]);
        let scalars = numbers.chain(steps).chain(first).map(|number| number as u64).collect();
        let own = [0, 1].map(|index: usize| {
            view(
                &out[index],
                at * GROUPS_AT_ONCE * group,
                [groups.len(), count, heads, width],
                [group, heads * width, width, 1],
            )
        });
        let buffers = [q, k, v, &own[0], &own[1]];
        launch(programs::select(places, q.dtype), (heads, groups.len(), 1), &[], &buffers, scalars);
    }
    let shape = [groups.len(), heads, count, width];
    Some(out.map(|whole| view(&whole, 0, shape, [group, width, heads * width, 1])))
}

/// The first query of each of up to [`GROUPS_AT_ONCE`] groups behind one another, and the one behind the last, which stands for groups that are
/// not there.
pub fn firsts(before: usize, groups: &[usize]) -> [usize; GROUPS_AT_ONCE + 1] {
    let mut first = [before; GROUPS_AT_ONCE + 1];
    for (index, size) in groups.iter().enumerate() {
        let behind = first[index] + size;
        first[index + 1..].fill(behind);
    }
    first
}
