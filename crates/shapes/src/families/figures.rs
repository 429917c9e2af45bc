//! Figures that stand or sit: people, teddies, snowmen, robots.

use std::f32::consts::FRAC_PI_2;

use super::creatures::eyes;
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// A standing figure's limbs from its joints.
fn arm(shoulder: Vec3, raise: f32, bend: f32, long: f32, thick: f32) -> Shape {
    let elbow = shoulder + v(raise.sin(), -raise.cos(), 0.05) * (long / 2.0);
    let hand = elbow + v((raise + bend).sin(), -(raise + bend).cos(), 0.25) * (long / 2.0);
    chain(&[(shoulder, thick), (elbow, 0.85 * thick), (hand, 0.75 * thick), (hand + v(0.0, 0.0, 0.02), 0.95 * thick)])
}

pub(super) fn figure(r: &mut Rng) -> Shape {
    let (leg, torso, head) = (r.range(0.55, 0.85), r.range(0.5, 0.62), r.range(0.13, 0.24));
    let (hip, shoulder) = (r.range(0.13, 0.2), r.range(0.19, 0.29));
    let thick = r.range(0.06, 0.09);
    let stride = r.range(-0.16, 0.16);
    let waist = leg + 0.4 * torso;
    let legs: Vec<_> = [-1.0, 1.0]
        .iter()
        .flat_map(|x| {
            let z = stride * x;
            let foot = v(x * (0.6 * hip + 0.03), 0.05, z);
            [
                chain(&[
                    (v(x * 0.55 * hip, leg, 0.0), 1.3 * thick),
                    (v(x * 0.6 * hip, leg / 2.0, 0.6 * z + 0.02), thick),
                    (foot, 0.7 * thick),
                ])
                .of(1, Kind::Dark),
                limb(foot, 0.06, foot + v(0.01 * x, -0.0, 0.14), 0.055).of(2, Kind::Dark),
            ]
        })
        .collect();
    let trunk = blend(
        0.08,
        vec![
            egg(hip, 0.15, 0.7 * hip).at(0.0, leg + 0.06, 0.0),
            egg(0.85 * shoulder, 0.3 * torso, 0.6 * shoulder).at(0.0, leg + 0.65 * torso, 0.0),
            limb(v(0.0, waist, 0.0), 0.75 * hip, v(0.0, leg + 0.8 * torso, 0.0), 0.5 * shoulder),
        ],
    );
    let long = r.range(0.55, 0.72);
    let joint = v(shoulder, leg + 0.88 * torso, 0.0);
    let (one, other) = (r.range(0.1, 0.5), if r.chance(0.3) { r.range(0.8, 2.6) } else { r.range(0.1, 0.6) });
    let bend = r.range(-0.2, 0.7);
    let sleeves = if r.chance(0.6) { 0 } else { 3 };
    let arms = all(vec![
        arm(joint, one, -0.5 * bend, long, 0.8 * thick),
        arm(joint, other, bend, long, 0.8 * thick).placed(&crate::math::Placement::mirrored(0)),
    ]);
    let y = leg + torso + 0.9 * head + 0.06;
    let skull = blend(
        0.03,
        vec![egg(0.85 * head, head, 0.9 * head).at(0.0, y, 0.0), ball(0.18 * head).at(0.0, y - 0.1 * head, 0.9 * head)],
    );
    let neck = rod(0.1, 0.4 * head, 0.0).at(0.0, leg + torso, 0.0);
    let mut parts = legs;
    parts.push(blend(0.04, vec![trunk.of(0, Kind::Any), arms.of(sleeves, Kind::Skin)]));
    parts.push(all(vec![skull, neck]).of(3, Kind::Skin));
    parts.push(eyes(0.32 * head, y + 0.12 * head, 0.82 * head, 0.1 * head));
    match r.int(0, 3) {
        0 => parts
            .push(egg(0.92 * head, 0.8 * head, 0.92 * head).at(0.0, y + 0.3 * head, -0.12 * head).of(4, Kind::Dark)),
        1 => {
            parts.push(rod(0.02, 1.5 * head, 0.01).at(0.0, y + 0.5 * head, 0.0).of(4, Kind::Any));
            parts.push(rod(0.4 * head, 0.9 * head, 0.03).at(0.0, y + 0.9 * head, 0.0).of(4, Kind::Any));
        }
        2 => {
            let skirt = frustum(0.3 * leg, 0.25 + 0.4 * hip, 0.9 * hip, 0.02).at(0.0, 0.78 * leg, 0.0).of(0, Kind::Any);
            parts.push(skirt);
            parts.push(
                egg(0.95 * head, 0.95 * head, 0.8 * head).at(0.0, y + 0.15 * head, -0.25 * head).of(4, Kind::Dark),
            );
        }
        _ => {}
    }
    let angle = if r.chance(0.5) { 0.0 } else { r.range(-0.6, 0.6) };
    all(parts).turn_y(angle)
}

pub(super) fn teddy(r: &mut Rng) -> Shape {
    let (body, head) = (r.range(0.32, 0.42), r.range(0.27, 0.36));
    let y = 1.7 * body + 0.75 * head;
    let ear = if r.chance(0.7) {
        egg(0.36 * head, 0.36 * head, 0.18 * head).at(0.72 * head, y + 0.78 * head, 0.0)
    } else {
        egg(0.22 * head, 0.75 * head, 0.14 * head).turn_z(-0.2).at(0.4 * head, y + 1.45 * head, 0.0)
    };
    let leg = limb(v(0.22, 0.22, 0.1), 0.15, v(0.3, 0.14, r.range(0.3, 0.5)), 0.14);
    let arm = limb(
        v(0.7 * body, 1.3 * body, 0.05),
        0.12,
        v(body + r.range(0.05, 0.2), r.range(0.6, 1.3) * body, r.range(0.05, 0.25)),
        0.11,
    );
    let parts = vec![
        egg(body, 1.05 * body, 0.9 * body).at(0.0, body, 0.0),
        ball(head).at(0.0, y, 0.0),
        leg.both_sides(),
        arm.both_sides(),
        ear.both_sides(),
    ];
    all(vec![
        blend(0.04, parts).of(0, Kind::Fur),
        egg(0.45 * head, 0.36 * head, 0.35 * head).at(0.0, y - 0.25 * head, 0.8 * head).of(1, Kind::Light),
        egg(0.13 * head, 0.09 * head, 0.09 * head).at(0.0, y - 0.12 * head, 1.14 * head).of(5, Kind::Dark),
        eyes(0.38 * head, y + 0.2 * head, 0.87 * head, 0.1 * head),
        egg(0.6 * body, 0.65 * body, 0.2).at(0.0, body, 0.78 * body).of(1, Kind::Light),
    ])
}

pub(super) fn snowman(r: &mut Rng) -> Shape {
    let (low, middle, head) = (r.range(0.4, 0.5), r.range(0.28, 0.36), r.range(0.2, 0.27));
    let y1 = low * 0.9;
    let y2 = y1 + 0.75 * (low + middle);
    let y3 = y2 + 0.8 * (middle + head);
    let arm = tube(
        &[
            v(0.8 * middle, y2 + 0.05, 0.0),
            v(middle + 0.2, y2 + 0.15, 0.0),
            v(middle + 0.4, y2 + r.range(0.1, 0.4), 0.0),
        ],
        0.035,
        0.025,
    );
    let mut parts = vec![
        blend(0.04, vec![ball(low).at(0.0, y1, 0.0), ball(middle).at(0.0, y2, 0.0), ball(head).at(0.0, y3, 0.0)])
            .within(brick(2.0, 2.0, 2.0, 0.0).at(0.0, 2.02, 0.0), 0.0)
            .of(0, Kind::Light),
        frustum(0.13, 0.05, 0.01, 0.0).turn_x(FRAC_PI_2).at(0.0, y3, head + 0.1).of(1, Kind::Red),
        eyes(0.09, y3 + 0.08, 0.9 * head, 0.035),
        arm.both_sides().of(2, Kind::Wood),
    ];
    for i in 0..3 {
        parts.push(ball(0.04).at(0.0, y2 + 0.13 * (i as f32 - 1.0), 0.96 * middle).of(5, Kind::Dark));
    }
    if r.chance(0.7) {
        parts.push(rod(0.025, 1.25 * head, 0.01).at(0.0, y3 + 0.72 * head, 0.0).of(3, Kind::Dark));
        parts.push(rod(0.15, 0.8 * head, 0.01).at(0.0, y3 + 0.72 * head + 0.15, 0.0).of(3, Kind::Dark));
    }
    if r.chance(0.6) {
        parts.push(torus(0.75 * head, 0.07).at(0.0, y3 - 0.75 * head, 0.0).of(4, Kind::Red));
    }
    all(parts)
}

pub(super) fn robot(r: &mut Rng) -> Shape {
    let (wide, high, head) = (r.range(0.28, 0.42), r.range(0.28, 0.42), r.range(0.18, 0.28));
    let leg = r.range(0.25, 0.5);
    let y = leg + high;
    let top = y + high + 0.08 + 0.8 * head;
    let angle = r.range(-0.5, 0.5);
    let arm = all(vec![
        ball(0.11).at(wide + 0.08, y + 0.6 * high, 0.0),
        limb(v(wide + 0.1, y + 0.6 * high, 0.0), 0.07, v(wide + 0.18, y - 0.35 * high, 0.08), 0.07),
        brick(0.09, 0.09, 0.11, 0.03).at(wide + 0.19, y - 0.5 * high, 0.1),
    ]);
    all(vec![
        brick(wide, high, 0.24, 0.06).at(0.0, y, 0.0).of(0, Kind::Metal),
        brick(1.2 * head, 0.8 * head, head, 0.05).at(0.0, top, 0.0).of(0, Kind::Metal),
        rod(0.1, 0.09, 0.0).at(0.0, y + high + 0.03, 0.0).of(1, Kind::Dark),
        rod(0.03, 0.28 * head, 0.01)
            .turn_x(FRAC_PI_2)
            .at(0.5 * head, top + 0.15 * head, head)
            .both_sides()
            .of(2, Kind::Yellow),
        brick(0.6 * head, 0.05, 0.03, 0.0).at(0.0, top - 0.45 * head, head).of(1, Kind::Dark),
        brick(0.6 * wide, 0.35 * high, 0.03, 0.02).at(0.0, y + 0.2 * high, 0.24).of(2, Kind::Any),
        arm.both_sides().of(1, Kind::Metal),
        rod(leg / 2.0, 0.09, 0.01).at(0.5 * wide, leg / 2.0 + 0.05, 0.0).both_sides().of(1, Kind::Metal),
        brick(0.13, 0.06, 0.2, 0.04).at(0.5 * wide, 0.06, 0.05).both_sides().of(0, Kind::Metal),
        limb(v(0.0, top, 0.0), 0.025, v(0.0, top + 1.3 * head, 0.0), 0.025).of(1, Kind::Dark),
        ball(0.06).at(0.0, top + 1.4 * head, 0.0).of(2, Kind::Red),
    ])
    .turn_y(if r.chance(0.4) { 0.0 } else { angle })
}
