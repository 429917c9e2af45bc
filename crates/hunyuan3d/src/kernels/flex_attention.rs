//! Attention on the CPU: matrix products over tiles that stay in the cache, online softmax between them.
//!
//! After FlashAttention (Dao et al. 2022). Flex's own takes 64 keys at a time and exponentiates by library calls; here a
//! tile is large enough for the product to reach its speed and small enough for a core's cache, every thread has a
//! tile of its own, and the exponentials are vectorised. Queries, keys and values are read where they lie.

use burn::tensor::Tensor;
use burn_flex::Flex;
use faer::Par;
use rayon::prelude::*;

use super::flex::computed;
use super::flex_math::{scale, softmax_row};
use super::flex_product::{Matrix, Strided, add_product, product_transposed};

/// Most queries of a tile.
const QUERIES: usize = 128;
/// Most keys of a tile.
const KEYS: usize = 512;

/// [`super::Kernels::attend`] in float32.
pub fn attend(q: Tensor<Flex, 4>, k: Tensor<Flex, 4>, v: Tensor<Flex, 4>) -> Tensor<Flex, 3> {
    let [batch, heads, queries, width] = q.dims();
    let keys = k.dims()[2];
    let factor = 1.0 / (width as f32).sqrt();
    let (q, k, v) = (Strided::of(q), Strided::of(k), Strided::of(v));
    // Tiles of one size: a last one of a few rows would cost as much packing as the others.
    let tiles = queries.div_ceil(QUERIES);
    let rows = queries.div_ceil(tiles.max(1));
    let columns = keys.div_ceil(keys.div_ceil(KEYS).max(1));
    let tile = |scores: &mut Vec<f32>, task: usize| {
        let (item, tile) = (task / tiles, task % tiles);
        let at = [item / heads, item % heads];
        let (q, k, v) = (q.matrix(&at), k.matrix(&at), v.matrix(&at));
        let begin = (tile * rows).min(queries);
        let end = (begin + rows).min(queries);
        let mut out = vec![0f32; (end - begin) * width];
        let mut maxima = vec![f32::NEG_INFINITY; end - begin];
        let mut totals = vec![0f32; end - begin];
        if out.is_empty() {
            return out;
        }
        for first in (0..keys).step_by(columns.max(1)) {
            let last = (first + columns).min(keys);
            let scores = &mut scores[..(end - begin) * (last - first)];
            product_transposed(scores, q.rows(begin..end), k.rows(first..last), Par::Seq);
            let sums = out.chunks_exact_mut(width).zip(maxima.iter_mut().zip(&mut totals));
            for (scores, (out, (maximum, total))) in scores.chunks_exact_mut(last - first).zip(sums) {
                let (new, earlier, weights) = softmax_row(scores, factor, *maximum);
                *maximum = new;
                *total = total.mul_add(earlier, weights);
                if first > 0 {
                    scale(out, earlier);
                }
            }
            add_product(&mut out, Matrix::packed(scores, last - first), v.rows(first..last));
        }
        for (out, total) in out.chunks_exact_mut(width).zip(&totals) {
            scale(out, 1.0 / total);
        }
        out
    };
    let scratch = || vec![0f32; rows * columns];
    let computed_tiles: Vec<_> = (0..batch * heads * tiles).into_par_iter().map_init(scratch, tile).collect();
    let mut out = vec![0f32; batch * queries * heads * width];
    out.par_chunks_mut((heads * width).max(1)).enumerate().for_each(|(row, out)| {
        let (item, query) = (row / queries, row % queries);
        for (head, out) in out.chunks_exact_mut(width).enumerate() {
            let tile = &computed_tiles[(item * heads + head) * tiles + query / rows];
            out.copy_from_slice(&tile[query % rows * width..][..width]);
        }
    });
    computed(out, [batch, queries, heads * width])
}
