//! Linear layers on the GPU.

use super::architecture::{generation, multiprocessors};
use super::launch::{Array, Map, fresh, has_rows, is_contiguous, is_vector, launch, layout};
use crate::kernels::Epilogue;
use crate::kernels::programs::{self, Generation, TILES, Tile};

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
    let fits = has_rows(x) && has_rows(weight) && weight.dtype == x.dtype && bias.is_none_or(is_vector);
    if !fits || depth == 0 || batch * tokens == 0 || columns == 0 {
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
    let (batches, rows, x_batch) =
        if is_contiguous(x) && gate_stride == 0 { (1, batch * tokens, 0) } else { (batch, tokens, x_strides[0]) };
    let number = after.number();
    let buffers = [bias.unwrap_or(&out), gate, residual, &out];
    let scalars = |row_tiles: usize| {
        [batches, rows, columns, depth, row_tiles, gate_stride, usize::from(bias.is_some())].map(|n| n as u64).to_vec()
    };
    match generation {
        Generation::Hopper => {
            let units = multiprocessors(x);
            let tiles = |tile: &Tile| batches * rows.div_ceil(64 * tile.groups) * columns.div_ceil(tile.columns);
            let time = |tile: &Tile| {
                let each = if depth < DEEP { tile.cost } else { tile.deep };
                tiles(tile).div_ceil(units) as f64 * (64 * tile.groups * tile.columns) as f64 * each
            };
            let fastest = TILES.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
            let tile = fastest.copied().unwrap_or(TILES[0]);
            let height = 64 * tile.groups;
            let x_map = Map {
                of: x,
                shape: vec![batches, rows, depth],
                strides: vec![x_batch, if rows == 1 { depth } else { row_stride(x, x_strides) }, 1],
                tile: vec![1, height, 64],
            };
            let w_map = Map {
                of: weight,
                shape: vec![columns, depth],
                strides: w_strides.to_vec(),
                tile: vec![tile.columns, 64],
            };
            let program = programs::gemm_hopper(&tile, number, x.dtype);
            let count = tiles(&tile).min(units);
            launch(program, (count, 1, 1), &[x_map, w_map], &buffers, scalars(rows.div_ceil(height)));
        }
        Generation::Ampere => {
            let program = programs::gemm_ampere(number, x.dtype);
            let row_tiles = rows.div_ceil(128);
            let mut scalars = scalars(row_tiles);
            scalars.extend([x_batch, row_stride(x, x_strides), w_strides[0]].map(|n| n as u64));
            let buffers = [x, weight, buffers[0], buffers[1], buffers[2], buffers[3]];
            launch(program, (batches * row_tiles * columns.div_ceil(128), 1, 1), &[], &buffers, scalars);
        }
    }
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
