//! The schedules' parameters (`schedulers.py`).

use serde::Deserialize;

use super::section::Section;
use crate::ModelError;

/// A sampling schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum SchedulerConfig {
    /// Euler steps along the flow (Lipman et al. 2023), sigma from 0 to 1.
    FlowMatchEuler {
        /// Timesteps of training.
        num_train_timesteps: u32,
        /// Shift of the sigmas (Esser et al. 2024).
        shift: f64,
    },
    /// Euler steps from a consistency-distilled model's own grid of sigmas.
    Consistency {
        /// Timesteps of training.
        num_train_timesteps: u32,
        /// Steps of the distillation.
        pcm_timesteps: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FlowMatchEuler {
    num_train_timesteps: u32,
    shift: f64,
    use_dynamic_shifting: bool,
}

impl Default for FlowMatchEuler {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, shift: 1.0, use_dynamic_shifting: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Consistency {
    num_train_timesteps: u32,
    pcm_timesteps: u32,
}

impl Default for Consistency {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, pcm_timesteps: 50 }
    }
}

impl SchedulerConfig {
    const FLOW: &str = "hy3dgen.shapegen.schedulers.FlowMatchEulerDiscreteScheduler";
    const CONSISTENCY: &str = "hy3dgen.shapegen.schedulers.ConsistencyFlowMatchEulerDiscreteScheduler";

    pub(super) fn from_section(section: Section) -> Result<Self, ModelError> {
        let config = match section.target.as_str() {
            Self::FLOW => {
                let FlowMatchEuler { num_train_timesteps, shift, use_dynamic_shifting } = section.params()?;
                if use_dynamic_shifting {
                    // The reference's pipeline hands over no `mu` and fails there.
                    return Err(section.wrong("use_dynamic_shifting needs a shift that the pipeline does not give"));
                }
                if !(shift.is_finite() && shift > 0.0) {
                    return Err(section.wrong(&format!("shift is {shift}")));
                }
                Self::FlowMatchEuler { num_train_timesteps, shift }
            }
            Self::CONSISTENCY => {
                let Consistency { num_train_timesteps, pcm_timesteps } = section.params()?;
                if pcm_timesteps == 0 || pcm_timesteps > num_train_timesteps {
                    return Err(section.wrong(&format!("pcm_timesteps is {pcm_timesteps} of {num_train_timesteps}")));
                }
                Self::Consistency { num_train_timesteps, pcm_timesteps }
            }
            _ => return Err(section.unknown_class(&[Self::FLOW, Self::CONSISTENCY])),
        };
        let (Self::FlowMatchEuler { num_train_timesteps, .. } | Self::Consistency { num_train_timesteps, .. }) = config;
        section.sizes(&[("num_train_timesteps", num_train_timesteps as usize)])?;
        Ok(config)
    }
}
