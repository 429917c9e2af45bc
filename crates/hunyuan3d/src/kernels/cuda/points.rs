//! Points of a volume on the GPU, by layers that were folded together (`vae::folded`).

use burn::tensor::Tensor;
use burn_cuda::Cuda;

use super::fallback::noted;
use super::launch::{Array, array, fresh, tensor, view};
use super::{attention, gemm, rows};
use crate::kernels::{Epilogue, Kernels as _, PointGroups, PointLayers};
use crate::layers::split_heads;
use crate::vae::FOLDED;

/// Queries `[1, heads, points, 64]`, or nothing where layers are not folded.
pub fn queries(points: &Tensor<Cuda, 3>, layers: &PointLayers<Cuda>) -> Option<Tensor<Cuda, 4>> {
    let folded = layers.folded.as_ref()?;
    let [batch, count, _] = points.dims();
    let embedded = fresh(&array(folded.weight.val()), [batch, count, FOLDED]);
    queries_of(points, layers, &embedded)
}

/// Rows `[1, points, width]` with what attention adds to them, or nothing where layers are not folded.
///
/// Attention and the points' embeddings are written side by side, so that one product is attention's projection, the embedding's and
/// their sum.
pub fn attend(
    points: &Tensor<Cuda, 3>,
    layers: &PointLayers<Cuda>,
    groups: &[PointGroups<Cuda>],
) -> Option<Tensor<Cuda, 3>> {
    let folded = layers.folded.as_ref()?;
    let projection = folded.projection.val();
    let [width, row] = projection.dims();
    let [batch, count, _] = points.dims();
    if batch != 1 {
        return None;
    }
    let both = fresh(&array(projection.clone()), [1, count, row]);
    let part =
        |first: usize, points: usize, width: usize| view(&both, first, [1, points, width], [count * row, row, 1]);
    let queries = queries_of(points, layers, &part(width, count, FOLDED))?;
    let mut begin = 0;
    for PointGroups { points, keys, values } in groups {
        let count = points.iter().sum();
        let own = queries.clone().narrow(2, begin, count);
        let to = part(begin * row, count, width);
        let made = attention::attend_groups_into(
            &array(own.clone()),
            points,
            &array(keys.clone()),
            &array(values.clone()),
            &to,
        );
        noted("attend_points", &own, made)?;
        begin += count;
    }
    Some(Cuda::affine(tensor(both), projection, layers.projection_bias.clone(), Epilogue::None))
}

/// Writes points' embeddings where they are wanted, and makes queries of them.
fn queries_of(points: &Tensor<Cuda, 3>, layers: &PointLayers<Cuda>, embedded: &Array) -> Option<Tensor<Cuda, 4>> {
    let (folded, head_norm) = (layers.folded.as_ref()?, layers.head_norm.clone()?);
    let like = folded.weight.val();
    let (weight, gram, shift) = (array(like.clone()), array(folded.gram.val()), array(folded.shift.val()));
    let epsilon = layers.norm.epsilon;
    let made = rows::fourier_scaled(&array(points.clone()), &layers.frequencies, &gram, epsilon, embedded);
    let scale = noted("fourier_scaled", &like, made)?;
    let norm = (&array(head_norm.gain), &array(head_norm.offset));
    let made = gemm::scaled_heads(embedded, &scale, &weight, &shift, norm, head_norm.epsilon);
    Some(split_heads(tensor(noted("scaled_heads", &like, made)?), layers.heads))
}
