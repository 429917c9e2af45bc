//! From a point's embedding to its query in one product: a linear layer, a layer norm and another linear layer folded together.
//!
//! With the embedding e, x = P·e + p, its layer norm and q = Q·(g·(x − mean)·s + b) + c, where s = 1/√(variance + ε), everything but s is
//! linear in e: q = s·A·(e, 1) + shift. And the variance is a quadratic form in e, (e, 1)ᵀ·G·(e, 1). An embedding is twenty times
//! narrower than x.

use rayon::prelude::*;

/// Channels of a folded row: what a matrix product takes at a time.
pub const FOLDED: usize = 64;

/// A linear layer's parameters on the host.
#[derive(Debug)]
pub struct HostLinear {
    /// `[out, in]`.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Option<Vec<f32>>,
}

/// What becomes of the three layers.
#[derive(Debug)]
pub struct Folded {
    /// The projection by itself, `[width, 64]`: its bias behind it, then zeros.
    pub rows: Vec<f32>,
    /// A, `[out, 64]`, zeros behind the bias's column.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub shift: Vec<f32>,
    /// G, `[64, 64]`, symmetric, zeros behind.
    pub gram: Vec<f32>,
}

/// Folds a projection of `inputs` channels, a layer norm's gain and offset, and the linear layer behind it.
///
/// None where the embedding and a 1 behind it do not fit into [`FOLDED`] channels.
pub fn fold(
    inputs: usize,
    projection: &HostLinear,
    (gain, offset): (&[f32], &[f32]),
    to_query: &HostLinear,
) -> Option<Folded> {
    let width = gain.len();
    if inputs >= FOLDED {
        return None;
    }
    let mut centred = vec![0f64; width * FOLDED];
    for (row, to) in centred.chunks_exact_mut(FOLDED).enumerate() {
        let from = &projection.weight[row * inputs..(row + 1) * inputs];
        to.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
        to[inputs] = projection.bias.as_ref().map_or(0.0, |bias| f64::from(bias[row]));
    }
    let rows = centred.iter().map(|value| *value as f32).collect();
    for column in 0..=inputs {
        let mean = (0..width).map(|row| centred[row * FOLDED + column]).sum::<f64>() / width as f64;
        (0..width).for_each(|row| centred[row * FOLDED + column] -= mean);
    }
    let gram = (0..FOLDED * FOLDED).into_par_iter().map(|at| {
        let (i, j) = (at / FOLDED, at % FOLDED);
        let sum: f64 = centred.chunks_exact(FOLDED).map(|row| row[i] * row[j]).sum();
        (sum / width as f64) as f32
    });
    let gram = gram.collect();
    let weight = to_query.weight.par_chunks_exact(width).flat_map_iter(|row| {
        let mut sums = [0f64; FOLDED];
        for ((weight, gain), centred) in row.iter().zip(gain).zip(centred.chunks_exact(FOLDED)) {
            let factor = f64::from(*weight) * f64::from(*gain);
            sums.iter_mut().zip(centred).for_each(|(sum, value)| *sum += factor * value);
        }
        sums.map(|sum| sum as f32)
    });
    let weight = weight.collect();
    let shift = to_query.weight.chunks_exact(width).enumerate().map(|(at, row)| {
        let moved: f64 = row.iter().zip(offset).map(|(weight, offset)| f64::from(*weight) * f64::from(*offset)).sum();
        (moved + to_query.bias.as_ref().map_or(0.0, |bias| f64::from(bias[at]))) as f32
    });
    Some(Folded { rows, weight, shift: shift.collect(), gram })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::normal;

    /// The three layers one after the other, in float64.
    fn one_by_one(
        e: &[f32],
        projection: &HostLinear,
        (gain, offset): (&[f32], &[f32]),
        to_query: &HostLinear,
        epsilon: f64,
    ) -> Vec<f64> {
        let apply = |layer: &HostLinear, x: &[f64]| -> Vec<f64> {
            let rows = layer.weight.chunks_exact(x.len()).enumerate();
            rows.map(|(at, row)| {
                let sum: f64 = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
                sum + layer.bias.as_ref().map_or(0.0, |bias| f64::from(bias[at]))
            })
            .collect()
        };
        let x = apply(projection, &e.iter().map(|e| f64::from(*e)).collect::<Vec<_>>());
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let normed = x.iter().zip(gain).zip(offset).map(|((x, gain), offset)| {
            (x - mean) / (variance + epsilon).sqrt() * f64::from(*gain) + f64::from(*offset)
        });
        apply(to_query, &normed.collect::<Vec<_>>())
    }

    #[test]
    fn folded_layers_are_the_three_one_after_the_other() {
        const EPSILON: f64 = 1e-6;
        for (inputs, width, outputs, biases) in [(51, 128, 64, true), (3, 7, 5, false), (63, 16, 128, true)] {
            let random = |seed: u64, count: usize| normal(seed, count);
            let layer = |seed: u64, from: usize, to: usize| HostLinear {
                weight: random(seed, from * to),
                bias: biases.then(|| random(seed + 1, to)),
            };
            let (projection, to_query) = (layer(1, inputs, width), layer(3, width, outputs));
            let (gain, offset) = (random(5, width), random(6, width));
            let folded = fold(inputs, &projection, (&gain, &offset), &to_query).unwrap();
            let mut e = random(7, inputs);
            let expected = one_by_one(&e, &projection, (&gain, &offset), &to_query, EPSILON);
            e.push(1.0);
            e.resize(FOLDED, 0.0);
            let row = |row: &[f32]| -> f64 { row.iter().zip(&e).map(|(a, e)| f64::from(*a) * f64::from(*e)).sum() };
            let square: f64 = folded.gram.chunks_exact(FOLDED).zip(&e).map(|(g, e)| f64::from(*e) * row(g)).sum();
            let scale = 1.0 / (square + EPSILON).sqrt();
            for (at, expected) in expected.iter().enumerate() {
                let ours = scale * row(&folded.weight[at * FOLDED..(at + 1) * FOLDED]) + f64::from(folded.shift[at]);
                assert!(
                    (ours - expected).abs() < 1e-4 * expected.abs().max(1.0),
                    "{inputs} {width} {at}: {ours} {expected}"
                );
            }
        }
    }

    #[test]
    fn an_embedding_that_leaves_no_place_for_the_bias_is_not_folded() {
        let projection = HostLinear { weight: vec![0.0; 64 * 4], bias: None };
        let to_query = HostLinear { weight: vec![0.0; 4], bias: None };
        assert!(fold(64, &projection, (&[1.0; 4], &[0.0; 4]), &to_query).is_none());
    }
}
