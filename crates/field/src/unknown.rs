//! Samples that nobody asked for.
//!
//! The reference leaves NaN where its decoder did not look, far from the surface on either side. Such samples must
//! not make a surface of their own: what was not looked at is whatever lies around it.

use std::borrow::Cow;

/// A stretch of NaN along z.
struct Run {
    begin: usize,
    end: usize,
}

/// The samples with every NaN replaced: by a value inside where all that is known around its region is inside, otherwise
/// by one outside. Regions are connected along the axes.
pub(crate) fn settled(samples: [usize; 3], values: &[f32], iso: f32) -> Cow<'_, [f32]> {
    if !values.iter().any(|value| value.is_nan()) {
        return Cow::Borrowed(values);
    }
    let [nx, ny, nz] = samples;
    let rows: Vec<Vec<Run>> = values.chunks_exact(nz).map(runs).collect();
    let mut first = Vec::with_capacity(rows.len());
    let mut count = 0;
    for row in &rows {
        first.push(count);
        count += row.len();
    }
    let mut parent: Vec<usize> = (0..count).collect();
    // Whether a run touches a known sample inside, and one outside.
    let mut touches = vec![[false; 2]; count];
    for (number, row) in rows.iter().enumerate() {
        let (x, y) = (number / ny, number % ny);
        let beside = [
            (x > 0).then(|| number - ny),
            (x + 1 < nx).then_some(number + ny),
            (y > 0).then(|| number - 1),
            (y + 1 < ny).then_some(number + 1),
        ];
        for (index, run) in row.iter().enumerate() {
            let own = first[number] + index;
            let mut look = |at: usize| {
                if !values[at].is_nan() {
                    touches[own][usize::from(values[at] < iso)] = true;
                }
            };
            if run.begin > 0 {
                look(number * nz + run.begin - 1);
            }
            if run.end < nz {
                look(number * nz + run.end);
            }
            for other in beside.into_iter().flatten() {
                (run.begin..run.end).for_each(|z| look(other * nz + z));
            }
            // Rows before this one; those after it look back.
            for other in [beside[0], beside[2]].into_iter().flatten() {
                for (index, neighbour) in rows[other].iter().enumerate() {
                    if neighbour.begin < run.end && run.begin < neighbour.end {
                        let (a, b) = (root(&mut parent, own), root(&mut parent, first[other] + index));
                        parent[a.max(b)] = a.min(b);
                    }
                }
            }
        }
    }
    for run in 0..count {
        let top = root(&mut parent, run);
        let [inside, outside] = touches[run];
        touches[top][0] |= inside;
        touches[top][1] |= outside;
    }
    let mut settled = values.to_vec();
    for (number, row) in rows.iter().enumerate() {
        for (index, run) in row.iter().enumerate() {
            let value = match touches[root(&mut parent, first[number] + index)] {
                [true, false] => iso + 1.0,
                _ => iso - 1.0,
            };
            settled[number * nz + run.begin..number * nz + run.end].fill(value);
        }
    }
    Cow::Owned(settled)
}

fn runs(row: &[f32]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut begin = None;
    for (z, value) in row.iter().enumerate() {
        match (value.is_nan(), begin) {
            (true, None) => begin = Some(z),
            (false, Some(start)) => {
                runs.push(Run { begin: start, end: z });
                begin = None;
            }
            _ => {}
        }
    }
    runs.extend(begin.map(|begin| Run { begin, end: row.len() }));
    runs
}

fn root(parent: &mut [usize], mut node: usize) -> usize {
    while parent[node] != node {
        parent[node] = parent[parent[node]];
        node = parent[node];
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_around_a_ball_says_what_is_within_and_what_is_not() {
        let samples = [20, 24, 28];
        let mut full = Vec::new();
        for index in 0..samples.iter().product::<usize>() {
            let at = [index / (24 * 28), index / 28 % 24, index % 28];
            let d: f32 = at.iter().zip([9.5, 11.5, 13.5]).map(|(i, c): (&usize, f32)| (*i as f32 - c).powi(2)).sum();
            full.push(7.0 - d.sqrt() + 3.0);
        }
        for iso in [3.0, 4.0] {
            let band: Vec<f32> = full.iter().map(|v| if (v - iso).abs() < 1.8 { *v } else { f32::NAN }).collect();
            assert!(band.iter().filter(|v| v.is_nan()).count() > band.len() / 2);
            let settled = settled(samples, &band, iso);
            for (known, found) in full.iter().zip(settled.iter()) {
                assert_eq!(*known >= iso, *found >= iso);
            }
        }
    }

    #[test]
    fn what_touches_both_sides_or_nothing_is_outside() {
        let nan = f32::NAN;
        assert_eq!(*settled([1, 1, 3], &[1.0, nan, -1.0], 0.0), [1.0, -1.0, -1.0]);
        assert_eq!(*settled([1, 1, 3], &[1.0, nan, 1.0], 0.0), [1.0, 1.0, 1.0]);
        assert_eq!(*settled([2, 2, 1], &[nan; 4], 0.5), [-0.5; 4]);
        // Around a corner: one region.
        assert_eq!(*settled([2, 2, 1], &[nan, 2.0, nan, nan], 0.0), [1.0, 2.0, 1.0, 1.0]);
        assert!(matches!(settled([1, 1, 2], &[1.0, 2.0], 0.0), Cow::Borrowed(_)));
    }
}
