//! DINOv2 (Oquab et al. 2023): the vision transformer that turns a picture into conditioning tokens.
//!
//! Source: transformers' `modeling_dinov2.py`, which the reference uses.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::config::{Activation, ConditionerConfig, DinoConfig};
use crate::kernels::{Epilogue, Kernels};
use crate::layers::{LayerNorm, Linear, Mlp, split_heads};
use crate::resample::bicubic;
use crate::weights::{Weights, derived};

/// The network.
#[derive(Module, Debug)]
pub struct Dino<B: Backend> {
    /// Patches to tokens; the convolution's kernel as a matrix.
    patches: Linear<B>,
    /// `[1, 1, width]`: the class token with its position.
    class_token: Param<Tensor<B, 3>>,
    /// `[1, patches, width]`: positions, at the input's own size.
    positions: Param<Tensor<B, 3>>,
    blocks: Vec<Block<B>>,
    norm: LayerNorm<B>,
    patch: usize,
    side: usize,
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    norm1: LayerNorm<B>,
    /// Queries, keys and values in one product: `[3 * width, width]`. The checkpoint has them apart.
    qkv: Linear<B>,
    output: Linear<B>,
    /// `[1, 1, width]`.
    scale1: Param<Tensor<B, 3>>,
    norm2: LayerNorm<B>,
    mlp: Mlp<B>,
    scale2: Param<Tensor<B, 3>>,
    heads: usize,
    gated: bool,
    #[module(skip)]
    activation: Epilogue,
}

impl<B: Kernels> Dino<B> {
    /// Takes the network's parameters, for input pictures of `config.image_size`.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, config: &ConditionerConfig) -> Result<Self, ModelError> {
        let (dino, side) = (&config.dino, config.patches());
        let width = dino.hidden_size;
        let (patches, class_token, positions) = weights.within("embeddings", |weights| {
            if dino.use_mask_token {
                // Of training; it must be there all the same.
                weights.host("mask_token", &[1, width])?;
            }
            let [class, grid] = tokens_of_place(weights, dino, side)?;
            Ok((patch_projection(weights, dino)?, class, grid))
        })?;
        let blocks = weights.within("encoder.layer", |weights| {
            (0..dino.num_hidden_layers)
                .map(|index| weights.within(&index.to_string(), |weights| Block::load(weights, dino)))
                .collect()
        })?;
        let norm = LayerNorm::load(weights, "layernorm", width, dino.layer_norm_eps)?;
        Ok(Self { patches, class_token, positions, blocks, norm, patch: dino.patch_size, side })
    }

    /// Encodes pictures.
    ///
    /// # Shapes
    /// `[pictures, 3, size, size]`, normalised → `[pictures, 1 + patches, width]`, the class token first.
    pub fn forward(&self, pictures: Tensor<B, 4>) -> Tensor<B, 3> {
        let [count, channels, size, _] = pictures.dims();
        let (side, patch) = (self.side, self.patch);
        // A convolution whose stride is its kernel: cut into patches, each a row. What is over at the edge is left out.
        let whole = side * patch;
        let pictures = if size == whole { pictures } else { pictures.narrow(2, 0, whole).narrow(3, 0, whole) };
        let rows = pictures.reshape([count, channels, side, patch, side, patch]).permute([0, 2, 4, 1, 3, 5]).reshape([
            count,
            side * side,
            channels * patch * patch,
        ]);
        let tokens = self.patches.forward(rows) + self.positions.val();
        let class = self.class_token.val().repeat_dim(0, count);
        let mut x = Tensor::cat(vec![class, tokens], 1);
        for block in &self.blocks {
            x = block.forward(x);
        }
        self.norm.forward(x)
    }
}

/// The class token with its position, `[1, 1, width]`, and the patches' positions, `[1, patches, width]`.
fn tokens_of_place<B: Kernels>(
    weights: &mut Weights<'_, B>,
    dino: &DinoConfig,
    side: usize,
) -> Result<[Param<Tensor<B, 3>>; 2], ModelError> {
    let (width, from) = (dino.hidden_size, dino.position_patches());
    let (class, positions) = ([1, 1, width], [1, from * from + 1, width]);
    if weights.are_on_device() {
        if from != side {
            return Err(ModelError::weights("positions of another size than the pictures' cannot be learned"));
        }
        let class = weights.param("cls_token", class)?.val();
        let positions = weights.param("position_embeddings", positions)?.val();
        let grid = positions.clone().narrow(1, 1, side * side);
        return Ok([derived(class + positions.narrow(1, 0, 1)), derived(grid)]);
    }
    // Summed and interpolated in float32, whatever the network's precision.
    let class = weights.host("cls_token", &class)?;
    let positions = weights.host("position_embeddings", &positions)?;
    let (own, grid) = positions.split_at(width);
    let class: Vec<f32> = class.iter().zip(own).map(|(token, position)| token + position).collect();
    let grid = if from == side { grid.to_vec() } else { bicubic(grid, from, side, width) };
    let class = derived(weights.constant(class, [1, 1, width]));
    Ok([class, derived(weights.constant(grid, [1, side * side, width]))])
}

fn patch_projection<B: Kernels>(weights: &mut Weights<'_, B>, dino: &DinoConfig) -> Result<Linear<B>, ModelError> {
    let (width, patch, channels) = (dino.hidden_size, dino.patch_size, dino.num_channels);
    weights.within("patch_embeddings.projection", |weights| {
        let kernel = weights.param("weight", [width, channels, patch, patch])?;
        let weight = derived(kernel.val().reshape([width, channels * patch * patch]));
        Ok(Linear { weight, bias: Some(weights.param("bias", [width])?) })
    })
}

/// Linear layers of one input as one, their outputs side by side.
fn side_by_side<B: Kernels>(layers: &[Linear<B>]) -> Linear<B> {
    let weights = layers.iter().map(|layer| layer.weight.val()).collect();
    let biases: Option<Vec<_>> = layers.iter().map(|layer| layer.bias.as_ref().map(Param::val)).collect();
    Linear { weight: derived(Tensor::cat(weights, 0)), bias: biases.map(|biases| derived(Tensor::cat(biases, 0))) }
}

impl<B: Kernels> Block<B> {
    fn load(weights: &mut Weights<'_, B>, dino: &DinoConfig) -> Result<Self, ModelError> {
        let (width, epsilon) = (dino.hidden_size, dino.layer_norm_eps);
        let scale = |weights: &mut Weights<'_, B>, name: &str| -> Result<_, ModelError> {
            let gain: Param<Tensor<B, 1>> = weights.param(name, [width])?;
            Ok(derived(gain.val().reshape([1, 1, width])))
        };
        let bias = dino.qkv_bias;
        let middle = dino.mlp_width();
        let mlp = if dino.use_swiglu_ffn {
            Mlp {
                first: Linear::load(weights, "mlp.weights_in", width, 2 * middle, true)?,
                second: Linear::load(weights, "mlp.weights_out", middle, width, true)?,
            }
        } else {
            Mlp::load(weights, ["mlp.fc1", "mlp.fc2"], width, middle)?
        };
        let part = |weights: &mut Weights<'_, B>, name: &str| -> Result<Linear<B>, ModelError> {
            Linear::load(weights, &format!("attention.attention.{name}"), width, width, bias)
        };
        let parts = [part(weights, "query")?, part(weights, "key")?, part(weights, "value")?];
        Ok(Self {
            norm1: LayerNorm::load(weights, "norm1", width, epsilon)?,
            qkv: side_by_side(&parts),
            output: Linear::load(weights, "attention.output.dense", width, width, true)?,
            scale1: scale(weights, "layer_scale1.lambda1")?,
            norm2: LayerNorm::load(weights, "norm2", width, epsilon)?,
            mlp,
            scale2: scale(weights, "layer_scale2.lambda1")?,
            heads: dino.num_attention_heads,
            gated: dino.use_swiglu_ffn,
            activation: match dino.hidden_act {
                Activation::Gelu => Epilogue::Gelu,
                Activation::GeluTanh => Epilogue::GeluTanh,
                Activation::Relu => Epilogue::Relu,
                Activation::Silu => Epilogue::Silu,
            },
        })
    }

    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let normed = self.norm1.forward(x.clone());
        // All heads of all three, then each one's: views, where their rows are read 16 bytes at a time.
        let qkv = split_heads(self.qkv.forward(normed), 3 * self.heads);
        let part = |index: usize| qkv.clone().narrow(1, index * self.heads, self.heads);
        let attention = B::attend(part(0), part(1), part(2));
        let x = self.output.forward_onto(x, Some(self.scale1.val()), attention);
        let normed = self.norm2.forward(x.clone());
        if self.gated {
            let middle = B::swiglu(self.mlp.first.forward(normed));
            self.mlp.second.forward_onto(x, Some(self.scale2.val()), middle)
        } else {
            self.mlp.forward_onto(x, Some(self.scale2.val()), normed, self.activation)
        }
    }
}
