//! What a checkpoint folder's `config.yaml` says, in the reference's own layout.
//!
//! Every field is honoured or refused by name; no size of the network stands anywhere else. A section is a `target`
//! (the reference's class) and its `params`, whose defaults are the reference's constructors' own.

mod conditioner;
mod denoiser;
mod own;
mod processor;
mod scheduler;
mod section;
mod vae;

use std::path::Path;

pub use conditioner::{Activation, ConditionerConfig, DinoConfig, Views};
pub use denoiser::DenoiserConfig;
pub use own::OwnConfig;
pub use processor::ImageProcessorConfig;
pub use scheduler::SchedulerConfig;
pub use vae::VaeConfig;

use crate::ModelError;
use crate::weights::sha256_hex;
use section::Section;

/// The configuration's name in a checkpoint folder.
pub const CONFIG_FILE: &str = "config.yaml";
/// A configuration of the published models has about two kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// A whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The flow-matching transformer.
    pub denoiser: DenoiserConfig,
    /// The shape decoder.
    pub vae: VaeConfig,
    /// The image encoder.
    pub conditioner: ConditionerConfig,
    /// The sampler's schedule.
    pub scheduler: SchedulerConfig,
    /// How a picture becomes the encoder's input.
    pub image_processor: ImageProcessorConfig,
    /// How a checkpoint of ours wants to be run.
    pub own: OwnConfig,
}

impl ModelConfig {
    /// SHA-256 of all of it, in hexadecimal: what was made with one is not gone on from with another.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(format!("{self:?}").as_bytes())
    }

    /// Reads `config.yaml` of a checkpoint folder.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Config`] names the section and field at fault.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        Self::parse(&read_text(folder)?)
    }

    /// Reads a checkpoint folder's, with the shape decoder of another folder where one is given.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::with_vae`].
    pub fn read_with(folder: &Path, vae: Option<&Path>) -> Result<Self, ModelError> {
        let config = Self::read(folder)?;
        match vae {
            Some(vae) => config.with_vae(read_vae(vae)?),
            None => Ok(config),
        }
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let mut root = section::root(text)?;
        let config = Self {
            denoiser: DenoiserConfig::from_section(Section::take(&mut root, "model")?)?,
            vae: VaeConfig::from_section(Section::take(&mut root, "vae")?)?,
            conditioner: ConditionerConfig::from_section(Section::take(&mut root, "conditioner")?)?,
            scheduler: SchedulerConfig::from_section(Section::take(&mut root, "scheduler")?)?,
            image_processor: ImageProcessorConfig::from_section(Section::take(&mut root, "image_processor")?)?,
            own: OwnConfig::from_value(root.remove("orfeas"))?,
        };
        // The pipeline's class says nothing that the parts do not, but another one would run them differently.
        if root.contains_key("pipeline") {
            let pipeline = Section::take(&mut root, "pipeline")?;
            pipeline.expect("hy3dgen.shapegen.pipelines.Hunyuan3DDiTFlowMatchingPipeline")?;
            pipeline.no_params()?;
        }
        section::nothing_left(&root)?;
        config.check()
    }

    /// This model with another shape decoder.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Config`] where the decoder does not take the latents that the transformer makes.
    pub fn with_vae(self, vae: VaeConfig) -> Result<Self, ModelError> {
        Self { vae, ..self }.check()
    }

    fn check(self) -> Result<Self, ModelError> {
        let (conditioner, denoiser) = (&self.conditioner.dino, &self.denoiser);
        if conditioner.hidden_size != denoiser.context_in_dim {
            return Err(ModelError::config(format!(
                "config.yaml: the conditioner gives {} channels, the model's context_in_dim takes {}",
                conditioner.hidden_size, denoiser.context_in_dim
            )));
        }
        if self.vae.embed_dim != denoiser.in_channels {
            return Err(ModelError::config(format!(
                "config.yaml: the vae's embed_dim is {}, the model's in_channels {}",
                self.vae.embed_dim, denoiser.in_channels
            )));
        }
        if self.image_processor.multi_view != matches!(self.conditioner.views, Views::Several(_)) {
            return Err(ModelError::config(
                "config.yaml: image_processor and conditioner disagree on whether there are several views",
            ));
        }
        Ok(self)
    }

    /// Whether sampling runs the conditional and the unconditional half (classifier-free guidance), or one half that
    /// was told the guidance scale.
    #[must_use]
    pub fn classifier_free_guidance(&self) -> bool {
        !self.denoiser.guidance_embed
    }

    /// Halves that a step of one shape runs: two where guidance is classifier-free.
    #[must_use]
    pub fn halves(&self) -> usize {
        if self.classifier_free_guidance() { 2 } else { 1 }
    }

    /// Tokens of a half: the latents and the condition, of as many views as there may be.
    #[must_use]
    pub fn step_tokens(&self) -> usize {
        self.vae.num_latents + self.conditioner.most_views() * self.conditioner.tokens()
    }

    /// Rows that a step of one shape takes through the transformer.
    #[must_use]
    pub fn step_rows(&self) -> usize {
        self.halves() * self.step_tokens()
    }

    /// A word for the variant, after what sets it apart: `v2-0`, `v2-0-fast`, `v2-0-turbo`, `mini`, `mv`, ….
    #[must_use]
    pub fn variant(&self) -> String {
        let base = match (&self.conditioner.views, self.denoiser.depth) {
            (Views::Several(_), _) => "mv",
            (Views::One, 16) => "v2-0",
            (Views::One, 8) => "mini",
            (Views::One, _) => "custom",
        };
        let suffix = match (&self.scheduler, self.denoiser.guidance_embed) {
            (SchedulerConfig::Consistency { .. }, _) => "-turbo",
            (SchedulerConfig::FlowMatchEuler { .. }, true) => "-fast",
            (SchedulerConfig::FlowMatchEuler { .. }, false) => "",
        };
        format!("{base}{suffix}")
    }

    /// Sampling steps where nobody says: the checkpoint's own, or the reference's examples for each kind of schedule.
    #[must_use]
    pub fn default_steps(&self) -> u32 {
        let examples = match &self.scheduler {
            SchedulerConfig::Consistency { .. } => 5,
            SchedulerConfig::FlowMatchEuler { .. } => 50,
        };
        self.own.steps.unwrap_or_else(|| examples.min(self.own.most_steps.unwrap_or(examples)))
    }
}

/// The configuration of a shape decoder published on its own (`hunyuan3d-vae-v2-0-turbo`, say): `target` and `params`
/// at the top.
///
/// # Errors
/// [`crate::ModelErrorKind::Config`] names the field at fault.
pub fn read_vae(folder: &Path) -> Result<VaeConfig, ModelError> {
    let root = section::root(&read_text(folder)?)?;
    VaeConfig::from_section(Section::from_value("vae", serde_json::Value::Object(root))?)
}

fn read_text(folder: &Path) -> Result<String, ModelError> {
    let path = folder.join(CONFIG_FILE);
    let unreadable = |error: std::io::Error| ModelError::config(format!("{} cannot be read: {error}", path.display()));
    let length = std::fs::metadata(&path).map_err(unreadable)?.len();
    if length > MAX_BYTES {
        return Err(ModelError::config(format!("{} has {length} bytes, at most {MAX_BYTES} are read", path.display())));
    }
    std::fs::read_to_string(&path).map_err(unreadable)
}
