//! What a hand holds: tools, keys, cutlery, gears.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// Lies in the picture's plane, as people photograph tools from above, at some angle.
fn lay(r: &mut Rng, shape: Shape) -> Shape {
    let angle = match r.int(0, 4) {
        0 | 1 => r.range(-0.15, 0.15),
        2 => r.range(-1.0, 1.0),
        3 => FRAC_PI_2 + r.range(-0.2, 0.2),
        _ => r.sign() * PI / 4.0,
    };
    shape.turn_z(angle)
}

pub(super) fn hammer(r: &mut Rng) -> Shape {
    let long = r.range(1.4, 2.0);
    let (thick, head) = (r.range(0.07, 0.11), r.range(0.1, 0.17));
    let grip = r.range(1.0, 1.4) * thick;
    let handle =
        turned(&[[0.0, 0.0], [grip, 0.02], [1.1 * grip, 0.25 * long], [thick, 0.55 * long], [0.8 * thick, long]]);
    let mut parts = vec![handle.of(0, Kind::Wood)];
    let y = long - 0.02;
    let reach = r.range(0.3, 0.45);
    match r.int(0, 2) {
        0 => {
            let claw =
                tube(&[v(-0.1, y, 0.06), v(-0.3, y + 0.02, 0.06), v(-0.5, y - 0.2, 0.1)], 0.07, 0.03).front_and_back();
            parts.push(
                blend(
                    0.05,
                    vec![
                        rod(reach / 2.0, 0.75 * head, 0.02).turn_z(FRAC_PI_2).at(reach / 2.0, y, 0.0),
                        rod(0.08, head, 0.03).turn_z(FRAC_PI_2).at(reach, y, 0.0),
                        brick(0.13, head, 0.11, 0.03).at(0.0, y, 0.0),
                        claw,
                    ],
                )
                .of(1, Kind::Metal),
            );
        }
        1 => parts.push(
            all(vec![
                rod(reach + 0.1, 1.5 * head, 0.03).turn_z(FRAC_PI_2).at(0.0, y, 0.0),
                torus(1.5 * head, 0.03).turn_z(FRAC_PI_2).at(reach - 0.05, y, 0.0),
                torus(1.5 * head, 0.03).turn_z(FRAC_PI_2).at(-reach + 0.05, y, 0.0),
            ])
            .of(1, Kind::Wood),
        ),
        _ => {
            let wedge = plate(
                &[[-0.05, 0.9 * head], [-0.05, -0.9 * head], [-reach - 0.1, -0.15 * head], [-reach - 0.1, 0.15 * head]],
                0.9 * head,
                0.02,
            );
            parts.push(
                all(vec![brick(reach, head, head, 0.03).at(0.18, y, 0.0), wedge.at(0.0, y, 0.0)]).of(1, Kind::Metal),
            );
        }
    }
    let whole = all(parts);
    lay(r, whole)
}

pub(super) fn axe(r: &mut Rng) -> Shape {
    let long = r.range(1.5, 2.0);
    let handle =
        tube(&[v(0.05, 0.0, 0.0), v(0.0, 0.3 * long, 0.0), v(0.03, 0.7 * long, 0.0), v(0.0, long, 0.0)], 0.085, 0.07);
    let (reach, edge) = (r.range(0.35, 0.6), r.range(0.2, 0.38));
    let y = long - 0.16;
    let figure = closed_spline(
        &[
            [-0.1, y + 0.13],
            [0.1, y + 0.13],
            [reach, y + edge],
            [reach + 0.08, y],
            [reach, y - edge],
            [0.1, y - 0.13],
            [-0.1, y - 0.13],
        ],
        4,
    );
    let taper = plate(&[[-0.2, 0.1], [-0.2, -0.1], [reach + 0.12, -0.012], [reach + 0.12, 0.012]], 2.0, 0.0)
        .turn_x(FRAC_PI_2)
        .at(0.0, y, 0.0);
    let mut blade = plate(&figure, 0.1, 0.01).within(taper, 0.01);
    if r.chance(0.25) {
        blade = all(vec![blade.clone(), blade.placed(&crate::math::Placement::mirrored(0))]);
    }
    let whole = all(vec![handle.of(0, Kind::Wood), blade.of(1, Kind::Metal)]);
    lay(r, whole)
}

pub(super) fn wrench(r: &mut Rng) -> Shape {
    let long = r.range(1.3, 1.9);
    let (head, thick, wide) = (r.range(0.2, 0.3), r.range(0.05, 0.09), r.range(0.08, 0.12));
    let shank = plate(&[[-wide, 0.0], [wide, 0.0], [0.85 * wide, long], [-0.85 * wide, long]], 0.8 * thick, 0.03);
    let round = |radius: f32, y: f32| rod(thick, radius, 0.03).turn_x(FRAC_PI_2).at(0.0, y, 0.0);
    let gap = r.range(0.42, 0.58) * head;
    let jaw =
        brick(gap, head, 1.0, 0.0).at(0.0, 0.75 * head, 0.0).turn_z(r.range(0.0, 0.35)).at(0.0, long + 0.2 * head, 0.0);
    let mut body = blend(0.06, vec![shank, round(head, long + 0.15 * head)]).without(jaw);
    if r.chance(0.6) {
        let ring = extruded(Profile::polygon(&regular(6, 0.6 * head, 0.0)), 1.0, 0.0);
        body = blend(0.06, vec![body, round(0.95 * head, 0.0)]).without(ring);
    } else {
        let jaw = brick(0.8 * gap, head, 1.0, 0.0).at(0.0, -0.9 * head, 0.0);
        body = blend(0.06, vec![body, round(0.85 * head, 0.0)]).without(jaw);
    }
    let whole = body.of(0, Kind::Metal);
    lay(r, whole)
}

pub(super) fn screwdriver(r: &mut Rng) -> Shape {
    let (grip, wide, shaft) = (r.range(0.55, 0.8), r.range(0.12, 0.2), r.range(0.7, 1.2));
    let handle = turned(&[
        [0.0, 0.0],
        [0.8 * wide, 0.03],
        [wide, 0.3 * grip],
        [0.85 * wide, 0.7 * grip],
        [0.6 * wide, 0.85 * grip],
        [0.75 * wide, grip],
    ]);
    let groove = limb(v(1.12 * wide, 0.1, 0.0), 0.06, v(1.12 * wide, 0.7 * grip, 0.0), 0.06).around(6);
    let thin = r.range(0.04, 0.065);
    let rod_ = rod(shaft / 2.0 + 0.05, thin, 0.0).at(0.0, grip + shaft / 2.0, 0.0);
    let flat = plate(
        &[
            [-0.7 * thin, 0.0],
            [0.7 * thin, 0.0],
            [1.7 * thin, 0.12],
            [1.5 * thin, 0.2],
            [-1.5 * thin, 0.2],
            [-1.7 * thin, 0.12],
        ],
        0.025,
        0.005,
    );
    let tip = if r.chance(0.6) {
        flat.at(0.0, grip + shaft, 0.0)
    } else {
        frustum(0.09, thin, 0.01, 0.0).at(0.0, grip + shaft + 0.1, 0.0)
    };
    let whole =
        all(vec![handle.without_softly(groove, 0.03).of(0, Kind::Red), all(vec![rod_, tip]).of(1, Kind::Metal)]);
    let whole = whole.turn_z(PI * r.int(0, 1) as f32);
    lay(r, whole)
}

pub(super) fn key(r: &mut Rng) -> Shape {
    let (long, head, thick) = (r.range(0.9, 1.4), r.range(0.25, 0.36), r.range(0.04, 0.08));
    let bow = match r.int(0, 2) {
        0 => torus(head - 0.08, 0.08).turn_x(FRAC_PI_2),
        1 => rod(thick, head, 0.02).turn_x(FRAC_PI_2).without(rod(1.0, 0.4 * head, 0.0).turn_x(FRAC_PI_2).at(
            0.0,
            0.3 * head,
            0.0,
        )),
        _ => {
            let lobe = torus(0.55 * head, 0.06).turn_x(FRAC_PI_2).at(0.62 * head, 0.0, 0.0);
            all(vec![lobe.clone(), lobe.clone().turn_z(FRAC_PI_2), lobe.turn_z(PI)])
        }
    };
    let wide = r.range(0.055, 0.09);
    let shank = if r.chance(0.5) { rod(long / 2.0, wide, 0.02) } else { brick(wide, long / 2.0, thick, 0.01) };
    let mut parts = vec![bow, shank.at(0.0, -head - long / 2.0 + 0.1, 0.0)];
    let count = r.int(2, 4);
    for i in 0..count {
        let (reach, half) = (r.range(0.08, 0.22), 0.4 * 0.5 * long / (count as f32 + 1.0));
        let y = -head - long + 0.14 + i as f32 * 0.5 * long / count as f32;
        parts.push(brick(reach / 2.0 + 0.04, half, 0.7 * thick, 0.01).at(wide + reach / 2.0 - 0.03, y, 0.0));
    }
    let whole = all(parts).of(0, Kind::Metal);
    lay(r, whole)
}

pub(super) fn spoon(r: &mut Rng) -> Shape {
    let (long, wide, tall) = (r.range(1.1, 1.5), r.range(0.19, 0.27), r.range(0.28, 0.36));
    let handle = tube(
        &[
            v(0.0, -0.9 * tall, 0.0),
            v(0.0, -tall - 0.2 * long, 0.06),
            v(0.0, -tall - 0.6 * long, 0.05),
            v(0.0, -tall - long, 0.0),
        ],
        0.045,
        0.08,
    );
    let handle = handle.within(brick(1.0, 3.0, 0.1, 0.05), 0.02);
    let fork = r.chance(0.35);
    let head = if fork {
        let mut tines = vec![brick(0.17, 0.12, 0.04, 0.035).at(0.0, -0.85 * tall, 0.0)];
        let count = r.int(3, 4);
        for i in 0..count {
            let x = 0.28 * (i as f32 / (count - 1) as f32 - 0.5);
            tines.push(tube(
                &[v(x, -0.85 * tall, 0.0), v(x, -0.2 * tall, -0.05), v(x, 0.9 * tall, 0.03)],
                0.036,
                0.026,
            ));
        }
        blend(0.03, tines)
    } else {
        egg(wide, tall, 0.13)
            .without(egg(0.87 * wide, 0.88 * tall, 0.13).at(0.0, 0.0, 0.055))
            .without(brick(1.0, 1.0, 0.3, 0.0).at(0.0, 0.0, 0.31))
    };
    let whole = blend(0.04, vec![head, handle]).of(0, Kind::Metal);
    lay(r, whole)
}

pub(super) fn gear(r: &mut Rng) -> Shape {
    let teeth = r.int(8, 22);
    let (deep, half) = (r.range(0.1, 0.2), r.range(0.08, 0.24));
    let step = TAU / teeth as f32;
    let (root, tip) = (r.range(0.26, 0.32), r.range(0.12, 0.2));
    let mut line = Vec::new();
    for i in 0..teeth {
        let a = step * i as f32;
        for (offset, radius) in [(-root, 1.0 - deep), (-tip, 1.0), (tip, 1.0), (root, 1.0 - deep)] {
            let angle = a + offset * step;
            line.push([radius * angle.cos(), radius * angle.sin()]);
        }
    }
    let mut body = plate(&line, half, 0.015);
    let bore = r.range(0.12, 0.28);
    body = body.without(rod(2.0, bore, 0.0).turn_x(FRAC_PI_2));
    let body = match r.int(0, 2) {
        0 => {
            let count = r.int(3, 6);
            let hole = rod(2.0, 0.16, 0.0).turn_x(FRAC_PI_2).at(0.55, 0.0, 0.0);
            let holes = all((0..count).map(|i| hole.clone().turn_z(TAU * i as f32 / count as f32)).collect());
            body.without(holes)
        }
        1 => {
            let hub =
                rod(1.4 * half, bore + 0.12, 0.02).turn_x(FRAC_PI_2).without(rod(2.0, bore, 0.0).turn_x(FRAC_PI_2));
            all(vec![body, hub])
        }
        _ => body,
    };
    let tilt = if r.chance(0.3) { FRAC_PI_2 } else { r.range(-0.3, 0.3) };
    let turn = r.range(-0.7, 0.7);
    body.of(0, Kind::Metal).turn_x(tilt).turn_y(turn)
}

pub(super) fn bolt(r: &mut Rng) -> Shape {
    let (long, thin, head) = (r.range(0.7, 1.6), r.range(0.13, 0.24), r.range(0.3, 0.42));
    let thread = r.range(0.07, 0.12);
    let mut rings = vec![rod(long / 2.0, thin, 0.02).at(0.0, -long / 2.0, 0.0)];
    let count = (0.75 * long / thread) as usize;
    for i in 0..count {
        rings.push(frustum(thread / 4.0, thin, thin + 0.045, 0.0).at(0.0, -long + thread * (i as f32 + 0.6), 0.0));
    }
    let high = r.range(0.1, 0.18);
    let head = match r.int(0, 2) {
        0 => extruded(Profile::polygon(&regular(6, head, 0.0)), high, 0.03).turn_x(FRAC_PI_2).at(0.0, high, 0.0),
        1 => egg(head, 1.3 * high, head)
            .within(brick(1.0, 1.0, 1.0, 0.0).at(0.0, 1.0, 0.0), 0.0)
            .without(brick(1.0, 0.1, 0.05, 0.0).at(0.0, 1.35 * high, 0.0)),
        _ => rod(high, 0.85 * head, 0.03).at(0.0, high, 0.0).without(
            extruded(Profile::polygon(&regular(6, 0.45 * head, 0.0)), high, 0.0).turn_x(FRAC_PI_2).at(
                0.0,
                2.0 * high,
                0.0,
            ),
        ),
    };
    let flip = PI * r.int(0, 1) as f32;
    let lean = if r.chance(0.5) { r.range(-0.9, 0.9) } else { 0.0 };
    all(vec![all(rings), head]).of(0, Kind::Metal).turn_x(flip).turn_z(lean)
}

pub(super) fn scissors(r: &mut Rng) -> Shape {
    let (long, open) = (r.range(0.8, 1.1), r.range(0.08, 0.4));
    let ring = r.range(0.16, 0.22);
    let half = |sign: f32| {
        let blade = plate(&[[-0.08, -0.1], [0.08, -0.1], [0.06, 0.5 * long], [-0.07, long], [-0.08, 0.3]], 0.03, 0.01);
        let shank = limb(v(0.0, -0.05, 0.0), 0.06, v(0.12, -0.4, 0.0), 0.05);
        let loop_ = torus(ring, 0.055).turn_x(FRAC_PI_2).at(0.14, -0.4 - ring, 0.0);
        let one = all(vec![blade.of(0, Kind::Metal), all(vec![shank, loop_]).of(1, Kind::Any)]).at(0.0, 0.0, 0.028);
        let one = if sign > 0.0 { one } else { one.turn_y(PI) };
        one.turn_z(sign * open)
    };
    let whole = all(vec![half(1.0), half(-1.0), rod(0.08, 0.05, 0.01).turn_x(FRAC_PI_2).of(2, Kind::Metal)]);
    lay(r, whole)
}

pub(super) fn brush(r: &mut Rng) -> Shape {
    let long = r.range(1.0, 1.5);
    let wide = r.range(0.12, 0.34);
    let flat = wide * r.range(0.35, 1.0);
    let handle =
        turned(&[[0.0, 0.0], [0.05, 0.0], [0.085, 0.35 * long], [0.06, 0.7 * long], [0.12, long]]).of(0, Kind::Wood);
    let ferrule = brick(wide, 0.12, flat.min(wide), 0.05).at(0.0, long + 0.1, 0.0).of(1, Kind::Metal);
    let tall = r.range(0.3, 0.5);
    let hair = loft(
        tall / 2.0,
        vec![[0.9 * wide, 0.9 * flat, 0.0], [wide, flat, 0.0], [0.85 * wide, 0.6 * flat, 0.0], [0.3 * wide, 0.12, 0.0]],
        3.0,
    );
    let hair = hair.turn_x(-FRAC_PI_2).at(0.0, long + 0.2 + tall / 2.0, 0.0).of(2, Kind::Fur);
    let whole = all(vec![handle, ferrule, hair]);
    lay(r, whole)
}
