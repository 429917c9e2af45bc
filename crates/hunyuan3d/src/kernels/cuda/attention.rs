//! Attention on the GPU.

use super::architecture::generation;
use super::launch::{Array, Map, fresh, has_rows, launch, layout};
use crate::kernels::programs::{self, ATTENTION_GROUPS, Generation};

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
pub fn attend_into(q: &Array, k: &Array, v: &Array, out: &Array) -> Option<()> {
    let ([batch, heads, queries, width], q_strides) = layout(q)?;
    let ([_, _, out_width], out_strides) = layout::<3>(out)?;
    let ([_, _, keys, _], k_strides) = layout::<4>(k)?;
    let (_, v_strides) = layout::<4>(v)?;
    let generation = generation(q)?;
    let fits = [q, k, v].iter().all(|x| has_rows(x) && x.dtype == q.dtype);
    // Batches lie behind one another as rows do.
    let row = if queries == 1 { out_strides[0].max(out_width) } else { out_strides[1] };
    let together = (batch == 1 || out_strides[0] == queries * row) && has_rows(out) && out_width == heads * width;
    if !fits || !together || width > WIDEST || keys == 0 || heads > 65_535 || batch > 65_535 {
        return None;
    }
    let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
    let sizes = [queries as u64, keys as u64, heads as u64, width as u64, u64::from(scale.to_bits()), row as u64];
    match generation {
        Generation::Hopper => {
            let rows = 64 * ATTENTION_GROUPS;
            let map = |of, tokens: usize, strides: [usize; 4], tile: usize| Map {
                of,
                shape: vec![batch, heads, tokens, width],
                strides: strides.to_vec(),
                tile: vec![1, 1, tile, 64],
            };
            let maps = [map(q, queries, q_strides, rows), map(k, keys, k_strides, 128), map(v, keys, v_strides, 128)];
            launch(
                programs::attention(generation, q.dtype),
                (queries.div_ceil(rows), heads, batch),
                &maps,
                &[out],
                sizes.to_vec(),
            );
        }
        Generation::Ampere => {
            let strides = [q_strides, k_strides, v_strides];
            let strides = strides.iter().flat_map(|strides| strides[..3].iter().map(|stride| *stride as u64));
            let scalars = sizes.into_iter().chain(strides).collect();
            launch(
                programs::attention(generation, q.dtype),
                (queries.div_ceil(128), heads, batch),
                &[],
                &[q, k, v, out],
                scalars,
            );
        }
    }
    Some(())
}
