//! What the background looks like: a smooth backdrop that may be in shadow, or a mixture of colours.

use super::lab::{Lab, distance2};
use super::mixture::Normal;

/// Terms of the backdrop's polynomial in x and y, each from -1 to 1.
const TERMS: usize = 6;

fn terms(x: f32, y: f32) -> [f32; TERMS] {
    [1.0, x, y, x * x, x * y, y * y]
}

/// A sample of a picture: place from -1 to 1 in both directions, and colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) colour: Lab,
}

/// A backdrop whose colour is a quadratic function of place: a studio sweep with a gradient or a vignette.
#[derive(Clone, Debug)]
pub(crate) struct Surface {
    coefficients: [[f32; TERMS]; 3],
    /// Distribution of the residuals.
    noise: Normal,
    /// How fast deep shadow becomes unlikely: nats per squared depth (see [`Surface::shaded`]).
    deep: f32,
    /// Share of the samples that the surface explains.
    pub(crate) explained: f32,
    /// Standard deviation of the residuals' length, in Lab units.
    pub(crate) spread: f32,
}

impl Surface {
    /// Fits robustly: first the level, then the slope, then the curvature, each with samples that lie far off the
    /// last fit weighted down (Tukey's biweight), so that a subject which touches the border does not pull it.
    /// `floor` is the least variance of the residuals. None from fewer than 32 samples.
    pub(crate) fn fit(samples: &[Sample], floor: f32, deep: f32) -> Option<Self> {
        const ENOUGH: usize = 8_000;
        if samples.len() < 32 {
            return None;
        }
        let samples: Vec<Sample> = samples.iter().copied().step_by(samples.len().div_ceil(ENOUGH)).collect();
        let mut coefficients = [[0.0f32; TERMS]; 3];
        for (channel, row) in coefficients.iter_mut().enumerate() {
            row[0] = median(samples.iter().map(|sample| sample.colour[channel]).collect());
        }
        let mut cut = 0.0;
        for used in [1, 3, 3, 6, 6, 6] {
            let residuals: Vec<f32> =
                samples.iter().map(|s| distance2(s.colour, at(&coefficients, s.x, s.y)).sqrt()).collect();
            cut = (5.0 * median(residuals.clone())).clamp(4.0, 30.0);
            let weights: Vec<f32> = residuals.iter().map(|r| (1.0 - (r / cut) * (r / cut)).max(0.0).powi(2)).collect();
            for (channel, row) in coefficients.iter_mut().enumerate() {
                *row = weighted_fit(&samples, &weights, channel, used)?;
            }
        }
        let residual = |s: &Sample| -> Lab {
            let expected = at(&coefficients, s.x, s.y);
            std::array::from_fn(|c| s.colour[c] - expected[c])
        };
        let inliers = samples.iter().map(residual).filter(|r| distance2(*r, [0.0; 3]) < cut * cut);
        let explained = inliers.clone().count() as f32 / samples.len() as f32;
        let spread = (inliers.clone().map(|r| distance2(r, [0.0; 3])).sum::<f32>()
            / (explained * samples.len() as f32).max(1.0))
        .sqrt();
        let noise = Normal::fit(inliers, floor)?.centred();
        Some(Self { coefficients, noise, deep, explained, spread })
    }

    /// A new fit to `samples` with the same trust in shadows, unless it spreads much wider.
    pub(crate) fn refitted(&self, samples: &[Sample], floor: f32) -> Self {
        Self::fit(samples, floor, self.deep)
            .filter(|fitted| fitted.spread < 2.0 * self.spread + 1.0)
            .unwrap_or_else(|| self.clone())
    }

    /// The backdrop's colour at a place.
    pub(crate) fn colour(&self, x: f32, y: f32) -> Lab {
        at(&self.coefficients, x, y)
    }

    /// The same surface where the residuals are spread more widely by `variance`: a picture at full size is noisier
    /// than the reduced one that the surface was fitted to.
    pub(crate) fn with_noise(&self, samples: &[Sample], floor: f32) -> Self {
        let residuals = samples.iter().map(|s| {
            let expected = self.colour(s.x, s.y);
            std::array::from_fn(|c| s.colour[c] - expected[c])
        });
        let mut widened = self.clone();
        if let Some(noise) = Normal::fit(residuals, floor) {
            widened.noise = noise.centred();
        }
        widened
    }

    /// ln of the density of `sample` as unshaded backdrop.
    pub(crate) fn lit(&self, sample: &Sample) -> f32 {
        let expected = self.colour(sample.x, sample.y);
        self.noise.log_density(std::array::from_fn(|c| sample.colour[c] - expected[c]))
    }

    /// How deep `sample` would have to lie in shadow, as 1 - the cube root of the light that is left, and ln of the
    /// density of its colour under that shadow. In Lab (away from black), shading scales (L* + 16, a*, b*) by one
    /// factor.
    pub(crate) fn shaded(&self, sample: &Sample) -> (f32, f32) {
        /// Standard deviation across the line from lit to black, in Lab units.
        const ACROSS: f32 = 2.5;
        /// ln of the prior of shadow over the length of the line, about 45 units.
        const ALONG: f32 = -6.1;
        let lift = |[l, a, b]: Lab| [l + 16.0, a, b];
        let (lit, seen) = (lift(self.colour(sample.x, sample.y)), lift(sample.colour));
        let dot = |p: Lab, q: Lab| p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
        let left = (dot(seen, lit) / dot(lit, lit).max(1.0)).min(1.0);
        let across = distance2(seen, lit.map(|v| v * left));
        let depth = 1.0 - left;
        let density = ALONG
            - (std::f32::consts::TAU * ACROSS * ACROSS).ln()
            - across / (2.0 * ACROSS * ACROSS)
            - self.deep * depth * depth;
        (depth, density)
    }
}

fn at(coefficients: &[[f32; TERMS]; 3], x: f32, y: f32) -> Lab {
    let terms = terms(x, y);
    std::array::from_fn(|c| (0..TERMS).map(|t| coefficients[c][t] * terms[t]).sum())
}

fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

/// Weighted least squares of one channel over the first `used` terms, with a little ridge on the curvature so that
/// samples from one side only do not bend the other. None where too few samples have weight.
fn weighted_fit(samples: &[Sample], weights: &[f32], channel: usize, used: usize) -> Option<[f32; TERMS]> {
    let mut normal = [[0.0f64; TERMS + 1]; TERMS];
    let mut total = 0.0f64;
    for (sample, &weight) in samples.iter().zip(weights) {
        let terms = terms(sample.x, sample.y).map(f64::from);
        let weight = f64::from(weight);
        total += weight;
        for i in 0..used {
            for j in 0..used {
                normal[i][j] += weight * terms[i] * terms[j];
            }
            normal[i][TERMS] += weight * terms[i] * f64::from(sample.colour[channel]);
        }
    }
    if total < 16.0 {
        return None;
    }
    for (i, row) in normal.iter_mut().enumerate() {
        row[i] += if i >= used {
            1.0
        } else if i >= 3 {
            2e-3 * total
        } else {
            1e-6 * total
        };
    }
    // Gauss-Jordan; the matrix is positive definite, so no pivoting is needed.
    for i in 0..TERMS {
        let pivot = normal[i].map(|value| value / normal[i][i]);
        normal[i] = pivot;
        for (_, row) in normal.iter_mut().enumerate().filter(|&(other, _)| other != i) {
            let factor = row[i];
            for (value, from) in row.iter_mut().zip(pivot) {
                *value -= factor * from;
            }
        }
    }
    Some(std::array::from_fn(|i| normal[i][TERMS] as f32))
}
