//! Gaussian mixtures over Lab colours.

use super::lab::{Lab, distance2};

/// A normal distribution over Lab, ready to be evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normal {
    mean: Lab,
    inverse: [[f32; 3]; 3],
    /// ln of the normalising factor.
    log_norm: f32,
}

impl Normal {
    /// From a covariance, whose diagonal must be well above zero.
    pub(crate) fn new(mean: Lab, c: [[f32; 3]; 3]) -> Self {
        let cofactor = |i: usize, j: usize| {
            let (a, b) = ((i + 1) % 3, (i + 2) % 3);
            let (d, e) = ((j + 1) % 3, (j + 2) % 3);
            c[a][d] * c[b][e] - c[a][e] * c[b][d]
        };
        let determinant = (c[0][0] * cofactor(0, 0) + c[0][1] * cofactor(0, 1) + c[0][2] * cofactor(0, 2)).max(1e-6);
        let inverse = std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / determinant));
        Self { mean, inverse, log_norm: -0.5 * (determinant.ln() + 3.0 * std::f32::consts::TAU.ln()) }
    }

    /// From samples, with `floor` added to the variances. None from fewer than two samples.
    pub(crate) fn fit(samples: impl Iterator<Item = Lab> + Clone, floor: f32) -> Option<Self> {
        let mut mean = [0.0f64; 3];
        let mut count = 0.0f64;
        for sample in samples.clone() {
            count += 1.0;
            for c in 0..3 {
                mean[c] += f64::from(sample[c]);
            }
        }
        if count < 2.0 {
            return None;
        }
        let mean = mean.map(|sum| (sum / count) as f32);
        let mut covariance = [[0.0f64; 3]; 3];
        for sample in samples {
            for i in 0..3 {
                for j in 0..3 {
                    covariance[i][j] += f64::from((sample[i] - mean[i]) * (sample[j] - mean[j]));
                }
            }
        }
        let mut covariance = covariance.map(|row| row.map(|sum| (sum / count) as f32));
        for (i, row) in covariance.iter_mut().enumerate() {
            row[i] += floor;
        }
        Some(Self::new(mean, covariance))
    }

    /// The same spread around zero.
    pub(crate) fn centred(self) -> Self {
        Self { mean: [0.0; 3], ..self }
    }

    /// Squared Mahalanobis distance.
    pub(crate) fn mahalanobis2(&self, colour: Lab) -> f32 {
        let d: Lab = std::array::from_fn(|c| colour[c] - self.mean[c]);
        (0..3).map(|i| d[i] * (0..3).map(|j| self.inverse[i][j] * d[j]).sum::<f32>()).sum()
    }

    /// ln of the density.
    pub(crate) fn log_density(&self, colour: Lab) -> f32 {
        self.log_norm - 0.5 * self.mahalanobis2(colour)
    }
}

/// Several normals with their log weights.
#[derive(Clone, Debug)]
pub(crate) struct Mixture {
    parts: Vec<(f32, Normal)>,
}

impl Mixture {
    /// Fits up to `parts` normals: k-means from far-apart starts, then one normal a cluster. Deterministic. Larger
    /// sets are thinned evenly. `floor` is added to the variances. None from fewer than eight samples.
    pub(crate) fn fit(samples: &[Lab], parts: usize, floor: f32) -> Option<Self> {
        const ENOUGH: usize = 6_000;
        if samples.len() < 8 {
            return None;
        }
        let samples: Vec<Lab> = samples.iter().copied().step_by(samples.len().div_ceil(ENOUGH)).collect();
        let labels = k_means(&samples, parts);
        let mut fitted = Vec::new();
        for part in 0..parts {
            let own = samples.iter().zip(&labels).filter(|&(_, &label)| label == part).map(|(&sample, _)| sample);
            let share = own.clone().count() as f32 / samples.len() as f32;
            if let Some(normal) = Normal::fit(own, floor)
                && share > 0.004
            {
                fitted.push((share.ln(), normal));
            }
        }
        (!fitted.is_empty()).then_some(Self { parts: fitted })
    }

    /// ln of the density, by its largest part: the others add at most a fraction.
    pub(crate) fn log_density(&self, colour: Lab) -> f32 {
        self.parts.iter().map(|(weight, normal)| weight + normal.log_density(colour)).fold(f32::MIN, f32::max)
    }
}

/// Cluster labels. The first centre is the mean; each next one is the sample whose distance to its centre, capped
/// against outliers, is largest.
fn k_means(samples: &[Lab], clusters: usize) -> Vec<usize> {
    const FAR: f32 = 40.0 * 40.0;
    let mut labels = vec![0usize; samples.len()];
    let mut centres: Vec<Lab> = vec![mean_of(samples.iter().copied())];
    while centres.len() < clusters {
        // The sample that is far from its centre and has company: the mean of those at least three quarters as far
        // and on its side.
        let far =
            |sample: &Lab| centres.iter().map(|&centre| distance2(*sample, centre)).fold(f32::MAX, f32::min).min(FAR);
        let Some(farthest) = samples.iter().max_by(|a, b| far(a).total_cmp(&far(b))) else { break };
        if far(farthest) < 1.0 {
            break;
        }
        centres.push(*farthest);
        for _ in 0..4 {
            for (label, sample) in labels.iter_mut().zip(samples) {
                *label = (0..centres.len())
                    .min_by(|&a, &b| distance2(*sample, centres[a]).total_cmp(&distance2(*sample, centres[b])))
                    .unwrap_or(0);
            }
            for (index, centre) in centres.iter_mut().enumerate() {
                let own = samples.iter().zip(&labels).filter(|&(_, &label)| label == index).map(|(&sample, _)| sample);
                if own.clone().next().is_some() {
                    *centre = mean_of(own);
                }
            }
        }
    }
    labels
}

fn mean_of(samples: impl Iterator<Item = Lab>) -> Lab {
    let (mut sum, mut count) = ([0.0f32; 3], 0.0f32);
    for sample in samples {
        count += 1.0;
        for c in 0..3 {
            sum[c] += sample[c];
        }
    }
    sum.map(|total| total / count.max(1.0))
}
