//! What is worn and what has a plug: shoes, hats, cameras, headphones, screens.

use std::f32::consts::{FRAC_PI_2, PI};

use super::creatures::stand;
use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

pub(super) fn shoe(r: &mut Rng) -> Shape {
    let (wide, toe, ankle) = (r.range(0.3, 0.4), r.range(0.22, 0.34), r.range(0.48, 0.66));
    let boot = r.chance(0.3);
    let sole = r.range(0.05, 0.1);
    let heel = if r.chance(0.3) { r.range(0.04, 0.09) } else { 0.0 };
    // Half-width, half-height and middle from the heel (z = -1) to the toe.
    let section = |w: f32, top: f32| [w, 0.62 * top, 0.38 * top];
    let upper = loft(
        1.0,
        vec![
            section(0.5 * wide, 0.7 * ankle),
            section(0.82 * wide, ankle),
            section(0.85 * wide, 0.92 * ankle),
            section(0.95 * wide, 1.5 * toe),
            section(wide, 1.15 * toe),
            section(0.9 * wide, toe),
            section(0.35 * wide, 0.45 * toe),
        ],
        2.3,
    );
    let floor = brick(2.0, 2.0, 3.0, 0.0).at(0.0, 2.0, 0.0);
    let upper = upper.within(floor, 0.02);
    let mut line = vec![
        [0.0, 1.02],
        [0.62 * wide, 0.92],
        [1.06 * wide, 0.55],
        [0.98 * wide, 0.1],
        [0.85 * wide, -0.4],
        [0.92 * wide, -0.8],
        [0.5 * wide, -1.0],
        [0.0, -1.02],
    ];
    let left: Vec<_> = line[1..line.len() - 1].iter().rev().map(|[x, y]| [-x, *y]).collect();
    line.extend(left);
    let base = plate(&closed_spline(&line, 3), sole, 0.03).turn_x(FRAC_PI_2).at(0.0, 0.0, 0.0);
    let mut parts = vec![base.of(1, Kind::Light)];
    if heel > 0.0 {
        parts.push(
            brick(0.8 * wide, heel / 2.0 + 0.03, 0.25, 0.03).at(0.0, -sole - heel / 2.0, -0.72).of(1, Kind::Light),
        );
    }
    let opening = if boot {
        let tall = r.range(0.3, 0.8);
        let shaft = limb(v(0.0, 0.3, -0.6), 0.8 * wide, v(0.0, ankle + tall, -0.62), 0.88 * wide);
        let shaft = shaft.within(brick(2.0, ankle + tall, 2.0, 0.0), 0.02);
        parts.push(blend(0.08, vec![upper, shaft]).of(0, Kind::Any));
        limb(v(0.0, 0.35, -0.6), 0.6 * wide, v(0.0, ankle + tall + 0.5, -0.62), 0.75 * wide)
    } else {
        parts.push(upper.of(0, Kind::Any));
        limb(v(0.0, 0.42, -0.66), 0.6 * wide, v(0.0, 0.95 * ankle, -0.2), 0.55 * wide)
    };
    let mut whole = all(parts).without_softly(opening, 0.02);
    if r.chance(0.7) {
        let laces: Vec<_> = (0..4)
            .map(|i| {
                let (t, z) = (i as f32 / 3.0, -0.12 + 0.12 * i as f32);
                let y = (0.92 * ankle) * (1.0 - t) + 1.5 * toe * t - 0.02;
                tube(&[v(-0.5 * wide, y - 0.09, z), v(0.0, y + 0.02, z), v(0.5 * wide, y - 0.09, z)], 0.028, 0.028)
            })
            .collect();
        whole = all(vec![whole, all(laces).of(2, Kind::Light)]);
    }
    stand(r, whole)
}

pub(super) fn hat(r: &mut Rng) -> Shape {
    let (brim, crown, high) = (r.range(0.65, 0.95), r.range(0.36, 0.48), r.range(0.3, 0.8));
    match r.int(0, 2) {
        0 => {
            let flat = frustum(high / 2.0, crown, crown * r.range(0.8, 1.15), 0.05).at(0.0, high / 2.0, 0.0);
            let hollow = frustum(high / 2.0, crown - 0.07, crown - 0.08, 0.03).at(0.0, high / 2.0 - 0.08, 0.0);
            let band = rod(0.07, crown + 0.02, 0.01).at(0.0, 0.1, 0.0);
            let whole =
                all(vec![rod(0.03, brim, 0.02).of(0, Kind::Dark), flat.of(0, Kind::Dark), band.of(1, Kind::Red)]);
            whole.without(hollow)
        }
        1 => {
            // A cap: half a ball with a peak in front.
            let dome = egg(crown + 0.05, 0.42, crown + 0.1)
                .without(egg(crown, 0.37, crown + 0.05))
                .within(brick(2.0, 1.0, 2.0, 0.0).at(0.0, 1.0, 0.0), 0.0);
            let peak = egg(0.95 * crown, 0.04, 0.4).turn_x(0.15).at(0.0, 0.04, crown + 0.15).without(egg(
                crown,
                0.37,
                crown + 0.05,
            ));
            let whole = all(vec![
                dome.of(0, Kind::Any),
                peak.of(u8::from(r.chance(0.5)), Kind::Any),
                ball(0.04).at(0.0, 0.42, 0.0).of(1, Kind::Any),
            ]);
            whole.turn_y(r.pick(&[0.0, 0.6, -0.6, FRAC_PI_2, -FRAC_PI_2]))
        }
        _ => {
            let cone = turned(&[
                [0.0, 0.0],
                [crown, 0.0],
                [0.5 * crown, 0.5 * high],
                [0.1, 0.9 * high + 0.3],
                [0.0, high + 0.35],
            ]);
            let base = if r.chance(0.5) { torus(crown, 0.1) } else { rod(0.025, brim, 0.02) };
            all(vec![
                cone.of(0, Kind::Red),
                base.of(1, Kind::Light),
                ball(0.1).at(0.0, high + 0.32, 0.0).of(1, Kind::Light),
            ])
        }
    }
}

pub(super) fn camera(r: &mut Rng) -> Shape {
    let (wide, high, deep) = (r.range(0.55, 0.7), r.range(0.36, 0.45), r.range(0.16, 0.26));
    let lens = r.range(0.22, 0.32);
    let long = r.range(0.12, 0.35);
    let x = r.range(-0.1, 0.15);
    let barrel = rod(long, lens, 0.03).turn_x(FRAC_PI_2).at(x, -0.03, deep + long - 0.02);
    let glass = egg(0.78 * lens, 0.78 * lens, 0.06).at(x, -0.03, deep + 2.0 * long - 0.03);
    let rings = torus(lens, 0.02).turn_x(FRAC_PI_2);
    all(vec![
        brick(wide, high, deep, 0.06).of(0, Kind::Dark),
        brick(wide + 0.003, 0.1, deep + 0.004, 0.03).at(0.0, high - 0.1, 0.0).of(1, Kind::Metal),
        barrel.without(rod(0.05, 0.8 * lens, 0.0).turn_x(FRAC_PI_2).at(x, -0.03, deep + 2.0 * long)).of(0, Kind::Dark),
        glass.of(2, Kind::Glass),
        rings.clone().at(x, -0.03, deep + long).of(1, Kind::Metal),
        rings.at(x, -0.03, deep + 1.8 * long).of(0, Kind::Dark),
        plate(&[[-0.2, 0.0], [0.2, 0.0], [0.12, 0.18], [-0.12, 0.18]], 0.8 * deep, 0.02)
            .at(x, high - 0.02, 0.0)
            .of(1, Kind::Metal),
        rod(0.05, 0.09, 0.01).at(-0.72 * wide, high + 0.03, 0.0).of(1, Kind::Metal),
        rod(0.04, 0.07, 0.01).at(0.75 * wide, high + 0.03, 0.0).of(1, Kind::Metal),
    ])
    .turn_y(r.range(-0.6, 0.6))
}

pub(super) fn headphones(r: &mut Rng) -> Shape {
    let (half, high) = (r.range(0.48, 0.6), r.range(0.6, 0.8));
    let band = tube(
        &[
            v(-half, 0.0, 0.0),
            v(-0.92 * half, 0.6 * high, 0.0),
            v(0.0, high + 0.1, 0.0),
            v(0.92 * half, 0.6 * high, 0.0),
            v(half, 0.0, 0.0),
        ],
        0.055,
        0.055,
    );
    let cup = r.range(0.25, 0.34);
    let shell = rod(0.08, cup, 0.05).turn_z(FRAC_PI_2).at(half + 0.06, -0.1, 0.0);
    let pad = torus(cup - 0.09, 0.09).turn_z(FRAC_PI_2).at(half - 0.06, -0.1, 0.0);
    all(vec![
        band.of(0, Kind::Dark),
        shell.both_sides().of(1, Kind::Any),
        pad.both_sides().of(2, Kind::Dark),
        tube(
            &[v(-0.4 * half, high - 0.02, 0.0), v(0.0, high + 0.08, 0.0), v(0.4 * half, high - 0.02, 0.0)],
            0.09,
            0.09,
        )
        .of(2, Kind::Dark),
    ])
    .turn_y(r.range(-0.8, 0.8))
}

pub(super) fn screen(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.75, 1.0), r.range(0.45, 0.6));
    let turn = r.range(-0.6, 0.6);
    if r.chance(0.35) {
        // A laptop.
        let deep = 0.62 * wide;
        let open = r.range(0.1, 0.5);
        let lid = all(vec![
            brick(wide, deep, 0.025, 0.015).of(0, Kind::Metal),
            brick(0.93 * wide, 0.9 * deep, 0.02, 0.0).at(0.0, 0.0, 0.012).of(1, Kind::Dark),
        ]);
        let base = all(vec![
            brick(wide, 0.035, deep, 0.02).of(0, Kind::Metal),
            brick(0.85 * wide, 0.02, 0.45 * deep, 0.0).at(0.0, 0.025, -0.2 * deep).of(2, Kind::Dark),
        ]);
        return all(vec![lid.at(0.0, deep, 0.0).turn_x(-open).at(0.0, 0.03, -deep), base]).turn_y(turn);
    }
    let old = r.chance(0.25);
    let deep = if old { r.range(0.3, 0.5) } else { 0.05 };
    let front = brick(wide, high, 0.05, 0.02).of(0, Kind::Dark);
    let glass = brick(0.92 * wide, 0.88 * high, 0.05, 0.01).at(0.0, 0.0, 0.012).of(1, Kind::Glass);
    let mut parts = vec![front, glass];
    if old {
        parts.push(
            loft(
                deep,
                vec![[0.5 * wide, 0.5 * high, 0.0], [0.9 * wide, 0.9 * high, 0.0], [0.98 * wide, 0.98 * high, 0.0]],
                6.0,
            )
            .at(0.0, 0.0, -deep)
            .of(0, Kind::Dark),
        );
        parts.push(limb(v(0.0, high, -0.2), 0.03, v(0.4, high + 0.5, -0.2), 0.025).both_sides().of(2, Kind::Metal));
        parts.push(brick(0.1, 0.06, 0.1, 0.0).at(0.6 * wide, -high - 0.04, -0.25).both_sides().of(2, Kind::Wood));
    } else {
        let foot = r.range(0.12, 0.3);
        parts.push(brick(0.09, foot, 0.04, 0.01).at(0.0, -high - foot + 0.1, -0.06).of(2, Kind::Metal));
        parts.push(egg(0.4, 0.04, 0.26).at(0.0, -high - 2.0 * foot + 0.1, -0.03).of(2, Kind::Metal));
    }
    all(parts).turn_y(turn)
}

pub(super) fn phone(r: &mut Rng) -> Shape {
    let (wide, high, deep) = (r.range(0.4, 0.5), r.range(0.8, 0.95), r.range(0.045, 0.1));
    let round = r.range(0.05, 0.14);
    let corners = |w: f32, h: f32| {
        let mut line = Vec::new();
        for (i, (sx, sy)) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)].into_iter().enumerate() {
            for step in 0..=4 {
                let angle = FRAC_PI_2 * (i as f32 + step as f32 / 4.0);
                line.push([sx * (w - round) + round * angle.cos(), sy * (h - round) + round * angle.sin()]);
            }
        }
        line
    };
    let body = plate(&corners(wide, high), deep, 0.03).of(0, Kind::Dark);
    let glass = brick(wide - 0.04, high - 0.05, 0.02, 0.0).at(0.0, 0.0, deep - 0.008).of(1, Kind::Glass);
    let mut parts = vec![body, glass];
    if r.chance(0.3) {
        parts = vec![
            plate(&corners(wide, high), deep + 0.05, 0.05).of(0, Kind::Any),
            brick(0.75 * wide, 0.3 * high, 0.03, 0.0).at(0.0, 0.5 * high, deep + 0.04).of(1, Kind::Glass),
        ];
        for i in 0..12 {
            let (x, y) = ((i % 3) as f32 - 1.0, (i / 3) as f32);
            parts.push(
                brick(0.18 * wide, 0.07 * high, 0.03, 0.02)
                    .at(0.5 * wide * x, 0.02 - 0.22 * high * y, deep + 0.05)
                    .of(2, Kind::Light),
            );
        }
        parts.push(limb(v(0.7 * wide, high, 0.0), 0.05, v(0.7 * wide, high + 0.3, 0.0), 0.04).of(0, Kind::Any));
    }
    all(parts).turn_y(r.range(-0.6, 0.6)).turn_z(if r.chance(0.7) { 0.0 } else { FRAC_PI_2 * r.sign() })
}

pub(super) fn glasses(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.28, 0.36), r.range(0.2, 0.32));
    let line: Vec<[f32; 2]> = if r.chance(0.5) {
        regular(20, 1.0, 0.0)
    } else {
        vec![[-1.0, 0.8], [0.9, 1.0], [1.0, -0.6], [0.0, -1.0], [-0.9, -0.7]]
    };
    let ring = |grow: f32| -> Vec<[f32; 2]> {
        closed_spline(
            &line
                .iter()
                .map(|[x, y]| {
                    [x * wide + grow * x.signum() * x.abs().sqrt(), y * high + grow * y.signum() * y.abs().sqrt()]
                })
                .collect::<Vec<_>>(),
            3,
        )
    };
    let rim = plate(&ring(0.05), 0.04, 0.02).without(plate(&ring(-0.01), 1.0, 0.0)).of(0, Kind::Dark);
    let lens = plate(&ring(0.01), 0.018, 0.0).of(1, Kind::Glass);
    let x = wide + 0.09;
    let end = x + wide + 0.03;
    let temple = chain(&[
        (v(end, 0.6 * high, 0.0), 0.035),
        (v(end, 0.6 * high, -0.9), 0.03),
        (v(end - 0.02, 0.6 * high - 0.25, -1.15), 0.03),
    ]);
    let bridge = tube(&[v(-0.1, 0.3 * high, 0.0), v(0.0, 0.45 * high, 0.02), v(0.1, 0.3 * high, 0.0)], 0.035, 0.035);
    let one = all(vec![all(vec![rim, lens]).at(x, 0.0, 0.0), temple.of(0, Kind::Dark)]);
    all(vec![one.both_sides(), bridge.of(0, Kind::Dark)]).turn_y(r.range(-0.7, 0.7)).turn_x(PI * 0.0)
}

pub(super) fn umbrella(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.7, 0.95), r.range(0.35, 0.55));
    let dome = egg(wide, high, wide)
        .without(egg(wide - 0.05, high - 0.05, wide - 0.05))
        .within(brick(2.0, 1.0, 2.0, 0.0).at(0.0, 1.0, 0.0), 0.0);
    let long = r.range(0.8, 1.1);
    let hook = tube(
        &[
            v(0.0, -long + 0.1, 0.0),
            v(0.0, -long, 0.0),
            v(0.1, -long - 0.12, 0.0),
            v(0.2, -long, 0.0),
            v(0.2, -long + 0.08, 0.0),
        ],
        0.045,
        0.045,
    );
    all(vec![
        dome.of(0, Kind::Red),
        limb(v(0.0, high + 0.12, 0.0), 0.025, v(0.0, -long, 0.0), 0.03).of(1, Kind::Metal),
        hook.of(2, Kind::Wood),
    ])
    .turn_z(r.range(-0.5, 0.5))
}
