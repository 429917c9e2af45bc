//! The shape decoder's parameters (`models/autoencoders/model.py`, `ShapeVAE`).

use serde::{Deserialize, Serialize};

use super::section::Section;
use crate::ModelError;

/// The shape decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Latent tokens.
    pub num_latents: usize,
    /// Channels of a latent token.
    pub embed_dim: usize,
    /// Width of the decoder's transformer.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub num_decoder_layers: usize,
    /// How many times narrower the geometry decoder is, in width and in heads.
    #[serde(default = "one")]
    pub geo_decoder_downsample_ratio: usize,
    /// Width of the geometry decoder's MLP over its width.
    #[serde(default = "four")]
    pub geo_decoder_mlp_expand_ratio: usize,
    /// Whether the geometry decoder ends in a layer norm. Without, it has no QK norm either, as in the reference.
    #[serde(default = "yes")]
    pub geo_decoder_ln_post: bool,
    /// Frequencies of a query point's embedding.
    #[serde(default = "eight")]
    pub num_freqs: usize,
    /// Whether those frequencies are multiples of pi.
    #[serde(default = "yes")]
    pub include_pi: bool,
    /// Whether query, key and value projections have a bias.
    #[serde(default = "yes")]
    pub qkv_bias: bool,
    /// Whether queries and keys are normed.
    #[serde(default)]
    pub qk_norm: bool,
    /// Only `binary` is known.
    #[serde(default = "binary")]
    pub label_type: String,
    /// Of training alone; without effect here.
    #[serde(default)]
    pub drop_path_rate: f64,
    /// What latents were multiplied with for the transformer.
    #[serde(default = "unit")]
    pub scale_factor: f64,
}

fn one() -> usize {
    1
}
fn four() -> usize {
    4
}
fn eight() -> usize {
    8
}
fn yes() -> bool {
    true
}
fn unit() -> f64 {
    1.0
}
fn binary() -> String {
    "binary".to_owned()
}

impl VaeConfig {
    pub(super) fn from_section(section: Section) -> Result<Self, ModelError> {
        section.expect("hy3dgen.shapegen.models.ShapeVAE")?;
        let config: Self = section.params()?;
        section.sizes(&[
            ("num_latents", config.num_latents),
            ("embed_dim", config.embed_dim),
            ("width", config.width),
            ("heads", config.heads),
            ("num_decoder_layers + 1", config.num_decoder_layers.saturating_add(1)),
            ("geo_decoder_downsample_ratio", config.geo_decoder_downsample_ratio),
            ("geo_decoder_mlp_expand_ratio", config.geo_decoder_mlp_expand_ratio),
            ("width * geo_decoder_mlp_expand_ratio", config.width.saturating_mul(config.geo_decoder_mlp_expand_ratio)),
        ])?;
        section.heads(config.width, config.heads)?;
        let ratio = config.geo_decoder_downsample_ratio;
        if !config.width.is_multiple_of(ratio) {
            return Err(
                section.wrong(&format!("a width of {} is no multiple of the downsample ratio {ratio}", config.width))
            );
        }
        section.heads(config.geo_width(), config.geo_heads())?;
        if config.num_freqs > 24 {
            return Err(section.wrong(&format!("num_freqs is {}; float32 holds 24 at most", config.num_freqs)));
        }
        if config.label_type != "binary" {
            return Err(section.wrong(&format!("label_type {:?} is not known, only \"binary\"", config.label_type)));
        }
        if !(config.scale_factor.is_finite() && config.scale_factor != 0.0) {
            return Err(section.wrong(&format!("scale_factor is {}", config.scale_factor)));
        }
        Ok(config)
    }

    /// Width of the geometry decoder.
    #[must_use]
    pub fn geo_width(&self) -> usize {
        self.width / self.geo_decoder_downsample_ratio
    }

    /// Attention heads of the geometry decoder.
    #[must_use]
    pub fn geo_heads(&self) -> usize {
        self.heads / self.geo_decoder_downsample_ratio
    }

    /// Whether the geometry decoder norms queries and keys.
    #[must_use]
    pub fn geo_qk_norm(&self) -> bool {
        self.qk_norm && self.geo_decoder_ln_post
    }

    /// Channels of an embedded query point.
    #[must_use]
    pub fn embedded_point(&self) -> usize {
        3 * (2 * self.num_freqs + 1)
    }
}
