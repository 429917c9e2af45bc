//! Animals: limbs and bodies that flow together.

use std::f32::consts::{FRAC_PI_2, PI};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// Animals are seen from the side more often than from the front. Made looking to the front (z).
pub(super) fn stand(r: &mut Rng, shape: Shape) -> Shape {
    let turn = match r.int(0, 9) {
        0..=3 => -FRAC_PI_2,
        4..=6 => FRAC_PI_2,
        _ => 0.0,
    };
    shape.turn_y(turn + r.range(-0.15, 0.15))
}

pub(super) fn eyes(x: f32, y: f32, z: f32, size: f32) -> Shape {
    ball(size).at(x, y, z).both_sides().of(5, Kind::Dark)
}

/// Proportions of a four-legged animal, in lengths of its body.
struct Beast {
    leg: f32,
    leg_thick: f32,
    body: f32,
    belly: f32,
    neck: f32,
    neck_up: f32,
    head: f32,
    snout: f32,
    tail: f32,
}

pub(super) fn quadruped(r: &mut Rng) -> Shape {
    let which = r.int(0, 6);
    let b = match which {
        // dog, cat, horse, elephant, giraffe, pig or bear, cow
        0 => Beast {
            leg: 0.5,
            leg_thick: 0.075,
            body: 0.2,
            belly: 0.18,
            neck: 0.25,
            neck_up: 0.9,
            head: 0.17,
            snout: 0.22,
            tail: 0.4,
        },
        1 => Beast {
            leg: 0.38,
            leg_thick: 0.06,
            body: 0.17,
            belly: 0.18,
            neck: 0.16,
            neck_up: 0.8,
            head: 0.18,
            snout: 0.07,
            tail: 0.65,
        },
        2 => Beast {
            leg: 0.72,
            leg_thick: 0.065,
            body: 0.23,
            belly: 0.22,
            neck: 0.5,
            neck_up: 0.95,
            head: 0.13,
            snout: 0.33,
            tail: 0.5,
        },
        3 => Beast {
            leg: 0.5,
            leg_thick: 0.13,
            body: 0.34,
            belly: 0.38,
            neck: 0.14,
            neck_up: 0.6,
            head: 0.26,
            snout: 0.0,
            tail: 0.35,
        },
        4 => Beast {
            leg: 0.85,
            leg_thick: 0.06,
            body: 0.21,
            belly: 0.2,
            neck: 1.0,
            neck_up: 1.25,
            head: 0.12,
            snout: 0.2,
            tail: 0.35,
        },
        5 => Beast {
            leg: 0.28,
            leg_thick: 0.09,
            body: 0.3,
            belly: 0.33,
            neck: 0.08,
            neck_up: 0.5,
            head: 0.23,
            snout: 0.16,
            tail: 0.15,
        },
        _ => Beast {
            leg: 0.48,
            leg_thick: 0.075,
            body: 0.28,
            belly: 0.3,
            neck: 0.22,
            neck_up: 0.6,
            head: 0.17,
            snout: 0.22,
            tail: 0.5,
        },
    };
    let spread = 0.18;
    let leg = r.about(b.leg, spread);
    let thick = r.about(b.leg_thick, spread);
    let (chest, belly) = (r.about(b.body, spread), r.about(b.belly, spread));
    let half = r.range(0.32, 0.48);
    let top = leg + belly;
    let mut parts = vec![chain(&[
        (v(0.0, top + 0.2 * (chest - belly), half), chest),
        (v(0.0, top, 0.0), 0.95 * belly.min(chest)),
        (v(0.0, top, -half), 0.95 * belly),
    ])];
    let apart = 0.55 * chest.min(belly) + 0.15 * thick;
    let stride = if r.chance(0.5) { r.range(-0.2, 0.2) } else { 0.0 };
    for (z, sign) in [(half, 1.0), (-half, -1.0)] {
        for x in [-1.0, 1.0] {
            let step = stride * sign * x;
            let bend = if sign < 0.0 { -0.06 } else { 0.02 };
            parts.push(chain(&[
                (v(x * apart, top - 0.2 * chest, z), 1.5 * thick),
                (v(x * apart, 0.5 * leg, z + 0.5 * step + bend), thick),
                (v(x * apart, 0.8 * thick, z + step), 0.85 * thick),
                (v(x * apart, 0.7 * thick, z + step + 0.5 * thick), 0.8 * thick),
            ]));
        }
    }
    let (neck, up) = (r.about(b.neck, spread), b.neck_up + r.range(-0.3, 0.2));
    let from = v(0.0, top + 0.25 * chest, half + 0.4 * chest);
    let to = from + v(0.0, up.sin(), up.cos()) * (neck + 0.5 * chest);
    let head = 1.15 * r.about(b.head, spread);
    parts.push(limb(from, 0.7 * chest, to, 0.75 * head));
    parts.push(ball(head).at(to.x, to.y, to.z));
    let snout = r.about(b.snout.max(0.02), spread);
    let nose = to + v(0.0, -0.25 * head - 0.25 * snout, 0.7 * head + snout);
    if b.snout > 0.0 {
        parts.push(limb(to + v(0.0, -0.15 * head, 0.3 * head), 0.65 * head, nose, 0.45 * head));
    }
    let tail_end = v(0.0, top + b.tail * r.range(-0.8, 0.7), -half - 0.7 * b.tail);
    let root = v(0.0, top + 0.4 * belly, -half - 0.6 * belly);
    parts.push(tube(
        &[root, root.lerp(tail_end, 0.5) + v(0.0, 0.1, -0.06), tail_end + v(0.0, 0.0, -0.1)],
        0.05,
        r.range(0.03, 0.055),
    ));
    let ear = match which {
        3 => egg(0.28, 0.3, 0.05).turn_y(0.5).at(0.3, to.y + 0.02, to.z - 0.1),
        0 if r.chance(0.5) => egg(0.05, 0.15, 0.08).turn_z(0.25).at(0.85 * head, to.y, to.z),
        5 => ball(0.4 * head).at(0.7 * head, to.y + 0.75 * head, to.z),
        _ => frustum(0.42 * head, 0.3 * head, 0.06 * head, 0.01).turn_z(-0.35).at(
            0.55 * head,
            to.y + 1.05 * head,
            to.z - 0.1 * head,
        ),
    };
    let mut whole = Vec::new();
    if which == 3 {
        let low = r.range(0.05, 0.5) * leg;
        parts.push(tube(
            &[
                to + v(0.0, -0.05, 0.15),
                to + v(0.0, -0.22, 0.32),
                v(0.0, (to.y + low) / 2.0, to.z + 0.38),
                v(0.0, low, to.z + r.range(0.4, 0.6)),
            ],
            0.12,
            0.05,
        ));
        let tusk = tube(&[to + v(0.12, -0.15, 0.15), to + v(0.17, -0.3, 0.35), to + v(0.17, -0.24, 0.5)], 0.04, 0.02);
        whole.push(tusk.both_sides().of(1, Kind::Light));
    }
    let slot = u8::from(r.chance(0.3)) * 2;
    whole.push(ear.of(slot, Kind::Fur).both_sides());
    if which == 6 || (which == 4 && r.chance(0.7)) {
        let horn = tube(
            &[to + v(0.06, 0.8 * head, 0.0), to + v(0.17, 1.1 * head, 0.0), to + v(0.19, 1.9 * head, 0.0)],
            0.03,
            0.02,
        );
        whole.push(horn.both_sides().of(1, Kind::Light));
    }
    if which == 2 {
        let mane = chain(&[
            (from + v(0.0, 0.1, -0.12), 0.06),
            (to + v(0.0, 0.08, -0.1), 0.06),
            (to + v(0.0, head, 0.05), 0.04),
        ]);
        whole.push(mane.of(2, Kind::Dark));
    }
    whole.push(eyes(0.62 * head, to.y + 0.35 * head, to.z + 0.68 * head, 0.13 * head));
    whole.push(ball(0.2 * head).at(nose.x, nose.y + 0.1 * head, nose.z + 0.35 * head).of(5, Kind::Dark));
    let k = r.range(0.04, 0.1);
    whole.push(blend(k, parts).of(0, Kind::Fur));
    let beast = all(whole);
    stand(r, beast)
}

pub(super) fn bird(r: &mut Rng) -> Shape {
    let (fat, long) = (r.range(0.24, 0.36), r.range(0.4, 0.55));
    let leg = r.range(0.12, 0.6);
    let neck = if r.chance(0.3) { r.range(0.3, 0.7) } else { r.range(0.0, 0.15) };
    let head = r.range(0.15, 0.21);
    let y = leg + fat;
    let top = v(0.0, y + 0.75 * fat + neck + 0.3 * head, 0.7 * long + 0.2 * neck);
    let body = blend(
        0.1,
        vec![
            egg(fat, 0.9 * fat, long).turn_x(-0.25).at(0.0, y, 0.0),
            limb(v(0.0, y + 0.2 * fat, 0.5 * long), 0.5 * fat, top, 0.75 * head),
            ball(head).at(0.0, top.y, top.z),
            limb(
                v(0.0, y + 0.05, -0.7 * long),
                0.1,
                v(0.0, y + r.range(-0.15, 0.35), -long - r.range(0.15, 0.4)),
                0.06,
            ),
        ],
    );
    let wing = egg(0.06, 0.6 * fat, 0.75 * long).turn_x(-0.35).turn_z(-0.12).at(fat, y + 0.08, -0.12);
    let bill = r.range(0.1, 0.35);
    let beak = frustum(bill / 2.0, 0.09, 0.02, 0.01).turn_x(FRAC_PI_2 + 0.1).at(
        0.0,
        top.y - 0.02,
        top.z + 0.8 * head + bill / 2.0,
    );
    let foot = all(vec![
        limb(v(0.12, y - 0.4 * fat, 0.0), 0.045, v(0.12, 0.03, 0.0), 0.035),
        limb(v(0.12, 0.03, -0.06), 0.03, v(0.16, 0.03, 0.16), 0.03),
        limb(v(0.12, 0.03, 0.0), 0.03, v(0.06, 0.03, 0.15), 0.03),
    ]);
    let whole = all(vec![
        body.of(0, Kind::Any),
        wing.both_sides().of(u8::from(r.chance(0.6)), Kind::Any),
        beak.of(2, Kind::Yellow),
        foot.both_sides().of(2, Kind::Yellow),
        eyes(0.75 * head, top.y + 0.25 * head, top.z + 0.55 * head, 0.03),
    ]);
    stand(r, whole)
}

pub(super) fn duck(r: &mut Rng) -> Shape {
    let (wide, head) = (r.range(0.36, 0.46), r.range(0.24, 0.34));
    let y = r.range(0.72, 0.95);
    let body = egg(wide, 0.36, 0.6).at(0.0, 0.34, 0.0);
    let tail = limb(v(0.0, 0.45, -0.4), 0.16, v(0.0, 0.68, -0.68), 0.05);
    let body =
        blend(0.14, vec![body, tail, limb(v(0.0, 0.4, 0.3), 0.24, v(0.0, y, 0.36), 0.2), ball(head).at(0.0, y, 0.38)]);
    let body = body.within(brick(2.0, 2.0, 2.0, 0.0).at(0.0, 2.03, 0.0), 0.02);
    let wing = egg(0.08, 0.18, 0.34).turn_x(-0.25).at(wide, 0.42, -0.1).both_sides();
    let bill = all(vec![
        egg(0.13, 0.04, 0.17).at(0.0, y - 0.03, 0.36 + head),
        egg(0.11, 0.035, 0.13).at(0.0, y - 0.09, 0.36 + head),
    ]);
    let whole = all(vec![
        body.of(0, Kind::Yellow),
        wing.of(0, Kind::Yellow),
        bill.of(1, Kind::Red),
        eyes(0.6 * head, y + 0.3 * head, 0.38 + 0.7 * head, 0.04),
    ]);
    stand(r, whole)
}

pub(super) fn fish(r: &mut Rng) -> Shape {
    let (high, wide) = (r.range(0.2, 0.42), r.range(0.1, 0.2));
    let body = loft(
        0.7,
        vec![
            [0.03, 0.05, 0.0],
            [0.5 * wide, 0.4 * high, 0.0],
            [wide, high, 0.0],
            [0.95 * wide, 0.85 * high, 0.0],
            [0.3 * wide, 0.22 * high, 0.0],
        ],
        2.0,
    );
    let fork = r.range(0.05, 0.25);
    let tail = plate(&[[-0.05, 0.03], [0.35, 0.3], [0.35 - fork, 0.0], [0.35, -0.3], [-0.05, -0.03]], 0.03, 0.02)
        .turn_y(FRAC_PI_2)
        .at(0.0, 0.0, -0.66);
    let fin = plate(&[[-0.3, 0.0], [0.25, 0.0], [0.0, 0.25], [-0.3, 0.2]], 0.025, 0.015).turn_y(-FRAC_PI_2).at(
        0.0,
        0.8 * high,
        0.0,
    );
    let side = egg(0.13, 0.03, 0.09).turn_z(-0.6).at(wide + 0.04, -0.1, 0.2).both_sides();
    let whole = all(vec![
        body.of(0, Kind::Any),
        all(vec![tail, fin, side]).of(1, Kind::Any),
        eyes(0.55 * wide, 0.25 * high, 0.5, 0.035),
    ]);
    stand(r, whole)
}

pub(super) fn turtle(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.42, 0.55), r.range(0.28, 0.4));
    let shell =
        egg(wide, high, 1.15 * wide).at(0.0, 0.18, 0.0).within(brick(2.0, 2.0, 2.0, 0.0).at(0.0, 2.12, 0.0), 0.04);
    let leg = limb(v(0.75 * wide, 0.16, 0.65 * wide), 0.11, v(0.95 * wide, 0.09, 0.85 * wide), 0.09);
    let reach = r.range(0.2, 0.4);
    let neck = limb(v(0.0, 0.2, wide), 0.1, v(0.0, 0.3, wide + reach), 0.11);
    let head = egg(0.14, 0.13, 0.17).at(0.0, 0.33, wide + reach + 0.05);
    let tail = limb(v(0.0, 0.15, -1.1 * wide), 0.06, v(0.0, 0.1, -1.1 * wide - 0.2), 0.02);
    let whole = all(vec![
        shell.of(0, Kind::Wood),
        rod(0.04, wide, 0.03).at(0.0, 0.14, 0.0).of(2, Kind::Light),
        all(vec![leg.both_sides().front_and_back(), blend(0.06, vec![neck, head]), tail]).of(1, Kind::Leaf),
        eyes(0.11, 0.38, wide + reach + 0.12, 0.028),
    ]);
    let turn = r.pick(&[-FRAC_PI_2, FRAC_PI_2, 0.0, 0.6, -0.6, PI / 4.0]);
    whole.turn_y(turn)
}
