//! What a checkpoint of ours says beside the reference's sections: how it wants to be run.

use serde::Deserialize;
use serde_json::Value;

use crate::ModelError;
use crate::schedule::MOST_STEPS;
use crate::volume::Method;

/// The section `orfeas` of `config.yaml`; every field may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnConfig {
    /// Sampling steps where nobody says.
    pub steps: Option<u32>,
    /// Most steps that the model was made for: more are refused, since they would only spoil what it makes.
    pub most_steps: Option<u32>,
    /// Cells of a field along its longest side where nobody says.
    pub resolution: Option<u32>,
    /// How fields are decoded where nobody says. A shape decoder that was not made for FlashVDM's choice of keys shows its
    /// blocks as seams.
    pub decoder: Option<Method>,
    /// The guidance scale where nobody says.
    pub guidance: Option<f64>,
    /// The seed of the noise that every shape begins with, whatever was asked for: a model that makes one shape of a
    /// picture was made for one noise.
    pub noise_seed: Option<u64>,
    /// Share of the largest piece's faces, 0 to 1, below which a piece of the mesh is left out where nobody says. A small
    /// model leaves crumbs that no picture shows.
    pub floaters: Option<f32>,
}

impl OwnConfig {
    pub(super) fn from_value(section: Option<Value>) -> Result<Self, ModelError> {
        let wrong = |what: &str| ModelError::config(format!("config.yaml: orfeas: {what}"));
        let config: Self = match section {
            Some(value) => serde_json::from_value(value).map_err(|error| wrong(&error.to_string()))?,
            None => Self::default(),
        };
        if config.steps == Some(0) || config.most_steps == Some(0) {
            return Err(wrong("steps and most_steps must be at least 1"));
        }
        if config.steps.max(config.most_steps).is_some_and(|steps| steps > MOST_STEPS) {
            return Err(wrong(&format!("steps and most_steps must be at most {MOST_STEPS}")));
        }
        if let (Some(steps), Some(most)) = (config.steps, config.most_steps)
            && steps > most
        {
            return Err(wrong(&format!("steps is {steps}, more than most_steps, which is {most}")));
        }
        if config.guidance.is_some_and(|guidance| !guidance.is_finite()) {
            return Err(wrong("guidance is no finite number"));
        }
        if config.floaters.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(wrong("floaters must be from 0 to 1"));
        }
        Ok(config)
    }
}
