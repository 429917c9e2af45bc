//! The flow-matching transformer's parameters (`models/denoisers/hunyuan3ddit.py`).

use serde::{Deserialize, Serialize};

use super::section::Section;
use crate::ModelError;

/// The transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenoiserConfig {
    /// Channels of a latent token.
    pub in_channels: usize,
    /// Channels of a conditioning token.
    pub context_in_dim: usize,
    /// Width of the transformer.
    pub hidden_size: usize,
    /// Width of the MLPs over `hidden_size`.
    pub mlp_ratio: f64,
    /// Attention heads.
    pub num_heads: usize,
    /// Double-stream blocks.
    pub depth: usize,
    /// Single-stream blocks.
    pub depth_single_blocks: usize,
    /// Sizes of rotary axes; must sum up to a head's width, and is otherwise without effect: the model has no
    /// positions.
    pub axes_dim: Vec<usize>,
    /// Base of rotary frequencies; without effect, as above.
    pub theta: f64,
    /// Whether the double blocks' query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// Longest period of the time embedding. The reference calls it a factor, but hands it over in the period's place;
    /// the factor itself stays 1000.
    pub time_factor: f64,
    /// Whether the model was distilled to be told the guidance scale.
    pub guidance_embed: bool,
    /// A second checkpoint to start from; only null is known here.
    pub ckpt_path: Option<String>,
}

impl Default for DenoiserConfig {
    fn default() -> Self {
        Self {
            in_channels: 64,
            context_in_dim: 1536,
            hidden_size: 1024,
            mlp_ratio: 4.0,
            num_heads: 16,
            depth: 16,
            depth_single_blocks: 32,
            axes_dim: vec![64],
            theta: 10_000.0,
            qkv_bias: true,
            time_factor: 1000.0,
            guidance_embed: false,
            ckpt_path: None,
        }
    }
}

impl DenoiserConfig {
    pub(super) fn from_section(section: Section) -> Result<Self, ModelError> {
        section.expect("hy3dgen.shapegen.models.Hunyuan3DDiT")?;
        let config: Self = section.params()?;
        section.sizes(&[
            ("in_channels", config.in_channels),
            ("context_in_dim", config.context_in_dim),
            ("hidden_size", config.hidden_size),
            ("num_heads", config.num_heads),
            ("depth + depth_single_blocks", config.depth.saturating_add(config.depth_single_blocks)),
        ])?;
        section.heads(config.hidden_size, config.num_heads)?;
        let head = config.hidden_size / config.num_heads;
        if config.axes_dim.iter().fold(0usize, |sum, axis| sum.saturating_add(*axis)) != head {
            return Err(
                section.wrong(&format!("axes_dim {:?} does not sum up to {head}, a head's width", config.axes_dim))
            );
        }
        if !(config.mlp_ratio > 0.0 && config.mlp_ratio <= 64.0) {
            return Err(section.wrong(&format!("mlp_ratio is {}", config.mlp_ratio)));
        }
        section.sizes(&[("hidden_size * mlp_ratio", config.mlp_width())])?;
        if !(config.time_factor.is_finite() && config.time_factor > 0.0) {
            return Err(section.wrong(&format!("time_factor is {}", config.time_factor)));
        }
        if config.ckpt_path.is_some() {
            return Err(section.wrong("ckpt_path names another checkpoint, which is not supported"));
        }
        Ok(config)
    }

    /// Width of the MLPs' middle.
    #[must_use]
    pub fn mlp_width(&self) -> usize {
        (self.hidden_size as f64 * self.mlp_ratio) as usize
    }
}
