//! Matrix products on the CPU by `faer`, straight from and into the tensors' own storage.
//!
//! Flex's own products go through the `gemm` crate, which reaches three quarters of these' speed at the network's
//! sizes and half of it at those of attention's tiles, and return a tensor of their own that the next operation reads again.

use std::ops::Range;

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexTensor};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::flex::primitive;

/// Fewest rows that make a product of their own worth packing the other matrix for.
const FEW_ROWS: usize = 128;
/// Most rows of a product before its epilogue: what they come to should still be in the cache.
const MANY_ROWS: usize = 512;

/// A tensor whose last axis lies together, so that its matrices can be read in place.
pub struct Strided {
    tensor: FlexTensor,
    strides: Vec<usize>,
}

impl Strided {
    /// The tensor itself where it has such a layout, otherwise a copy.
    pub fn of<const D: usize>(x: Tensor<Flex, D>) -> Self {
        let x = primitive(x);
        let strides = |x: &FlexTensor| -> Option<Vec<usize>> {
            let strides = x.layout().strides();
            let together = strides[D - 1] == 1 || x.layout().shape()[D - 1] == 1;
            let strides = strides.iter().map(|stride| usize::try_from(*stride).ok()).collect::<Option<Vec<_>>>();
            strides.filter(|strides| together && strides[D - 2] >= x.layout().shape()[D - 1])
        };
        match strides(&x) {
            Some(strides) => Self { tensor: x, strides },
            None => {
                let x = x.to_contiguous();
                let shape: Vec<usize> = x.layout().shape().iter().copied().collect();
                let strides = (0..D).map(|axis| shape[axis + 1..].iter().product()).collect();
                Self { tensor: x, strides }
            }
        }
    }

    /// The matrix of the last two axes at these indices of those before.
    pub fn matrix(&self, indices: &[usize]) -> Matrix<'_> {
        let shape = self.tensor.layout().shape();
        let axes = indices.len();
        let begin: usize = indices.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum();
        Matrix {
            values: &self.tensor.storage::<f32>()[self.tensor.layout().start_offset() + begin..],
            rows: shape[axes],
            columns: shape[axes + 1],
            stride: self.strides[axes],
        }
    }
}

/// Rows of values that lie together, a stride apart.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix without gaps.
    pub fn packed(values: &'a [f32], columns: usize) -> Self {
        Self { values, rows: values.len() / columns.max(1), columns, stride: columns }
    }

    /// Some of the rows.
    pub fn rows(self, rows: Range<usize>) -> Self {
        Self { values: &self.values[rows.start * self.stride..], rows: rows.len(), ..self }
    }

    fn view(self) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice_with_stride(self.values, self.rows, self.columns, self.stride)
    }
}

/// `out = a · bᵀ`.
pub fn product_transposed(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, threads: Par) {
    let out = MatMut::from_row_major_slice_mut(out, a.rows, b.rows);
    matmul(out, Accum::Replace, a.view(), b.view().transpose(), 1.0, threads);
}

/// `out += a · b`.
pub fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    let out = MatMut::from_row_major_slice_mut(out, a.rows, b.columns);
    matmul(out, Accum::Add, a.view(), b.view(), 1.0, Par::Seq);
}

/// `x · weightᵀ` for every row of a batch, and `finish` for pieces of whole rows of it while they are at hand.
///
/// # Shapes
/// x `[batch, tokens, in]`, weight `[out, in]` → `[batch, tokens, out]`.
pub fn linear(x: Tensor<Flex, 3>, weight: Tensor<Flex, 2>, finish: impl Fn(&mut [f32]) + Sync) -> Vec<f32> {
    let ([batch, tokens, _], [outputs, _]) = (x.dims(), weight.dims());
    let mut out = vec![0f32; batch * tokens * outputs];
    if out.is_empty() {
        return out;
    }
    let (x, weight) = (Strided::of(x), Strided::of(weight));
    let weight = weight.matrix(&[]);
    let threads = rayon::current_num_threads();
    // As many pieces for each thread as the next, so that none waits.
    let pieces = (batch * tokens).div_ceil(MANY_ROWS).next_multiple_of(threads).div_ceil(batch);
    let rows = tokens.div_ceil(pieces);
    if rows < FEW_ROWS {
        for (index, out) in out.chunks_exact_mut(tokens * outputs).enumerate() {
            product_transposed(out, x.matrix(&[index]), weight, Par::rayon(threads));
            out.par_chunks_mut(outputs * tokens.div_ceil(threads)).for_each(&finish);
        }
        return out;
    }
    out.par_chunks_exact_mut(tokens * outputs).enumerate().for_each(|(index, out)| {
        let x = x.matrix(&[index]);
        out.par_chunks_mut(rows * outputs).enumerate().for_each(|(piece, out)| {
            let begin = piece * rows;
            product_transposed(out, x.rows(begin..begin + out.len() / outputs), weight, Par::Seq);
            finish(out);
        });
    });
    out
}
