//! Bent tubes: bows, hooks, loops, springs, with ends and feet.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::{Palette, between, facing, lump, tumbled};
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// Points that a tube goes through.
fn line(r: &mut Rng) -> Vec<Vec3> {
    let flat = if r.chance(0.6) { 0.0 } else { r.range(0.2, 1.0) };
    match r.int(0, 5) {
        // A walk that turns.
        0..=2 => {
            let mut at = Vec3::default();
            let (mut turn, curl) = (r.range(-0.5, 1.6), r.range(-0.9, 0.9));
            let mut points = vec![at];
            for _ in 0..r.int(2, 6) {
                turn += curl + r.range(-0.6, 0.6);
                at += v(turn.cos(), turn.sin(), flat * r.range(-0.7, 0.7)) * r.range(0.3, 0.8);
                points.push(at);
            }
            points
        }
        // A spring or a spiral.
        3 => {
            let (turns, rise, out) = (r.range(1.0, 3.0), r.range(0.4, 1.6), r.range(-0.3, 0.3));
            let count = (6.0 * turns) as usize;
            let point = |i: usize| {
                let t = i as f32 / count as f32;
                let (angle, radius) = (TAU * turns * t, 0.5 + out * t);
                v(radius * angle.cos(), rise * t, radius * angle.sin())
            };
            (0..=count).map(point).collect()
        }
        // A loop with waves.
        4 => {
            let (waves, deep) = (r.int(2, 5) as f32, r.range(0.0, 0.25));
            let (wide, high) = (r.range(0.5, 1.0), r.range(0.5, 1.0));
            let point = |i: usize| {
                let angle = TAU * i as f32 / 16.0;
                let radius = 1.0 + deep * (waves * angle).cos();
                v(wide * radius * angle.cos(), high * radius * angle.sin(), flat * 0.3 * (2.0 * angle).sin())
            };
            (0..=16).map(point).collect()
        }
        // An arch, its own mirror image.
        _ => {
            let (wide, high) = (r.range(0.3, 0.9), r.range(0.4, 1.4));
            let (foot, bend) = (r.range(0.0, 0.6), r.range(-0.2, 0.5));
            vec![
                v(wide + foot, 0.0, 0.0),
                v(wide + 0.5 * bend, 0.5 * high, flat * 0.3),
                v(0.6 * wide, high, flat * 0.4),
                v(-0.6 * wide, high, flat * 0.4),
                v(-wide - 0.5 * bend, 0.5 * high, flat * 0.3),
                v(-wide - foot, 0.0, 0.0),
            ]
        }
    }
}

/// One to three bent tubes with end pieces.
pub(in super::super) fn pipes(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let points = line(r);
    let thick = between(r, 0.05, 0.24);
    let last = if r.chance(0.6) { thick } else { thick * r.range(0.3, 1.2) };
    let whole = if r.chance(0.3) {
        let joints: Vec<_> = points.iter().map(|p| (*p, thick)).collect();
        chain(&joints)
    } else {
        tube(&points, thick, last.max(0.03))
    };
    let mut parts = vec![palette.paint(r, whole)];
    let (first, end) = (points[0], points[points.len() - 1]);
    for place in [first, end] {
        if r.chance(0.45) {
            let piece = match r.int(0, 3) {
                0 => ball(r.range(1.2, 2.5) * thick),
                1 => rod(0.6 * thick, r.range(1.5, 3.0) * thick, 0.01),
                _ => lump(r).sized(r.range(1.3, 3.5) * thick.max(0.08)),
            };
            let piece = tumbled(r, piece).at(place.x, place.y, place.z);
            parts.push(palette.paint(r, piece));
        }
    }
    // Beads along it.
    if r.chance(0.2) {
        let bead = if r.chance(0.5) { ball(1.5 * thick) } else { lump(r).sized(1.8 * thick.max(0.07)) };
        let bead = palette.paint(r, bead);
        parts.extend(points[1..points.len() - 1].iter().step_by(2).map(|p| bead.clone().at(p.x, p.y, p.z)));
    }
    let mut whole = if r.chance(0.25) { blend(0.05, parts) } else { all(parts) };
    match r.int(0, 5) {
        // More of them from where this one begins.
        0 => whole = whole.at(-first.x, -first.y, -first.z).both_sides(),
        1 => whole = whole.at(-first.x, -first.y, -first.z).around(r.int(3, 5)),
        2 => {
            let base = if r.chance(0.5) { brick(0.4, 0.1, 0.3, 0.02) } else { rod(0.1, 0.4, 0.02) };
            let base = base.at(first.x, first.y - 0.06, first.z);
            let base = palette.paint(r, base);
            whole = all(vec![whole, base]);
        }
        _ => {}
    }
    let whole = match r.int(0, 7) {
        0 => whole.turn_x(FRAC_PI_2),
        1 => whole.turn_z(FRAC_PI_2),
        2 => whole.turn_z(r.range(-1.0, 1.0)),
        _ => whole,
    };
    facing(r, whole)
}
