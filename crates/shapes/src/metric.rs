//! How alike two shapes are: intersection over union of what they fill.

use rayon::prelude::*;

use crate::math::{Vec3, v};
use crate::sample::BOX;
use crate::sdf::Solid;

/// Samples along an axis that the project's figures are given at.
pub const SIDE: usize = 64;

/// Which samples of a regular grid over the model's box lie inside a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    side: usize,
    /// `[x, y, z]`, z fastest.
    inside: Vec<bool>,
}

impl Occupancy {
    /// Asks at every sample; the outermost lie on the box's faces, as a field's do.
    #[must_use]
    pub fn new(side: usize, inside: impl Fn(Vec3) -> bool + Sync) -> Self {
        let at = |k: usize| BOX * (2.0 * k as f32 / (side - 1) as f32 - 1.0);
        let ask = |i: usize| inside(v(at(i / (side * side)), at(i / side % side), at(i % side)));
        Self { side, inside: (0..side.pow(3)).into_par_iter().with_min_len(1024).map(ask).collect() }
    }

    /// A solid's.
    #[must_use]
    pub fn of(solid: &Solid, side: usize) -> Self {
        Self::new(side, |p| solid.distance(p) < 0.0)
    }

    /// Samples inside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|inside| **inside).count()
    }

    /// Intersection over union, 0 to 1; two empty shapes are alike. `None` for grids of different sides.
    #[must_use]
    pub fn iou(&self, other: &Self) -> Option<f64> {
        if self.side != other.side {
            return None;
        }
        let (mut both, mut either) = (0u64, 0u64);
        for (a, b) in self.inside.iter().zip(&other.inside) {
            both += u64::from(*a && *b);
            either += u64::from(*a || *b);
        }
        Some(if either == 0 { 1.0 } else { both as f64 / either as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(x: f32, radius: f32) -> Occupancy {
        Occupancy::new(SIDE, |p| (p - v(x, 0.0, 0.0)).length() < radius)
    }

    #[test]
    fn balls_within_each_other_have_the_ratio_of_their_volumes() {
        let iou = ball(0.0, 0.4).iou(&ball(0.0, 0.8)).unwrap();
        assert!((iou - 0.125).abs() < 0.005, "{iou}");
    }

    #[test]
    fn balls_apart_share_their_lens() {
        // Two balls of radius r at distance r share 5/16 of one: 5 / (32 - 5).
        let iou = ball(-0.25, 0.5).iou(&ball(0.25, 0.5)).unwrap();
        assert!((iou - 5.0 / 27.0).abs() < 0.005, "{iou}");
    }

    #[test]
    fn the_same_is_one_the_apart_is_zero_and_other_grids_are_nothing() {
        assert_eq!(ball(0.0, 0.5).iou(&ball(0.0, 0.5)), Some(1.0));
        assert_eq!(ball(-0.5, 0.2).iou(&ball(0.5, 0.2)), Some(0.0));
        assert_eq!(ball(0.0, 0.5).iou(&Occupancy::new(32, |_| true)), None);
    }
}
