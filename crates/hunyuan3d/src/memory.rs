//! How much memory a model needs, from its sizes alone, before anything is allocated.

use crate::config::{ConditionerConfig, DenoiserConfig, ModelConfig, VaeConfig, Views};
use crate::device::Precision;
use crate::kernels::plain::SCORES;
use crate::{ModelError, ModelErrorKind};

/// Fewer queries at a time than this are not worth a launch.
const LEAST_CHUNK: usize = 1024;
/// What a device's context, compiled kernels and the allocator's rounding take beside tensors.
const OVERHEAD: u64 = 768 << 20;

/// Parameters of a model's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Parameters {
    /// Image encoder.
    pub conditioner: u64,
    /// Transformer.
    pub denoiser: u64,
    /// Shape decoder.
    pub vae: u64,
}

impl Parameters {
    /// Counts a configuration's parameters.
    #[must_use]
    pub fn of(config: &ModelConfig) -> Self {
        Self {
            conditioner: conditioner(&config.conditioner),
            denoiser: denoiser(&config.denoiser),
            vae: vae(&config.vae),
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.conditioner + self.denoiser + self.vae
    }
}

fn linear(inputs: usize, outputs: usize, bias: bool) -> u64 {
    (inputs * outputs + usize::from(bias) * outputs) as u64
}

fn conditioner(config: &ConditionerConfig) -> u64 {
    let dino = &config.dino;
    let (width, middle) = (dino.hidden_size, dino.mlp_width());
    let patches = linear(3 * dino.patch_size * dino.patch_size, width, true);
    let positions = (dino.position_patches().pow(2) + 1) * width;
    let mlp = match dino.use_swiglu_ffn {
        true => linear(width, 2 * middle, true) + linear(middle, width, true),
        false => linear(width, middle, true) + linear(middle, width, true),
    };
    let block = 3 * linear(width, width, dino.qkv_bias) + linear(width, width, true) + mlp + 6 * width as u64;
    let tokens = (1 + usize::from(dino.use_mask_token)) * width;
    patches + (positions + tokens + 2 * width) as u64 + dino.num_hidden_layers as u64 * block
}

fn denoiser(config: &DenoiserConfig) -> u64 {
    let (width, middle) = (config.hidden_size, config.mlp_width());
    let head = (width / config.num_heads) as u64;
    let embedder = linear(256, width, true) + linear(width, width, true);
    let stream = linear(width, 6 * width, true)
        + linear(width, 3 * width, config.qkv_bias)
        + 2 * head
        + linear(width, width, true)
        + linear(width, middle, true)
        + linear(middle, width, true);
    let single = linear(width, 3 * width, true)
        + linear(width, 3 * width + middle, true)
        + linear(width + middle, width, true)
        + 2 * head;
    linear(config.in_channels, width, true)
        + (1 + u64::from(config.guidance_embed)) * embedder
        + linear(config.context_in_dim, width, true)
        + config.depth as u64 * 2 * stream
        + config.depth_single_blocks as u64 * single
        + linear(width, 2 * width, true)
        + linear(width, config.in_channels, true)
}

fn vae(config: &VaeConfig) -> u64 {
    let width = config.width;
    let norms = |qk: bool, head: usize| if qk { 4 * head as u64 } else { 0 };
    let block = linear(width, 3 * width, config.qkv_bias)
        + norms(config.qk_norm, width / config.heads)
        + linear(width, width, true)
        + linear(width, 4 * width, true)
        + linear(4 * width, width, true)
        + 4 * width as u64;
    let geo = config.geo_width();
    let middle = geo * config.geo_decoder_mlp_expand_ratio;
    let projection = if config.geo_decoder_downsample_ratio == 1 { 0 } else { linear(width, geo, true) };
    let geometry = linear(config.embedded_point(), geo, true)
        + projection
        + linear(geo, geo, config.qkv_bias)
        + linear(geo, 2 * geo, config.qkv_bias)
        + norms(config.geo_qk_norm(), geo / config.geo_heads())
        + linear(geo, geo, true)
        + 6 * geo as u64
        + linear(geo, middle, true)
        + linear(middle, geo, true)
        + if config.geo_decoder_ln_post { 2 * geo as u64 } else { 0 }
        + linear(geo, 1, true);
    linear(config.embed_dim, width, true) + config.num_decoder_layers as u64 * block + geometry
}

/// Bytes that tensors take together in the allocator's pages, for bytes of their own. An H200 was seen to hold 18.2 GiB
/// after a volume's levels, with their chunks of different sizes, where the sum of tensors is 11.8 at the most.
fn in_pages(bytes: u64) -> u64 {
    bytes * 2
}

/// What a run needs on its device, in bytes, at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryNeed {
    /// Parameters.
    pub weights: u64,
    /// Encoding and sampling, beside the parameters.
    pub sampling: u64,
    /// Decoding, beside the parameters, apart from its queries.
    pub decoding: u64,
    /// Each query that is decoded at a time.
    pub query: u64,
}

impl MemoryNeed {
    /// Computes the need of a model. The field's grid is not in it: it lies on the host.
    #[must_use]
    pub fn of(config: &ModelConfig, precision: Precision) -> Self {
        let bytes = precision.bytes();
        let views = match config.conditioner.views {
            Views::One => 1,
            Views::Several(views) => views,
        };
        // In float32, norms, activations and scores are tensors of their own. In half precision, which only GPUs compute in,
        // they exist inside our kernels alone.
        let half = precision != Precision::Float32;
        let (narrow, wide) = (bytes, if half { 0 } else { 4 });
        let score = if half { 0 } else { 2 * narrow + 2 * wide };
        let scores = |batch: usize, heads: usize, rows: usize, keys: usize| {
            (batch * heads * rows * keys).min(SCORES) as u64 * score
        };
        let layer = |batch: usize, tokens: usize, width: usize, middle: usize| {
            (batch * tokens) as u64 * (width as u64 * (8 * narrow + 3 * wide) + middle as u64 * (2 * narrow + 3 * wide))
        };
        let (dino, dit, vae) = (&config.conditioner.dino, &config.denoiser, &config.vae);
        let seen = config.conditioner.patches().pow(2) + 1;
        let gates = if dino.use_swiglu_ffn { 2 } else { 1 };
        let encoding = layer(views, seen, dino.hidden_size, gates * dino.mlp_width())
            + scores(views, dino.num_attention_heads, seen, seen);
        let batch = if config.classifier_free_guidance() { 2 } else { 1 };
        let tokens = vae.num_latents + views * config.conditioner.tokens();
        let sampling =
            layer(batch, tokens, dit.hidden_size, dit.mlp_width()) + scores(batch, dit.num_heads, tokens, tokens);
        let latents = vae.num_latents;
        let decoding = layer(1, latents, vae.width, 4 * vae.width) + scores(1, vae.heads, latents, latents);
        let geo = vae.geo_width() as u64;
        let middle = geo * vae.geo_decoder_mlp_expand_ratio as u64;
        let query = geo * (8 * narrow + 3 * wide) + middle * (2 * narrow + 3 * wide) + vae.embedded_point() as u64 * 8;
        let weights = Parameters::of(config).total() * bytes;
        // Scores of the queries' attention come in blocks of a fixed size, whatever the chunk.
        let decoding = decoding.max(SCORES as u64 * score);
        Self { weights, sampling: sampling.max(encoding), decoding, query }
    }

    /// The most memory that a run with `chunk` queries at a time takes.
    #[must_use]
    pub fn peak(&self, chunk: usize) -> u64 {
        OVERHEAD + self.weights + in_pages(self.sampling.max(self.decoding + self.query * chunk as u64))
    }

    /// The largest chunk, up to `wanted`, with which a run keeps within `budget` bytes.
    ///
    /// # Errors
    /// [`ModelErrorKind::Memory`], with the numbers, where none does.
    pub fn fit(&self, budget: u64, wanted: usize) -> Result<usize, ModelError> {
        let least = LEAST_CHUNK.min(wanted.max(1));
        if self.peak(least) > budget {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(ModelError::new(
                ModelErrorKind::Memory,
                format!(
                    "the model needs {} MiB of device memory (weights {} MiB, sampling {} MiB, decoding {} MiB at {least} \
                     queries a time), but may use {} MiB",
                    mib(self.peak(least)),
                    mib(self.weights),
                    mib(self.sampling),
                    mib(self.decoding + self.query * least as u64),
                    budget >> 20
                ),
            ));
        }
        let left = (budget - OVERHEAD - self.weights).saturating_sub(in_pages(self.decoding));
        Ok(usize::try_from(left / in_pages(self.query).max(1)).unwrap_or(usize::MAX).clamp(least, wanted.max(least)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    #[test]
    fn the_published_sizes_come_out() {
        let full = Parameters::of(&preset("hunyuan3d-2").unwrap());
        // gpu.md: 1.113, 1.136 and 0.214 billion.
        assert_eq!(full.denoiser / 1_000_000, 1113);
        assert_eq!(full.conditioner / 1_000_000, 1136);
        assert_eq!(full.vae / 1_000_000, 214);
    }

    #[test]
    fn chunks_shrink_to_fit_and_too_little_is_said_in_numbers() {
        let need = MemoryNeed::of(&preset("hunyuan3d-2").unwrap(), Precision::Float16);
        let all = need.fit(80 << 30, 65_536).unwrap();
        assert_eq!(all, 65_536);
        let tight = need.peak(20_000);
        let fitted = need.fit(tight.max(need.peak(LEAST_CHUNK)), 1 << 20).unwrap();
        assert!(need.peak(fitted) <= tight.max(need.peak(LEAST_CHUNK)) && fitted >= LEAST_CHUNK);
        let error = need.fit(4 << 30, 65_536).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Memory);
        assert!(error.to_string().contains("4096 MiB"), "{error}");
    }
}
