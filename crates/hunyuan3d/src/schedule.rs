//! The sampler's schedules (`schedulers.py`): which sigmas the flow is followed through, from noise at 0 to shape at 1.

use crate::config::SchedulerConfig;

/// Steps of a run at the most, of any model; the contract's own bound is far below.
pub(crate) const MOST_STEPS: u32 = 10_000;

/// The steps of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// `[steps + 1]`: where each step begins, and where the last ends, which is 1.
    pub sigmas: Vec<f64>,
    /// `[steps]`: the time the network is told at each step, from 0 to 1.
    pub times: Vec<f64>,
}

impl Schedule {
    /// A schedule of `steps` steps.
    #[must_use]
    pub fn new(config: &SchedulerConfig, steps: u32) -> Self {
        let steps = steps.max(1);
        let (sigmas, thousandfold): (Vec<f64>, u32) = match config {
            SchedulerConfig::FlowMatchEuler { num_train_timesteps, shift } => {
                // In float32 from here on, as the reference has it.
                let shifted = |sigma: f64| f64::from((shift * sigma / (1.0 + (shift - 1.0) * sigma)) as f32);
                (linspace(steps).map(shifted).collect(), *num_train_timesteps)
            }
            SchedulerConfig::Consistency { num_train_timesteps, pcm_timesteps } => {
                let table = consistency_table(*num_train_timesteps, *pcm_timesteps);
                let index = |step: u32| (u64::from(*pcm_timesteps) * u64::from(step) / u64::from(steps)) as usize;
                ((0..steps).map(|step| table[index(step).min(table.len() - 1)]).collect(), *num_train_timesteps)
            }
        };
        let factor = thousandfold as f32;
        let times = sigmas.iter().map(|sigma| f64::from((sigma * f64::from(thousandfold)) as f32 / factor)).collect();
        Self { sigmas: sigmas.into_iter().chain([1.0]).collect(), times }
    }

    /// Steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// How far a step goes. The last step of a flow-matching schedule goes nowhere: it begins at 1.
    #[must_use]
    pub fn length(&self, step: usize) -> f64 {
        self.sigmas[step + 1] - self.sigmas[step]
    }
}

/// `numpy.linspace(0, 1, count)`.
fn linspace(count: u32) -> impl Iterator<Item = f64> {
    let step = if count > 1 { 1.0 / f64::from(count - 1) } else { 0.0 };
    (0..count).map(move |index| if index > 0 && index == count - 1 { 1.0 } else { f64::from(index) * step })
}

/// The sigmas that a consistency model was distilled at, one a distillation step.
#[must_use]
pub fn consistency_table(num_train_timesteps: u32, pcm_timesteps: u32) -> Vec<f64> {
    let sigmas: Vec<f64> = linspace(num_train_timesteps).collect();
    let ratio = num_train_timesteps / pcm_timesteps.max(1);
    (0..pcm_timesteps).map(|index| sigmas[if index == 0 { 0 } else { (index * ratio - 1) as usize }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_steps_of_each_kind() {
        let flow = SchedulerConfig::FlowMatchEuler { num_train_timesteps: 1000, shift: 1.0 };
        let schedule = Schedule::new(&flow, 5);
        assert_eq!(schedule.sigmas, [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!(schedule.times, [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert!(schedule.length(4).abs() < f64::EPSILON);
        let turbo = SchedulerConfig::Consistency { num_train_timesteps: 1000, pcm_timesteps: 100 };
        let schedule = Schedule::new(&turbo, 5);
        for (index, expected) in [0.0, 199.0, 399.0, 599.0, 799.0].into_iter().enumerate() {
            assert!((schedule.sigmas[index] - expected / 999.0).abs() < 1e-12);
        }
        assert_eq!(Schedule::new(&turbo, 200).steps(), 200);
        assert_eq!(Schedule::new(&flow, 1).sigmas, [0.0, 1.0]);
    }

    #[test]
    fn a_shift_bends_the_schedule() {
        let flow = SchedulerConfig::FlowMatchEuler { num_train_timesteps: 1000, shift: 3.0 };
        assert!((Schedule::new(&flow, 3).sigmas[1] - 0.75).abs() < 1e-6);
    }
}
