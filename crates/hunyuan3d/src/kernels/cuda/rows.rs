//! Norms, modulation, gates, heads and embeddings on the GPU.

use burn::tensor::DType;

use super::architecture::{generation, multiprocessors};
use super::launch::{Array, fresh, has_rows, is_contiguous, is_half, is_vector, launch, layout, view};
use crate::kernels::programs::{self, Program};

/// Channels of the widest row that a warp holds.
const MOST: usize = programs::WIDEST_ROW;
/// Channels of the widest head.
const WIDEST_HEAD: usize = 64;
/// Heads that a block takes.
const HEADS: usize = 16;

fn program(entry: &'static str, element: DType) -> Program {
    programs::rows(entry, 256, element)
}

/// A kernel that takes [`HEADS`] heads of a token a block.
fn by_heads(entry: &'static str, element: DType) -> Program {
    programs::rows(entry, 8 * HEADS as u32, element)
}

fn bits(epsilon: f64) -> u64 {
    u64::from((epsilon as f32).to_bits())
}

fn numbers<const N: usize>(values: [usize; N]) -> impl Iterator<Item = u64> {
    values.into_iter().map(|value| value as u64)
}

/// What a layer norm is followed by.
#[derive(Clone, Copy)]
pub enum Scale<'a> {
    /// Nothing.
    Plain,
    /// `· gain + offset`, both `[width]`.
    Affine(&'a Array, &'a Array),
    /// `· (1 + scale) + shift`, both `[batch or 1, 1, width]`.
    Modulation(&'a Array, &'a Array),
}

/// Layer norm of rows, `[batch, tokens, width]`.
pub fn norm(x: &Array, scale: Scale<'_>, epsilon: f64) -> Option<Array> {
    let ([batch, tokens, width], strides) = layout(x)?;
    generation(x)?;
    if !has_rows(x) || width > MOST || x.meta.num_elements() == 0 {
        return None;
    }
    let out = fresh(x, [batch, tokens, width]);
    let (kind, a, b, stride) = match scale {
        Scale::Plain => (0, x, x, 0),
        Scale::Affine(gain, offset) => (1, gain, offset, 0),
        Scale::Modulation(scale, shift) => {
            let each = [scale, shift].map(|v| v.meta.shape()[0]);
            if each[0] != each[1] {
                return None;
            }
            (2, scale, shift, if each[0] == 1 { 0 } else { width })
        }
    };
    if kind > 0 && ![a, b].iter().all(|v| is_vector(v) && v.dtype == x.dtype) {
        return None;
    }
    let row = if tokens == 1 { width } else { strides[1] };
    let mut scalars: Vec<u64> = numbers([batch * tokens, width, strides[0], row, tokens, stride]).collect();
    scalars.extend([bits(epsilon), kind]);
    launch(
        programs::whole_rows("layer_norm", width, x.dtype),
        ((batch * tokens).div_ceil(8), 1, 1),
        &[],
        &[x, a, b, &out],
        scalars,
    );
    Some(out)
}

/// A layer norm where there is one, then one channel: x `[batch, tokens, width]`, weight `[1, width]`.
pub fn norm_dot(
    x: &Array,
    gain_offset: Option<(&Array, &Array)>,
    epsilon: f64,
    weight: &Array,
    bias: Option<&Array>,
) -> Option<Array> {
    let ([batch, tokens, width], _) = layout::<3>(x)?;
    generation(x)?;
    let (gain, offset) = gain_offset.unwrap_or((weight, weight));
    let vectors = [weight, gain, offset].iter().all(|v| is_vector(v) && v.dtype == x.dtype);
    if !has_rows(x) || !is_contiguous(x) || !vectors || width > MOST || batch * tokens == 0 {
        return None;
    }
    let out = fresh(x, [batch, tokens, 1]);
    let mut scalars: Vec<u64> = numbers([batch * tokens, width]).collect();
    scalars.extend([bits(epsilon), u64::from(gain_offset.is_some()), u64::from(bias.is_some())]);
    let buffers = [x, gain, offset, weight, bias.unwrap_or(weight), &out];
    launch(
        programs::whole_rows("norm_dot", width, x.dtype),
        ((batch * tokens).div_ceil(8), 1, 1),
        &[],
        &buffers,
        scalars,
    );
    Some(out)
}

/// A norm over heads: RMS, or a layer norm where there is an offset. The result lies token by token.
pub fn head_norm(x: &Array, gain: &Array, offset: Option<&Array>, epsilon: f64) -> Option<Array> {
    let ([batch, heads, tokens, width], strides) = layout(x)?;
    generation(x)?;
    let vectors = [gain, offset.unwrap_or(gain)].iter().all(|v| is_vector(v) && v.dtype == x.dtype);
    if !has_rows(x) || !vectors || width > WIDEST_HEAD || x.meta.num_elements() == 0 {
        return None;
    }
    let whole = fresh(x, [batch, tokens, heads, width]);
    let out_strides = [tokens * heads * width, width, heads * width];
    let out = view(&whole, 0, [batch, heads, tokens, width], [out_strides[0], width, out_strides[2], 1]);
    let mut scalars: Vec<u64> = numbers([batch, heads, tokens, width]).collect();
    scalars.extend(numbers([strides[0], strides[1], strides[2]]));
    scalars.extend(numbers(out_strides));
    scalars.extend([bits(epsilon), u64::from(offset.is_some())]);
    let count = (batch * tokens, heads.div_ceil(HEADS), 1);
    launch(by_heads("head_norm", x.dtype), count, &[], &[x, gain, offset.unwrap_or(gain), &out], scalars);
    Some(out)
}

/// A stream's projection with the gains of its norms.
pub type Stream<'a> = (&'a Array, &'a Array, &'a Array);

/// Queries, keys and values of one or two streams behind one another, each `[batch, heads, tokens, width]`.
pub fn stream_heads(streams: &[Stream<'_>], heads: usize, epsilon: f64) -> Option<[Array; 3]> {
    let (first, second) = match streams {
        [one] => (one, None),
        [first, second] => (first, Some(second)),
        _ => return None,
    };
    let ([batch, tokens, channels], _) = layout::<3>(first.0)?;
    generation(first.0)?;
    let width = channels / 3 / heads;
    let behind = match second {
        Some(second) => {
            let ([_, tokens, _], _) = layout::<3>(second.0)?;
            tokens
        }
        None => 0,
    };
    let dtype = first.0.dtype;
    let fits = |(qkv, query, key): &Stream<'_>| {
        [qkv, query, key].iter().all(|x| is_vector(x) && x.dtype == dtype) && qkv.meta.shape()[2] == channels
    };
    if !width.is_multiple_of(8) || width > WIDEST_HEAD || !streams.iter().all(fits) || batch * (tokens + behind) == 0 {
        return None;
    }
    // Of one stream, the values can stay where they are.
    let parts = if second.is_some() { 3 } else { 2 };
    let all = tokens + behind;
    let whole = fresh(first.0, [batch, all, parts * heads * width]);
    let mut scalars: Vec<u64> = numbers([tokens, behind, batch, heads, width]).collect();
    scalars.extend([bits(epsilon), parts as u64]);
    let other = second.unwrap_or(first);
    let buffers = [first.0, other.0, first.1, first.2, other.1, other.2, &whole];
    let count = (batch * all, (parts * heads).div_ceil(HEADS), 1);
    launch(by_heads("join_heads", dtype), count, &[], &buffers, scalars);
    let part = |of: &Array, index: usize, parts: usize| {
        let row = parts * heads * width;
        view(of, index * heads * width, [batch, heads, all, width], [all * row, width, row, 1])
    };
    let values = if second.is_some() { part(&whole, 2, 3) } else { part(first.0, 2, 3) };
    Some([part(&whole, 0, parts), part(&whole, 1, parts), values])
}

/// Some channels of the last axis, as a view.
pub fn channels(x: &Array, begin: usize, width: usize) -> Option<Array> {
    let ([batch, heads, tokens, _], strides) = layout(x)?;
    generation(x)?;
    let aligned = is_half(x) && begin.is_multiple_of(8) && width.is_multiple_of(8) && strides[3] == 1;
    aligned.then(|| view(x, begin, [batch, heads, tokens, width], strides))
}

/// `x + gate · y`, or without a gate; x and y `[batch, tokens, width]`, gate `[batch or 1, 1, width]`.
pub fn gated_add(x: &Array, gate: Option<&Array>, y: &Array) -> Option<Array> {
    let ([batch, tokens, width], _) = layout::<3>(x)?;
    generation(x)?;
    let all = [x, y, gate.unwrap_or(x)];
    let elements = batch * tokens * width;
    let fits = all.iter().all(|v| is_vector(v) && v.dtype == x.dtype) && y.meta.shape() == x.meta.shape();
    if !fits || !width.is_multiple_of(8) || elements == 0 {
        return None;
    }
    let out = fresh(x, [batch, tokens, width]);
    let stride = gate.map_or(0, |gate| if gate.meta.shape()[0] == 1 { 0 } else { width });
    let scalars = [elements / 8, width / 8, tokens * width / 8, stride, usize::from(gate.is_some())];
    let count = ((elements / 8).div_ceil(256), 1, 1);
    let buffers = [x, all[2], y, &out];
    launch(program("gated_add", x.dtype), count, &[], &buffers, numbers(scalars).collect());
    Some(out)
}

/// silu(first half) · second half, `[batch, tokens, 2 * width]` → `[batch, tokens, width]`.
pub fn swiglu(x: &Array) -> Option<Array> {
    let ([batch, tokens, double], _) = layout::<3>(x)?;
    generation(x)?;
    let width = double / 2;
    let elements = batch * tokens * width;
    if !is_vector(x) || !double.is_multiple_of(16) || elements == 0 {
        return None;
    }
    let out = fresh(x, [batch, tokens, width]);
    let count = ((elements / 8).div_ceil(256), 1, 1);
    launch(program("swiglu", x.dtype), count, &[], &[x, &out], numbers([elements / 8, width / 8]).collect());
    Some(out)
}

/// How points lie that our kernels embed.
struct Points {
    count: usize,
    /// Elements from one to the next.
    row: usize,
    /// The lowest frequency's bits.
    lowest: u64,
}

impl Points {
    /// Of points `[batch, points, 3]` in float32; each frequency must be twice the one before.
    fn of(points: &Array, frequencies: &[f32], like: &Array) -> Option<Self> {
        let ([batch, count, axes], strides) = layout::<3>(points)?;
        generation(points)?;
        let lowest = *frequencies.first()?;
        let doubling =
            frequencies.windows(2).all(|pair| (pair[1] - 2.0 * pair[0]).abs() <= f32::EPSILON * pair[1].abs());
        // Points of one item may lie apart, as CubeCL puts rows of twelve bytes that come from the host.
        let rows = if batch == 1 { strides[2] == 1 } else { is_contiguous(points) };
        let fits = points.dtype == DType::F32 && rows && axes == 3 && is_half(like) && doubling && batch * count > 0;
        let row = if count == 1 { 3 } else { strides[1] };
        fits.then_some(Self { count: batch * count, row, lowest: u64::from(lowest.to_bits()) })
    }
}

/// Points `[batch, points, 3]` in float32 to their embedding with zeros behind, `[batch, points, width]`.
///
/// `like` gives the precision; each frequency must be twice the one before.
pub fn fourier(points: &Array, frequencies: &[f32], width: usize, like: &Array) -> Option<Array> {
    let Points { count, row, lowest } = Points::of(points, frequencies, like)?;
    let shape = points.meta.shape();
    let out = fresh(like, [shape[0], shape[1], width]);
    let mut scalars: Vec<u64> = numbers([count, row, frequencies.len(), width]).collect();
    scalars.push(lowest);
    let blocks = (count * width).div_ceil(256);
    launch(program("fourier", like.dtype), (blocks, 1, 1), &[], &[points, &out], scalars);
    Some(out)
}

/// Writes points' embedding `e` with a 1 behind it and zeros, `[batch, points, 64]`, and gives `1 / √(eᵀ · gram · e + epsilon)` of each,
/// `[batch, points]` in float32; gram `[64, 64]` in float32.
pub fn fourier_scaled(points: &Array, frequencies: &[f32], gram: &Array, epsilon: f64, out: &Array) -> Option<Array> {
    const WIDTH: usize = 64;
    /// Blocks of a multiprocessor, whose warps hold the matrix in their registers.
    const BLOCKS: usize = 2;
    let Points { count, row, lowest } = Points::of(points, frequencies, out)?;
    let ([batch, _, width], strides) = layout::<3>(out)?;
    let fits = width == WIDTH && strides[2] == 1 && (batch == 1 || is_contiguous(out));
    let whole = gram.dtype == DType::F32 && is_contiguous(gram) && gram.meta.num_elements() == WIDTH * WIDTH;
    let channels = 3 + 6 * frequencies.len();
    if !fits || !whole || channels >= WIDTH {
        return None;
    }
    let shape = points.meta.shape();
    let scale = fresh(points, [shape[0], shape[1]]);
    let mut scalars: Vec<u64> = numbers([count, row, frequencies.len()]).collect();
    scalars.extend([lowest, bits(epsilon), if count == 1 { WIDTH } else { strides[1] } as u64]);
    let blocks = count.div_ceil(8).min(BLOCKS * multiprocessors(points));
    let buffers = [points, gram, out, &scale];
    launch(programs::fourier_scaled(channels, out.dtype), (blocks, 1, 1), &[], &buffers, scalars);
    Some(scale)
}
