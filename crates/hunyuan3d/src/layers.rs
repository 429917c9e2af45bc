//! The layers that several parts are made of.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::ModelError;
use crate::kernels::{Epilogue, Kernels, Norm};
use crate::weights::Weights;

/// A linear layer as checkpoints store it.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[out, in]`.
    pub weight: Param<Tensor<B, 2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Kernels> Linear<B> {
    /// Takes `name.weight` and, with `bias`, `name.bias`.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(
        weights: &mut Weights<'_, B>,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<Self, ModelError> {
        weights.within(name, |weights| {
            let weight = weights.param("weight", [outputs, inputs])?;
            let bias = if bias { Some(weights.param("bias", [outputs])?) } else { None };
            Ok(Self { weight, bias })
        })
    }

    /// # Shapes
    /// `[batch, tokens, in]` → `[batch, tokens, out]`.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.forward_then(x, Epilogue::None)
    }

    /// Onto a residual: `residual + gate · forward(x)`, or without a gate.
    ///
    /// # Shapes
    /// residual `[batch, tokens, out]`, gate `[batch or 1, 1, out]`, x `[batch, tokens, in]` → as residual.
    pub fn forward_onto(&self, residual: Tensor<B, 3>, gate: Option<Tensor<B, 3>>, x: Tensor<B, 3>) -> Tensor<B, 3> {
        B::affine_add(residual, gate, x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// As [`Self::forward`], with an activation.
    pub fn forward_then(&self, x: Tensor<B, 3>, epilogue: Epilogue) -> Tensor<B, 3> {
        B::affine(x, self.weight.val(), self.bias.as_ref().map(Param::val), epilogue)
    }
}

/// Layer norm with gain and offset.
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    /// `[width]`.
    pub weight: Param<Tensor<B, 1>>,
    /// `[width]`.
    pub bias: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: Kernels> LayerNorm<B> {
    /// Takes `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, name: &str, width: usize, epsilon: f64) -> Result<Self, ModelError> {
        weights.within(name, |weights| {
            Ok(Self { weight: weights.param("weight", [width])?, bias: weights.param("bias", [width])?, epsilon })
        })
    }

    /// # Shapes
    /// `[batch, tokens, width]` → the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        B::norm(x, Some((self.weight.val(), self.bias.val())), self.epsilon)
    }

    /// Its parameters, both `[width]`.
    pub fn gain_offset(&self) -> (Tensor<B, 1>, Tensor<B, 1>) {
        (self.weight.val(), self.bias.val())
    }

    /// All of it, for kernels that do more than the norm.
    pub fn as_norm(&self) -> Norm<B> {
        Norm { gain: self.weight.val(), offset: self.bias.val(), epsilon: self.epsilon }
    }

    /// Over each head's channels.
    ///
    /// # Shapes
    /// `[batch, heads, tokens, width]` → the same.
    pub fn forward_heads(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        B::head_layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// Two linear layers with an activation between them.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// To the middle.
    pub first: Linear<B>,
    /// Back.
    pub second: Linear<B>,
}

impl<B: Kernels> Mlp<B> {
    /// Takes two layers by their names, `width` → `middle` → `width`.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(
        weights: &mut Weights<'_, B>,
        [first, second]: [&str; 2],
        width: usize,
        middle: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            first: Linear::load(weights, first, width, middle, true)?,
            second: Linear::load(weights, second, middle, width, true)?,
        })
    }

    /// Onto a residual, through a gate where there is one.
    ///
    /// # Shapes
    /// residual and x `[batch, tokens, width]`, gate `[batch or 1, 1, width]` → as residual.
    pub fn forward_onto(
        &self,
        residual: Tensor<B, 3>,
        gate: Option<Tensor<B, 3>>,
        x: Tensor<B, 3>,
        activation: Epilogue,
    ) -> Tensor<B, 3> {
        self.second.forward_onto(residual, gate, self.first.forward_then(x, activation))
    }
}

/// Splits side by side heads: `[batch, tokens, heads * width]` → `[batch, heads, tokens, width]`, a view.
pub fn split_heads<B: Backend>(x: Tensor<B, 3>, heads: usize) -> Tensor<B, 4> {
    let [batch, tokens, channels] = x.dims();
    x.reshape([batch, tokens, heads, channels / heads]).swap_dims(1, 2)
}
