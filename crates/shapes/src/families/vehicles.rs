//! What drives, flies and floats. Made looking to the right (x), as people photograph it, then turned.

use std::f32::consts::{FRAC_PI_2, PI};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// Mostly from the side, sometimes from the front.
fn drive(r: &mut Rng, shape: Shape) -> Shape {
    let turn = match r.int(0, 9) {
        0..=3 => 0.0,
        4..=7 => PI,
        _ => -FRAC_PI_2,
    };
    shape.turn_y(turn + r.range(-0.15, 0.15))
}

/// A pair of wheels at `x`, their outer faces at `z`.
fn wheels(x: f32, z: f32, radius: f32, half: f32) -> Shape {
    let tyre = rod(half, radius, 0.3 * half).turn_x(FRAC_PI_2).at(x, radius, z - half).of(6, Kind::Dark);
    let hub = rod(0.02, 0.55 * radius, 0.005).turn_x(FRAC_PI_2).at(x, radius, z + 0.005).of(7, Kind::Metal);
    let axle = rod(z / 2.0, 0.2 * radius, 0.0).turn_x(FRAC_PI_2).at(x, radius, z / 2.0 - half).of(6, Kind::Dark);
    all(vec![tyre, hub, axle]).front_and_back()
}

fn arches(x: f32, radius: f32) -> Shape {
    rod(2.0, 1.12 * radius, 0.0).turn_x(FRAC_PI_2).at(x, radius, 0.0)
}

pub(super) fn car(r: &mut Rng) -> Shape {
    let (long, wide) = (1.0, r.range(0.36, 0.46));
    let radius = r.range(0.15, 0.22);
    let (floor, belt, roof) = (0.6 * radius, r.range(0.36, 0.46), r.range(0.62, 0.82));
    let hood = r.range(0.25, 0.55);
    let trunk = r.range(0.0, 0.45);
    let low = r.range(0.75, 0.95);
    let body = [
        [-long, floor],
        [long, floor],
        [long + 0.02, 0.8 * belt * low],
        [long - 0.1, 0.97 * belt * low],
        [long - hood, belt],
        [-long + 0.5 * trunk, belt + 0.02],
        [-long, belt * 0.95],
    ];
    let body = plate(&body, wide, 0.09);
    let rake = r.range(0.12, 0.3);
    let (front, back) = (long - hood, -long + trunk + 0.04);
    let cabin = [
        [front, belt - 0.05],
        [front - rake, roof - 0.02],
        [front - rake - 0.2, roof],
        [back + 0.35, roof - 0.01],
        [back + 0.4 * rake + 0.08, roof - 0.06],
        [back, belt - 0.05],
    ];
    let front_view = [
        [-wide, 0.0],
        [wide, 0.0],
        [wide, belt],
        [0.78 * wide, roof + 0.03],
        [-0.78 * wide, roof + 0.03],
        [-wide, belt],
    ];
    let cross = plate(&front_view, 3.0, 0.0).turn_y(FRAC_PI_2);
    let shell = |grow: f32, half: f32| {
        let figure: Vec<_> = cabin.iter().map(|[x, y]| [x * (1.0 - grow), y - 0.08 * grow]).collect();
        plate(&figure, half, 0.05)
    };
    let open = r.chance(0.1);
    let cabin = if open {
        brick(0.02, 0.12, 0.75 * wide, 0.01).turn_z(0.5).at(front - 0.1, belt + 0.08, 0.0).of(1, Kind::Glass)
    } else {
        let glass = shell(0.0, wide - 0.03).within(cross.clone(), 0.02).of(1, Kind::Dark);
        // Roof and pillars a little prouder than the glass.
        let top = brick(long, 0.035, 0.72 * wide, 0.03)
            .at(0.0, roof - 0.01, 0.0)
            .within(shell(-0.02, wide), 0.01)
            .of(0, Kind::Any);
        let pillar = brick(0.03, 0.3, 3.0, 0.0).at((front + back) / 2.0 - 0.03, roof - 0.2, 0.0);
        let pillar = pillar.within(shell(0.0, wide - 0.02).within(cross, 0.02), 0.0).of(0, Kind::Any);
        all(vec![glass, top, pillar])
    };
    let seats = if open { egg(0.3, 0.1, 0.6 * wide).at(-0.1, belt, 0.0) } else { ball(0.02).at(0.0, belt - 0.1, 0.0) };
    let (x1, x2) = (long - r.range(0.3, 0.42), -long + r.range(0.3, 0.42));
    let body = body.without(arches(x1, radius)).without(arches(x2, radius)).of(0, Kind::Any);
    let belly = brick(long - 0.15, 0.1, wide - 0.2, 0.02).at(0.0, floor + 0.12, 0.0).of(6, Kind::Dark);
    let lights = all(vec![
        egg(0.04, 0.05, 0.08).at(long - 0.01, 0.72 * belt * low, 0.65 * wide).front_and_back().of(3, Kind::Yellow),
        brick(0.03, 0.04, 0.08, 0.01).at(-long, 0.8 * belt, 0.65 * wide).front_and_back().of(4, Kind::Red),
        brick(0.06, 0.035, wide - 0.02, 0.03).at(long - 0.01, floor + 0.06, 0.0).of(5, Kind::Dark),
        brick(0.06, 0.035, wide - 0.02, 0.03).at(-long + 0.01, floor + 0.06, 0.0).of(5, Kind::Dark),
    ]);
    let whole =
        all(vec![body, cabin, seats, belly, lights, wheels(x1, wide, radius, 0.075), wheels(x2, wide, radius, 0.075)]);
    drive(r, whole)
}

pub(super) fn van(r: &mut Rng) -> Shape {
    let (wide, radius) = (r.range(0.36, 0.46), r.range(0.15, 0.2));
    let (floor, roof) = (0.6 * radius, r.range(0.8, 1.2));
    let nose = r.range(0.05, 0.4);
    let belt = r.range(0.45, 0.55) * roof;
    let body = [
        [-1.0, floor],
        [1.0, floor],
        [1.0, 0.8 * belt],
        [1.0 - 0.5 * nose, belt],
        [1.0 - nose, roof],
        [-0.97, roof],
        [-1.0, roof - 0.1],
    ];
    let (x1, x2) = (0.65, -0.6);
    let body = plate(&body, wide, 0.07).without(arches(x1, radius)).without(arches(x2, radius)).of(0, Kind::Any);
    let mut parts = vec![body, brick(0.85, 0.1, wide - 0.18, 0.0).at(0.0, floor + 0.11, 0.0).of(6, Kind::Dark)];
    let count = r.int(2, 6);
    let from = 1.0 - nose - 0.12;
    for i in 0..count {
        let half = (from + 0.88) / (2.0 * count as f32) - 0.03;
        let x = from - (2 * i + 1) as f32 * (half + 0.03);
        parts.push(brick(half, 0.15 * roof, 0.02, 0.015).at(x, 0.73 * roof, wide).front_and_back().of(1, Kind::Dark));
    }
    let slope = -(0.5 * nose).atan2(roof - belt);
    parts.push(
        brick(0.015, 0.36 * (roof - belt), 0.85 * wide, 0.01)
            .turn_z(-slope)
            .at(1.0 - 0.75 * nose + 0.01, (belt + roof) / 2.0, 0.0)
            .of(1, Kind::Dark),
    );
    parts.push(ball(0.06).at(0.98, 0.6 * belt, 0.65 * wide).front_and_back().of(3, Kind::Yellow));
    parts.push(wheels(x1, wide, radius, 0.075));
    parts.push(wheels(x2, wide, radius, 0.075));
    let whole = all(parts);
    drive(r, whole)
}

pub(super) fn truck(r: &mut Rng) -> Shape {
    let (wide, radius) = (r.range(0.34, 0.44), r.range(0.16, 0.24));
    let bed = 1.2 * radius;
    let cab_high = r.range(0.65, 0.9);
    let cab_long = r.range(0.25, 0.4);
    let bonnet = if r.chance(0.4) { r.range(0.2, 0.35) } else { 0.0 };
    let cab_from = 1.0 - 2.0 * cab_long - bonnet;
    let slope = r.range(0.0, 0.12);
    let mut cab = vec![[cab_from, bed], [1.0, bed], [1.0, bed + 0.42 * cab_high]];
    if bonnet > 0.0 {
        cab.push([1.0 - bonnet, bed + 0.5 * cab_high]);
    }
    cab.extend([[1.0 - bonnet - slope, bed + cab_high], [cab_from, bed + cab_high]]);
    let mut parts = vec![
        plate(&cab, wide, 0.05).of(0, Kind::Any),
        brick(1.0, 0.05, wide - 0.1, 0.0).at(0.0, bed, 0.0).of(6, Kind::Dark),
        brick(0.55 * cab_long, 0.15 * cab_high, 0.015, 0.0)
            .at(cab_from + cab_long, bed + 0.72 * cab_high, wide)
            .front_and_back()
            .of(1, Kind::Dark),
        brick(0.012, 0.16 * cab_high, 0.8 * wide, 0.0)
            .turn_z(slope * 1.8)
            .at(1.0 - bonnet - 0.55 * slope + 0.004, bed + 0.72 * cab_high, 0.0)
            .of(1, Kind::Dark),
        egg(0.03, 0.06, 0.06).at(1.0, bed + 0.15, 0.65 * wide).front_and_back().of(3, Kind::Yellow),
        brick(0.04, 0.05, wide, 0.02).at(1.01, bed, 0.0).of(7, Kind::Metal),
    ];
    let (from, to) = (-1.0, cab_from - 0.04);
    let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
    match r.int(0, 3) {
        0 => parts.push(
            brick(half, cab_high * 0.55, wide + 0.02, 0.02).at(middle, bed + cab_high * 0.58, 0.0).of(2, Kind::Light),
        ),
        1 => {
            let tray = brick(half, 0.2, wide + 0.02, 0.01).at(middle, bed + 0.22, 0.0);
            parts.push(
                tray.without(brick(half - 0.05, 0.2, wide - 0.03, 0.0).at(middle, bed + 0.3, 0.0)).of(2, Kind::Any),
            );
        }
        2 => parts
            .push(rod(half, 0.9 * wide, 0.06).turn_z(FRAC_PI_2).at(middle, bed + 0.9 * wide, 0.0).of(2, Kind::Metal)),
        _ => {
            let tip = [[from - 0.1, bed + 0.55], [to, bed + 0.6], [to, bed + 0.1], [from + 0.15, bed + 0.1]];
            let hollow =
                [[from - 0.2, bed + 0.7], [to - 0.06, bed + 0.7], [to - 0.06, bed + 0.2], [from + 0.2, bed + 0.2]];
            parts.push(plate(&tip, wide + 0.03, 0.02).without(plate(&hollow, wide - 0.03, 0.0)).of(2, Kind::Yellow));
        }
    }
    parts.push(wheels(0.72, wide, radius, 0.08));
    parts.push(wheels(-0.62, wide, radius, 0.1));
    if r.chance(0.5) {
        parts.push(wheels(-0.62 + 2.15 * radius, wide, radius, 0.1));
    }
    let whole = all(parts);
    drive(r, whole)
}

pub(super) fn train(r: &mut Rng) -> Shape {
    let (boiler, wide) = (r.range(0.24, 0.34), 0.38);
    let radius = r.range(0.14, 0.2);
    let bed = 1.3 * radius;
    let axis = bed + boiler + 0.02;
    let cab = axis + boiler + r.range(0.15, 0.35);
    let mut parts = vec![
        rod(0.62, boiler, 0.03).turn_z(FRAC_PI_2).at(0.25, axis, 0.0).of(0, Kind::Any),
        rod(0.06, 1.08 * boiler, 0.02).turn_z(FRAC_PI_2).at(0.86, axis, 0.0).of(1, Kind::Dark),
        brick(1.0, 0.06, wide, 0.02).at(0.0, bed, 0.0).of(1, Kind::Dark),
        frustum(0.16, 0.08, r.range(0.08, 0.16), 0.01).at(0.65, axis + boiler + 0.12, 0.0).of(1, Kind::Dark),
        ball(0.12).at(0.15, axis + boiler, 0.0).of(2, Kind::Yellow),
        brick(0.3, 0.035, wide + 0.07, 0.02).at(-0.65, cab, 0.0).of(1, Kind::Dark),
        plate(&[[0.0, 0.0], [0.28, 0.0], [0.0, 0.25]], 0.8 * wide, 0.02).at(0.92, 0.06, 0.0).of(2, Kind::Red),
        ball(0.08).at(0.94, axis + 0.75 * boiler, 0.0).of(2, Kind::Yellow),
    ];
    let window = brick(0.12, 0.13, 2.0, 0.03).at(-0.65, cab - 0.22, 0.0);
    let house = brick(0.27, (cab - bed) / 2.0, wide, 0.03).at(-0.65, (cab + bed) / 2.0, 0.0).without(window);
    parts.push(house.of(0, Kind::Any));
    for (i, x) in [0.68, 0.24, -0.2, -0.68].into_iter().enumerate() {
        if i != 2 || r.chance(0.6) {
            parts.push(wheels(x, wide, radius, 0.05));
        }
    }
    let whole = all(parts);
    drive(r, whole)
}

pub(super) fn plane(r: &mut Rng) -> Shape {
    let thick = r.range(0.12, 0.2);
    let body = loft(
        1.0,
        vec![
            [0.04, 0.05, 0.08],
            [0.55 * thick, 0.6 * thick, 0.04],
            [thick, thick, 0.0],
            [thick, 1.05 * thick, 0.0],
            [0.85 * thick, 0.85 * thick, 0.0],
            [0.25 * thick, 0.25 * thick, -0.02],
        ],
        2.0,
    );
    let body = body.turn_y(FRAC_PI_2);
    let (span, sweep, chord) = (r.range(0.8, 1.15), r.range(0.0, 0.55), r.range(0.16, 0.3));
    let rise = if r.chance(0.35) { thick } else { -0.3 * thick };
    let wing = plate(
        &[[0.3 + chord, 0.0], [0.3 - chord, 0.0], [0.3 - sweep - 0.5 * chord, span], [0.3 - sweep + 0.3 * chord, span]],
        0.03,
        0.025,
    )
    .turn_x(FRAC_PI_2)
    .at(0.0, rise, 0.0)
    .front_and_back();
    let tail = plate(&[[-0.7, 0.0], [-0.97, 0.0], [-1.05, 0.36], [-0.88, 0.36]], 0.025, 0.02)
        .turn_x(FRAC_PI_2)
        .at(0.0, 0.06, 0.0)
        .front_and_back();
    let fin = plate(&[[-0.62, 0.05], [-0.98, 0.05], [-1.08, 0.5], [-0.9, 0.5]], 0.025, 0.02);
    let mut parts = vec![body.of(0, Kind::Light), all(vec![wing, tail, fin]).of(u8::from(r.chance(0.5)), Kind::Any)];
    parts.push(egg(0.16, 0.1, 0.6 * thick).at(0.62, 0.75 * thick, 0.0).of(2, Kind::Dark));
    match r.int(0, 2) {
        0 => {
            for (x, z) in [(0.25, 0.4), (0.05, 0.7)].into_iter().take(r.int(1, 2)) {
                parts.push(
                    rod(0.14, 0.07, 0.02)
                        .turn_z(FRAC_PI_2)
                        .at(x + 0.15, rise - 0.09, z)
                        .front_and_back()
                        .of(3, Kind::Metal),
                );
            }
        }
        1 => {
            let blade = egg(0.02, 0.3, 0.04).at(1.05, 0.0, 0.0);
            parts.push(all(vec![blade.clone(), blade.turn_x(FRAC_PI_2)]).of(3, Kind::Dark));
            parts.push(egg(0.1, 0.06, 0.06).at(1.03, 0.0, 0.0).of(3, Kind::Dark));
            let strut = limb(v(0.35, 0.0, 0.05), 0.025, v(0.35, -thick - 0.15, 0.2), 0.025);
            let wheel = rod(0.03, 0.09, 0.02).turn_x(FRAC_PI_2).at(0.35, -thick - 0.17, 0.22);
            parts.push(all(vec![strut, wheel]).front_and_back().of(3, Kind::Dark));
        }
        _ => {}
    }
    let bank = r.range(-0.25, 0.25);
    let pitch = r.range(-0.1, 0.3);
    let turn = r.pick(&[0.0, PI, -FRAC_PI_2, -0.7, PI + 0.7]) + r.range(-0.2, 0.2);
    all(parts).turn_x(bank).turn_z(pitch).turn_y(turn)
}

pub(super) fn boat(r: &mut Rng) -> Shape {
    let wide = r.range(0.26, 0.4);
    let high = r.range(0.2, 0.34);
    let bow = r.range(0.0, 0.16);
    let hull = loft(
        1.0,
        vec![
            [0.75 * wide, high, 0.0],
            [wide, high, -0.01],
            [wide, high, 0.0],
            [0.75 * wide, high + 0.02, 0.0],
            [0.03, high + bow, bow],
        ],
        2.6,
    );
    let deck = brick(2.0, 1.0, 2.0, 0.0).at(0.0, 1.05, 0.0);
    let hull = hull.without(deck).turn_y(FRAC_PI_2).of(0, Kind::Any);
    let mut parts = vec![hull];
    if r.chance(0.55) {
        let mast = r.range(1.1, 1.7);
        parts.push(limb(v(0.1, -0.1, 0.0), 0.035, v(0.1, mast, 0.0), 0.025).of(1, Kind::Wood));
        parts.push(limb(v(0.1, 0.2, 0.0), 0.025, v(-0.75, 0.2, 0.0), 0.02).of(1, Kind::Wood));
        parts.push(plate(&[[0.07, 0.22], [-0.72, 0.22], [0.07, mast - 0.05]], 0.022, 0.01).of(2, Kind::Light));
        if r.chance(0.6) {
            parts.push(plate(&[[0.12, 0.15], [0.85, 0.1], [0.12, 0.85 * mast]], 0.022, 0.01).of(2, Kind::Light));
        }
    } else {
        let tall = r.range(0.12, 0.2);
        parts.push(brick(0.38, tall, 0.65 * wide, 0.03).at(-0.15, tall, 0.0).of(2, Kind::Light));
        parts.push(brick(0.22, 0.13, 0.5 * wide, 0.03).at(-0.05, 2.0 * tall + 0.1, 0.0).of(2, Kind::Light));
        for i in 0..r.int(1, 2) {
            parts.push(
                frustum(0.16, 0.08, 0.075, 0.01).at(-0.12 - 0.25 * i as f32, 2.0 * tall + 0.3, 0.0).of(3, Kind::Red),
            );
        }
    }
    let whole = all(parts);
    drive(r, whole)
}

pub(super) fn rocket(r: &mut Rng) -> Shape {
    let (wide, high) = (r.range(0.2, 0.36), r.range(1.4, 2.0));
    let body = turned(&[
        [0.0, 0.0],
        [0.65 * wide, 0.0],
        [wide, 0.35 * high],
        [0.9 * wide, 0.65 * high],
        [0.4 * wide, 0.9 * high],
        [0.0, high],
    ]);
    let count = r.int(3, 4);
    let reach = r.range(0.3, 0.5);
    let fin = plate(
        &[[0.5 * wide, 0.45], [0.6 * wide + reach, 0.05], [0.6 * wide + reach, -0.22], [0.5 * wide, 0.1]],
        0.04,
        0.03,
    );
    let tip = frustum(0.13, 0.13, 0.02, 0.01).at(0.0, high - 0.08, 0.0);
    all(vec![
        body.of(0, Kind::Light),
        fin.around(count).of(1, Kind::Red),
        tip.of(1, Kind::Red),
        frustum(0.08, 0.6 * wide, 0.4 * wide, 0.01).at(0.0, -0.05, 0.0).of(3, Kind::Metal),
        rod(0.04, 0.13, 0.02).turn_x(FRAC_PI_2).at(0.0, 0.62 * high, 0.85 * wide).of(2, Kind::Glass),
    ])
    .turn_y(r.range(0.0, 0.5))
}

pub(super) fn bicycle_toy(r: &mut Rng) -> Shape {
    // A motor scooter or toy motorcycle: two wheels, a body, a fork and a seat.
    let radius = r.range(0.26, 0.36);
    let thick = r.range(0.07, 0.11);
    let base = r.range(0.55, 0.7);
    let wheel = torus(radius - thick, thick).turn_x(FRAC_PI_2).at(0.0, radius, 0.0);
    let disc = rod(0.04, radius - thick, 0.0).turn_x(FRAC_PI_2).at(0.0, radius, 0.0);
    let pair = |shape: Shape| all(vec![shape.clone().at(base, 0.0, 0.0), shape.at(-base, 0.0, 0.0)]);
    let top = r.range(0.95, 1.15);
    let fork = limb(v(base, radius, 0.13), 0.04, v(base - 0.28, top, 0.1), 0.04).front_and_back();
    let bar = limb(v(base - 0.3, top, 0.0), 0.035, v(base - 0.38, top + 0.08, 0.36), 0.04).front_and_back();
    let body = blend(
        0.1,
        vec![
            limb(v(-base, radius, 0.0), 0.11, v(0.1, 0.42, 0.0), 0.16),
            limb(v(0.1, 0.42, 0.0), 0.17, v(base - 0.25, 0.85, 0.0), 0.1),
            egg(0.28, 0.13, 0.15).at(0.12, 0.78, 0.0),
        ],
    );
    let seat = chain(&[(v(-0.1, 0.8, 0.0), 0.1), (v(-0.5, 0.8, 0.0), 0.11), (v(-0.68, 0.88, 0.0), 0.07)]);
    let whole = all(vec![
        pair(wheel).of(6, Kind::Dark),
        pair(disc).of(7, Kind::Metal),
        all(vec![fork, bar]).of(7, Kind::Metal),
        blend(0.06, vec![body, egg(0.25, 0.09, 0.13).at(-0.55, 0.72, 0.0)]).of(0, Kind::Any),
        seat.of(1, Kind::Dark),
        ball(0.1).at(base - 0.18, top - 0.12, 0.0).of(3, Kind::Yellow),
    ]);
    drive(r, whole)
}
