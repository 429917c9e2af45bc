//! Exact Euclidean distance transform.

use rayon::prelude::*;

/// Distance, in pixels, from every pixel's centre to the nearest centre where `seed` holds, and infinity where there
/// is none. Row-major, `width` to the row.
///
/// Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled Functions" (2012): column distances by two scans,
/// then the lower envelope of parabolas along each row.
pub(crate) fn distance_to(width: usize, seeds: &[bool]) -> Vec<f32> {
    let mut out: Vec<f32> = seeds.iter().map(|seed| if *seed { 0.0 } else { f32::INFINITY }).collect();
    for at in width..out.len() {
        out[at] = out[at].min(out[at - width] + 1.0);
    }
    for at in (0..out.len().saturating_sub(width)).rev() {
        out[at] = out[at].min(out[at + width] + 1.0);
    }
    out.par_chunks_mut(width).for_each_init(
        || (Vec::with_capacity(width), Vec::with_capacity(width)),
        |(parabolas, squares), row| envelope(row, parabolas, squares),
    );
    out
}

/// Replaces column distances by distances, in one row. `parabolas` holds (apex, where it begins to be the lowest).
fn envelope(row: &mut [f32], parabolas: &mut Vec<(usize, f64)>, squares: &mut Vec<f64>) {
    squares.clear();
    squares.extend(row.iter().map(|d| f64::from(*d) * f64::from(*d)));
    parabolas.clear();
    for (apex, square) in squares.iter().enumerate() {
        if !square.is_finite() {
            continue;
        }
        let lifted = square + (apex * apex) as f64;
        let mut begin = f64::NEG_INFINITY;
        while let Some(&(last, last_begin)) = parabolas.last() {
            begin = (lifted - squares[last] - (last * last) as f64) / (2 * (apex - last)) as f64;
            if begin > last_begin {
                break;
            }
            parabolas.pop();
            begin = f64::NEG_INFINITY;
        }
        parabolas.push((apex, begin));
    }
    let mut current = 0;
    for (x, value) in row.iter_mut().enumerate() {
        while current + 1 < parabolas.len() && parabolas[current + 1].1 < x as f64 {
            current += 1;
        }
        if let Some(&(apex, _)) = parabolas.get(current) {
            let across = x.abs_diff(apex) as f64;
            *value = (across * across + squares[apex]).sqrt() as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_trying_every_seed() {
        let (width, height) = (23, 17);
        let mut state = 9u32;
        for thinning in [3, 40, 400] {
            let seeds: Vec<bool> = (0..width * height)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8).is_multiple_of(thinning)
                })
                .collect();
            let got = distance_to(width, &seeds);
            for (at, got) in got.iter().enumerate() {
                let brute = (0..seeds.len())
                    .filter(|seed| seeds[*seed])
                    .map(|seed| {
                        let (dx, dy) = ((seed % width).abs_diff(at % width), (seed / width).abs_diff(at / width));
                        ((dx * dx + dy * dy) as f32).sqrt()
                    })
                    .fold(f32::INFINITY, f32::min);
                assert!(*got == brute || (got - brute).abs() < 1e-4, "{at}: {got} {brute}");
            }
        }
        assert!(distance_to(4, &[false; 8]).iter().all(|d| d.is_infinite()));
    }
}
