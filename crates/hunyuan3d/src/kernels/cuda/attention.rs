//! Attention on the GPU.

use burn::tensor::DType;

use super::architecture::generation;
use super::launch::{Array, Map, fresh, has_rows, launch, layout};
use super::select::firsts;
use crate::kernels::programs::{self, ATTENTION_GROUPS, GROUPS_AT_ONCE, Generation, Program};

/// Channels of a head at the most.
const WIDEST: usize = 64;

/// softmax(q · kᵀ / √width) · v, or nothing where the kernels do not take the shapes.
///
/// # Shapes
/// q `[batch, heads, queries, width]`, k and v `[batch, heads, keys, width]` → `[batch, queries, heads * width]`.
pub fn attend(q: &Array, k: &Array, v: &Array) -> Option<Array> {
    let ([batch, heads, queries, width], _) = layout::<4>(q)?;
    let out = fresh(q, [batch, queries, heads * width]);
    attend_into(q, k, v, &out).map(|()| out)
}

/// The same into rows that may lie apart.
fn attend_into(q: &Array, k: &Array, v: &Array, out: &Array) -> Option<()> {
    let ([batch, _, queries, _], _) = layout::<4>(q)?;
    into(programs::attention, q, k, v, out, (queries, batch), &[])
}

/// The same of groups of queries behind one another, so many of each, each with keys of its own.
///
/// # Shapes
/// q `[1, heads, queries, width]`, k and v `[groups, heads, keys, width]`, out `[1, queries, heads * width]`.
pub fn attend_groups_into(q: &Array, groups: &[usize], k: &Array, v: &Array, out: &Array) -> Option<()> {
    let ([of_keys, ..], _) = layout::<4>(k)?;
    let ([batch, _, queries, _], _) = layout::<4>(q)?;
    if groups.len() == 1 && of_keys == batch {
        return attend_into(q, k, v, out);
    }
    if groups.len() != of_keys || groups.len() > GROUPS_AT_ONCE || batch != 1 || groups.iter().sum::<usize>() != queries
    {
        return None;
    }
    let most = groups.iter().max().copied().unwrap_or_default();
    into(programs::attention_in_groups, q, k, v, out, (most, groups.len()), &firsts(0, groups))
}

/// Launches a kernel of attention for so many queries of so many groups or batch items, which is told where groups begin.
fn into(
    program: fn(Generation, DType) -> Program,
    q: &Array,
    k: &Array,
    v: &Array,
    out: &Array,
    (most, items): (usize, usize),
    first: &[usize],
) -> Option<()> {
    let ([batch, heads, queries, width], q_strides) = layout(q)?;
    let ([_, _, out_width], out_strides) = layout::<3>(out)?;
    let ([_, _, keys, _], k_strides) = layout::<4>(k)?;
    let (_, v_strides) = layout::<4>(v)?;
    let generation = generation(q)?;
    let fits = [q, k, v].iter().all(|x| has_rows(x) && x.dtype == q.dtype);
    // Batches lie behind one another as rows do.
    let row = if queries == 1 { out_strides[0].max(out_width) } else { out_strides[1] };
    let together = (batch == 1 || out_strides[0] == queries * row) && has_rows(out) && out_width == heads * width;
    if !fits || !together || width > WIDEST || keys == 0 || heads > 65_535 || items > 65_535 {
        return None;
    }
    let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
    let program = program(generation, q.dtype);
    let first = first.iter().map(|first| *first as u64);
    let sizes = [queries as u64, keys as u64, heads as u64, width as u64, u64::from(scale.to_bits()), row as u64];
    match generation {
        Generation::Hopper => {
            let rows = 64 * ATTENTION_GROUPS;
            let map = |of, batch: usize, tokens: usize, strides: [usize; 4], tile: usize| Map {
                of,
                shape: vec![batch, heads, tokens, width],
                strides: strides.to_vec(),
                tile: vec![1, 1, tile, 64],
            };
            let maps = [
                map(q, batch, queries, q_strides, rows),
                map(k, items, keys, k_strides, 128),
                map(v, items, keys, v_strides, 128),
            ];
            let scalars = sizes.into_iter().chain(first).collect();
            launch(program, (most.div_ceil(rows), heads, items), &maps, &[out], scalars);
        }
        Generation::Ampere => {
            let strides = [q_strides, k_strides, v_strides];
            let strides = strides.iter().flat_map(|strides| strides[..3].iter().map(|stride| *stride as u64));
            let scalars = sizes.into_iter().chain(strides).chain(first).collect();
            launch(program, (most.div_ceil(128), heads, items), &[], &[q, k, v, out], scalars);
        }
    }
    Some(())
}
