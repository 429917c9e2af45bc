//! The published models' sizes, for benchmarks at full size without their weights.

use crate::ModelError;
use crate::config::{
    ConditionerConfig, DenoiserConfig, DinoConfig, ImageProcessorConfig, ModelConfig, OwnConfig, SchedulerConfig,
    VaeConfig, Views,
};

/// The presets by name.
pub const PRESETS: [&str; 9] = [
    "hunyuan3d-2",
    "hunyuan3d-2-fast",
    "hunyuan3d-2-turbo",
    "mini",
    "mini-fast",
    "mini-turbo",
    "mv",
    "mv-fast",
    "mv-turbo",
];

/// A published model's configuration, with the shape decoder that goes with it: turbo models have the narrow one.
///
/// # Errors
/// [`crate::ModelErrorKind::Config`] for another name.
pub fn preset(name: &str) -> Result<ModelConfig, ModelError> {
    if !PRESETS.contains(&name) {
        return Err(ModelError::config(format!("there is no preset {name:?}; there are {}", PRESETS.join(", "))));
    }
    let mini = name.starts_with("mini");
    let views = if name.starts_with("mv") { Views::Several(4) } else { Views::One };
    let distilled = name.ends_with("-fast") || name.ends_with("-turbo");
    let turbo = name.ends_with("-turbo");
    // DINOv2-giant; mini has DINOv2-large, by its published size.
    let mut dino = DinoConfig::default();
    dino.hidden_size = if mini { 1024 } else { 1536 };
    dino.num_hidden_layers = if mini { 24 } else { 40 };
    dino.num_attention_heads = if mini { 16 } else { 24 };
    dino.use_swiglu_ffn = !mini;
    dino.image_size = 518;
    let denoiser = DenoiserConfig {
        context_in_dim: dino.hidden_size,
        depth: if mini { 8 } else { 16 },
        depth_single_blocks: if mini { 16 } else { 32 },
        guidance_embed: distilled,
        ..DenoiserConfig::default()
    };
    let vae = VaeConfig {
        num_latents: if mini { 512 } else { 3072 },
        embed_dim: 64,
        width: 1024,
        heads: 16,
        num_decoder_layers: 16,
        geo_decoder_downsample_ratio: if turbo { 2 } else { 1 },
        geo_decoder_mlp_expand_ratio: if turbo { 1 } else { 4 },
        geo_decoder_ln_post: !turbo,
        num_freqs: 8,
        include_pi: false,
        qkv_bias: false,
        qk_norm: true,
        label_type: "binary".to_owned(),
        drop_path_rate: 0.0,
        scale_factor: 0.999_094_304_262_252_9,
    };
    let scheduler = match turbo {
        true => SchedulerConfig::Consistency { num_train_timesteps: 1000, pcm_timesteps: 100 },
        false => SchedulerConfig::FlowMatchEuler { num_train_timesteps: 1000, shift: 1.0 },
    };
    let image_processor =
        ImageProcessorConfig { size: 512, border_ratio: None, multi_view: matches!(views, Views::Several(_)) };
    let conditioner = ConditionerConfig { dino, image_size: 518, use_cls_token: true, views };
    Ok(ModelConfig { denoiser, vae, conditioner, scheduler, image_processor, own: OwnConfig::default() })
}
