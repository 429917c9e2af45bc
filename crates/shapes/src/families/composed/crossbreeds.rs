//! Named objects with something added or cut away, and two of them in one. Held-out families take no part.

use super::super::{FAMILIES, Family};
use super::{Palette, between, direction, lump, paired, place_on, seated};
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// An object of a named family that may be learned from, its longest side 2, its box around the origin.
fn named(r: &mut Rng) -> Shape {
    let allowed: Vec<&Family> = FAMILIES.iter().filter(|family| !family.held_out && !family.composed()).collect();
    let shape = (r.pick(&allowed).make)(r);
    let (low, high) = shape.bounds();
    let middle = (low + high) * 0.5;
    shape.at(-middle.x, -middle.y, -middle.z).sized(2.0 / (high - low).largest().max(0.1))
}

/// How far the shape goes on behind a point of its surface.
fn thickness(shape: &Shape, point: Vec3, inwards: Vec3) -> f32 {
    let mut t = 0.01;
    while t < 2.0 && shape.distance(point + inwards * t) < 0.0 {
        t += 0.02;
    }
    t
}

/// A named object with one to three changes.
pub(in super::super) fn crossbreed(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let mut shape = named(r);
    for _ in 0..r.int(1, 3) {
        let way = match r.int(0, 5) {
            0 | 1 => v(0.0, 1.0, 0.0),
            2 => v(0.0, 0.0, 1.0),
            3 => v(r.sign(), 0.0, 0.0),
            4 => v(0.0, -1.0, 0.0),
            _ => direction(r),
        };
        let Some(point) = place_on(r, &shape, -way, v(0.7, 0.7, 0.7)) else { continue };
        match r.int(0, 9) {
            // Away: a dent that leaves more than half of what is behind it.
            0..=2 => {
                let deep = thickness(&shape, point, -way);
                if deep < 0.15 {
                    continue;
                }
                // Nor does it sever what is long behind it but thin across.
                let across = -shape.distance(point - way * (0.5 * deep));
                let size = (r.range(0.25, 0.45) * deep).min(0.6 * across);
                if size < 0.04 {
                    continue;
                }
                let tool = match r.int(0, 2) {
                    0 => ball(size),
                    1 => brick(size, size, size, 0.0),
                    _ => rod(size, 0.8 * size, 0.0),
                };
                shape =
                    shape.without_softly(tool.at(point.x, point.y, point.z), if r.chance(0.3) { 0.03 } else { 0.0 });
            }
            // Another named object, often as large, on this one.
            3 | 4 => {
                let other = named(r).sized(between(r, 0.25, 0.8));
                // Slots of its own, so that it looks like itself.
                let mut other = other;
                other.each(&mut |part| part.paint.slot += 10);
                if let Some(other) = seated(r, other, point, way) {
                    shape = all(vec![shape, other]);
                }
            }
            5 => {
                // A bar through everything.
                let through = point - way * (0.5 * thickness(&shape, point, -way));
                let bar = limb(v(-1.2, 0.0, 0.0), 0.07, v(1.2, 0.0, 0.0), 0.07).sized(r.range(0.6, 1.2));
                let bar = super::tumbled(r, bar).at(through.x, through.y, through.z);
                let bar = palette.paint(r, bar);
                shape = all(vec![shape, bar]);
            }
            _ => {
                let part = lump(r).sized(between(r, 0.12, 0.6));
                let part = palette.paint(r, part);
                let Some(part) = seated(r, part, point, way) else { continue };
                let part = if r.chance(0.5) { paired(&shape, part, point, way) } else { part };
                shape = blend(if r.chance(0.3) { 0.05 } else { 0.0 }, vec![shape, part]);
            }
        }
    }
    shape
}
