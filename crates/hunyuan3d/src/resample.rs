//! Resampling as PyTorch does it, on the host: what the reference's conditioner does to pictures and positions.

use rayon::prelude::*;

/// `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)` of a square grid, without antialiasing.
///
/// # Shapes
/// values `[from, from, channels]` → `[to, to, channels]`.
pub fn bicubic(values: &[f32], from: usize, to: usize, channels: usize) -> Vec<f32> {
    let taps = cubic_taps(from, to);
    separable(values, from, to, channels, &taps)
}

/// `torchvision.transforms.Resize(interpolation=BILINEAR, antialias=True)` of a square picture's planes.
///
/// # Shapes
/// values `[planes, from, from]` → `[planes, to, to]`.
pub fn bilinear_antialiased(values: &[f32], planes: usize, from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return values.to_vec();
    }
    let taps = triangle_taps(from, to);
    (0..planes).flat_map(|plane| separable(&values[plane * from * from..][..from * from], from, to, 1, &taps)).collect()
}

/// Where an output sample reads, and how much of each.
type Taps = Vec<(usize, f32)>;

/// Keys' cubic convolution with a = -0.75, the edge repeated.
fn cubic_taps(from: usize, to: usize) -> Vec<Taps> {
    const A: f32 = -0.75;
    let scale = from as f32 / to as f32;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    (0..to)
        .map(|out| {
            let position = scale * (out as f32 + 0.5) - 0.5;
            let base = position.floor();
            let t = position - base;
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            let at = |offset: i64| (base as i64 + offset).clamp(0, from as i64 - 1) as usize;
            weights.iter().enumerate().map(|(index, weight)| (at(index as i64 - 1), *weight)).collect()
        })
        .collect()
}

/// A triangle as wide as the output's samples lie apart in the input, but at least two input samples.
fn triangle_taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let (support, inverse) = if scale >= 1.0 { (scale, 1.0 / scale) } else { (1.0, 1.0) };
    (0..to)
        .map(|out| {
            let centre = scale * (out as f32 + 0.5);
            let first = ((centre - support + 0.5) as i64).max(0) as usize;
            let end = ((centre + support + 0.5) as i64).min(from as i64) as usize;
            let weight = |index: usize| (1.0 - ((index as f32 - centre + 0.5) * inverse).abs()).max(0.0);
            let total: f32 = (first..end).map(weight).sum();
            (first..end).map(|index| (index, weight(index) / total)).collect()
        })
        .collect()
}

/// Columns first, then rows, as PyTorch does.
fn separable(values: &[f32], from: usize, to: usize, channels: usize, taps: &[Taps]) -> Vec<f32> {
    let row = (to * channels).max(1);
    let mut wide = vec![0f32; from * to * channels];
    wide.par_chunks_mut(row).zip(values.par_chunks((from * channels).max(1))).for_each(|(wide, values)| {
        for (out, taps) in wide.chunks_exact_mut(channels).zip(taps) {
            for (source, weight) in taps {
                let values = &values[source * channels..][..channels];
                out.iter_mut().zip(values).for_each(|(out, value)| *out += value * weight);
            }
        }
    });
    let mut out = vec![0f32; to * to * channels];
    out.par_chunks_mut(row).zip(taps).for_each(|(out, taps)| {
        for (source, weight) in taps {
            let wide = &wide[source * row..][..row];
            out.iter_mut().zip(wide).for_each(|(out, value)| *out += value * weight);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_constant_and_a_slope_a_slope() {
        for (from, to) in [(7, 5), (5, 9), (64, 70), (128, 70)] {
            let flat = vec![0.25f32; from * from];
            for value in bicubic(&flat, from, to, 1).into_iter().chain(bilinear_antialiased(&flat, 1, from, to)) {
                assert!((value - 0.25).abs() < 1e-6);
            }
            let slope: Vec<f32> = (0..from * from).map(|i| ((i % from) as f32 + 0.5) / from as f32).collect();
            let middle = bilinear_antialiased(&slope, 1, from, to)[to * (to / 2) + to / 2];
            // A triangle over a few samples follows a slope only nearly where the scale is no whole number.
            assert!((middle - ((to / 2) as f32 + 0.5) / to as f32).abs() < 5e-4, "{from} {to} {middle}");
        }
    }
}
