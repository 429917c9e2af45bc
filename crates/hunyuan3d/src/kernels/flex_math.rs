//! The inner loops of the CPU kernels, on slices, compiled for the widest vectors that the processor has.
//!
//! Each is a plain loop that the compiler vectorises; [`pulp`] picks the instruction set at run time. Transcendental
//! functions are polynomials, since a library call in the loop would keep it scalar.

#![allow(clippy::redundant_closure, reason = "a closure is inlined where it is told to, a function is called")]

use pulp::Arch;

use super::Epilogue;

/// Moved into a closure, it makes that one that can be called once only. One that could be called again would be
/// reached through a shim of the compiler's, which is not inlined into its dispatch, and so compiled for the oldest
/// processor there is.
struct Once;

/// Runs a loop compiled for the processor at hand.
macro_rules! vectorised {
    ($body:expr) => {{
        let once = Once;
        Arch::new().dispatch(
            #[inline(always)]
            move || {
                let _moved = once;
                $body
            },
        )
    }};
}

/// eˣ within 2 ulp for -87 ≤ x ≤ 88, and 0 below (Cephes' reduction and polynomial).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// Adding it rounds to the nearest integer and leaves that in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(LOG2_E, MAGIC);
    let whole = shifted - MAGIC;
    let r = whole.mul_add(-LN2_HIGH, clamped);
    let r = whole.mul_add(-LN2_LOW, r);
    let p = 1.987_569_1e-4f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 5e-1);
    let value = (p * r).mul_add(r, r + 1.0);
    let power = f32::from_bits(shifted.to_bits().wrapping_shl(23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { value * power }
}

/// The error function within 1.5e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / a.mul_add(0.327_591_1, 1.0);
    let p = 1.061_405_4f32;
    let p = p.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    let value = 1.0 - p * t * exp(-a * a);
    value.copysign(x)
}

/// x · sigmoid(x).
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// With tanh(u) = 2·sigmoid(2u) - 1, GELU's tanh form is x · sigmoid(2u).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let u = 0.797_884_6 * (0.044_715 * x * x).mul_add(x, x);
    x / (1.0 + exp(-2.0 * u))
}

/// Adds the bias, if any, to every row and applies the epilogue, in place.
pub fn finish_rows(rows: &mut [f32], width: usize, bias: Option<&[f32]>, epilogue: Epilogue) {
    #[inline(always)]
    fn apply(rows: &mut [f32], width: usize, bias: Option<&[f32]>, f: impl Fn(f32) -> f32) {
        for row in rows.chunks_exact_mut(width) {
            match bias {
                Some(bias) => {
                    for (x, b) in row.iter_mut().zip(bias) {
                        *x = f(*x + b);
                    }
                }
                None => {
                    for x in row {
                        *x = f(*x);
                    }
                }
            }
        }
    }
    match epilogue {
        Epilogue::None if bias.is_none() => {}
        Epilogue::None => vectorised!(apply(
            rows,
            width,
            bias,
            #[inline(always)]
            |x| x
        )),
        Epilogue::Gelu => vectorised!(apply(
            rows,
            width,
            bias,
            #[inline(always)]
            |x| gelu(x)
        )),
        Epilogue::GeluTanh => vectorised!(apply(
            rows,
            width,
            bias,
            #[inline(always)]
            |x| gelu_tanh(x)
        )),
        Epilogue::Silu => vectorised!(apply(
            rows,
            width,
            bias,
            #[inline(always)]
            |x| silu(x)
        )),
        Epilogue::Relu => vectorised!(apply(
            rows,
            width,
            bias,
            #[inline(always)]
            |x| x.max(0.0)
        )),
    }
}

/// `out = silu(first half) · second half` for rows of `2 * width`.
pub fn swiglu_rows(x: &[f32], out: &mut [f32], width: usize) {
    vectorised!({
        for (row, out) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, value) = row.split_at(width);
            for ((out, g), v) in out.iter_mut().zip(gate).zip(value) {
                *out = silu(*g) * v;
            }
        }
    });
}

/// Sums in lanes, which both vectorises and rounds less than one running sum.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut lanes = [0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let mut rest = 0f32;
    for v in chunks.remainder() {
        rest += f(*v);
    }
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += f(*v);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Layer norm of one row: `out = (x - mean) / √(variance + epsilon) · gain + offset`.
#[inline(always)]
fn norm_row(x: &[f32], out: &mut [f32], gain: impl Fn(usize) -> f32, offset: impl Fn(usize) -> f32, epsilon: f32) {
    let count = x.len() as f32;
    let mean = sum(
        x,
        #[inline(always)]
        |v| v,
    ) / count;
    let variance = sum(
        x,
        #[inline(always)]
        |v| (v - mean) * (v - mean),
    ) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for (index, (out, v)) in out.iter_mut().zip(x).enumerate() {
        *out = ((v - mean) * factor).mul_add(gain(index), offset(index));
    }
}

/// Layer norm of rows. Gain and offset as they are.
pub fn layer_norm_rows(x: &[f32], out: &mut [f32], width: usize, gain_offset: Option<(&[f32], &[f32])>, epsilon: f32) {
    vectorised!(for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        match gain_offset {
            Some((gain, offset)) => {
                let (gain, offset) = (&gain[..width], &offset[..width]);
                norm_row(
                    x,
                    out,
                    #[inline(always)]
                    |i| gain[i],
                    #[inline(always)]
                    |i| offset[i],
                    epsilon,
                );
            }
            None => norm_row(
                x,
                out,
                #[inline(always)]
                |_| 1.0,
                #[inline(always)]
                |_| 0.0,
                epsilon,
            ),
        }
    });
}

/// Adaptive layer norm of rows that share scale and shift.
pub fn modulate_rows(x: &[f32], out: &mut [f32], width: usize, scale: &[f32], shift: &[f32], epsilon: f32) {
    let (scale, shift) = (&scale[..width], &shift[..width]);
    vectorised!(for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        norm_row(
            x,
            out,
            #[inline(always)]
            |i| 1.0 + scale[i],
            #[inline(always)]
            |i| shift[i],
            epsilon,
        );
    });
}

/// RMS norm of one row.
pub fn rms_norm_row(x: &[f32], out: &mut [f32], gain: &[f32], epsilon: f32) {
    vectorised!({
        let factor = 1.0
            / (sum(
                x,
                #[inline(always)]
                |v| v * v,
            ) / x.len() as f32
                + epsilon)
                .sqrt();
        for ((out, v), g) in out.iter_mut().zip(x).zip(gain) {
            *out = v * factor * g;
        }
    });
}

/// `x += gate · y` for rows that share the gate.
pub fn gated_add_rows(x: &mut [f32], y: &[f32], width: usize, gate: &[f32]) {
    let gate = &gate[..width];
    vectorised!(for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
        for ((x, y), g) in x.iter_mut().zip(y).zip(gate) {
            *x = g.mul_add(*y, *x);
        }
    });
}

/// One block of online softmax (Milakov and Gimelshein 2018): turns a row of scores into weights against the running
/// maximum, and returns the new maximum, what earlier sums must be multiplied with, and the weights' sum.
pub fn softmax_row(scores: &mut [f32], scale: f32, maximum: f32) -> (f32, f32, f32) {
    vectorised!({
        const LANES: usize = 32;
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let chunks = scores.chunks_exact(LANES);
        let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = if *v > *lane { *v } else { *lane };
            }
        }
        let highest = lanes.iter().fold(rest, |m, v| m.max(*v)) * scale;
        let new = highest.max(maximum);
        let mut sums = [0f32; LANES];
        let mut chunks = scores.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (sum, v) in sums.iter_mut().zip(chunk) {
                // Rounded as the maximum was: fused, the difference would be half an ulp of huge scores, which is no
                // small exponent.
                *v = exp(*v * scale - new);
                *sum += *v;
            }
        }
        let mut total = 0.0;
        for v in chunks.into_remainder() {
            *v = exp(*v * scale - new);
            total += *v;
        }
        (new, exp(maximum - new), sums.iter().sum::<f32>() + total)
    })
}

/// `values *= factor`.
pub fn scale(values: &mut [f32], factor: f32) {
    vectorised!(for value in values {
        *value *= factor;
    });
}

/// `sum = sum · factor + x`.
pub fn scale_add(sum: &mut [f32], factor: f32, x: &[f32]) {
    vectorised!(for (sum, x) in sum.iter_mut().zip(x) {
        *sum = sum.mul_add(factor, *x);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exp() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= exact * 3e-7, "{x}: {} {exact}", exp(x));
        }
        assert_eq!(exp(0.0).to_bits(), 1f32.to_bits());
        assert_eq!(exp(-1e30).to_bits(), 0f32.to_bits());
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0f32.to_bits());
    }

    #[test]
    fn the_activations_are_what_they_are_called() {
        for step in -1000..=1000 {
            let x = step as f32 * 0.01;
            let d = f64::from(x);
            let near = |got: f32, exact: f64| assert!((f64::from(got) - exact).abs() < 1e-6, "{x}: {got} {exact}");
            near(silu(x), d / (1.0 + (-d).exp()));
            near(gelu(x), 0.5 * d * (1.0 + libm::erf(d / 2f64.sqrt())));
            let u = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044_715 * d * d * d);
            near(gelu_tanh(x), 0.5 * d * (1.0 + u.tanh()));
        }
    }
}
