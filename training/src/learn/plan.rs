//! What a training run is.

use serde::{Deserialize, Serialize};

/// A run's settings. They are kept beside its state: another plan does not go on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Steps in all; the learning rate follows a cosine down to its end.
    pub steps: u64,
    /// Samples of a step.
    pub batch: usize,
    /// Points of a sample that a step looks at.
    pub points: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Steps in which it rises.
    pub warm_up: u64,
    /// AdamW's decay of matrices (Loshchilov and Hutter 2019).
    pub weight_decay: f64,
    /// Longest gradient that is followed as it is; a longer one is shortened to it.
    pub clip: f64,
    /// How much of the mean of weights stays at each step.
    pub mean_decay: f64,
    /// Samples that a step may choose from.
    pub window: usize,
    /// Times that a sample is used, on average.
    pub reuse: usize,
    /// Of first weights, noise and choices.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            steps: 50_000,
            batch: 128,
            points: 2048,
            learning_rate: 4e-4,
            warm_up: 1000,
            weight_decay: 0.01,
            clip: 1.0,
            mean_decay: 0.9995,
            window: 8192,
            reuse: 32,
            seed: 7,
        }
    }
}

impl Plan {
    /// The learning rate of a step: up in a line, down along a cosine to a hundredth.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        const LAST: f64 = 0.01;
        let up = (step + 1) as f64 / self.warm_up.max(1) as f64;
        let share = (step as f64 / self.steps.max(1) as f64).min(1.0);
        let down = LAST + (1.0 - LAST) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        self.learning_rate * up.min(1.0) * down
    }

    /// The first sample that a step may choose; the others follow it.
    #[must_use]
    pub fn window_begin(&self, step: u64) -> u64 {
        step * self.batch as u64 / self.reuse.max(1) as u64
    }

    /// Samples that the whole run wants.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.window_begin(self.steps.saturating_sub(1)) + self.window as u64
    }

    /// Says what a run cannot be made of.
    ///
    /// # Errors
    /// A size of zero, or numbers that are none.
    pub fn check(&self) -> anyhow::Result<()> {
        let sizes = [self.batch, self.points, self.window, self.reuse];
        let rates = [self.learning_rate, self.weight_decay, self.clip, self.mean_decay];
        if self.steps == 0 || sizes.contains(&0) {
            anyhow::bail!("steps, batch, points, window and reuse must all be at least 1");
        }
        if rates.iter().any(|rate| !rate.is_finite() || *rate < 0.0) || self.mean_decay >= 1.0 || self.clip == 0.0 {
            anyhow::bail!("rates must be numbers from 0, the mean's decay below 1, the clip above 0");
        }
        Ok(())
    }
}
