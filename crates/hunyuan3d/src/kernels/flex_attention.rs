//! Attention on the CPU: Flex's matrix products over tiles that stay in the cache, online softmax between them.
//!
//! After FlashAttention (Dao et al. 2022). Flex's own takes 64 keys at a time and exponentiates by library calls; here a
//! tile is large enough for the product to reach its speed and small enough for a core's cache, every thread has a
//! tile of its own, and the exponentials are vectorised. Queries, keys and values are read where they lie.

use burn::tensor::Tensor;
use burn_flex::Flex;
use rayon::prelude::*;

use super::flex::{Values, computed};
use super::flex_math::{scale_add, softmax_row};

/// Queries of a tile.
const QUERIES: usize = 96;
/// Keys of a tile. With 64 channels a product has 3.1 million multiplications, few enough for Flex to leave it on the
/// thread that asks.
const KEYS: usize = 512;

/// [`super::Kernels::attend`] in float32.
pub fn attend(q: Tensor<Flex, 4>, k: Tensor<Flex, 4>, v: Tensor<Flex, 4>) -> Tensor<Flex, 3> {
    let [batch, heads, queries, width] = q.dims();
    let keys = k.dims()[2];
    let scale = 1.0 / (width as f32).sqrt();
    let tiles = queries.div_ceil(QUERIES);
    let k = k.transpose();
    let tile = |task: usize| {
        let (item, tile) = (task / tiles, task % tiles);
        let (b, h) = (item / heads, item % heads);
        let begin = tile * QUERIES;
        let rows = QUERIES.min(queries - begin);
        let q = q.clone().slice([b..b + 1, h..h + 1, begin..begin + rows, 0..width]);
        let mut sum = vec![0f32; rows * width];
        let mut maxima = vec![f32::NEG_INFINITY; rows];
        let mut totals = vec![0f32; rows];
        for first in (0..keys).step_by(KEYS) {
            let columns = KEYS.min(keys - first);
            let k = k.clone().slice([b..b + 1, h..h + 1, 0..width, first..first + columns]);
            let mut scores = super::flex::primitive(q.clone().matmul(k));
            let mut factors = [0f32; QUERIES];
            for (row, scores) in scores.storage_mut::<f32>().chunks_exact_mut(columns).enumerate() {
                let (maximum, factor, total) = softmax_row(scores, scale, maxima[row]);
                maxima[row] = maximum;
                totals[row] = totals[row].mul_add(factor, total);
                factors[row] = factor;
            }
            let v = v.clone().slice([b..b + 1, h..h + 1, first..first + columns, 0..width]);
            let part = Values::of(super::flex::tensor::<4>(scores).matmul(v));
            for ((sum, part), factor) in sum.chunks_exact_mut(width).zip(part.slice().chunks_exact(width)).zip(factors)
            {
                scale_add(sum, factor, part);
            }
        }
        for (sum, total) in sum.chunks_exact_mut(width).zip(&totals) {
            sum.iter_mut().for_each(|x| *x /= total);
        }
        (b, h, begin, sum)
    };
    let mut out = vec![0f32; batch * queries * heads * width];
    let computed_tiles: Vec<_> = (0..batch * heads * tiles).into_par_iter().map(tile).collect();
    for (b, h, begin, sum) in computed_tiles {
        for (row, sum) in sum.chunks_exact(width).enumerate() {
            let at = ((b * queries + begin + row) * heads + h) * width;
            out[at..at + width].copy_from_slice(sum);
        }
    }
    computed(out, [batch, queries, heads * width])
}
