//! The image encoder's parameters (`models/conditioner.py`, and transformers' `Dinov2Config`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::section::Section;
use crate::ModelError;

/// The image encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionerConfig {
    /// The network.
    pub dino: DinoConfig,
    /// Side of the network's input, in pixels.
    pub image_size: usize,
    /// Whether the class token is part of the condition.
    pub use_cls_token: bool,
    /// How many views it takes.
    pub views: Views,
}

/// How many views an encoder takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Views {
    /// One picture (`DinoImageEncoder`).
    One,
    /// Up to this many, each marked with an embedding of its place (`DinoImageEncoderMV`).
    Several(usize),
}

/// DINOv2 (Oquab et al. 2023), as transformers configures it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoConfig {
    /// Width.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the MLPs over `hidden_size`.
    pub mlp_ratio: f64,
    /// The plain MLP's activation.
    pub hidden_act: Activation,
    /// Epsilon of the layer norms.
    pub layer_norm_eps: f64,
    /// Side of the pictures that the position embedding was made for, in pixels.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Colour channels; the encoder has 3.
    pub num_channels: usize,
    /// Whether query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// Whether the MLPs are gated (SwiGLU).
    pub use_swiglu_ffn: bool,
    /// Whether the checkpoint holds a mask token, which encoding never uses.
    pub use_mask_token: bool,
    /// Must be `dinov2`.
    pub model_type: String,

    // Of training, of storage, or of other uses of the network; each without effect on encoding.
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
    drop_path_rate: f64,
    initializer_range: f64,
    layerscale_value: f64,
    torch_dtype: Value,
    dtype: Value,
    architectures: Value,
    transformers_version: Value,
    _name_or_path: Value,
    out_features: Value,
    out_indices: Value,
    stage_names: Value,
    apply_layernorm: bool,
    reshape_hidden_states: bool,
}

/// An activation by transformers' name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// With the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// With the hyperbolic tangent.
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new")]
    GeluTanh,
    /// max(0, x).
    #[serde(rename = "relu")]
    Relu,
    /// x · sigmoid(x).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
}

impl Default for DinoConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            mlp_ratio: 4.0,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-6,
            image_size: 224,
            patch_size: 14,
            num_channels: 3,
            qkv_bias: true,
            use_swiglu_ffn: false,
            use_mask_token: true,
            model_type: "dinov2".to_owned(),
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            drop_path_rate: 0.0,
            initializer_range: 0.02,
            layerscale_value: 1.0,
            torch_dtype: Value::Null,
            dtype: Value::Null,
            architectures: Value::Null,
            transformers_version: Value::Null,
            _name_or_path: Value::Null,
            out_features: Value::Null,
            out_indices: Value::Null,
            stage_names: Value::Null,
            apply_layernorm: true,
            reshape_hidden_states: true,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoders {
    main_image_encoder: Encoder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoder {
    r#type: String,
    kwargs: EncoderArguments,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderArguments {
    version: Option<String>,
    config: Option<DinoConfig>,
    #[serde(default = "yes")]
    use_cls_token: bool,
    #[serde(default = "side")]
    image_size: usize,
    view_num: Option<usize>,
}

fn yes() -> bool {
    true
}
fn side() -> usize {
    224
}

impl ConditionerConfig {
    pub(super) fn from_section(section: Section) -> Result<Self, ModelError> {
        section.expect("hy3dgen.shapegen.models.SingleImageEncoder")?;
        let Encoder { r#type, kwargs } = section.params::<Encoders>()?.main_image_encoder;
        let views = match (r#type.as_str(), kwargs.view_num) {
            ("DinoImageEncoder", None) => Views::One,
            ("DinoImageEncoder", Some(_)) => return Err(section.wrong("a DinoImageEncoder has no view_num")),
            ("DinoImageEncoderMV", views) => Views::Several(views.unwrap_or(4)),
            (other, _) => {
                let known = "DinoImageEncoder, DinoImageEncoderMV";
                return Err(section.wrong(&format!("the encoder {other:?} is not known, only {known}")));
            }
        };
        let Some(dino) = kwargs.config else {
            let named = kwargs.version.unwrap_or_default();
            return Err(
                section.wrong(&format!("the encoder has no config of its own (version {named:?} names one elsewhere)"))
            );
        };
        let config = Self { dino, image_size: kwargs.image_size, use_cls_token: kwargs.use_cls_token, views };
        config.check(&section)?;
        Ok(config)
    }

    fn check(&self, section: &Section) -> Result<(), ModelError> {
        let dino = &self.dino;
        section.sizes(&[
            ("hidden_size", dino.hidden_size),
            ("num_attention_heads", dino.num_attention_heads),
            ("num_hidden_layers", dino.num_hidden_layers),
            ("patch_size", dino.patch_size),
            ("image_size", self.image_size.min(dino.image_size)),
            ("image_size", self.image_size.max(dino.image_size)),
        ])?;
        section.heads(dino.hidden_size, dino.num_attention_heads)?;
        let wrong = |what: String| Err(section.wrong(&what));
        if dino.model_type != "dinov2" {
            return wrong(format!("model_type {:?} is not known, only \"dinov2\"", dino.model_type));
        }
        if dino.num_channels != 3 {
            return wrong(format!("num_channels is {}; pictures have 3", dino.num_channels));
        }
        if self.image_size < dino.patch_size || dino.image_size < dino.patch_size || self.image_size > 4096 {
            return wrong(format!("image_size is {} with patches of {}", self.image_size, dino.patch_size));
        }
        // Positions are made for the pictures' size before anything shows that the checkpoint has no such network: 2 million numbers at full size.
        if self.patches().pow(2).max(dino.position_patches().pow(2)) * dino.hidden_size > 1 << 27 {
            return wrong(format!(
                "image_size is {} at a hidden_size of {}: too large",
                self.image_size, dino.hidden_size
            ));
        }
        // The reference counts patches of 14 pixels whatever patch_size says, and fails where that differs.
        if dino.patch_size != 14 {
            return wrong(format!("patch_size is {}; the encoder is made for 14", dino.patch_size));
        }
        if !(dino.mlp_ratio > 0.0 && dino.mlp_ratio <= 64.0) {
            return wrong(format!("mlp_ratio is {}", dino.mlp_ratio));
        }
        if !(dino.layer_norm_eps > 0.0 && dino.layer_norm_eps < 1.0) {
            return wrong(format!("layer_norm_eps is {}", dino.layer_norm_eps));
        }
        if let Views::Several(views) = self.views {
            section.sizes(&[("view_num", views)])?;
            if views > 4 {
                return wrong(format!("view_num is {views}; front, left, back and right are known"));
            }
            if !dino.hidden_size.is_multiple_of(2) {
                return wrong("several views need an even hidden_size".to_owned());
            }
        }
        Ok(())
    }

    /// Patches along a side of the network's input.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.image_size / self.dino.patch_size
    }

    /// Views that it takes, at the most.
    #[must_use]
    pub fn most_views(&self) -> usize {
        match self.views {
            Views::One => 1,
            Views::Several(views) => views,
        }
    }

    /// Tokens that one view gives.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.patches() * self.patches() + usize::from(self.use_cls_token)
    }
}

impl DinoConfig {
    /// Width of the MLPs' middle. SwiGLU's is two thirds, rounded up to a multiple of 8, as DINOv2 has it.
    #[must_use]
    pub fn mlp_width(&self) -> usize {
        let width = (self.hidden_size as f64 * self.mlp_ratio) as usize;
        if self.use_swiglu_ffn { ((width as f64 * 2.0 / 3.0) as usize).next_multiple_of(8) } else { width }
    }

    /// Patches along a side that the position embedding was made for.
    #[must_use]
    pub fn position_patches(&self) -> usize {
        self.image_size / self.patch_size
    }
}
