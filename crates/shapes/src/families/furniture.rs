//! What stands in a room.

use std::f32::consts::{PI, TAU};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// A leg from the floor to `top`, thinner below.
fn leg(r: &mut Rng, top: f32, x: f32, z: f32, splay: f32, thick: f32, round: bool) -> Shape {
    let _ = r;
    if round {
        limb(v(x + splay * x.signum(), 0.8 * thick, z + splay * z.signum()), 0.7 * thick, v(x, top, z), thick)
    } else {
        brick(thick, top / 2.0, thick, 0.01).at(x, top / 2.0, z)
    }
}

fn four_legs(r: &mut Rng, top: f32, x: f32, z: f32, thick: f32) -> Shape {
    let round = r.chance(0.55);
    let splay = if round { r.range(0.0, 0.14) } else { 0.0 };
    leg(r, top, x, z, splay, thick, round).both_sides().front_and_back()
}

fn turn(r: &mut Rng, most: f32) -> f32 {
    if r.chance(0.4) { 0.0 } else { r.range(-most, most) }
}

pub(super) fn chair(r: &mut Rng) -> Shape {
    let (wide, deep, seat, back) = (r.range(0.4, 0.52), r.range(0.38, 0.5), r.range(0.75, 1.0), r.range(0.7, 1.15));
    let thick = r.range(0.035, 0.065);
    let board = r.range(0.035, 0.08);
    let mut parts = vec![four_legs(r, seat, wide - thick, deep - thick, thick).of(0, Kind::Wood)];
    let slot = u8::from(r.chance(0.4));
    parts.push(brick(wide, board, deep, 0.03).at(0.0, seat, 0.0).of(slot, Kind::Wood));
    let lean = r.range(0.0, 0.25);
    let mut rest = Vec::new();
    let post = |x: f32| limb(v(x, 0.0, 0.0), thick, v(x, back, 0.0), 0.8 * thick).of(0, Kind::Wood);
    match r.int(0, 3) {
        0 => rest.push(brick(wide, back / 2.0, 0.04, 0.03).at(0.0, back / 2.0, 0.0).of(slot, Kind::Wood)),
        1 => {
            rest.push(post(wide - thick).both_sides());
            for i in 0..r.int(2, 4) {
                let y = back * (0.95 - 0.24 * i as f32);
                rest.push(brick(wide - thick, 0.07, 0.025, 0.01).at(0.0, y, 0.0).of(0, Kind::Wood));
            }
        }
        2 => {
            rest.push(post(wide - thick).both_sides());
            rest.push(brick(wide, 0.09, 0.035, 0.02).at(0.0, back, 0.0).of(0, Kind::Wood));
            let count = r.int(3, 6);
            for i in 0..count {
                let x = (wide - 2.5 * thick) * (2.0 * i as f32 / (count - 1) as f32 - 1.0);
                rest.push(limb(v(x, 0.0, 0.0), 0.025, v(x, back, 0.0), 0.025).of(0, Kind::Wood));
            }
        }
        _ => {
            rest.push(post(wide - thick).both_sides());
            rest.push(brick(wide, 0.3 * back, 0.05, 0.045).at(0.0, 0.72 * back, 0.0).of(slot, Kind::Any));
        }
    }
    parts.push(all(rest).turn_x(-lean).at(0.0, seat, -deep + thick));
    if r.chance(0.3) {
        let high = seat + r.range(0.3, 0.42);
        let arm = all(vec![
            brick(0.05, 0.03, deep, 0.02).at(wide, high, 0.0),
            limb(v(wide, seat, deep - 0.08), 0.03, v(wide, high, deep - 0.08), 0.03),
        ]);
        parts.push(arm.of(0, Kind::Wood).both_sides());
    }
    let angle = turn(r, 0.7);
    all(parts).turn_y(angle)
}

pub(super) fn stool(r: &mut Rng) -> Shape {
    let (height, radius) = (r.range(0.7, 1.5), r.range(0.35, 0.5));
    let seat = if r.chance(0.7) { rod(0.06, radius, 0.04) } else { brick(radius, 0.06, radius, 0.04) };
    let seat = seat.at(0.0, height, 0.0).of(1, Kind::Wood);
    let count = r.int(3, 4);
    let (splay, thick) = (r.range(0.0, 0.2), r.range(0.035, 0.06));
    let leg = limb(v(0.0, thick, 0.7 * radius + splay), thick, v(0.0, height, 0.7 * radius), thick);
    let mut parts = vec![seat, leg.around(count).of(0, Kind::Wood)];
    if r.chance(0.6) {
        parts.push(torus(0.7 * radius + 0.65 * splay, 0.025).at(0.0, 0.35 * height, 0.0).of(0, Kind::Metal));
    }
    let angle = r.range(0.0, TAU);
    all(parts).turn_y(angle)
}

pub(super) fn table(r: &mut Rng) -> Shape {
    let height = r.range(0.5, 0.95);
    let board = r.range(0.03, 0.07);
    let angle = turn(r, 0.6);
    let (wide, deep) = (r.range(0.55, 1.1), r.range(0.4, 0.65));
    if r.chance(0.3) {
        let radius = r.range(0.5, 0.8);
        let top = rod(board, radius, 0.02).at(0.0, height, 0.0).of(1, Kind::Wood);
        let column = turned(&[[0.0, 0.0], [0.12, 0.02], [0.06, 0.3 * height], [0.09, 0.6 * height], [0.07, height]]);
        let foot = if r.chance(0.5) {
            frustum(0.04, 0.36, 0.3, 0.02).at(0.0, 0.04, 0.0)
        } else {
            limb(v(0.0, 0.06, 0.45), 0.05, v(0.0, 0.22, 0.0), 0.06).around(4)
        };
        return all(vec![top, all(vec![column, foot]).of(0, Kind::Wood)]).turn_y(angle);
    }
    let thick = r.range(0.035, 0.07);
    let top = brick(wide, board, deep, 0.015).at(0.0, height, 0.0).of(1, Kind::Wood);
    let inset = r.range(0.0, 0.1) + thick;
    let mut parts = vec![top, four_legs(r, height, wide - inset, deep - inset, thick).of(0, Kind::Wood)];
    if r.chance(0.5) {
        parts.push(brick(wide - inset, 0.07, deep - inset, 0.0).at(0.0, height - 0.08, 0.0).of(0, Kind::Wood));
    }
    if r.chance(0.25) {
        let half = 0.28 * wide;
        let x = wide - inset - half;
        parts.push(brick(half, 0.3 * height, deep - inset, 0.01).at(x, 0.66 * height, 0.0).of(0, Kind::Wood));
        for i in 0..3 {
            let y = (0.86 - 0.2 * i as f32) * height;
            parts.push(
                limb(v(x - 0.08, y, deep - inset + 0.03), 0.02, v(x + 0.08, y, deep - inset + 0.03), 0.02)
                    .of(2, Kind::Metal),
            );
        }
    }
    all(parts).turn_y(angle)
}

pub(super) fn lamp(r: &mut Rng) -> Shape {
    let height = r.range(0.7, 1.7);
    let shade_high = r.range(0.2, 0.34);
    let wide = r.range(0.34, 0.55);
    let narrow = wide * r.range(0.4, 0.95);
    if r.chance(0.25) {
        // A desk lamp with joints.
        let reach = r.range(0.5, 0.7);
        let arm = chain(&[(v(0.0, 0.05, 0.0), 0.035), (v(-0.35, 0.7, 0.0), 0.035), (v(reach, 1.15, 0.0), 0.03)]);
        let shade = frustum(0.19, 0.28, 0.09, 0.02).turn_z(r.range(0.2, 0.6)).at(reach + 0.06, 1.08, 0.0);
        let knee = ball(0.07).at(-0.35, 0.7, 0.0);
        let base = frustum(0.05, 0.34, 0.3, 0.02).at(0.0, 0.05, 0.0);
        let angle = r.range(-0.6, 0.6);
        return all(vec![all(vec![arm, knee, base]).of(0, Kind::Metal), shade.of(1, Kind::Any)]).turn_y(angle);
    }
    let foot = if r.chance(0.5) {
        all(vec![
            frustum(0.05, 0.3, 0.26, 0.02).at(0.0, 0.05, 0.0),
            rod(height / 2.0, 0.035, 0.0).at(0.0, height / 2.0, 0.0),
        ])
    } else {
        let belly = r.range(0.16, 0.32);
        turned(&[[0.0, 0.0], [0.22, 0.0], [0.14, 0.1], [belly, 0.4 * height], [0.07, 0.8 * height], [0.05, height]])
    };
    let side = vec![[0.0, 0.0], [wide, 0.0], [narrow, 2.0 * shade_high], [0.0, 2.0 * shade_high]];
    let inner = frustum(shade_high, wide - 0.05, narrow - 0.05, 0.0).at(0.0, shade_high - 0.05, 0.0);
    let shade = lathe(side).without(inner).at(0.0, height - 0.1, 0.0);
    let bulb = limb(v(0.0, height - 0.1, 0.0), 0.05, v(0.0, height + 2.0 * shade_high - 0.12, 0.0), 0.05);
    all(vec![foot.of(0, Kind::Metal), shade.of(1, Kind::Light), bulb.of(0, Kind::Metal)])
}

pub(super) fn sofa(r: &mut Rng) -> Shape {
    let wide = r.range(0.55, 1.3);
    let (seat, deep, back, arm) = (r.range(0.3, 0.42), r.range(0.42, 0.52), r.range(0.35, 0.6), r.range(0.1, 0.2));
    let soft = r.range(0.04, 0.1);
    let mut parts = vec![
        brick(wide, seat / 2.0, deep, 0.04).at(0.0, seat / 2.0 + 0.08, 0.0).of(0, Kind::Any),
        brick(wide, (seat + back) / 2.0, 0.13, soft).at(0.0, (seat + back) / 2.0 + 0.08, -deep).of(0, Kind::Any),
        brick(arm, (seat + 0.2) / 2.0, deep + 0.05, soft)
            .at(wide + 0.5 * arm, (seat + 0.2) / 2.0 + 0.08, 0.0)
            .both_sides()
            .of(0, Kind::Any),
        rod(0.06, 0.05, 0.0).at(wide - 0.05, 0.05, deep - 0.1).both_sides().front_and_back().of(1, Kind::Wood),
    ];
    let count = (wide / 0.5).round().max(1.0) as usize;
    for i in 0..count {
        let half = wide / count as f32;
        let x = -wide + half * (2 * i + 1) as f32;
        parts.push(brick(half - 0.015, 0.08, deep - 0.08, 0.06).at(x, seat + 0.14, 0.06).of(2, Kind::Any));
    }
    let angle = turn(r, 0.6);
    all(parts).turn_y(angle)
}

pub(super) fn shelf(r: &mut Rng) -> Shape {
    let (wide, high, deep) = (r.range(0.4, 0.9), r.range(0.6, 1.1), r.range(0.2, 0.35));
    let board = r.range(0.025, 0.045);
    let mut parts = vec![
        brick(board, high, deep, 0.005).at(wide - board, high, 0.0).both_sides(),
        brick(wide, high, 0.02, 0.0).at(0.0, high, -deep + 0.02),
    ];
    let count = r.int(2, 5);
    for i in 0..=count {
        parts.push(brick(wide, board, deep, 0.005).at(
            0.0,
            board + (2.0 * high - 2.0 * board) * i as f32 / count as f32,
            0.0,
        ));
    }
    let mut parts = vec![all(parts).of(0, Kind::Wood)];
    if r.chance(0.6) {
        let gap = (2.0 * high - 2.0 * board) / count as f32;
        for row in 0..count {
            let mut x = -wide + 3.0 * board;
            let end = wide - 3.0 * board - if r.chance(0.5) { 0.4 * wide } else { 0.0 };
            while x < end {
                let (half, tall) = (r.range(0.03, 0.07), r.range(0.5, 0.8) * gap / 2.0);
                let book =
                    brick(half, tall, 0.7 * deep, 0.008).at(x + half, 1.8 * board + gap * row as f32 + tall, -0.05);
                parts.push(book.of(1 + r.int(0, 3) as u8, Kind::Any));
                x += 2.0 * half + 0.008;
            }
        }
    }
    let angle = turn(r, 0.5);
    all(parts).turn_y(angle)
}

pub(super) fn bed(r: &mut Rng) -> Shape {
    let (wide, long) = (r.range(0.4, 0.75), 1.0);
    let parts = vec![
        brick(wide, 0.08, long, 0.02).at(0.0, 0.26, 0.0).of(0, Kind::Wood),
        brick(wide - 0.02, 0.11, long - 0.03, 0.06).at(0.0, 0.42, 0.0).of(1, Kind::Light),
        brick(wide + 0.01, 0.1, 0.62 * long, 0.06).at(0.0, 0.46, 0.37 * long).of(2, Kind::Any),
        brick(0.7 * wide, 0.08, 0.16, 0.07).at(0.0, 0.57, -0.75 * long).of(1, Kind::Light),
        brick(wide + 0.03, r.range(0.4, 0.6), 0.04, 0.03).at(0.0, 0.5, -long - 0.02).of(0, Kind::Wood),
        brick(wide + 0.03, r.range(0.2, 0.3), 0.04, 0.03).at(0.0, 0.3, long + 0.02).of(0, Kind::Wood),
        brick(0.05, 0.15, 0.05, 0.0).at(wide - 0.03, 0.13, long - 0.03).both_sides().front_and_back().of(0, Kind::Wood),
    ];
    let angle = r.range(0.3, 1.2) * r.sign();
    all(parts).turn_y(angle)
}

pub(super) fn clock(r: &mut Rng) -> Shape {
    let radius = 0.6;
    let mut parts = vec![
        rod(0.14, radius, 0.04).turn_x(PI / 2.0).of(0, Kind::Any),
        rod(0.02, 0.86 * radius, 0.0).turn_x(PI / 2.0).at(0.0, 0.0, 0.135).of(1, Kind::Light),
        torus(0.93 * radius, 0.06).turn_x(PI / 2.0).at(0.0, 0.0, 0.13).of(0, Kind::Any),
    ];
    let (a, b) = (r.range(0.0, TAU), r.range(0.0, TAU));
    for (angle, long) in [(a, 0.45), (b, 0.32)] {
        parts.push(
            limb(v(0.0, 0.0, 0.17), 0.025, v(long * angle.cos(), long * angle.sin(), 0.17), 0.02).of(2, Kind::Dark),
        );
    }
    if r.chance(0.7) {
        parts.push(limb(v(0.3, -0.45, 0.0), 0.05, v(0.45, -0.72, 0.0), 0.04).both_sides().of(2, Kind::Metal));
        parts.push(egg(0.2, 0.13, 0.16).turn_z(-0.6).at(0.42, 0.62, 0.0).both_sides().of(2, Kind::Metal));
    } else {
        parts.push(brick(0.5, 0.1, 0.2, 0.03).at(0.0, -0.62, 0.0).of(0, Kind::Wood));
    }
    let angle = turn(r, 0.5);
    all(parts).turn_y(angle)
}
