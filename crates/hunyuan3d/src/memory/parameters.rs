//! A model's parameters, counted from its sizes.

use crate::config::{ConditionerConfig, DenoiserConfig, ModelConfig, VaeConfig};

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
        let sum = |tensors: Tensors| tensors.0.iter().map(|(elements, count)| elements * count).sum();
        Self {
            conditioner: sum(conditioner(&config.conditioner)),
            denoiser: sum(denoiser(&config.denoiser)),
            vae: sum(vae(&config.vae)),
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.conditioner + self.denoiser + self.vae
    }
}

/// Tensors: elements of each, and how many there are of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensors(pub Vec<(u64, u64)>);

impl Tensors {
    fn linear(mut self, inputs: usize, outputs: usize, bias: bool) -> Self {
        self.0.push(((inputs * outputs) as u64, 1));
        self.vectors(usize::from(bias), outputs)
    }

    fn vectors(mut self, count: usize, width: usize) -> Self {
        self.0.push((width as u64, count as u64));
        self
    }

    fn times(self, count: usize, block: Self) -> Self {
        let blocks = block.0.into_iter().map(|(elements, each)| (elements, each * count as u64));
        Self(self.0.into_iter().chain(blocks).collect())
    }
}

pub(super) fn conditioner(config: &ConditionerConfig) -> Tensors {
    let dino = &config.dino;
    let (width, middle) = (dino.hidden_size, dino.mlp_width());
    let positions = dino.position_patches().pow(2) + 1;
    let gates = if dino.use_swiglu_ffn { 2 } else { 1 };
    let block = Tensors::default()
        .linear(width, 3 * width, dino.qkv_bias)
        .linear(width, width, true)
        .linear(width, gates * middle, true)
        .linear(middle, width, true)
        .vectors(6, width);
    Tensors::default()
        .linear(3 * dino.patch_size * dino.patch_size, width, true)
        .vectors(1, positions * width)
        .vectors(3 + usize::from(dino.use_mask_token), width)
        .times(dino.num_hidden_layers, block)
}

pub(super) fn denoiser(config: &DenoiserConfig) -> Tensors {
    let (width, middle) = (config.hidden_size, config.mlp_width());
    let head = width / config.num_heads;
    let embedder = Tensors::default().linear(256, width, true).linear(width, width, true);
    let stream = Tensors::default()
        .linear(width, 6 * width, true)
        .linear(width, 3 * width, config.qkv_bias)
        .vectors(2, head)
        .linear(width, width, true)
        .linear(width, middle, true)
        .linear(middle, width, true);
    let single = Tensors::default()
        .linear(width, 3 * width, true)
        .linear(width, 3 * width + middle, true)
        .linear(width + middle, width, true)
        .vectors(2, head);
    Tensors::default()
        .linear(config.in_channels, width, true)
        .times(1 + usize::from(config.guidance_embed), embedder)
        .linear(config.context_in_dim, width, true)
        .times(2 * config.depth, stream)
        .times(config.depth_single_blocks, single)
        .linear(width, 2 * width, true)
        .linear(width, config.in_channels, true)
}

pub(super) fn vae(config: &VaeConfig) -> Tensors {
    let width = config.width;
    let norms = |qk: bool| if qk { 4 } else { 0 };
    let block = Tensors::default()
        .linear(width, 3 * width, config.qkv_bias)
        .vectors(norms(config.qk_norm), width / config.heads)
        .linear(width, width, true)
        .linear(width, 4 * width, true)
        .linear(4 * width, width, true)
        .vectors(4, width);
    let geo = config.geo_width();
    let middle = geo * config.geo_decoder_mlp_expand_ratio;
    let projection = match config.geo_decoder_downsample_ratio {
        1 => Tensors::default(),
        _ => Tensors::default().linear(width, geo, true),
    };
    Tensors::default()
        .linear(config.embed_dim, width, true)
        .times(config.num_decoder_layers, block)
        .times(1, projection)
        .linear(config.embedded_point(), geo, true)
        .linear(geo, geo, config.qkv_bias)
        .linear(geo, 2 * geo, config.qkv_bias)
        .vectors(norms(config.geo_qk_norm()), geo / config.geo_heads())
        .linear(geo, geo, true)
        .vectors(6, geo)
        .linear(geo, middle, true)
        .linear(middle, geo, true)
        .vectors(if config.geo_decoder_ln_post { 2 } else { 0 }, geo)
        .linear(geo, 1, true)
}
