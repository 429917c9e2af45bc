//! Linear layers on the GPU.

use burn::tensor::DType;

use super::architecture::{generation, multiprocessors};
use super::launch::{Array, Map, fresh, has_rows, is_contiguous, is_vector, launch, layout, view};
use crate::kernels::Epilogue;
use crate::kernels::programs::{
    self, Generation, HEAD, HEADS_WITH_RMS_NORM, SCALED_HEADS_WITH_LAYER_NORM, TILES, Tile,
};

/// Rows up to which a product is one pass over the weights.
const FEW: usize = 8;

/// What follows the product.
#[derive(Clone, Copy)]
pub enum After<'a> {
    /// An activation.
    Activation(Epilogue),
    /// `residual + gate · y`, or without a gate.
    Add {
        /// `[batch, tokens, out]`.
        residual: &'a Array,
        /// `[batch or 1, 1, out]`.
        gate: Option<&'a Array>,
    },
}

impl After<'_> {
    fn number(self) -> u32 {
        match self {
            Self::Activation(epilogue) => epilogue as u32,
            Self::Add { gate: Some(_), .. } => 5,
            Self::Add { gate: None, .. } => 6,
        }
    }
}

/// From this depth on, what a tile does beside multiplying hardly counts.
const DEEP: usize = 2048;

/// `x · weightᵀ + bias` and what follows, or nothing where the kernels do not take the shapes.
///
/// # Shapes
/// x `[batch, tokens, in]`, weight `[out, in]`, bias `[out]` → `[batch, tokens, out]`.
pub fn affine(x: &Array, weight: &Array, bias: Option<&Array>, after: After<'_>) -> Option<Array> {
    let ([batch, tokens, depth], x_strides) = layout(x)?;
    let ([columns, _], w_strides) = layout(weight)?;
    let generation = generation(x)?;
    if !takes(x, weight, bias) {
        return None;
    }
    if let After::Activation(epilogue) = after
        && batch * tokens <= FEW
        && is_contiguous(x)
    {
        return Some(few(x, weight, bias, epilogue, [batch, tokens, depth, columns], w_strides[0]));
    }
    if !columns.is_multiple_of(8) {
        return None;
    }
    let out = fresh(x, [batch, tokens, columns]);
    let (residual, gate, gate_stride) = match after {
        After::Activation(_) => (&out, &out, 0),
        After::Add { residual, gate } => {
            let whole = |x: &Array| is_vector(x) && x.dtype == out.dtype;
            if !whole(residual) || !gate.is_none_or(whole) {
                return None;
            }
            let stride = gate.map_or(0, |gate| if gate.meta.shape()[0] == 1 { 0 } else { columns });
            (residual, gate.unwrap_or(&out), stride)
        }
    };
    // Rows of all batch items are one run where they lie behind one another and share their gate.
    let (batches, rows) = if is_contiguous(x) && gate_stride == 0 { (1, batch * tokens) } else { (batch, tokens) };
    let product = Product { gate, residual, ..Product::new(x, weight, bias, [batches, rows], after.number(), &out) };
    match generation {
        Generation::Hopper => by_wgmma(&Product { gate_stride, ..product })?,
        Generation::Ampere => {
            let program = programs::gemm_ampere(product.number, x.dtype);
            let row_tiles = rows.div_ceil(128);
            let sizes = [batches, rows, columns, depth, row_tiles, gate_stride, usize::from(bias.is_some())];
            let strides = [x_strides[0], row_stride(x, x_strides), w_strides[0]];
            let scalars = sizes.into_iter().chain(strides).map(|n| n as u64).collect();
            let buffers = [x, weight, bias.unwrap_or(&out), gate, residual, &out];
            launch(program, (batches * row_tiles * columns.div_ceil(128), 1, 1), &[], &buffers, scalars);
        }
    }
    Some(out)
}

/// Whether the matrix products take these.
fn takes(x: &Array, weight: &Array, bias: Option<&Array>) -> bool {
    let fits = has_rows(x) && has_rows(weight) && weight.dtype == x.dtype && bias.is_none_or(is_vector);
    fits && x.meta.num_elements() > 0 && weight.meta.num_elements() > 0
}

/// A product by `wgmma`, on its way.
struct Product<'a> {
    /// `[batch, tokens, in]`.
    x: &'a Array,
    /// `[out, in]`.
    weight: &'a Array,
    bias: Option<&'a Array>,
    gate: &'a Array,
    residual: &'a Array,
    row_scale: &'a Array,
    out: &'a Array,
    batches: usize,
    /// Of a batch.
    rows: usize,
    /// Elements from a batch's gate to the next's, and of the result.
    gate_stride: usize,
    out_batch: usize,
    /// [`programs::gemm_hopper`]'s epilogue.
    number: u32,
    heads: usize,
    epsilon: f64,
}

impl<'a> Product<'a> {
    /// Without heads, gates and residuals, into a result that lies in one piece.
    fn new(
        x: &'a Array,
        weight: &'a Array,
        bias: Option<&'a Array>,
        [batches, rows]: [usize; 2],
        number: u32,
        out: &'a Array,
    ) -> Self {
        let out_batch = rows * weight.meta.shape()[0];
        Self {
            x,
            weight,
            bias,
            gate: out,
            residual: out,
            row_scale: out,
            out,
            batches,
            rows,
            gate_stride: 0,
            out_batch,
            number,
            heads: 0,
            epsilon: 0.0,
        }
    }
}

/// Launches it; nothing where the shapes are not those of a product.
fn by_wgmma(product: &Product<'_>) -> Option<()> {
    let Product { x, weight, batches, rows, .. } = *product;
    let ([_, _, depth], x_strides) = layout::<3>(x)?;
    let ([columns, _], w_strides) = layout::<2>(weight)?;
    let units = multiprocessors(x);
    let tiles = |tile: &Tile| batches * rows.div_ceil(64 * tile.groups) * columns.div_ceil(tile.columns);
    let time = |tile: &Tile| {
        let each = if depth < DEEP { tile.cost } else { tile.deep };
        tiles(tile).div_ceil(units) as f64 * (64 * tile.groups * tile.columns) as f64 * each
    };
    let fastest = TILES.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
    let tile = fastest.copied().unwrap_or(TILES[0]);
    let height = 64 * tile.groups;
    let x_batch = if batches == 1 { 0 } else { x_strides[0] };
    let x_map = Map {
        of: x,
        shape: vec![batches, rows, depth],
        strides: vec![x_batch, if rows == 1 { depth } else { row_stride(x, x_strides) }, 1],
        tile: vec![1, height, 64],
    };
    let w_map =
        Map { of: weight, shape: vec![columns, depth], strides: w_strides.to_vec(), tile: vec![tile.columns, 64] };
    let program = programs::gemm_hopper(&tile, product.number, x.dtype);
    let sizes = [
        batches,
        rows,
        columns,
        depth,
        rows.div_ceil(height),
        product.gate_stride,
        usize::from(product.bias.is_some()),
        product.out_batch,
        product.heads,
    ];
    let epsilon = u64::from((product.epsilon as f32).to_bits());
    let scalars = sizes.into_iter().map(|n| n as u64).chain([epsilon]).collect();
    let buffers = [product.bias.unwrap_or(product.out), product.gate, product.residual, product.row_scale, product.out];
    launch(program, (tiles(&tile).min(units), 1, 1), &[x_map, w_map], &buffers, scalars);
    Some(())
}

/// A stream on its way to attention: x, weight, bias, gains of queries' and keys' norms.
pub type Projected<'a> = (&'a Array, &'a Array, Option<&'a Array>, &'a Array, &'a Array);

/// Queries, keys and values of streams behind one another, each `[batch, heads, tokens, 64]`, with the RMS norms of queries' and keys' heads
/// done where the product leaves its registers. Hopper alone.
pub fn stream_heads(streams: &[Projected<'_>], heads: usize, epsilon: f64) -> Option<[Array; 3]> {
    let first = streams.first()?.0;
    let ([batch, _, _], _) = layout::<3>(first)?;
    let row = 3 * heads * HEAD;
    let fits = |(x, weight, bias, query, key): &Projected<'_>| {
        let vectors = [query, key].iter().all(|v| is_vector(v) && v.dtype == x.dtype && v.meta.num_elements() == HEAD);
        let shapes = weight.meta.shape()[0] == row && x.meta.shape()[0] == batch && x.dtype == first.dtype;
        takes(x, weight, *bias) && vectors && shapes
    };
    if generation(first)? != Generation::Hopper || !streams.iter().all(fits) {
        return None;
    }
    let tokens = |stream: &Projected<'_>| stream.0.meta.shape()[1];
    let all: usize = streams.iter().map(tokens).sum();
    let whole = fresh(first, [batch, all, row]);
    let mut before = 0;
    for stream in streams {
        let (x, weight, bias, query_gain, key_gain) = *stream;
        // A stream by itself is one run of rows.
        let runs = if streams.len() == 1 && is_contiguous(x) { [1, batch * all] } else { [batch, tokens(stream)] };
        let out = view(&whole, before * row, [runs[0], runs[1], row], [all * row, row, 1]);
        by_wgmma(&Product {
            gate: query_gain,
            residual: key_gain,
            out_batch: all * row,
            heads,
            epsilon,
            ..Product::new(x, weight, bias, runs, HEADS_WITH_RMS_NORM, &out)
        })?;
        before += tokens(stream);
    }
    let part = |index: usize| view(&whole, index * heads * HEAD, [batch, heads, all, HEAD], [all * row, HEAD, row, 1]);
    Some([part(0), part(1), part(2)])
}

/// Heads of `row_scale · (x · weightᵀ) + shift`, each with a layer norm, `[batch, tokens, out]`. Hopper alone.
///
/// # Shapes
/// x `[batch, tokens, in]`, row_scale `[batch, tokens]` in float32, weight `[out, in]`, shift `[out]`, gain and offset `[64]`.
pub fn scaled_heads(
    x: &Array,
    row_scale: &Array,
    weight: &Array,
    shift: &Array,
    (gain, offset): (&Array, &Array),
    epsilon: f64,
) -> Option<Array> {
    let ([batch, tokens, _], _) = layout::<3>(x)?;
    let ([columns, _], _) = layout::<2>(weight)?;
    let vectors = [gain, offset].iter().all(|v| is_vector(v) && v.dtype == x.dtype && v.meta.num_elements() == HEAD);
    // Rows of one item may lie apart.
    let rows = batch == 1 || is_contiguous(x);
    let scales = row_scale.dtype == DType::F32 && is_contiguous(row_scale) && rows;
    let fits = takes(x, weight, Some(shift)) && vectors && scales && columns.is_multiple_of(HEAD);
    if generation(x)? != Generation::Hopper || !fits {
        return None;
    }
    let out = fresh(x, [batch, tokens, columns]);
    by_wgmma(&Product {
        gate: gain,
        residual: offset,
        row_scale,
        heads: columns / HEAD,
        epsilon,
        ..Product::new(x, weight, Some(shift), [1, batch * tokens], SCALED_HEADS_WITH_LAYER_NORM, &out)
    })?;
    Some(out)
}

/// Elements from a row to the next; with one token an item, from an item to the next.
fn row_stride(x: &Array, strides: [usize; 3]) -> usize {
    if x.meta.shape()[1] == 1 { strides[0].max(x.meta.shape()[2]) } else { strides[1] }
}

fn few(
    x: &Array,
    weight: &Array,
    bias: Option<&Array>,
    epilogue: Epilogue,
    [batch, tokens, depth, columns]: [usize; 4],
    w_row: usize,
) -> Array {
    let out = fresh(x, [batch, tokens, columns]);
    let program = programs::rows("vector_product", 256, x.dtype);
    let scalars = [batch * tokens, columns, depth, w_row, usize::from(bias.is_some()), epilogue as usize];
    let buffers = [x, weight, bias.unwrap_or(&out), &out];
    launch(program, (columns.div_ceil(8), 1, 1), &[], &buffers, scalars.map(|n| n as u64).to_vec());
    out
}
