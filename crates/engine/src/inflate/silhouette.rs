//! From the picture's alpha to a smooth level on the field's grid: positive inside, in cells.
//!
//! Thin parts are widened and narrow holes opened at the picture's own resolution first. Then the alpha is blurred by
//! a Gaussian that is integrated exactly over each pixel, and the blurred value turned back into a distance: across a
//! straight edge the blurred alpha is the normal distribution of the distance, so its quantile is the distance to the
//! edge at sub-pixel precision, without the pixels' stairs.

use rayon::prelude::*;

use super::distance::distance_to;
use super::edges;
use super::normal::{cdf, quantile};
use super::thin::{ThinRules, ridge, thin_medial};
use crate::{EngineError, EngineErrorKind, Picture};

/// Half the width of the field's bounds: the picture's square is -1 to 1, and the rest a margin.
pub(crate) const BOUND: f32 = 1.01;
/// Standard deviation of the blur. Below about 0.6 the stairs of a hard-edged picture show; above 0.8 small holes
/// shrink noticeably.
const BLUR: f32 = 0.7;
/// Half the least width of a part: 2.6 cells across is what a printer and the surface's grid can carry.
const LEAST_PART: f32 = 1.3;
/// Half the least width of a hole. The blur takes a little of it.
const LEAST_HOLE: f32 = 1.25;
/// Half the width of any part's core that no opened hole may cut into.
const KEPT_CORE: f32 = 0.9;

/// Samples on the grid's plane, row-major with y up: `[size, size]`.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    /// Samples along an axis.
    pub size: usize,
    /// The samples.
    pub values: Vec<f64>,
}

/// The picture's alpha with everything wide enough for the grid, `[side, side]` from 0 to 1, top row first.
pub(crate) struct Coverage {
    side: usize,
    alpha: Vec<f32>,
    /// Standard deviation of the blur that the grid needs, in pixels.
    blur: f32,
}

/// Widens what is thinner than the grid of `resolution` cells can carry.
///
/// # Errors
/// [`EngineErrorKind::NoSubject`] where no part of the alpha reaches one half.
pub(crate) fn coverage(picture: &Picture, resolution: usize) -> Result<Coverage, EngineError> {
    let side = picture.width as usize;
    let cell = BOUND * side as f32 / resolution as f32;
    // Where the grid is finer than the picture, the pixel is the measure of what is thin.
    let unit = cell.max(1.0);
    let (part, hole) = (LEAST_PART * unit, LEAST_HOLE * unit);
    let mut alpha: Vec<f32> = picture.rgba.chunks_exact(4).map(|pixel| f32::from(pixel[3]) / 255.0).collect();

    edges::soften(side, &mut alpha);

    // A frame of empty pixels, so that what lies between the subject and the picture's edge is not taken for narrow.
    let frame = (2.0 * part).ceil() as usize + 3;
    let width = side + 2 * frame;
    let padded = |at: usize| (at / side + frame) * width + at % side + frame;
    let mut inside = vec![false; width * width];
    for (at, value) in alpha.iter().enumerate() {
        inside[padded(at)] = *value >= 0.5;
    }
    let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
    // From a pixel's centre to the border is half a pixel less than to the next centre beyond it.
    let depth = |seeds: &[bool]| -> Vec<f32> { distance_to(width, seeds).iter().map(|d| (d - 0.5).max(0.0)).collect() };
    let (inner, outer) = rayon::join(|| depth(&outside), || depth(&inside));
    if !inside.contains(&true) {
        return Err(EngineError::new(EngineErrorKind::NoSubject, "no subject stands out in the picture"));
    }
    let noise = ((0.25 * cell * cell) as usize).min(5);
    let (parts, holes) = rayon::join(
        || thin_medial(width, &inner, ThinRules { radius: part, least_area: noise + 1, reach: 2.5, dead_end: 0.0 }),
        || {
            thin_medial(
                width,
                &outer,
                ThinRules { radius: hole, least_area: noise + 1, reach: 4.0, dead_end: 0.3 * hole },
            )
        },
    );
    if let Some(parts) = &parts {
        let away = distance_to(width, parts);
        alpha.par_iter_mut().enumerate().for_each(|(at, alpha)| *alpha = alpha.max(disc(part, away[padded(at)])));
    }
    if let Some(holes) = &holes {
        let core: Vec<bool> = (0..inner.len())
            .into_par_iter()
            .map(|at| inner[at] > 0.0 && inner[at] < 2.5 * part && ridge(width, &inner, at))
            .collect();
        let (away, to_core) = rayon::join(|| distance_to(width, holes), || distance_to(width, &core));
        alpha.par_iter_mut().enumerate().for_each(|(at, alpha)| {
            let at = padded(at);
            let kept = alpha.min(disc(KEPT_CORE * unit, to_core[at]));
            *alpha = alpha.min(1.0 - disc(hole, away[at])).max(kept);
        });
    }
    Ok(Coverage { side, alpha, blur: BLUR * unit })
}

/// How much of a pixel a disc of `radius` covers whose centre is `away`.
fn disc(radius: f32, away: f32) -> f32 {
    (radius + 0.5 - away).clamp(0.0, 1.0)
}

/// The level at the grid's samples: the signed distance to the outline in cells, good to about one blur's width on
/// either side and clamped beyond three. The outermost samples are outside.
pub(crate) fn level(coverage: &Coverage, resolution: usize) -> Plane {
    let Coverage { side, alpha, blur } = coverage;
    let (side, size) = (*side, resolution + 1);
    let cell = f64::from(BOUND) * side as f64 / resolution as f64;
    let weights: Vec<(usize, Vec<f32>)> =
        (0..size).map(|at| pixel_weights(at, resolution, side, f64::from(*blur))).collect();
    let mut rows = vec![0f32; size * side];
    rows.par_chunks_mut(side).zip(&weights).for_each(|(row, (first, weights))| {
        for (weight, pixels) in weights.iter().zip(alpha.chunks_exact(side).skip(*first)) {
            for (sum, pixel) in row.iter_mut().zip(pixels) {
                *sum += weight * pixel;
            }
        }
    });
    let scale = f64::from(*blur) / cell;
    let mut values = vec![0f64; size * size];
    values.par_chunks_mut(size).enumerate().for_each(|(y, out)| {
        // The picture's rows go down, the grid's go up.
        let row = &rows[(resolution - y) * side..][..side];
        for (x, (value, (first, weights))) in out.iter_mut().zip(&weights).enumerate() {
            let blurred: f32 = weights.iter().zip(&row[*first..]).map(|(weight, alpha)| weight * alpha).sum();
            *value = quantile(f64::from(blurred)) * scale;
            if x == 0 || y == 0 || x == resolution || y == resolution {
                *value = value.min(-0.05);
            }
        }
    });
    Plane { size, values }
}

/// The first pixel and the weights of the pixels that a blurred sample sums, along one axis.
fn pixel_weights(at: usize, resolution: usize, side: usize, blur: f64) -> (usize, Vec<f32>) {
    let position = f64::from(BOUND) * (2.0 * at as f64 - resolution as f64) / resolution as f64;
    let centre = (position + 1.0) / 2.0 * side as f64;
    let first = (centre - 4.5 * blur).floor().clamp(0.0, side as f64) as usize;
    let last = (centre + 4.5 * blur).ceil().clamp(0.0, side as f64) as usize;
    let below = |edge: usize| cdf((edge as f64 - centre) / blur);
    (first, (first..last).map(|pixel| (below(pixel + 1) - below(pixel)) as f32).collect())
}
