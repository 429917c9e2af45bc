//! Gives a picture with hard edges the soft ones that it lost.
//!
//! A hard-edged alpha says of every pixel only whether more than half of it is covered, and its outline is a flight of
//! stairs. A smooth outline that agrees with every pixel is found by blurring widely, turning the blur back into a
//! distance, and forbidding any pixel to change sides: long shallow stairs become a slope, while nothing that a single
//! pixel says is lost. (The constraint is that of Whitaker, "Reducing Aliasing Artifacts in Iso-Surfaces of Binary
//! Volumes", 2000.)

use rayon::prelude::*;

use super::normal::quantile;

/// Standard deviation of the wide blur, in pixels.
const WIDE: f32 = 2.5;

/// Whether few of the pixels along the outline are partly covered. `alpha` is `[side, side]` from 0 to 1.
fn hard(side: usize, alpha: &[f32]) -> bool {
    let inside = |at: usize| alpha[at] >= 0.5;
    let soft = alpha.iter().filter(|alpha| (0.1..0.9).contains(*alpha)).count();
    let across = (0..alpha.len()).filter(|at| (at + 1) % side != 0 && inside(*at) != inside(at + 1)).count();
    let along = (side..alpha.len()).filter(|at| inside(*at) != inside(at - side)).count();
    soft * 4 < across + along
}

/// Softens the outline where it is hard, else leaves the alpha as it is. No pixel crosses one half.
pub(crate) fn soften(side: usize, alpha: &mut [f32]) {
    if !hard(side, alpha) {
        return;
    }
    let reach = (3.0 * WIDE).ceil() as usize;
    let weights: Vec<f32> = (0..=2 * reach)
        .map(|at| {
            let away = (at as f32 - reach as f32) / WIDE;
            (-away * away / 2.0).exp()
        })
        .collect();
    let whole: f32 = weights.iter().sum();
    // Beyond the picture its last pixels go on, so that a subject cut off by the edge keeps a straight cut.
    let from = |at: usize, tap: usize| (at + tap).saturating_sub(reach).min(side - 1);
    let mut rows = vec![0f32; alpha.len()];
    rows.par_chunks_mut(side).enumerate().for_each(|(y, row)| {
        for (tap, weight) in weights.iter().enumerate() {
            let source = &alpha[from(y, tap) * side..][..side];
            for (sum, value) in row.iter_mut().zip(source) {
                *sum += weight / whole * f32::from(u8::from(*value >= 0.5));
            }
        }
    });
    alpha.par_chunks_mut(side).zip(rows.par_chunks(side)).for_each(|(out, row)| {
        for (x, value) in out.iter_mut().enumerate() {
            let blurred: f32 = weights.iter().enumerate().map(|(tap, weight)| weight * row[from(x, tap)]).sum();
            let distance = WIDE * quantile(f64::from(blurred / whole)) as f32;
            let covered = (0.5 + distance).clamp(0.0, 1.0);
            *value = if *value >= 0.5 { covered.max(0.5) } else { covered.min(0.498) };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stairs_become_a_slope_and_no_pixel_changes_sides() {
        let side = 80;
        let line = |x: f32| 40.0 + 0.13 * (x - 40.0);
        let mask: Vec<f32> = (0..side * side)
            .map(|at| {
                let inside = (at / side) as f32 + 0.5 > line((at % side) as f32 + 0.5);
                f32::from(u8::from(inside || at == 20 * side + 20))
            })
            .collect();
        let mut alpha = mask.clone();
        soften(side, &mut alpha);
        for (before, after) in mask.iter().zip(&alpha) {
            assert_eq!(*before >= 0.5, *after >= 0.5);
        }
        for x in 12..68 {
            let covered: f32 = (30..50).map(|y| alpha[y * side + x]).sum();
            let edge = 50.0 - covered;
            assert!((edge - line(x as f32 + 0.5)).abs() < 0.2, "{x}: {edge} {}", line(x as f32 + 0.5));
        }
        let soft = alpha.clone();
        soften(side, &mut alpha);
        assert_eq!(soft, alpha, "soft edges stay as they are");
    }
}
