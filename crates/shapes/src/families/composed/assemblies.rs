//! Assemblies of simple solids: grown in any direction, stacked, or standing together.

use super::{Palette, between, direction, facing, lump, paired, place_on, seated, softness};
use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// Parts and how softly they flow together.
struct Growing {
    parts: Vec<Shape>,
    soft: f32,
}

impl Growing {
    fn whole(&self) -> Shape {
        blend(self.soft, self.parts.clone())
    }
}

/// Solids that grew onto one another; most are their own mirror image.
pub(in super::super) fn assembly(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let shape = grown(r, &palette, 0);
    facing(r, shape)
}

/// 2 to 9 solids; with their mirror images more. `less` of them are spared.
pub(super) fn grown(r: &mut Rng, palette: &Palette, less: usize) -> Shape {
    let mirrored = r.chance(0.65);
    let first = lump(r);
    let first = palette.paint(r, first);
    let first = if mirrored { first.both_sides() } else { first };
    let mut growing = Growing { parts: vec![first], soft: softness(r) };
    let most = if r.chance(0.3) { 8 } else { 4 };
    let count = r.int(1, most).saturating_sub(less).max(1);
    // Alike parts say more about how a thing is made than all different ones.
    let alike = r.chance(0.3).then(|| lump(r));
    for _ in 0..count {
        let part = alike.clone().unwrap_or_else(|| lump(r)).sized(between(r, 0.18, 0.8));
        let part = palette.paint(r, part);
        add(r, &mut growing, part, mirrored);
    }
    growing.whole()
}

/// One more part somewhere on what is there.
fn add(r: &mut Rng, growing: &mut Growing, part: Shape, mirrored: bool) {
    let pair = mirrored && r.chance(0.55);
    let mut way = match r.int(0, 9) {
        0..=2 => v(0.0, 1.0, 0.0),
        3 => v(0.0, -1.0, 0.0),
        4 | 5 => v(0.0, 0.0, 1.0),
        6 | 7 => v(1.0, 0.0, 0.0),
        _ => direction(r),
    };
    if mirrored && !pair {
        way = v(0.0, way.y, way.z).unit();
    }
    let spread = if mirrored && !pair { v(0.0, 0.7, 0.6) } else { v(0.8, 0.7, 0.6) };
    let whole = growing.whole();
    let Some(point) = place_on(r, &whole, -way, spread) else { return };
    let Some(part) = seated(r, part, point, way) else { return };
    growing.parts.push(if pair { paired(&whole, part, point, way) } else { part });
}

/// Solids one upon the other along a vertical axis, with a few at their sides.
pub(in super::super) fn stack(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let up = v(0.0, 1.0, 0.0);
    let first = lump(r).sized(between(r, 0.6, 1.2));
    let mut growing = Growing { parts: vec![palette.paint(r, first)], soft: softness(r) };
    let narrowing = r.range(0.7, 1.15);
    let mut size = 1.0;
    let aside = if r.chance(0.6) { 0.0 } else { 0.35 };
    for _ in 0..r.int(1, 5) {
        size *= narrowing;
        let part = lump(r).sized(size * between(r, 0.4, 1.2));
        let part = palette.paint(r, part);
        let part = if r.chance(0.3) { part.turn_y(r.range(-0.8, 0.8)) } else { part };
        let Some(point) = place_on(r, &growing.whole(), -up, v(aside, 0.0, aside)) else { continue };
        growing.parts.extend(seated(r, part, point, up));
    }
    for _ in 0..r.int(0, 3) {
        let part = lump(r).sized(between(r, 0.12, 0.45));
        let part = palette.paint(r, part);
        add(r, &mut growing, part, true);
    }
    let whole = growing.whole();
    facing(r, whole)
}

/// Solids that stand together on a floor: in a row, in a ring, at corners, or anyhow.
pub(in super::super) fn gathering(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let up = v(0.0, 1.0, 0.0);
    let (wide, deep, high) = (r.range(0.6, 1.2), r.range(0.35, 1.0), between(r, 0.04, 0.35));
    let floor = match r.int(0, 3) {
        0 => rod(high, wide, 0.02),
        1 => plate(&super::outlines::around(r, 1.0), high, 0.02).turn_x(-std::f32::consts::FRAC_PI_2),
        _ => brick(wide, high, deep, r.range(0.0, 0.5) * high),
    };
    let floor = palette.paint(r, floor);
    let mut growing = Growing { parts: vec![floor], soft: if r.chance(0.2) { 0.06 } else { 0.0 } };
    let alike = r.chance(0.5).then(|| lump(r).sized(between(r, 0.2, 0.7)));
    let count = r.int(1, 7);
    let arrangement = r.int(0, 3);
    for i in 0..count {
        let part = alike.clone().unwrap_or_else(|| lump(r).sized(between(r, 0.2, 0.9)));
        let part = palette.paint(r, part);
        let t = if count == 1 { 0.0 } else { 1.6 * i as f32 / (count - 1) as f32 - 0.8 };
        let (x, z) = match arrangement {
            0 => (t * wide, 0.0),
            1 => {
                let turn = std::f32::consts::TAU * i as f32 / count as f32;
                (0.65 * wide.min(deep) * turn.cos(), 0.65 * wide.min(deep) * turn.sin())
            }
            2 => (0.7 * wide * (i % 2) as f32, 0.7 * deep * (1.0 - (i / 2 % 3) as f32)),
            _ => (r.range(-0.8, 0.8) * wide, r.range(-0.8, 0.8) * deep),
        };
        let whole = growing.whole();
        let Some(point) = super::meet(&whole, v(x, 0.0, z), -up) else { continue };
        let Some(part) = seated(r, part, point, up) else { continue };
        growing.parts.push(if arrangement == 2 { paired(&whole, part, point, up) } else { part });
    }
    let whole = growing.whole();
    facing(r, whole)
}
