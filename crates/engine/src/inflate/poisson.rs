//! Poisson's equation on the silhouette: -∇²f = source inside, f = 0 on the outline at its sub-pixel position.
//!
//! Cut cells after Shortley & Weller (1938): a sample next to the outline sees it at its true distance, so the scheme
//! is of second order, and exact for a straight strip along an axis. Solved by multigrid (Brandt 1977): nested
//! iteration, then V-cycles with red-black Gauss-Seidel. A coarse level takes its cut distances from the level above,
//! so that gaps narrower than its cells still part it. On an odd domain a coarse correction can be wrong near the
//! outline, so the cycles are not iterated as they are but precondition GCR (Eisenstat, Elman & Schultz 1983), whose
//! residual never grows.

use std::collections::VecDeque;

use super::silhouette::Plane;
use crate::EngineError;

/// Scaled residual at which the solution is good enough.
pub(crate) const TOLERANCE: f64 = 1e-6;
/// V-cycles at most. Usual silhouettes take about 6.
const MOST_CYCLES: usize = 60;
/// Past steps that a new one is made orthogonal to.
const KEPT_DIRECTIONS: usize = 8;
/// A level of so few cells is solved by sweeps alone.
const COARSEST: usize = 16;
/// The nearest that the outline may be to a sample, in cells; nearer ones would spoil the conditioning for nothing.
const LEAST_CUT: f64 = 1e-3;

/// One level of the hierarchy, `[size, size]` with y up. Lengths are in the level's own cells.
struct Level {
    size: usize,
    /// Weights of the neighbours west, east, south, north; 0 where the outline lies between.
    weights: Vec<[f64; 4]>,
    /// 1 / diagonal; 0 outside.
    inverse: Vec<f64>,
    /// Distance to the neighbour, or to the outline before it, in cells.
    reach: Vec<[f64; 4]>,
    /// The level's cell in cells of the finest, squared.
    area: f64,
    solution: Vec<f64>,
    source: Vec<f64>,
    residual: Vec<f64>,
}

impl Level {
    fn new(size: usize, reach: Vec<[f64; 4]>, joined: &[[bool; 4]], inside: &[bool], area: f64) -> Self {
        let mut weights = vec![[0.0; 4]; size * size];
        let mut inverse = vec![0.0; size * size];
        for at in (0..size * size).filter(|at| inside[*at]) {
            let [west, east, south, north] = reach[at];
            let full = [
                2.0 / (west * (west + east)),
                2.0 / (east * (west + east)),
                2.0 / (south * (south + north)),
                2.0 / (north * (south + north)),
            ];
            for side in 0..4 {
                weights[at][side] = if joined[at][side] { full[side] } else { 0.0 };
            }
            inverse[at] = 1.0 / full.iter().sum::<f64>();
        }
        let zero = vec![0.0; size * size];
        Self { size, weights, inverse, reach, area, solution: zero.clone(), source: zero.clone(), residual: zero }
    }

    /// The finest level: cut where the plane changes sign.
    fn finest(plane: &Plane, size: usize) -> Self {
        let inside: Vec<bool> = (0..size * size)
            .map(|at| {
                let (x, y) = (at % size, at / size);
                x < plane.size && y < plane.size && plane.values[y * plane.size + x] > 0.0
            })
            .collect();
        let mut reach = vec![[1.0; 4]; size * size];
        let mut joined = vec![[false; 4]; size * size];
        for at in (0..size * size).filter(|at| inside[*at]) {
            for (side, other) in sides(size, at).into_iter().enumerate() {
                joined[at][side] = inside[other];
                if !inside[other] {
                    let value = |at: usize| plane.values[at / size * plane.size + at % size];
                    reach[at][side] = (value(at) / (value(at) - value(other))).clamp(LEAST_CUT, 1.0);
                }
            }
        }
        Self::new(size, reach, &joined, &inside, 1.0)
    }

    /// The next coarser level, with every second sample; `None` where it would be too small to help.
    fn coarser(&self) -> Option<Self> {
        let cells = self.size - 1;
        if cells <= COARSEST || !cells.is_multiple_of(2) {
            return None;
        }
        let size = cells / 2 + 1;
        let fine = |at: usize| at / size * 2 * self.size + at % size * 2;
        let inside: Vec<bool> = (0..size * size).map(|at| self.inverse[fine(at)] > 0.0).collect();
        let mut reach = vec![[1.0; 4]; size * size];
        let mut joined = vec![[false; 4]; size * size];
        for at in (0..size * size).filter(|at| inside[*at]) {
            let here = fine(at);
            for (side, next) in sides(self.size, here).into_iter().enumerate() {
                let cut = |at: usize| self.weights[at][side] == 0.0;
                (reach[at][side], joined[at][side]) = if cut(here) {
                    (self.reach[here][side] / 2.0, false)
                } else if cut(next) {
                    ((1.0 + self.reach[next][side]) / 2.0, false)
                } else {
                    (1.0, true)
                };
            }
        }
        Some(Self::new(size, reach, &joined, &inside, self.area * 4.0))
    }

    fn neighbours(&self, field: &[f64], at: usize) -> f64 {
        let [west, east, south, north] = self.weights[at];
        west * field[at - 1] + east * field[at + 1] + south * field[at - self.size] + north * field[at + self.size]
    }

    /// A red-black Gauss-Seidel sweep; `first` is the colour it begins with.
    fn sweep(&mut self, first: usize) {
        for colour in [first, 1 - first] {
            for y in 1..self.size - 1 {
                for x in (1 + (y + 1 + colour) % 2..self.size - 1).step_by(2) {
                    let at = y * self.size + x;
                    if self.inverse[at] > 0.0 {
                        let sum = self.neighbours(&self.solution, at) + self.source[at] * self.area;
                        self.solution[at] = sum * self.inverse[at];
                    }
                }
            }
        }
    }

    /// Residual per sample, scaled as if the row's diagonal were that of an uncut sample: a cut one would otherwise
    /// shout. Returns its sum of squares.
    fn measure(&mut self) -> f64 {
        let mut sum = 0.0;
        for at in self.size..self.size * (self.size - 1) {
            if self.inverse[at] > 0.0 {
                let off = self.neighbours(&self.solution, at) - self.solution[at] / self.inverse[at];
                let value = (self.source[at] + off / self.area) * 4.0 * self.inverse[at];
                self.residual[at] = value;
                sum += value * value;
            }
        }
        sum
    }

    /// The operator on a field of the finest level, 0 outside.
    fn apply(&self, field: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; field.len()];
        for at in (self.size..self.size * (self.size - 1)).filter(|at| self.inverse[*at] > 0.0) {
            out[at] = field[at] / self.inverse[at] - self.neighbours(field, at);
        }
        out
    }

    /// The inner product of two residuals, each scaled as in [`Self::measure`].
    fn product(&self, one: &[f64], other: &[f64]) -> f64 {
        one.iter()
            .zip(other)
            .zip(&self.inverse)
            .map(|((one, other), inverse)| one * other * 16.0 * inverse * inverse)
            .sum()
    }

    /// Full weighting of the residual onto the coarser level's source.
    fn restrict(&self, coarse: &mut Self) {
        for y in 1..coarse.size - 1 {
            for x in 1..coarse.size - 1 {
                let at = y * coarse.size + x;
                if coarse.inverse[at] > 0.0 {
                    let (here, row) = (2 * y * self.size + 2 * x, self.size);
                    let r = &self.residual;
                    let edges = r[here - 1] + r[here + 1] + r[here - row] + r[here + row];
                    let corners = r[here - row - 1] + r[here - row + 1] + r[here + row - 1] + r[here + row + 1];
                    coarse.source[at] = 0.25 * r[here] + 0.125 * edges + 0.0625 * corners;
                }
            }
        }
    }

    /// The coarser solution at this level's inside samples, bilinearly.
    fn prolong(&self, coarse: &Self) -> Vec<f64> {
        let mut out = vec![0.0; self.solution.len()];
        for y in 1..self.size - 1 {
            for x in 1..self.size - 1 {
                let at = y * self.size + x;
                if self.inverse[at] > 0.0 {
                    let low = y / 2 * coarse.size + x / 2;
                    let (right, up) = (x % 2, y % 2 * coarse.size);
                    let c = &coarse.solution;
                    out[at] = 0.25 * (c[low] + c[low + right] + c[low + up] + c[low + right + up]);
                }
            }
        }
        out
    }
}

/// The samples west, east, south and north of one that is not on the grid's border.
fn sides(size: usize, at: usize) -> [usize; 4] {
    [at - 1, at + 1, at - size, at + size]
}

/// One V-cycle on `levels`, the finest first.
fn cycle(levels: &mut [Level]) {
    let Some((fine, rest)) = levels.split_first_mut() else { return };
    let Some(coarse) = rest.first_mut() else {
        for _ in 0..40 {
            fine.sweep(0);
        }
        return;
    };
    fine.sweep(0);
    fine.sweep(0);
    fine.measure();
    fine.restrict(coarse);
    coarse.solution.fill(0.0);
    cycle(rest);
    let correction = fine.prolong(&rest[0]);
    add(&mut fine.solution, 1.0, &correction);
    fine.sweep(1);
    fine.sweep(1);
}

/// `sum += scale * other`
fn add(sum: &mut [f64], scale: f64, other: &[f64]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += scale * other;
    }
}

/// Solves -∇²f = `source` where the plane is positive, with f = 0 where it crosses zero. `plane` and f are `[size,
/// size]`, the plane in cells, f in cells squared and 0 outside; the plane's border must be negative.
///
/// `watch` is told the relative residual after each cycle.
///
/// # Errors
/// What `watch` returns, at once.
pub(crate) fn solve(
    plane: &Plane,
    source: f64,
    mut watch: impl FnMut(f64) -> Result<(), EngineError>,
) -> Result<Plane, EngineError> {
    let mut stride = 1;
    while (plane.size - 1).div_ceil(stride) > COARSEST {
        stride *= 2;
    }
    let size = (plane.size - 1).next_multiple_of(stride) + 1;
    let mut levels = vec![Level::finest(plane, size)];
    while let Some(next) = levels.last().and_then(Level::coarser) {
        levels.push(next);
    }
    let mut whole = 0.0;
    // Nested iteration: each level starts from the solution of the coarser one.
    for at in (0..levels.len()).rev() {
        let level = &mut levels[at];
        for (value, inverse) in level.source.iter_mut().zip(&level.inverse) {
            *value = if *inverse > 0.0 { source } else { 0.0 };
        }
        level.solution.fill(0.0);
        whole = level.measure();
        if at + 1 < levels.len() {
            let start = levels[at].prolong(&levels[at + 1]);
            levels[at].solution = start;
        }
        cycle(&mut levels[at..]);
    }
    let source = std::mem::take(&mut levels[0].source);
    let mut solution = levels[0].solution.clone();
    let mut residual = levels[0].apply(&solution);
    for (value, source) in residual.iter_mut().zip(source) {
        *value = source - *value;
    }
    // Generalised conjugate residuals: each step is orthogonal to the last ones, with the operator applied.
    let mut directions: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..MOST_CYCLES {
        let left = (levels[0].product(&residual, &residual) / whole.max(f64::MIN_POSITIVE)).sqrt();
        watch(left)?;
        if left <= TOLERANCE {
            break;
        }
        levels[0].source = residual.clone();
        levels[0].solution.fill(0.0);
        cycle(&mut levels);
        let fine = &levels[0];
        let mut direction = fine.solution.clone();
        let mut change = fine.apply(&direction);
        for (last, last_change) in &directions {
            let along = fine.product(&change, last_change);
            add(&mut direction, -along, last);
            add(&mut change, -along, last_change);
        }
        let length = fine.product(&change, &change).sqrt();
        if length <= f64::MIN_POSITIVE {
            break;
        }
        direction.iter_mut().for_each(|value| *value /= length);
        change.iter_mut().for_each(|value| *value /= length);
        let step = fine.product(&residual, &change);
        add(&mut solution, step, &direction);
        add(&mut residual, -step, &change);
        directions.push_back((direction, change));
        if directions.len() > KEPT_DIRECTIONS {
            directions.pop_front();
        }
    }
    let mut values = Vec::with_capacity(plane.size * plane.size);
    for y in 0..plane.size {
        values.extend_from_slice(&solution[y * size..][..plane.size]);
    }
    Ok(Plane { size: plane.size, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(size: usize, level: impl Fn(f64, f64) -> f64) -> Plane {
        let half = (size - 1) as f64 / 2.0;
        let values = (0..size * size).map(|at| level((at % size) as f64 - half, (at / size) as f64 - half)).collect();
        Plane { size, values }
    }

    fn solved(plane: &Plane) -> (Plane, usize) {
        let mut cycles = 0;
        let mut last = 1.0;
        let solution = solve(plane, 3.0, |left| {
            cycles += 1;
            last = left;
            Ok(())
        });
        assert!(last <= TOLERANCE, "left at {last} after {cycles} cycles");
        (solution.unwrap(), cycles)
    }

    #[test]
    fn a_disc_has_its_paraboloid() {
        for (size, radius) in [(41, 15.3), (131, 50.7), (257, 120.2)] {
            let disc = plane(size, |x, y| radius - x.hypot(y));
            let (solution, cycles) = solved(&disc);
            assert!(cycles <= 10, "{cycles} cycles");
            let exact = plane(size, |x, y| 0.75 * (radius * radius - x * x - y * y));
            for (got, want) in solution.values.iter().zip(&exact.values) {
                assert!((got - want.max(0.0)).abs() < 0.2, "{got} {want}");
            }
        }
    }

    #[test]
    fn a_strip_is_exact_and_a_comb_converges() {
        let strip = plane(101, |x, y| (8.35 - x.abs()).min(49.5 - y.abs()));
        let (solution, _) = solved(&strip);
        for x in 42..=58usize {
            let across = x as f64 - 50.0;
            let want = 1.5 * (8.35f64.powi(2) - across * across);
            assert!((solution.values[50 * 101 + x] - want).abs() < 0.05);
        }
        let comb = plane(200, |x, y| (1.2 - (x.rem_euclid(4.0) - 2.0).abs()).max(3.3 - y.abs()).min(90.0 - x.hypot(y)));
        let (_, cycles) = solved(&comb);
        assert!(cycles <= 12, "{cycles} cycles");
    }
}
