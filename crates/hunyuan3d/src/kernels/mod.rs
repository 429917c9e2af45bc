//! The operations that the network spends its time in, each in one place.
//!
//! [`Kernels`] adds them to a Burn backend. Every method has a body in plain Burn operations, which is the definition of
//! right and what any backend (autodiff too) gets; a backend that can do better says so in its own module.

mod flex;
mod flex_attention;
mod flex_math;
mod flex_product;
pub mod plain;

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// GELU with the error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// GELU with the hyperbolic tangent.
    GeluTanh,
    /// x · sigmoid(x).
    Silu,
    /// max(0, x).
    Relu,
}

/// A backend with the network's operations.
pub trait Kernels: Backend {
    /// `x · weightᵀ + bias`, then the epilogue.
    ///
    /// # Shapes
    /// x `[batch, tokens, in]`, weight `[out, in]`, bias `[out]` → `[batch, tokens, out]`.
    fn affine(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 2>,
        bias: Option<Tensor<Self, 1>>,
        epilogue: Epilogue,
    ) -> Tensor<Self, 3> {
        plain::affine(x, weight, bias, epilogue)
    }

    /// softmax(q · kᵀ / √width) · v, heads put side by side.
    ///
    /// # Shapes
    /// q `[batch, heads, queries, width]`, k and v `[batch, heads, keys, width]`, any strides →
    /// `[batch, queries, heads * width]`.
    fn attend(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>) -> Tensor<Self, 3> {
        plain::attend(q, k, v)
    }

    /// Layer norm over the last axis (Ba et al. 2016), with gain and offset where given.
    ///
    /// # Shapes
    /// x `[batch, tokens, width]`, gain and offset `[width]` → as x.
    fn norm(
        x: Tensor<Self, 3>,
        gain_offset: Option<(Tensor<Self, 1>, Tensor<Self, 1>)>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        plain::norm(x, gain_offset, epsilon)
    }

    /// Layer norm over each head's channels.
    ///
    /// # Shapes
    /// x `[batch, heads, tokens, width]`, any strides; gain and offset `[width]` → as x.
    fn head_layer_norm(
        x: Tensor<Self, 4>,
        gain: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        plain::head_layer_norm(x, gain, offset, epsilon)
    }

    /// RMS norm over each head's channels (Zhang and Sennrich 2019).
    ///
    /// # Shapes
    /// x `[batch, heads, tokens, width]`, any strides; gain `[width]` → as x.
    fn head_rms_norm(x: Tensor<Self, 4>, gain: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 4> {
        plain::head_rms_norm(x, gain, epsilon)
    }

    /// Adaptive layer norm (Peebles and Xie 2023): `(1 + scale) · layer_norm(x) + shift`.
    ///
    /// # Shapes
    /// x `[batch, tokens, width]`, scale and shift `[batch, 1, width]` → as x.
    fn modulate(x: Tensor<Self, 3>, scale: Tensor<Self, 3>, shift: Tensor<Self, 3>, epsilon: f64) -> Tensor<Self, 3> {
        plain::modulate(x, scale, shift, epsilon)
    }

    /// `x + gate · y`.
    ///
    /// # Shapes
    /// x and y `[batch, tokens, width]`, gate `[batch or 1, 1, width]` → as x.
    fn gated_add(x: Tensor<Self, 3>, gate: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        plain::gated_add(x, gate, y)
    }

    /// `x + y`.
    ///
    /// # Shapes
    /// x and y `[batch, tokens, width]` → as x.
    fn residual(x: Tensor<Self, 3>, y: Tensor<Self, 3>) -> Tensor<Self, 3> {
        x + y
    }

    /// The gated unit of SwiGLU (Shazeer 2020): `silu(first half) · second half`.
    ///
    /// # Shapes
    /// x `[batch, tokens, 2 * width]` → `[batch, tokens, width]`.
    fn swiglu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        plain::swiglu(x)
    }

    /// Sines and cosines of a point's coordinates (Mildenhall et al. 2020), after the coordinates themselves.
    ///
    /// # Shapes
    /// points `[1, points, 3]` in float32, frequencies `[frequencies]` → `[1, points, 3 * (2 * frequencies + 1)]` in
    /// float32.
    fn fourier(points: Tensor<Self, 3>, frequencies: &[f32]) -> Tensor<Self, 3> {
        plain::fourier(points, frequencies)
    }
}
