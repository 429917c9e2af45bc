//! Plants and fruit.

use std::f32::consts::{PI, TAU};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

pub(super) fn mushroom(r: &mut Rng) -> Shape {
    let (stem, wide, high) = (r.range(0.4, 1.0), r.range(0.4, 0.75), r.range(0.25, 0.6));
    let thick = r.range(0.12, 0.24);
    let stalk = turned(&[
        [0.0, 0.0],
        [1.25 * thick, 0.0],
        [1.2 * thick, 0.12],
        [thick, 0.5 * stem],
        [0.85 * thick, stem + 0.3 * high],
    ]);
    let under = r.range(-0.06, 0.1);
    let cap = turned(&[
        [0.0, stem + under],
        [0.7 * wide, stem],
        [wide, stem + 0.04],
        [0.8 * wide, stem + 0.6 * high],
        [0.4 * wide, stem + 0.93 * high],
        [0.0, stem + high],
    ]);
    let mut parts = vec![stalk.of(1, Kind::Light), cap.of(0, Kind::Red)];
    if r.chance(0.55) {
        for i in 0..r.int(5, 10) {
            let (turn, up) = (2.4 * i as f32, r.range(0.2, 1.3));
            let p = v(
                0.92 * wide * up.cos() * turn.cos(),
                stem + 0.98 * high * up.sin(),
                0.92 * wide * up.cos() * turn.sin(),
            );
            parts.push(ball(r.range(0.05, 0.1)).at(p.x, p.y, p.z).of(1, Kind::Light));
        }
    }
    all(parts)
}

pub(super) fn tree(r: &mut Rng) -> Shape {
    let trunk = r.range(0.3, 0.8);
    let thick = r.range(0.07, 0.13);
    let mut parts = Vec::new();
    match r.int(0, 3) {
        0 | 1 => {
            let tiers = r.int(2, 5);
            let wide = r.range(0.4, 0.65);
            let step = r.range(0.3, 0.42);
            for i in 0..tiers {
                let t = i as f32 / tiers as f32;
                let radius = wide * (1.0 - 0.65 * t);
                let top = if tiers - 1 == i { 0.01 } else { 0.3 * radius };
                parts.push(
                    frustum(0.28, radius, top, 0.01).at(0.0, trunk + 0.25 + step * i as f32, 0.0).of(0, Kind::Leaf),
                );
            }
            parts.push(frustum(trunk, 1.2 * thick, thick, 0.0).at(0.0, trunk, 0.0).of(1, Kind::Wood));
        }
        2 => {
            let high = trunk + 0.5;
            let mut crown = vec![ball(r.range(0.35, 0.45)).at(0.0, high + 0.2, 0.0)];
            for i in 0..r.int(3, 7) {
                let turn = 2.4 * i as f32;
                crown.push(ball(r.range(0.2, 0.34)).at(
                    0.33 * turn.cos(),
                    high + r.range(0.0, 0.45),
                    0.33 * turn.sin(),
                ));
            }
            parts.push(blend(0.05, crown).of(0, Kind::Leaf));
            parts.push(frustum(high / 2.0, 1.5 * thick, thick, 0.0).at(0.0, high / 2.0, 0.0).of(1, Kind::Wood));
        }
        _ => {
            let lean = r.range(-0.3, 0.3);
            let top = v(lean, 1.3, 0.0);
            parts.push(
                tube(&[v(0.0, 0.0, 0.0), v(0.2 * lean, 0.6, 0.0), top], 1.2 * thick, 0.7 * thick).of(1, Kind::Wood),
            );
            let count = r.int(6, 9);
            for i in 0..count {
                let turn = TAU * i as f32 / count as f32;
                let frond =
                    tube(&[v(0.0, 0.0, 0.0), v(0.3, 0.12, 0.0), v(0.55, 0.02, 0.0), v(0.7, -0.2, 0.0)], 0.07, 0.035);
                parts.push(frond.turn_y(turn).at(top.x, top.y, top.z).of(0, Kind::Leaf));
            }
        }
    }
    all(parts)
}

pub(super) fn fruit(r: &mut Rng) -> Shape {
    let stem = |y: f32, r: &mut Rng| {
        tube(&[v(0.0, y - 0.1, 0.0), v(0.02, y + 0.05, 0.0), v(r.range(-0.1, 0.1), y + 0.18, 0.0)], 0.028, 0.035)
            .of(1, Kind::Wood)
    };
    match r.int(0, 4) {
        0 => {
            let (wide, high) = (0.5, r.range(0.8, 1.0));
            let body = turned(&[
                [0.0, 0.08],
                [0.15, 0.0],
                [0.75 * wide, 0.12 * high],
                [wide, 0.6 * high],
                [0.6 * wide, 0.97 * high],
                [0.15, 0.92 * high],
                [0.0, 0.8 * high],
            ]);
            let leaf = egg(0.15, 0.02, 0.07).turn_z(0.4).at(0.15, high + 0.05, 0.0).of(2, Kind::Leaf);
            let mut parts = vec![body.of(0, Kind::Red), stem(0.9 * high, r)];
            if r.chance(0.5) {
                parts.push(leaf);
            }
            all(parts)
        }
        1 => {
            let wide = r.range(0.38, 0.46);
            let high = r.range(1.05, 1.3);
            let body = turned(&[
                [0.0, 0.06],
                [0.15, 0.0],
                [wide, 0.25 * high],
                [0.9 * wide, 0.45 * high],
                [0.5 * wide, 0.78 * high],
                [0.35 * wide, 0.95 * high],
                [0.0, high],
            ]);
            all(vec![body.of(0, Kind::Leaf), stem(high, r)])
        }
        2 => {
            let bend = r.range(0.25, 0.5);
            let line = [v(-0.75, bend, 0.0), v(-0.4, 0.1, 0.0), v(0.0, 0.0, 0.0), v(0.4, 0.1, 0.0), v(0.75, bend, 0.0)];
            let thick = r.range(0.14, 0.2);
            let body = chain(&[
                (line[0], 0.4 * thick),
                (line[1], 0.95 * thick),
                (line[2], thick),
                (line[3], 0.95 * thick),
                (line[4], 0.4 * thick),
            ]);
            let body = blend(0.1, vec![body, tube(&line[1..4], thick, thick)]);
            let end = limb(line[4], 0.06, line[4] + v(0.12, 0.14, 0.0), 0.05).of(1, Kind::Dark);
            all(vec![body.of(0, Kind::Yellow), end]).turn_z(r.range(-0.6, 0.6))
        }
        3 => {
            let lobes = r.int(7, 11);
            let (ring, size) = (0.28, r.range(0.3, 0.38));
            let lobe = egg(size, r.range(0.3, 0.45), 0.8 * size).at(ring, 0.0, 0.0);
            let body = match lobe.around(lobes) {
                Shape::Union(shapes, _) => blend(0.04, shapes),
                other => other,
            };
            all(vec![
                body.of(0, Kind::Red),
                tube(&[v(0.0, 0.2, 0.0), v(0.0, 0.45, 0.0), v(0.12, 0.6, 0.0)], 0.08, 0.06).of(1, Kind::Leaf),
            ])
        }
        _ => {
            let high = r.range(0.9, 1.2);
            let body = turned(&[
                [0.0, 0.0],
                [0.18, 0.05],
                [0.42, 0.5 * high],
                [0.4, 0.8 * high],
                [0.2, high],
                [0.0, 0.97 * high],
            ]);
            let leaf = egg(0.05, 0.02, 0.17).turn_x(r.range(-0.5, -0.1)).at(0.0, high + 0.03, 0.15).around(r.int(5, 7));
            let whole = all(vec![body.of(0, Kind::Red), leaf.of(2, Kind::Leaf), stem(high, r)]);
            if r.chance(0.5) { whole.turn_x(PI) } else { whole }
        }
    }
}

pub(super) fn cactus(r: &mut Rng) -> Shape {
    let (high, thick) = (r.range(0.9, 1.4), r.range(0.16, 0.24));
    let mut parts = vec![limb(v(0.0, 0.0, 0.0), thick, v(0.0, high, 0.0), 0.9 * thick)];
    for side in [-1.0, 1.0] {
        if r.chance(0.85) {
            let (y, reach, up) = (r.range(0.25, 0.6) * high, r.range(0.35, 0.5), r.range(0.25, 0.55));
            let arm = 0.65 * thick;
            parts.push(tube(
                &[
                    v(0.0, y, 0.0),
                    v(side * 0.8 * reach, y + 0.03, 0.0),
                    v(side * reach, y + 0.25, 0.0),
                    v(side * reach, y + up + 0.2, 0.0),
                ],
                arm,
                arm,
            ));
        }
    }
    let body = blend(0.04, parts).of(0, Kind::Leaf);
    let floor = if r.chance(0.5) {
        all(vec![frustum(0.22, 0.25, 0.36, 0.02).at(0.0, -0.2, 0.0), rod(0.05, 0.4, 0.02).at(0.0, 0.0, 0.0)])
            .of(1, Kind::Red)
    } else {
        egg(0.45, 0.1, 0.4).at(0.0, -0.05, 0.0).of(1, Kind::Wood)
    };
    all(vec![body, floor]).turn_y(r.range(-0.6, 0.6))
}

pub(super) fn flower(r: &mut Rng) -> Shape {
    let stem = r.range(0.6, 1.2);
    let count = r.int(5, 10);
    let (petal, wide) = (r.range(0.18, 0.28), r.range(0.09, 0.16));
    let heart = r.range(0.12, 0.2);
    let mut head = vec![egg(heart, heart, 0.6 * heart).of(1, Kind::Yellow)];
    for i in 0..count {
        let angle = TAU * i as f32 / count as f32;
        let leaf = egg(wide, petal, 0.04).at(0.0, heart + 0.75 * petal, 0.0).turn_x(0.15).turn_z(angle);
        head.push(leaf.of(0, Kind::Red));
    }
    let tilt = r.range(-0.6, 0.0);
    let head = all(head).turn_x(tilt).at(0.0, stem, 0.06);
    let stalk = tube(&[v(0.0, 0.0, 0.0), v(0.04, 0.5 * stem, -0.02), v(0.0, stem, 0.0)], 0.04, 0.035).of(2, Kind::Leaf);
    let leaf = egg(0.2, 0.07, 0.03).turn_z(0.6).at(0.16, 0.4 * stem, 0.0).of(2, Kind::Leaf);
    let leaf = if r.chance(0.6) { leaf.both_sides() } else { leaf };
    let mut parts = vec![head, stalk, leaf];
    if r.chance(0.4) {
        parts.push(frustum(0.16, 0.17, 0.25, 0.02).at(0.0, -0.1, 0.0).of(3, Kind::Red));
    }
    all(parts)
}
