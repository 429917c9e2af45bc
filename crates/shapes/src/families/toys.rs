//! Toys, games and plain figures.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use super::creatures::stand;
use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

pub(super) fn spinning_top(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.5, 0.75), r.range(0.6, 1.0));
    let body = turned(&[
        [0.0, 0.0],
        [0.05, 0.03],
        [0.35 * wide, 0.3 * high],
        [wide, r.range(0.55, 0.75) * high],
        [0.6 * wide, 0.9 * high],
        [0.1, high],
    ]);
    let peg = turned(&[
        [0.0, high - 0.1],
        [0.07, high],
        [0.055, high + 0.25],
        [r.range(0.06, 0.13), high + 0.36],
        [0.0, high + 0.42],
    ]);
    let lean = if r.chance(0.6) { 0.0 } else { r.range(-0.4, 0.4) };
    all(vec![body.of(0, Kind::Any), peg.of(1, Kind::Wood)]).turn_z(lean)
}

pub(super) fn blocks(r: &mut Rng) -> Shape {
    let mut parts = Vec::new();
    let mut y = 0.0;
    let mut half = r.range(0.35, 0.5);
    for i in 0..r.int(2, 5) {
        let high = r.range(0.16, 0.34);
        let block = match r.int(0, 3) {
            0 => rod(high, half, 0.03),
            _ => brick(half, high, half * r.range(0.7, 1.0), 0.03),
        };
        parts.push(
            block.turn_y(r.range(-0.5, 0.5)).at(r.range(-0.08, 0.08), y + high, 0.0).of((i % 4) as u8, Kind::Any),
        );
        y += 2.0 * high - 0.004;
        half *= r.range(0.7, 0.98);
    }
    match r.int(0, 3) {
        0 => parts.push(
            plate(&[[-half, 0.0], [half, 0.0], [0.0, 1.2 * half]], 0.8 * half, 0.03)
                .at(0.0, y - 0.01, 0.0)
                .of(4, Kind::Red),
        ),
        1 => parts.push(frustum(0.8 * half, half, 0.02, 0.01).at(0.0, y + 0.79 * half, 0.0).of(4, Kind::Red)),
        2 => parts.push(ball(0.8 * half).at(0.0, y + 0.72 * half, 0.0).of(4, Kind::Red)),
        _ => {}
    }
    if r.chance(0.4) {
        let arch = brick(0.45, 0.3, 0.25, 0.02).without(rod(1.0, 0.25, 0.0).turn_x(FRAC_PI_2).at(0.0, -0.3, 0.0));
        parts.push(arch.at(0.85, 0.3, r.range(-0.1, 0.1)).of(3, Kind::Any));
        parts.push(brick(0.1, 0.04, 0.2, 0.0).at(0.42, 0.04, 0.0).of(3, Kind::Any));
    }
    all(parts).turn_y(r.range(-0.6, 0.6))
}

pub(super) fn rocking_horse(r: &mut Rng) -> Shape {
    let thick = r.range(0.07, 0.1);
    let y = r.range(0.65, 0.8);
    let leg = limb(v(0.13, y, 0.4), 1.3 * thick, v(0.22, 0.12, 0.52), thick).both_sides().front_and_back();
    let neck = limb(v(0.0, y + 0.05, 0.4), 0.18, v(0.0, y + 0.5, 0.62), 0.13);
    let head = limb(v(0.0, y + 0.52, 0.62), 0.14, v(0.0, y + 0.36, 0.9), 0.09);
    let body = blend(0.08, vec![limb(v(0.0, y, 0.4), 0.2, v(0.0, y, -0.4), 0.21), leg, neck, head]);
    let curve = r.range(0.15, 0.3);
    let rocker = tube(
        &[
            v(0.22, curve, 0.95),
            v(0.22, 0.2 * curve, 0.5),
            v(0.22, 0.0, 0.0),
            v(0.22, 0.2 * curve, -0.5),
            v(0.22, curve, -0.95),
        ],
        0.06,
        0.06,
    );
    let mane = chain(&[(v(0.0, y + 0.15, 0.2), 0.06), (v(0.0, y + 0.45, 0.42), 0.06), (v(0.0, y + 0.68, 0.58), 0.05)]);
    let whole = all(vec![
        body.of(0, Kind::Wood),
        all(vec![rocker.both_sides(), limb(v(-0.22, 0.06, 0.45), 0.045, v(0.22, 0.06, 0.45), 0.045).front_and_back()])
            .of(1, Kind::Red),
        all(vec![mane, tube(&[v(0.0, y + 0.1, -0.55), v(0.0, y + 0.1, -0.75), v(0.0, y - 0.3, -0.82)], 0.06, 0.04)])
            .of(2, Kind::Dark),
        brick(0.2, 0.05, 0.2, 0.04).at(0.0, y + 0.2, -0.05).of(1, Kind::Red),
        limb(v(-0.25, y + 0.42, 0.6), 0.035, v(0.25, y + 0.42, 0.6), 0.035).of(1, Kind::Red),
        ball(0.03).at(0.1, y + 0.55, 0.7).both_sides().of(5, Kind::Dark),
    ]);
    stand(r, whole)
}

pub(super) fn star(r: &mut Rng) -> Shape {
    let points = r.pick(&[4, 5, 5, 5, 6, 8]);
    let inner = r.range(0.38, 0.6);
    let line: Vec<_> = (0..2 * points)
        .map(|i| {
            let angle = PI * i as f32 / points as f32 + FRAC_PI_2;
            let radius = if i % 2 == 0 { 1.0 } else { inner };
            [radius * angle.cos(), radius * angle.sin()]
        })
        .collect();
    let half = r.range(0.1, 0.28);
    let mut body = plate(&line, half, r.range(0.02, 0.9) * half).of(0, Kind::Yellow);
    if r.chance(0.3) {
        body = all(vec![
            body,
            rod(0.08, 0.5, 0.02).at(0.0, -0.95, 0.0).of(1, Kind::Wood),
            rod(0.15, 0.1, 0.0).at(0.0, -0.82, 0.0).of(1, Kind::Wood),
        ]);
    }
    body.turn_y(r.range(-0.5, 0.5))
}

pub(super) fn heart(r: &mut Rng) -> Shape {
    let wide = r.range(0.85, 1.1);
    let line = [
        [0.0, 0.5],
        [0.3 * wide, 0.78],
        [0.72 * wide, 0.75],
        [0.95 * wide, 0.4],
        [0.75 * wide, -0.1],
        [0.35 * wide, -0.55],
        [0.05, -0.88],
    ];
    let right = spline(&line, 5);
    let left: Vec<_> = right.iter().rev().map(|[x, y]| [-x, *y]).collect();
    let mut figure = right[..right.len() - 1].to_vec();
    figure.push([0.0, -0.9]);
    figure.extend(&left[1..left.len() - 1]);
    let half = r.range(0.15, 0.35);
    plate(&figure, half, r.range(0.1, 0.85) * half).of(0, Kind::Red).turn_y(r.range(-0.5, 0.5))
}

pub(super) fn dice(r: &mut Rng) -> Shape {
    let round = r.range(0.06, 0.22);
    let pit = |spots: &[[f32; 2]]| all(spots.iter().map(|[x, y]| ball(0.12).at(0.48 * x, 0.48 * y, 0.56)).collect());
    let one = pit(&[[0.0, 0.0]]);
    let five = pit(&[[0.0, 0.0], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]);
    let two = pit(&[[0.5, 0.5], [-0.5, -0.5]]);
    let three = pit(&[[0.0, 0.0], [0.5, 0.5], [-0.5, -0.5]]);
    let pits = all(vec![one.turn_x(-FRAC_PI_2), five, two.turn_y(FRAC_PI_2), three.turn_y(-FRAC_PI_2)]);
    let body = brick(0.5, 0.5, 0.5, round).of(0, Kind::Light).without(pits);
    body.turn_y(r.range(-0.8, 0.8))
}

pub(super) fn chess_piece(r: &mut Rng) -> Shape {
    let wide = r.range(0.36, 0.48);
    let base = |top: f32, waist: f32| {
        turned(&[
            [0.0, 0.0],
            [wide, 0.0],
            [wide, 0.1],
            [0.75 * wide, 0.2],
            [waist, 0.45 * top],
            [0.8 * waist, 0.8 * top],
            [0.62 * wide, top - 0.04],
            [0.4 * wide, top],
        ])
    };
    let shape = match r.int(0, 3) {
        0 => all(vec![base(0.75, 0.17), ball(r.range(0.2, 0.26)).at(0.0, 0.9, 0.0)]),
        1 => {
            let crown = rod(0.2, 0.3, 0.02).at(0.0, 1.15, 0.0).without(rod(0.2, 0.2, 0.0).at(0.0, 1.35, 0.0));
            let slots = brick(0.6, 0.12, 0.06, 0.0).at(0.0, 1.33, 0.0);
            all(vec![base(1.0, 0.24), crown.without(all(vec![slots.clone(), slots.turn_y(FRAC_PI_2)]))])
        }
        2 => all(vec![
            base(1.1, 0.2),
            egg(0.2, 0.3, 0.2).at(0.0, 1.3, 0.0).without(brick(0.3, 0.03, 0.2, 0.0).turn_z(0.7).at(0.16, 1.4, 0.0)),
            ball(0.07).at(0.0, 1.62, 0.0),
        ]),
        _ => all(vec![
            base(1.25, 0.2),
            frustum(0.16, 0.16, 0.26, 0.02).at(0.0, 1.38, 0.0),
            brick(0.05, 0.16, 0.05, 0.01).at(0.0, 1.68, 0.0),
            brick(0.13, 0.045, 0.05, 0.01).at(0.0, 1.7, 0.0),
        ]),
    };
    shape.of(0, Kind::Wood)
}

pub(super) fn ball_toy(r: &mut Rng) -> Shape {
    match r.int(0, 3) {
        0 => ball(0.8).of(0, Kind::Any),
        1 => {
            // A rugby ball, or an egg in its cup.
            let egg_ = turned(&[[0.0, 0.0], [0.3, 0.05], [0.45, 0.45], [0.32, 0.95], [0.0, 1.15]]).of(0, Kind::Light);
            let cup =
                vessel(&[[0.0, -0.5], [0.35, -0.5], [0.12, -0.25], [0.25, 0.0], [0.46, 0.3]], 0.05).of(1, Kind::Any);
            all(vec![egg_, cup, ball(0.15).at(0.0, -0.02, 0.0).of(1, Kind::Any)])
        }
        2 => {
            let mut rings = vec![
                frustum(0.06, 0.6, 0.6, 0.05).at(0.0, 0.06, 0.0).of(9, Kind::Wood),
                rod(0.75, 0.08, 0.05).at(0.0, 0.75, 0.0).of(9, Kind::Wood),
            ];
            let count = r.int(3, 6);
            for i in 0..count {
                let tube = 0.6 / count as f32;
                let ring = 0.48 - 0.26 * i as f32 / count as f32;
                rings.push(
                    torus(ring - tube * 0.35, tube)
                        .at(0.0, 0.1 + tube * (1.0 + 1.85 * i as f32), 0.0)
                        .of(i as u8, Kind::Any),
                );
            }
            all(rings)
        }
        _ => {
            let bell = r.range(0.28, 0.4);
            let half = r.range(0.35, 0.6);
            let hex = r.chance(0.5);
            let weight = if hex {
                extruded(Profile::polygon(&regular(6, bell, 0.0)), 0.17, 0.04).turn_y(FRAC_PI_2)
            } else {
                ball(bell)
            };
            all(vec![
                weight.at(half + 0.1, 0.0, 0.0).both_sides().of(0, Kind::Dark),
                rod(half, 0.09, 0.0).turn_z(FRAC_PI_2).of(1, Kind::Metal),
            ])
            .turn_y(r.range(-0.6, 0.6))
        }
    }
}

pub(super) fn guitar(r: &mut Rng) -> Shape {
    let (lower, upper) = (r.range(0.42, 0.52), r.range(0.3, 0.38));
    let waist = r.range(0.22, 0.28);
    let half = [
        [0.0, -0.55],
        [0.75 * lower, -0.45],
        [lower, -0.1],
        [waist, 0.22],
        [upper, 0.48],
        [0.6 * upper, 0.68],
        [0.0, 0.72],
    ];
    let right = spline(&half, 5);
    let left: Vec<_> = right.iter().rev().skip(1).map(|[x, y]| [-x, *y]).collect();
    let mut figure = right;
    figure.extend(&left[..left.len() - 1]);
    let deep = r.range(0.08, 0.15);
    let body = plate(&figure, deep, 0.03).without(rod(0.2, 0.14, 0.0).turn_x(FRAC_PI_2).at(0.0, 0.2, deep + 0.1));
    let long = r.range(0.8, 1.05);
    all(vec![
        body.of(0, Kind::Wood),
        brick(0.065, long / 2.0, 0.035, 0.01).at(0.0, 0.65 + long / 2.0, deep).of(1, Kind::Dark),
        brick(0.1, 0.16, 0.035, 0.01).at(0.0, 0.65 + long + 0.1, deep - 0.02).of(0, Kind::Wood),
        brick(0.15, 0.03, 0.03, 0.01).at(0.0, -0.18, deep + 0.02).of(1, Kind::Dark),
        all((0..3)
            .map(|i| {
                limb(
                    v(0.08, 0.67 + long + 0.1 * i as f32, deep - 0.02),
                    0.025,
                    v(0.15, 0.67 + long + 0.1 * i as f32, deep - 0.02),
                    0.03,
                )
            })
            .collect())
        .both_sides()
        .of(2, Kind::Metal),
    ])
    .turn_z(if r.chance(0.5) { 0.0 } else { r.range(-0.7, 0.7) })
}

/// Mirrored heaps of solids that are nothing in particular: so that a picture is looked at, not only named.
pub(super) fn abstract_form(r: &mut Rng) -> Shape {
    let solid = |r: &mut Rng| {
        let s = |r: &mut Rng| r.range(0.12, 0.5);
        match r.int(0, 6) {
            0 => egg(s(r), s(r), s(r)),
            1 => brick(s(r), s(r), s(r), r.range(0.0, 0.1)),
            2 => frustum(s(r), s(r), s(r), 0.03),
            3 => torus(r.range(0.25, 0.5), r.range(0.06, 0.16)),
            4 => limb(v(0.0, -s(r), 0.0), 0.6 * s(r), v(0.2, s(r), 0.0), 0.5 * s(r)),
            5 => extruded(Profile::polygon(&regular(r.int(3, 8), r.range(0.25, 0.5), 0.3)), s(r), 0.03),
            _ => rod(s(r), 0.5 * s(r), 0.02),
        }
    };
    let smooth = if r.chance(0.5) { r.range(0.03, 0.15) } else { 0.0 };
    let mut parts: Vec<Shape> = vec![solid(r).turn_x(r.pick(&[0.0, 0.0, FRAC_PI_2, 0.5])).of(0, Kind::Any)];
    for i in 0..r.int(2, 6) {
        // Near the middle, so that all hangs together.
        let part = solid(r)
            .turn_x(r.pick(&[0.0, FRAC_PI_2, 0.7]))
            .turn_y(r.pick(&[0.0, FRAC_PI_2, 0.4]))
            .turn_z(r.pick(&[0.0, 0.0, FRAC_PI_2, 0.6]));
        let part = part.sized(r.range(0.5, 1.0)).of((i % 4) as u8, Kind::Any);
        let (place, arm) = (v(r.range(0.1, 0.5), r.range(-0.5, 0.5), r.range(-0.35, 0.35)), r.range(0.06, 0.12));
        let place = if r.chance(0.6) { place } else { v(0.0, place.y, place.z) };
        let arm = limb(v(0.0, 0.0, 0.0), 1.5 * arm, place, arm).of(0, Kind::Any);
        let one = all(vec![part.at(place.x, place.y, place.z), arm]);
        parts.push(if place.x > 0.0 { one.both_sides() } else { one });
    }
    parts.push(ball(0.2).of(0, Kind::Any));
    let whole = blend(smooth, parts);
    let whole = if r.chance(0.35) {
        whole.without_softly(solid(r).sized(0.7).at(0.0, r.range(0.2, 0.6), 0.4), 0.02)
    } else {
        whole
    };
    whole.turn_y(if r.chance(0.5) { 0.0 } else { r.range(0.0, TAU) })
}
