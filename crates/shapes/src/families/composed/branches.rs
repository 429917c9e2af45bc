//! Branched things, and bodies with limbs.

use std::f32::consts::{FRAC_PI_2, PI};

use super::super::creatures::{eyes, stand};
use super::{Palette, between, direction, facing, lump};
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// How a branched thing grows.
struct Growth {
    shrink: f32,
    thin: f32,
    spread: f32,
    rise: f32,
    flat: f32,
    kind: usize,
    end: Option<Shape>,
}

fn grow(
    r: &mut Rng,
    how: &Growth,
    from: Vec3,
    way: Vec3,
    (long, thick): (f32, f32),
    depth: usize,
    out: &mut Vec<Shape>,
) {
    let to = from + way * long;
    let next = (how.thin * thick).max(0.018);
    out.push(match how.kind {
        0 => limb(from, thick, to, next),
        1 => {
            let bend = direction(r) * (0.12 * long);
            tube(&[from, from.lerp(to, 0.5) + bend, to], thick, next)
        }
        _ => limb(from, thick, to, thick),
    });
    if depth == 0 {
        out.extend(how.end.as_ref().map(|end| end.clone().at(to.x, to.y, to.z)));
        return;
    }
    for _ in 0..r.int(1, 3) {
        let aside = direction(r).times(v(1.0, 0.6, how.flat));
        let way = (way + aside * how.spread + v(0.0, how.rise, 0.0)).unit();
        let from = from.lerp(to, r.range(0.5, 1.0));
        let size = (long * how.shrink * r.about(1.0, 0.25), next);
        grow(r, how, from, way, size, depth - 1, out);
    }
}

/// A trunk that branches; most are their own mirror image, many stand on a foot.
pub(in super::super) fn branched(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let thick = between(r, 0.05, 0.2);
    let end = r.chance(0.45).then(|| {
        let size = between(r, 1.2 * thick, 0.32);
        let end = if r.chance(0.5) { ball(1.0) } else { lump(r) };
        end.sized(size).of(1, Kind::Any)
    });
    let how = Growth {
        shrink: r.range(0.5, 0.95),
        thin: r.range(0.55, 1.0),
        spread: r.range(0.5, 1.4),
        rise: r.range(-0.2, 0.7),
        flat: if r.chance(0.4) { 0.1 } else { 1.0 },
        kind: r.int(0, 2),
        end,
    };
    let mut parts = Vec::new();
    let up = if r.chance(0.85) { v(0.0, 1.0, 0.0) } else { v(0.8, 0.6, 0.0) };
    let mirrored = r.chance(0.6);
    let depth = r.int(1, if mirrored { 2 } else { 3 });
    let size = (r.range(0.4, 0.9), thick);
    grow(r, &how, Vec3::default(), up, size, depth, &mut parts);
    let soft = if r.chance(0.5) { between(r, 0.02, 0.08) } else { 0.0 };
    let mut shape = blend(soft, parts);
    let slot = shape.clone();
    if mirrored {
        shape = blend(soft, vec![slot.clone(), slot.placed(&crate::math::Placement::mirrored(0))]);
    }
    let foot = match r.int(0, 5) {
        0 => Some(rod(r.range(0.03, 0.12), r.range(0.2, 0.5), 0.02)),
        1 => Some(frustum(0.2, r.range(0.2, 0.3), r.range(0.25, 0.4), 0.02).at(0.0, -0.15, 0.0)),
        2 => Some(lump(r).sized(r.range(0.25, 0.6))),
        3 => Some(egg(r.range(0.2, 0.6), r.range(0.06, 0.2), r.range(0.2, 0.5))),
        _ => None,
    };
    let whole = all(std::iter::once(shape).chain(foot.map(|foot| palette.paint(r, foot))).collect());
    let whole = match r.int(0, 9) {
        0 => whole.turn_x(FRAC_PI_2),
        1 => whole.turn_z(FRAC_PI_2),
        2 => whole.turn_x(PI),
        _ => whole,
    };
    facing(r, whole)
}

/// A body along a spine with a head, pairs of limbs, fins, horns and a tail, as no animal need have them.
pub(in super::super) fn body_plan(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let upright = r.chance(0.35);
    let joints = r.int(2, 4);
    let fat = between(r, 0.12, 0.45);
    let half = between(r, 0.2, 0.7);
    let spine: Vec<(Vec3, f32)> = (0..joints)
        .map(|i| {
            let t = 2.0 * i as f32 / (joints - 1) as f32 - 1.0;
            let bend = r.range(-0.12, 0.12);
            let at = if upright { v(0.0, t * half, bend) } else { v(0.0, bend, t * half) };
            (at, fat * r.about(1.0, 0.4))
        })
        .collect();
    let mut parts = vec![chain(&spine)];
    let (front, front_fat) = spine[joints - 1];
    // Head, on a neck or without.
    let head = front_fat * r.range(0.5, 1.2);
    let neck = if r.chance(0.5) { r.range(0.0, 0.3) } else { r.range(0.3, 0.9) };
    let rise = if upright { v(0.0, 1.0, r.range(0.0, 0.4)) } else { v(0.0, r.range(-0.1, 1.2), r.range(0.3, 1.0)) };
    let at = front + rise.unit() * (front_fat + neck);
    parts.push(limb(front, 0.6 * front_fat, at, 0.6 * head));
    parts.push(
        match r.int(0, 3) {
            0 | 1 => ball(head),
            2 => egg(head * r.range(0.7, 1.3), head * r.range(0.7, 1.2), head * r.range(0.8, 1.6)),
            _ => brick(head * r.range(0.7, 1.2), 0.8 * head, 0.9 * head, 0.3 * head),
        }
        .at(at.x, at.y, at.z),
    );
    if r.chance(0.5) {
        let long = head * r.range(0.4, 1.4);
        parts.push(limb(at, 0.6 * head, at + v(0.0, -0.2 * head, head + long), r.range(0.1, 0.45) * head));
    }
    let mut more = Vec::new();
    let soft = between(r, 0.02, 0.12);
    let thick = between(r, 0.04, 0.13);
    let reach = between(r, 0.25, 0.9);
    let down = r.pick(&[-1.0, -1.0, -1.0, 0.0, 0.6]);
    let alike = r.chance(0.6);
    let mut way = v(r.range(0.2, 1.0), down, r.range(-0.3, 0.3)).unit();
    for i in 0..r.int(0, 4) {
        let t = if alike { i as f32 / 3.0 } else { r.unit() } * (joints - 1) as f32;
        let k = (t as usize).min(joints - 2);
        let from = spine[k].0.lerp(spine[k + 1].0, t - k as f32);
        let wide = 0.6 * spine[k].1.min(spine[k + 1].1);
        if !alike {
            way = v(r.range(0.2, 1.0), r.range(-1.0, 0.8), r.range(-0.5, 0.5)).unit();
        }
        let root = from + v(0.7 * wide, 0.0, 0.0);
        let knee = root + way * (0.5 * reach + 0.5 * wide) + v(0.0, 0.0, r.range(-0.12, 0.12));
        let foot = root + way * (reach + wide);
        let limb_ = chain(&[(root, 1.3 * thick), (knee, thick), (foot, thick * r.range(0.5, 1.2))]);
        let end = match r.int(0, 3) {
            0 => Some(egg(1.5 * thick, thick, 2.2 * thick).at(foot.x, foot.y, foot.z + thick)),
            1 => Some(ball(1.6 * thick).at(foot.x, foot.y, foot.z)),
            _ => None,
        };
        parts.push(all(std::iter::once(limb_).chain(end).collect()).both_sides());
    }
    if r.chance(0.5) {
        let (back, wide) = spine[0];
        let end =
            back + if upright { v(0.0, r.range(-0.2, 0.3), -1.0) } else { v(0.0, r.range(-0.6, 0.8), -1.0) } * reach;
        let bend = v(0.0, r.range(-0.15, 0.15), 0.0);
        parts.push(tube(&[back, back.lerp(end, 0.55) + bend, end], 0.5 * wide, r.range(0.02, 0.1)));
    }
    // Fins, ears, horns: flat or pointed, in pairs on the head or along the body.
    for _ in 0..r.int(0, 2) {
        let (root, wide) = if r.chance(0.6) { (at, head) } else { spine[r.int(0, joints - 1)] };
        let long = between(r, 0.1, 0.5);
        let fin = match r.int(0, 2) {
            0 => egg(r.range(0.03, 0.06), long, 0.6 * long),
            1 => limb(v(0.0, -0.5 * long, 0.0), 0.3 * wide, v(0.0, long, 0.0), 0.03),
            _ => frustum(long, 0.4 * wide, 0.02, 0.0),
        };
        let tilt = r.range(-1.8, -0.1);
        let place = root + v(-tilt.sin(), tilt.cos(), 0.0) * (0.85 * wide + 0.55 * long);
        let fin = fin.turn_z(tilt).at(place.x, place.y, place.z);
        // Its root is well within the body, however the body is shaped.
        let stem = limb(root, 0.2 * wide.min(0.2), place, 0.035);
        let both = all(vec![fin, stem]).both_sides();
        more.push(palette.paint(r, both));
    }
    if r.chance(0.5) {
        more.push(eyes(0.55 * head, at.y + 0.3 * head, at.z + 0.6 * head, 0.16 * head));
    }
    let body = palette.paint(r, blend(soft, parts));
    let whole = all(std::iter::once(body).chain(more).collect());
    if r.chance(0.25) { whole } else { stand(r, whole) }
}
