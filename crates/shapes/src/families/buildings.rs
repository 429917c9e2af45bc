//! Houses and towers.

use std::f32::consts::{FRAC_PI_2, TAU};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

pub(super) fn house(r: &mut Rng) -> Shape {
    let (wide, deep, high) = (r.range(0.5, 0.9), r.range(0.4, 0.7), r.range(0.3, 0.6));
    let roof = r.range(0.3, 0.7);
    let eave = r.range(0.03, 0.14);
    let gable_front = r.chance(0.5);
    let half = if gable_front { wide } else { deep };
    let along = if gable_front { deep } else { wide };
    let turn = |shape: Shape| if gable_front { shape } else { shape.turn_y(FRAC_PI_2) };
    let top = 2.0 * high;
    let gable = plate(&[[-half, top - 0.02], [half, top - 0.02], [0.0, top + roof]], along, 0.0);
    let slab = {
        let e = eave * roof / half;
        let t = 0.09;
        let line = [
            [-half - eave, top - e],
            [0.0, top + roof],
            [half + eave, top - e],
            [half + eave, top - e + t],
            [0.0, top + roof + t],
            [-half - eave, top - e + t],
        ];
        plate(&line, along + eave, 0.005)
    };
    let mut parts = vec![
        brick(wide, high, deep, 0.005).at(0.0, high, 0.0).of(0, Kind::Light),
        turn(gable).of(0, Kind::Light),
        turn(slab).of(1, Kind::Red),
    ];
    let door = r.range(-0.6, 0.6) * (wide - 0.2);
    parts.push(brick(0.13, 0.26, 0.025, 0.005).at(door, 0.26, deep).of(2, Kind::Wood));
    for x in [-0.62, 0.0, 0.62] {
        if (x * wide - door).abs() > 0.3 {
            parts.push(brick(0.11, 0.12, 0.02, 0.005).at(x * wide, 1.15 * high, deep).of(3, Kind::Dark));
        }
    }
    for z in [-0.5, 0.5] {
        parts.push(brick(0.02, 0.12, 0.11, 0.005).at(wide, 1.15 * high, z * deep).both_sides().of(3, Kind::Dark));
    }
    if r.chance(0.7) {
        let (x, z) = (r.range(0.25, 0.6) * wide * r.sign(), r.range(-0.4, 0.4) * deep);
        parts.push(brick(0.09, 0.4 * roof + 0.2, 0.09, 0.01).at(x, top + 0.6 * roof, z).of(4, Kind::Red));
    }
    if r.chance(0.3) {
        parts.push(brick(0.35, 0.3, 0.35, 0.0).at(wide + 0.3, 0.3, 0.0).of(0, Kind::Light));
        parts.push(brick(0.4, 0.04, 0.4, 0.0).at(wide + 0.3, 0.62, 0.0).of(1, Kind::Red));
    }
    all(parts).turn_y(if r.chance(0.3) { 0.0 } else { r.range(-0.75, 0.75) })
}

/// Battlements around a round tower's top.
fn battlements(radius: f32, y: f32) -> Shape {
    brick(0.09, 0.09, 0.05, 0.0).at(0.0, y, radius - 0.05).around(8)
}

pub(super) fn castle(r: &mut Rng) -> Shape {
    let (half, wall) = (r.range(0.55, 0.8), r.range(0.35, 0.55));
    let (radius, tower) = (r.range(0.17, 0.25), r.range(0.8, 1.2));
    let pointed = r.chance(0.5);
    let top = if pointed {
        frustum(0.22, 1.2 * radius, 0.01, 0.0).at(0.0, tower + 0.21, 0.0).of(1, Kind::Red)
    } else {
        battlements(radius, tower + 0.06).of(0, Kind::Light)
    };
    let one = all(vec![rod(tower / 2.0, radius, 0.01).at(0.0, tower / 2.0, 0.0).of(0, Kind::Light), top]);
    let walls = brick(half, wall / 2.0, half, 0.0)
        .at(0.0, wall / 2.0, 0.0)
        .without(brick(half - 0.12, wall, half - 0.12, 0.0).at(0.0, wall + 0.1, 0.0));
    let gate = all(vec![
        brick(0.15, 0.15, 0.5, 0.0).at(0.0, 0.1, half),
        rod(0.5, 0.15, 0.0).turn_x(FRAC_PI_2).at(0.0, 0.25, half),
    ]);
    let mut parts = vec![walls.of(0, Kind::Light).without(gate), one.at(half, 0.0, half).both_sides().front_and_back()];
    for i in 0..4 {
        parts.push(
            brick(0.06, 0.06, 0.05, 0.0)
                .at(-0.45 * half + 0.3 * half * i as f32, wall + 0.05, half - 0.05)
                .front_and_back()
                .of(0, Kind::Light),
        );
    }
    if r.chance(0.6) {
        let high = tower * r.range(0.6, 0.8);
        parts.push(brick(0.28, high, 0.28, 0.0).at(0.0, high, -0.1).of(0, Kind::Light));
        parts.push(frustum(0.25, 0.42, 0.02, 0.0).at(0.0, 2.0 * high + 0.24, -0.1).of(1, Kind::Red));
    }
    all(parts).turn_y(r.range(-0.6, 0.6))
}

pub(super) fn lighthouse(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.26, 0.4), r.range(1.3, 1.9));
    let top = wide * r.range(0.55, 0.75);
    let mut parts = vec![
        frustum(high / 2.0, wide, top, 0.0).at(0.0, high / 2.0, 0.0).of(0, Kind::Light),
        rod(0.035, top + 0.1, 0.01).at(0.0, high, 0.0).of(2, Kind::Dark),
        rod(0.15, 0.65 * top, 0.0).at(0.0, high + 0.15, 0.0).of(3, Kind::Yellow),
        frustum(0.11, 0.85 * top, 0.02, 0.0).at(0.0, high + 0.4, 0.0).of(1, Kind::Red),
        brick(0.09, 0.16, 0.06, 0.0).at(0.0, 0.16, wide - 0.03).of(2, Kind::Dark),
    ];
    for i in 0..r.int(0, 3) {
        let y = high * (0.22 + 0.28 * i as f32);
        let radius = wide + (top - wide) * y / high;
        parts.push(
            frustum(0.07 * high, radius + 0.012 + 0.07 * (wide - top), radius + 0.012 - 0.07 * (wide - top), 0.0)
                .at(0.0, y, 0.0)
                .of(1, Kind::Red),
        );
    }
    if r.chance(0.5) {
        parts.push(egg(1.6 * wide, 0.16, 1.4 * wide).of(4, Kind::Dark));
    }
    all(parts).turn_y(r.range(-0.5, 0.5))
}

pub(super) fn windmill(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.32, 0.45), r.range(1.0, 1.4));
    let sail = r.range(0.6, 0.85);
    let turn = r.range(0.0, TAU / 4.0);
    let blade = all(vec![
        limb(v(0.0, 0.0, 0.0), 0.03, v(0.0, sail, 0.0), 0.025),
        brick(0.1, 0.38 * sail, 0.02, 0.0).at(0.09, 0.58 * sail, 0.0),
    ]);
    let blades: Vec<_> = (0..4).map(|i| blade.clone().turn_z(turn + TAU * i as f32 / 4.0)).collect();
    let front = 0.75 * wide;
    all(vec![
        frustum(high / 2.0, wide, 0.65 * wide, 0.0).at(0.0, high / 2.0, 0.0).of(0, Kind::Light),
        egg(0.72 * wide, 0.22, 0.72 * wide).at(0.0, high, 0.0).of(1, Kind::Red),
        all(blades).at(0.0, high, front + 0.1).of(2, Kind::Wood),
        rod(0.16, 0.05, 0.01).turn_x(FRAC_PI_2).at(0.0, high, front).of(2, Kind::Wood),
        brick(0.1, 0.18, 0.05, 0.0).at(0.0, 0.18, wide - 0.03).of(3, Kind::Dark),
    ])
    .turn_y(r.range(-0.5, 0.5))
}
