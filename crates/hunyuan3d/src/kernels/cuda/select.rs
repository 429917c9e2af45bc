//! FlashVDM's key selection on the GPU.

use super::architecture::generation;
use super::launch::{Array, fresh, has_rows, launch, layout, view};
use crate::kernels::programs;

/// Keys of a head at the most.
const MOST: usize = 4096;
/// Channels of a head at the most.
const WIDEST: usize = 64;

/// The `count` keys of each head, with their values, whose scores against the queries are highest on average.
///
/// # Shapes
/// q `[1, heads, queries, width]`, k and v `[1, heads, keys, width]` → twice `[1, heads, count, width]`.
pub fn select(q: &Array, k: &Array, v: &Array, count: usize) -> Option<[Array; 2]> {
    let ([batch, heads, queries, width], q_strides) = layout(q)?;
    let ([_, _, keys, _], k_strides) = layout::<4>(k)?;
    let (_, v_strides) = layout::<4>(v)?;
    generation(q)?;
    let fits = [q, k, v].iter().all(|x| has_rows(x) && x.dtype == q.dtype);
    if !fits || batch != 1 || width > WIDEST || keys > MOST || count > keys || queries == 0 || count == 0 {
        return None;
    }
    let out = [fresh(q, [1, count, heads, width]), fresh(q, [1, count, heads, width])];
    let mut scalars: Vec<u64> = [queries, keys, heads, width, count].map(|n| n as u64).to_vec();
    for strides in [q_strides, k_strides, v_strides] {
        scalars.extend([strides[1] as u64, strides[2] as u64]);
    }
    let places = keys.next_power_of_two().max(1024);
    launch(programs::select(places, q.dtype), (heads, 1, 1), &[], &[q, k, v, &out[0], &out[1]], scalars);
    let strides = [count * heads * width, width, heads * width, 1];
    Some(out.map(|whole| view(&whole, 0, [1, heads, count, width], strides)))
}
