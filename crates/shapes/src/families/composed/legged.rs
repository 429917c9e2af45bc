//! Slabs and bodies on legs or posts, with stretchers, backs, rails, shelves.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::outlines::around;
use super::{Palette, between, facing, lump, meet, seated};
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// What the legs carry.
struct Top {
    shape: Shape,
    wide: f32,
    deep: f32,
    height: f32,
    thick: f32,
}

fn top(r: &mut Rng, palette: &Palette) -> Top {
    let (wide, deep) = (between(r, 0.35, 1.1), between(r, 0.3, 0.9));
    let (height, thick) = (between(r, 0.2, 1.8), between(r, 0.03, 0.35));
    let shape = match r.int(0, 7) {
        0..=2 => brick(wide, thick, deep, r.range(0.0, 0.9) * thick),
        3 => rod(thick, wide.min(deep), r.range(0.0, 0.9) * thick),
        4 => plate(&around(r, 1.0), thick, 0.02).turn_x(-FRAC_PI_2),
        5 => egg(wide, (2.0 * thick).max(0.15), deep),
        6 => turned(&[[0.0, 0.0], [0.6 * wide, 0.0], [wide, thick], [r.range(0.2, 0.9) * wide, 3.0 * thick]]),
        _ => super::assemblies::grown(r, palette, 3).sized(wide),
    };
    // Its underside at this height, whatever it is.
    let low = shape.bounds().0.y;
    let shape = shape.at(0.0, height - low, 0.0);
    Top { shape: palette.paint(r, shape), wide, deep, height, thick }
}

/// Where the legs stand, as shares of half the width and depth.
fn stands(r: &mut Rng) -> Vec<[f32; 2]> {
    let inset = r.range(0.55, 0.9);
    match r.int(0, 9) {
        0..=4 => vec![[inset, inset], [-inset, inset], [-inset, -inset], [inset, -inset]],
        5 => vec![[inset, inset], [0.0, inset], [-inset, inset], [-inset, -inset], [0.0, -inset], [inset, -inset]],
        6 => vec![[inset, 0.0], [-inset, 0.0]],
        7 => vec![[inset, inset], [-inset, inset], [0.0, -inset]],
        _ => {
            let count = r.int(3, 6);
            let turn = r.pick(&[FRAC_PI_2, 0.4, 0.0]);
            let angle = |i: usize| turn + TAU * i as f32 / count as f32;
            (0..count).map(|i| [0.7 * inset * angle(i).cos(), 0.7 * inset * angle(i).sin()]).collect()
        }
    }
}

/// A leg from a point below the top to the ground.
fn leg(kind: usize, from: Vec3, to: Vec3, thick: f32, taper: f32) -> Shape {
    let (half, middle) = ((from.y - to.y) / 2.0, (from + to) * 0.5);
    match kind {
        0 | 1 => limb(from, thick, to, taper * thick),
        2 => brick(thick, half + 0.02, thick, 0.01).at(from.x, middle.y, from.z),
        3 => frustum(half + 0.02, taper * thick, thick, 0.0).at(from.x, middle.y, from.z),
        4 => {
            let w = thick * 1.3;
            lathe(vec![
                [0.6 * w, 0.0],
                [w, 0.3 * half],
                [0.5 * w, 0.6 * half],
                [w, 1.1 * half],
                [0.6 * w, 1.5 * half],
                [w, 2.0 * half + 0.02],
            ])
            .at(from.x, to.y, from.z)
        }
        _ => {
            let bow = v(from.x, 0.0, from.z) * (0.25 * taper) + v(0.0, 0.1 * half, 0.0);
            tube(&[from, middle + bow, to], thick, taper * thick)
        }
    }
}

/// A slab or a body that stands on legs.
pub(in super::super) fn legged(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let up = v(0.0, 1.0, 0.0);
    let top = top(r, &palette);
    let mut parts = vec![top.shape.clone()];
    let (kind, thick, taper) = (r.int(0, 6), between(r, 0.03, 0.14), r.range(0.5, 1.3));
    let splay = if r.chance(0.5) { 1.0 } else { r.range(0.8, 1.5) };
    let mut lines = Vec::new();
    let mut legs = Vec::new();
    if r.chance(0.12) {
        // One column with a foot.
        let spread = r.range(0.4, 0.9) * top.wide;
        let foot =
            if r.chance(0.5) { frustum(0.05, spread, 0.8 * spread, 0.02) } else { brick(spread, 0.05, 0.1, 0.02) };
        let foot = if r.chance(0.5) { foot.clone().around(2) } else { foot };
        let from = meet(&top.shape, Vec3::default(), up).unwrap_or(up * top.height);
        legs.push(leg(kind, from + up * 0.03, v(0.0, 0.0, 0.0), 1.4 * thick, taper));
        legs.push(foot);
    } else {
        for [x, z] in stands(r) {
            let at = v(x * top.wide, 0.0, z * top.deep);
            let Some(from) = meet(&top.shape, at, up) else { continue };
            // Only limbs and bows can be aslant.
            let to = if matches!(kind, 0 | 1 | 5 | 6) { at * splay } else { at };
            let from = from + up * (0.4 * top.thick).max(0.02);
            legs.push(leg(kind, from, to, thick, taper));
            lines.push((from, to));
        }
    }
    parts.push(palette.paint(r, all(legs)));
    if lines.len() >= 2 && kind < 4 && r.chance(0.5) {
        let t = r.range(0.25, 0.85);
        let count = lines.len();
        let at = |i: usize| lines[i % count].0.lerp(lines[i % count].1, t);
        let rail = 0.7 * thick;
        let rails = (0..if count == 2 { 1 } else { count }).map(|i| limb(at(i), rail, at(i + 1), rail)).collect();
        parts.push(palette.paint(r, all(rails)));
    } else if lines.len() >= 4 && r.chance(0.3) {
        // A second floor.
        let (x, z) = (lines[0].1.x.abs().max(thick), lines[0].1.z.abs().max(thick));
        let shelf = brick(x + 0.5 * thick, 0.03, z + 0.5 * thick, 0.01).at(0.0, r.range(0.15, 0.6) * top.height, 0.0);
        parts.push(palette.paint(r, shelf));
    }
    let upper = above(r, &top, &palette);
    parts.extend(upper);
    let whole = if r.chance(0.2) { blend(0.04, parts) } else { all(parts) };
    facing(r, whole)
}

/// What stands on the top: a back, rails, a few solids, or nothing.
fn above(r: &mut Rng, top: &Top, palette: &Palette) -> Vec<Shape> {
    let up = v(0.0, 1.0, 0.0);
    let on_top = |x: f32, z: f32| meet(&top.shape, v(x, 0.0, z), -up);
    let mut parts = Vec::new();
    let rise = between(r, 0.15, 1.1);
    let z = -0.75 * top.deep;
    match r.int(0, 9) {
        0 => {
            if let Some(point) = on_top(0.0, z) {
                let panel = brick(r.range(0.4, 0.9) * top.wide, 0.5 * rise + 0.05, between(r, 0.03, 0.12), 0.02);
                parts.push(panel.turn_x(r.range(-0.25, 0.0)).at(0.0, point.y + 0.5 * rise - 0.03, z));
            }
        }
        1 | 2 => {
            // Posts, and rails from one to the other.
            let (x, thick) = (r.range(0.4, 0.8) * top.wide, r.range(0.03, 0.07));
            let z = if r.chance(0.7) { z } else { 0.0 };
            if let Some(point) = on_top(x, z) {
                let (foot, head) = (v(x, point.y - 0.04, z), v(x * r.range(0.7, 1.2), point.y + rise, z - 0.1));
                let mut frame = vec![limb(foot, thick, head, thick).both_sides()];
                for _ in 0..r.int(1, 3) {
                    let a = foot.lerp(head, r.range(0.3, 1.0));
                    frame.push(limb(a, 0.8 * thick, v(-a.x, a.y, a.z), 0.8 * thick));
                }
                parts.push(all(frame));
            }
        }
        3 => {
            if let Some(point) = on_top(0.6 * top.wide, 0.0) {
                let (x, y) = (0.6 * top.wide, point.y);
                let thick = r.range(0.03, 0.08);
                let bow = [v(x, y - 0.03, 0.0), v(0.9 * x, y + 0.7 * rise, 0.0), v(0.0, y + rise, 0.0)];
                let z = if r.chance(0.5) { 0.0 } else { z };
                if on_top(0.6 * top.wide, z).is_some() {
                    parts.push(tube(&bow, thick, thick).both_sides().at(0.0, 0.0, z));
                }
            }
        }
        4..=6 => {
            for _ in 0..r.int(1, 3) {
                let pair = r.chance(0.4);
                let x = if pair { r.range(0.2, 0.7) * top.wide } else { 0.0 };
                let Some(point) = on_top(x, r.range(-0.5, 0.5) * top.deep) else { continue };
                let part = lump(r).sized(between(r, 0.15, 0.6));
                let Some(part) = seated(r, part, point, up) else { continue };
                parts.push(if pair { part.both_sides() } else { part });
            }
        }
        _ => {}
    }
    // A pair's other half stands only where the top is its own mirror image; random outlines may not be.
    let whole = &top.shape;
    parts.retain(|part| touches(part, whole));
    parts.into_iter().map(|part| palette.paint(r, part)).collect()
}

/// Whether every piece of a union lies within another shape somewhere, by a look at points of a grid in its box.
fn touches(part: &Shape, whole: &Shape) -> bool {
    let pieces = match part {
        Shape::Union(shapes, _) if shapes.len() == 2 => shapes.as_slice(),
        other => std::slice::from_ref(other),
    };
    pieces.iter().all(|piece| {
        let (low, high) = piece.bounds();
        (0..12usize.pow(3)).any(|i| {
            let t = v((i / 144) as f32, (i / 12 % 12) as f32, (i % 12) as f32) * (1.0 / 11.0);
            let p = low + (high - low).times(t);
            piece.distance(p) < 0.01 && whole.distance(p) < 0.01
        })
    })
}
