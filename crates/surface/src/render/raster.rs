//! The depth buffer.

use rayon::prelude::*;

use super::camera::V3;

/// Rows that one task fills.
const BAND: usize = 32;
/// No triangle.
pub(super) const NOTHING: u32 = u32::MAX;

/// The nearest triangle of every sample.
pub(super) struct Buffer {
    pub width: usize,
    pub height: usize,
    /// Nearness (larger is nearer) and triangle, row by row from the top.
    pub samples: Vec<(f32, u32)>,
}

impl Buffer {
    pub fn at(&self, x: usize, y: usize) -> (f32, u32) {
        self.samples[y * self.width + x]
    }

    /// Whether a square of samples shows one surface, or none at all.
    pub fn is_even(&self, x: usize, y: usize, side: usize) -> bool {
        let (first, triangle) = self.at(x, y);
        (0..side * side).map(|k| self.at(x + k % side, y + k / side)).all(|(nearness, other)| {
            (other == NOTHING) == (triangle == NOTHING) && (nearness - first).abs() <= 0.004 * first.abs()
        })
    }

    /// At a place that may lie outside.
    pub fn look(&self, x: f32, y: f32) -> Option<(f32, u32)> {
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32;
        inside.then(|| self.at(x as usize, y as usize)).filter(|(_, triangle)| *triangle != NOTHING)
    }
}

/// Draws triangles; points are place right and down (in samples), and nearness, which must be linear in the picture.
pub(super) fn raster(width: usize, height: usize, points: &[V3], triangles: &[[u32; 3]]) -> Buffer {
    let mut bands: Vec<Vec<u32>> = vec![Vec::new(); height.div_ceil(BAND)];
    for (number, triangle) in triangles.iter().enumerate() {
        let rows = triangle.map(|v| points[v as usize][1]);
        let low = rows.into_iter().fold(f32::MAX, f32::min).max(0.0);
        let high = rows.into_iter().fold(f32::MIN, f32::max).min(height as f32 - 1.0);
        if low <= high {
            for band in &mut bands[low as usize / BAND..=high as usize / BAND] {
                band.push(number as u32);
            }
        }
    }
    let mut samples = vec![(f32::MIN, NOTHING); width * height];
    samples.par_chunks_mut(width * BAND).zip(&bands).enumerate().for_each(|(band, (rows, numbers))| {
        for number in numbers {
            let corners = triangles[*number as usize].map(|v| points[v as usize]);
            fill(rows, width, band * BAND, corners, *number);
        }
    });
    Buffer { width, height, samples }
}

fn fill(rows: &mut [(f32, u32)], width: usize, top: usize, [a, b, c]: [V3; 3], number: u32) {
    let area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
    if area == 0.0 || !area.is_finite() {
        return;
    }
    let range = |axis: usize, first: usize, count: usize| {
        let low = a[axis].min(b[axis]).min(c[axis]) - 0.5;
        let high = a[axis].max(b[axis]).max(c[axis]) - 0.5;
        let low = low.ceil().max(first as f32) as usize;
        // A float to `usize` conversion saturates at zero.
        low..((high.floor() + 1.0).min((first + count) as f32) as usize).max(low)
    };
    let columns = range(0, 0, width);
    for y in range(1, top, rows.len() / width) {
        let py = y as f32 + 0.5;
        for x in columns.clone() {
            let px = x as f32 + 0.5;
            let u = ((b[0] - px) * (c[1] - py) - (c[0] - px) * (b[1] - py)) / area;
            let v = ((c[0] - px) * (a[1] - py) - (a[0] - px) * (c[1] - py)) / area;
            let w = 1.0 - u - v;
            if u >= 0.0 && v >= 0.0 && w >= 0.0 {
                let nearness = u * a[2] + v * b[2] + w * c[2];
                let sample = &mut rows[(y - top) * width + x];
                if nearness > sample.0 {
                    *sample = (nearness, number);
                }
            }
        }
    }
}
