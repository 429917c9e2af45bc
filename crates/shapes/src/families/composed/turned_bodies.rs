//! Bodies from a lathe with random profiles, and what is attached to them.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use super::{Palette, between, facing, lump, meet, seated};
use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// A random profile from the ground to `high`: radii about `wide`, by a factor of `1 + most` at the most.
fn profile(r: &mut Rng, wide: f32, high: f32, most: f32) -> Vec<[f32; 2]> {
    let count = r.int(2, 7);
    let trend = r.range(-0.6, 0.6);
    let wild = between(r, 0.08, most);
    let mut line = Vec::new();
    for i in 0..count {
        let t = i as f32 / (count - 1) as f32;
        let radius = wide * (1.0 + trend * (t - 0.5)) * r.about(1.0, wild);
        line.push([radius.max(0.08), t * high]);
    }
    line
}

fn along(pair: &[[f32; 2]], t: f32) -> [f32; 2] {
    std::array::from_fn(|k| pair[0][k] + (pair[1][k] - pair[0][k]) * t)
}

/// A turned body: solid or hollow, upright or lying, with rings, knobs, feet, handles, spouts, ribs.
pub(in super::super) fn turned_body(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let high = between(r, 0.25, 2.2);
    let wide = between(r, 0.25, 0.75);
    let smooth = r.chance(0.65);
    let hollow = r.chance(0.4);
    // A wall of one thickness follows only what bends gently.
    let line = profile(r, wide, high, if hollow { 0.25 } else { 0.6 });
    let mut closed = line.clone();
    closed.insert(0, [0.0, 0.0]);
    let body = if hollow {
        if !smooth {
            // Points close to both sides of each corner keep it.
            closed = closed.windows(2).flat_map(|pair| [0.0, 0.04, 0.96].map(|t| along(pair, t))).collect();
            closed.extend(line.last());
        }
        vessel(&closed, r.range(0.035, 0.09))
    } else {
        if r.chance(0.4) {
            // A dome or a point instead of a flat end.
            closed.push([0.0, high + r.range(0.05, 0.6)]);
        }
        if smooth { turned(&closed) } else { lathe(closed.clone()) }
    };
    let body = palette.paint(r, body);
    let soft = if r.chance(0.3) { 0.05 } else { 0.0 };
    let (body, round) = shaped(r, body, wide, high, hollow);
    let mut parts = vec![body.clone()];
    for _ in 0..r.int(0, 3) {
        if let Some(part) = attachment(r, &body, high, hollow, round) {
            parts.push(palette.paint(r, part));
        }
    }
    let whole = blend(soft, parts);
    let whole = match r.int(0, 9) {
        0 => whole.turn_z(FRAC_PI_2),
        1 => whole.turn_x(FRAC_PI_2),
        2 => whole.turn_z(r.range(-0.6, 0.6)),
        3 if !hollow => whole.turn_x(PI),
        _ => whole,
    };
    facing(r, whole)
}

/// Mostly as it is; else with flat faces, windows in its wall or grooves. Also whether it is still round.
fn shaped(r: &mut Rng, body: Shape, wide: f32, high: f32, hollow: bool) -> (Shape, bool) {
    match r.int(0, 9) {
        // Faces and grooves would cut a thin wall through.
        0 if !hollow => {
            let count = r.int(3, 8);
            let prism = plate(&regular(count, r.range(0.95, 1.25) * wide, 0.0), 2.0 * high + 1.0, 0.0);
            (body.within(prism.turn_x(FRAC_PI_2), if r.chance(0.5) { 0.03 } else { 0.0 }), false)
        }
        1 => {
            let count = r.int(2, 8);
            let y = r.range(0.4, 0.6) * high;
            let radius = |y: f32| meet(&body, v(0.0, y, 0.0), v(-1.0, 0.0, 0.0)).map_or(0.0, |p| p.x);
            let narrowest = radius(y).min(radius(y - 0.2 * high)).min(radius(y + 0.2 * high)).min(wide);
            let size = (0.22 * high).min(0.35 * narrowest * TAU / count as f32);
            let tool = if r.chance(0.5) { egg(0.7 * size, size, 3.0) } else { brick(0.7 * size, size, 3.0, 0.0) };
            (body.without(tool.at(0.0, y, 3.0).around(count)), false)
        }
        2 if !hollow => {
            let band = torus(1.02 * wide, r.range(0.03, 0.08));
            let rings = (0..r.int(1, 4)).map(|i| band.clone().at(0.0, (0.25 + 0.2 * i as f32) * high, 0.0));
            (body.without_softly(all(rings.collect()), 0.01), true)
        }
        _ => (body, true),
    }
}

/// Something that sits on the body; none where no place was found.
fn attachment(r: &mut Rng, body: &Shape, high: f32, hollow: bool, round: bool) -> Option<Shape> {
    let up = v(0.0, 1.0, 0.0);
    let right = v(1.0, 0.0, 0.0);
    let at_side = |y: f32| meet(body, v(0.0, y, 0.0), -right);
    let kind = r.int(0, 8);
    match if round { kind } else { 3 } {
        0 | 1 => {
            // A handle between two heights, on one side or both.
            let (low, upper) = (r.range(0.1, 0.4) * high, r.range(0.6, 0.95) * high);
            let (a, b) = (at_side(low)?, at_side(upper)?);
            let (thick, far) = (r.range(0.03, 0.08), a.x.max(b.x) + r.range(0.12, 0.5));
            let line = if r.chance(0.6) {
                [
                    a - right * 0.02,
                    v(far, 0.7 * low + 0.3 * upper, 0.0),
                    v(far, 0.2 * low + 0.8 * upper, 0.0),
                    b - right * 0.02,
                ]
            } else {
                [a - right * 0.02, v(far, low, 0.0), v(far, upper, 0.0), b - right * 0.02]
            };
            let handle = if r.chance(0.7) { tube(&line, thick, thick) } else { chain(&line.map(|p| (p, thick))) };
            Some(if r.chance(0.4) {
                handle.both_sides()
            } else {
                handle.turn_y(r.pick(&[0.0, 0.0, PI, 0.6, -FRAC_PI_2]))
            })
        }
        2 => {
            let a = at_side(r.range(0.3, 0.9) * high)?;
            let (out, rise) = (r.range(0.2, 0.7), r.range(-0.1, 0.6));
            let spout = tube(
                &[a - right * 0.03, a + v(0.5 * out, 0.25 * rise, 0.0), a + v(out, rise, 0.0)],
                r.range(0.06, 0.14),
                r.range(0.03, 0.1),
            );
            Some(spout.turn_y(r.pick(&[0.0, PI, PI, 0.5])))
        }
        3 | 4 if !hollow => {
            let top = meet(body, v(0.0, 0.0, 0.0), -up)?;
            let knob = lump(r).sized(between(r, 0.1, 0.45));
            seated(r, knob, top, up)
        }
        3 | 4 => {
            // A bow over the opening.
            let a = at_side(0.92 * high)?;
            let rise = r.range(0.2, 0.9);
            let bow = [a - right * 0.02, v(0.8 * a.x, high + 0.7 * rise, 0.0), v(0.0, high + rise, 0.0)];
            let thick = r.range(0.025, 0.06);
            Some(tube(&bow, thick, thick).both_sides())
        }
        5 => {
            let count = r.int(3, 6);
            let foot = meet(body, v(0.12, 0.0, 0.0), up)?;
            let x = foot.x + r.range(0.0, 0.6) * (at_side(0.05 * high)?.x - foot.x).max(0.0);
            let (long, thick) = (r.range(0.08, 0.5), r.range(0.05, 0.1));
            let from = meet(body, v(x, 0.0, 0.0), up)? + up * 0.03;
            let leg = limb(from, thick, v(x + r.range(0.0, 0.25), from.y - long, 0.0), r.range(0.6, 1.1) * thick);
            Some(leg.around(count))
        }
        6 => {
            let y = r.range(0.1, 0.9) * high;
            let a = at_side(y)?;
            let (reach, thick) = (r.range(0.0, 0.25), r.range(0.025, 0.08));
            Some(if r.chance(0.5) { torus(a.x, thick) } else { rod(thick, a.x + reach, 0.01) }.at(0.0, y, 0.0))
        }
        7 => {
            // Fins or knobs around.
            let count = r.int(3, 10);
            let y = r.range(0.2, 0.8) * high;
            let a = at_side(y)?;
            let part = if r.chance(0.5) {
                brick(0.15 + r.range(0.0, 0.2), r.range(0.05, 0.3) * high, r.range(0.02, 0.06), 0.01)
            } else {
                lump(r).sized(r.range(0.06, 0.2))
            };
            Some(seated(r, part, a, right)?.around(count))
        }
        _ => {
            let a = at_side(r.range(0.2, 0.8) * high)?;
            let part = lump(r).sized(between(r, 0.1, 0.4));
            let part = seated(r, part, a, right)?;
            Some(if r.chance(0.6) { part.both_sides() } else { part.turn_y(r.pick(&[0.0, PI, -FRAC_PI_2])) })
        }
    }
}
