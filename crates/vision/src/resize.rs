//! Resizing of 8-bit rasters with the arithmetic of OpenCV's `resize`, because the model was trained
//! on pictures that went through it.
//!
//! What is reproduced: `INTER_AREA` (the exact mean over integer boxes, the fractional boxes with f32 accumulation,
//! and the bilinear variant in 11-bit fixed point that OpenCV uses as soon as one side grows), `INTER_NEAREST`, and
//! `INTER_CUBIC` as the x86 builds of `opencv-python` compute it (4.14 and 5.0 agree): through Intel IPP in floating
//! point, not through OpenCV's own 11-bit path, which differs by one in a few per cent of the values. IPP's f32 sums
//! may still fall on the other side of a tie: by one, in fewer than one value in ten thousand. The rest is exact.

use rayon::prelude::*;

/// An interleaved 8-bit raster: `data` is `[height, width, channels]` in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Samples, `height * width * channels` of them.
    pub data: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Samples a pixel, 1 to 4.
    pub channels: usize,
}

impl Raster {
    /// A raster over `data` of shape `[height, width, channels]`.
    ///
    /// # Panics
    /// If the length of `data` is not `height * width * channels`, or the raster is empty: a fault of the caller.
    #[must_use]
    pub fn new(data: Vec<u8>, width: usize, height: usize, channels: usize) -> Self {
        assert!(width > 0 && height > 0 && (1..=4).contains(&channels), "a raster has pixels");
        assert_eq!(data.len(), width * height * channels, "a raster's length is its shape");
        Self { data, width, height, channels }
    }

    fn row(&self, y: usize) -> &[u8] {
        let stride = self.width * self.channels;
        &self.data[y * stride..(y + 1) * stride]
    }

    /// Fills a raster of `width` × `height` row by row, in parallel.
    fn by_rows(&self, width: usize, height: usize, fill: impl Fn(usize, &mut [u8]) + Sync) -> Self {
        assert!(width > 0 && height > 0, "a raster has pixels");
        let stride = width * self.channels;
        let mut data = vec![0; stride * height];
        data.par_chunks_mut(stride).enumerate().for_each(|(y, row)| fill(y, row));
        Self { data, width, height, channels: self.channels }
    }
}

/// Source pixels per destination pixel, computed as OpenCV does: through the inverse, which rounds differently.
fn scale(from: usize, to: usize) -> f64 {
    1.0 / (to as f64 / from as f64)
}

/// OpenCV's `INTER_AREA`.
#[must_use]
pub fn resize_area(source: &Raster, width: usize, height: usize) -> Raster {
    if (width, height) == (source.width, source.height) {
        return source.clone();
    }
    let (across, down) = (scale(source.width, width), scale(source.height, height));
    if across < 1.0 || down < 1.0 {
        return linear_of_area(source, width, height);
    }
    let (columns, rows) = (across.round_ties_even(), down.round_ties_even());
    if (across - columns).abs() < f64::EPSILON && (down - rows).abs() < f64::EPSILON {
        return whole_boxes(source, width, height, columns as usize, rows as usize);
    }
    fractional_boxes(source, width, height, across, down)
}

/// Both ratios are whole numbers: integer sums, one rounding.
fn whole_boxes(source: &Raster, width: usize, height: usize, columns: usize, rows: usize) -> Raster {
    let channels = source.channels;
    let factor = 1.0f32 / (columns * rows) as f32;
    // OpenCV halves with (sum + 2) >> 2, which rounds ties up, and takes everything else to even; with two channels
    // it has no such shortcut.
    let halving = columns == 2 && rows == 2 && channels != 2;
    source.by_rows(width, height, |y, out| {
        for (i, value) in out.iter_mut().enumerate() {
            let (x, channel) = (i / channels, i % channels);
            let mut sum = 0u32;
            for row in y * rows..(y + 1) * rows {
                let row = source.row(row);
                for column in x * columns..(x + 1) * columns {
                    sum += u32::from(row[column * channels + channel]);
                }
            }
            *value = if halving { ((sum + 2) >> 2) as u8 } else { to_u8(sum as f32 * factor) };
        }
    })
}

/// One source pixel's share in a destination pixel.
struct Share {
    source: usize,
    weight: f32,
}

/// For every destination pixel the source pixels that its box covers. Slivers under a thousandth are left out.
fn box_shares(from: usize, to: usize, scale: f64) -> Vec<Vec<Share>> {
    (0..to)
        .map(|index| {
            let start = index as f64 * scale;
            let end = start + scale;
            let cell = scale.min(from as f64 - start);
            let last = (end.floor() as usize).min(from - 1);
            let first = (start.ceil() as usize).min(last);
            let mut shares = Vec::with_capacity(last - first + 2);
            if first as f64 - start > 1e-3 {
                shares.push(Share { source: first - 1, weight: ((first as f64 - start) / cell) as f32 });
            }
            shares.extend((first..last).map(|source| Share { source, weight: (1.0 / cell) as f32 }));
            if end - last as f64 > 1e-3 {
                let weight = ((end - last as f64).min(1.0).min(cell) / cell) as f32;
                shares.push(Share { source: last, weight });
            }
            shares
        })
        .collect()
}

/// Weighted boxes with f32 sums: first along the row, then down the rows, in OpenCV's order of additions.
fn fractional_boxes(source: &Raster, width: usize, height: usize, across: f64, down: f64) -> Raster {
    let channels = source.channels;
    let columns = box_shares(source.width, width, across);
    let rows = box_shares(source.height, height, down);
    source.by_rows(width, height, |y, out| {
        let mut sums = vec![0.0f32; out.len()];
        for share in &rows[y] {
            let row = source.row(share.source);
            for (sums, shares) in sums.chunks_exact_mut(channels).zip(&columns) {
                let mut mean = [0.0f32; 4];
                for column in shares {
                    let pixel = &row[column.source * channels..][..channels];
                    for (mean, &value) in mean.iter_mut().zip(pixel) {
                        *mean += f32::from(value) * column.weight;
                    }
                }
                for (sum, mean) in sums.iter_mut().zip(mean) {
                    *sum += share.weight * mean;
                }
            }
        }
        for (value, sum) in out.iter_mut().zip(sums) {
            *value = to_u8(sum);
        }
    })
}

/// OpenCV's fixed-point one: 11 bits.
const FIXED_ONE: f32 = 2048.0;

/// The left source pixel and the two weights of every destination pixel, for the bilinear variant of `INTER_AREA`:
/// a destination pixel is a mixture only where its box straddles two source pixels.
fn straddles(from: usize, to: usize) -> Vec<(usize, [i32; 2])> {
    let scale = scale(from, to);
    let inverse = to as f64 / from as f64;
    (0..to)
        .map(|index| {
            let mut left = (index as f64 * scale).floor() as usize;
            let mut part = ((index + 1) as f64 - (left + 1) as f64 * inverse) as f32;
            part = if part <= 0.0 { 0.0 } else { part - part.floor() };
            if left + 1 >= from {
                (left, part) = (from - 1, 0.0);
            }
            let fixed = |weight: f32| (weight * FIXED_ONE).round_ties_even() as i32;
            (left, [fixed(1.0 - part), fixed(part)])
        })
        .collect()
}

/// `INTER_AREA` where a side grows.
fn linear_of_area(source: &Raster, width: usize, height: usize) -> Raster {
    let channels = source.channels;
    let columns = straddles(source.width, width);
    let rows = straddles(source.height, height);
    source.by_rows(width, height, |y, out| {
        let (top, [upper, lower]) = rows[y];
        let (first, second) = (source.row(top), source.row((top + 1).min(source.height - 1)));
        for (pixel, &(left, [near, far])) in out.chunks_exact_mut(channels).zip(&columns) {
            let right = (left + 1).min(source.width - 1);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let mix = |row: &[u8]| {
                    i32::from(row[left * channels + channel]) * near + i32::from(row[right * channels + channel]) * far
                };
                // OpenCV's vertical step drops four bits before and sixteen after each product.
                let sum = ((upper * (mix(first) >> 4)) >> 16) + ((lower * (mix(second) >> 4)) >> 16);
                *value = ((sum + 2) >> 2).clamp(0, 255) as u8;
            }
        }
    })
}

/// The four source pixels (edges repeated) and weights of every destination pixel: Keys' cubic with a = -0.75.
fn cubic_taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    const A: f64 = -0.75;
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|index| {
            let at = (index as f64 + 0.5) * scale - 0.5;
            let base = at.floor();
            let t = at - base;
            let outer = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
            let inner = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
            let (w0, w1, w2) = (outer(t + 1.0), inner(t), inner(1.0 - t));
            let weights = [w0, w1, w2, 1.0 - w0 - w1 - w2];
            std::array::from_fn(|k| {
                let source = (base as i64 - 1 + k as i64).clamp(0, from as i64 - 1);
                (source as usize, weights[k])
            })
        })
        .collect()
}

/// OpenCV's `INTER_CUBIC` (see the module's note on which of its two implementations).
#[must_use]
pub fn resize_cubic(source: &Raster, width: usize, height: usize) -> Raster {
    if (width, height) == (source.width, source.height) {
        return source.clone();
    }
    let channels = source.channels;
    let columns = cubic_taps(source.width, width);
    let rows = cubic_taps(source.height, height);
    source.by_rows(width, height, |y, out| {
        for (pixel, taps) in out.chunks_exact_mut(channels).zip(&columns) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let mut sum = 0.0f64;
                for (row, down) in rows[y] {
                    let row = source.row(row);
                    let mut along = 0.0f64;
                    for (column, weight) in taps {
                        along += f64::from(row[column * channels + channel]) * weight;
                    }
                    sum += along * down;
                }
                *value = sum.round_ties_even().clamp(0.0, 255.0) as u8;
            }
        }
    })
}

/// OpenCV's `INTER_NEAREST`: the pixel at the upper left of the exact place.
#[must_use]
pub fn resize_nearest(source: &Raster, width: usize, height: usize) -> Raster {
    let (across, down) = (scale(source.width, width), scale(source.height, height));
    let channels = source.channels;
    source.by_rows(width, height, |y, out| {
        let row = source.row(((y as f64 * down).floor() as usize).min(source.height - 1));
        for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
            let column = ((x as f64 * across).floor() as usize).min(source.width - 1);
            pixel.copy_from_slice(&row[column * channels..][..channels]);
        }
    })
}

/// Ties to even, as the CPU's own conversion does.
fn to_u8(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, 255.0) as u8
}
