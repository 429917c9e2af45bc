//! What holds something: mugs, vases, bottles, bowls, glasses, pots.

use std::f32::consts::{PI, TAU};

use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// A handle on the right of a vessel, from one height to another, `reach` beyond a wall at `radius`.
fn handle(r: &mut Rng, radius: f32, low: f32, high: f32, reach: f32, thick: f32) -> Shape {
    let inside = radius - 0.3 * thick;
    let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
    match r.int(0, 2) {
        0 => tube(
            &[
                v(inside, high, 0.0),
                v(radius + 0.8 * reach, high - 0.1 * half, 0.0),
                v(radius + reach, middle, 0.0),
                v(radius + 0.8 * reach, low + 0.1 * half, 0.0),
                v(inside, low, 0.0),
            ],
            thick,
            thick,
        ),
        1 => tube(
            &[
                v(inside, high, 0.0),
                v(radius + 0.9 * reach, high + 0.15 * half, 0.0),
                v(radius + reach, high - 0.5 * half, 0.0),
                v(radius + 0.5 * reach, low + 0.35 * half, 0.0),
                v(inside, low, 0.0),
            ],
            thick,
            0.7 * thick,
        ),
        _ => chain(&[
            (v(inside, high, 0.0), thick),
            (v(radius + reach, high, 0.0), thick),
            (v(radius + reach, low, 0.0), thick),
            (v(inside, low, 0.0), thick),
        ]),
    }
}

/// The handle without what would stick into the vessel's hollow.
fn attached(body: Shape, hollow: Shape, handle: Shape, smoothness: f32) -> Shape {
    all(vec![body, handle.without_softly(hollow, smoothness)])
}

fn side(r: &mut Rng, shape: Shape) -> Shape {
    // People turn the handle to the side, mostly to the right.
    let turn = if r.chance(0.25) { PI + r.range(-0.6, 0.6) } else { r.range(-0.7, 0.7) };
    shape.turn_y(turn)
}

pub(super) fn mug(r: &mut Rng) -> Shape {
    let height = r.range(0.75, 1.45);
    let radius = 0.5;
    let wall = r.range(0.04, 0.09);
    let (foot, waist) = (r.range(0.8, 1.02), r.range(0.9, 1.12));
    let line = match r.int(0, 2) {
        0 => vec![[0.0, 0.0], [radius * foot - 0.04, 0.0], [radius * foot, 0.04], [radius, height]],
        1 => vec![[0.0, 0.0], [0.7 * radius, 0.0], [radius * waist, 0.4 * height], [radius, height]],
        _ => vec![[0.0, 0.0], [radius * foot, 0.0], [0.88 * radius, 0.5 * height], [radius, height]],
    };
    let body = vessel(&line, wall).of(0, Kind::Light);
    let hollow = rod(height, 0.8 * radius, 0.0).at(0.0, height + wall + 0.05, 0.0);
    let (low, high) = (r.range(0.15, 0.3) * height, r.range(0.7, 0.88) * height);
    let (reach, thick) = (r.range(0.22, 0.42), r.range(0.04, 0.075));
    let slot = u8::from(r.chance(0.3));
    let handle = handle(r, 0.93 * radius, low, high, reach, thick).of(slot, Kind::Light);
    let cup = attached(body, hollow, handle, 0.0);
    side(r, cup)
}

pub(super) fn cup_and_saucer(r: &mut Rng) -> Shape {
    let (height, radius) = (r.range(0.42, 0.62), r.range(0.4, 0.52));
    let line = [[0.0, 0.06], [0.45 * radius, 0.06], [0.85 * radius, 0.25 + 0.06], [radius, height + 0.06]];
    let body = vessel(&line, 0.04).of(0, Kind::Light);
    let hollow = rod(height, 0.7 * radius, 0.0).at(0.0, height + 0.2, 0.0);
    let handle = handle(r, 0.86 * radius, 0.22 * height + 0.06, 0.8 * height + 0.06, 0.2, 0.035).of(0, Kind::Light);
    let wide = r.range(1.5, 1.9) * radius;
    let plate = [[0.0, 0.0], [0.55 * wide, 0.0], [0.8 * wide, 0.05], [wide, 0.14]];
    let saucer = vessel(&plate, 0.045).of(1, Kind::Light);
    let foot = rod(0.05, 0.4 * radius, 0.01).at(0.0, 0.05, 0.0).of(0, Kind::Light);
    let cup = attached(body, hollow, handle, 0.0);
    let cup = side(r, cup);
    all(vec![cup, saucer, foot])
}

pub(super) fn vase(r: &mut Rng) -> Shape {
    let height = r.range(1.2, 2.2);
    let count = r.int(3, 5);
    let mut line = vec![[0.0, 0.0], [r.range(0.2, 0.45), 0.0]];
    for i in 1..=count {
        let t = i as f32 / (count + 1) as f32;
        line.push([r.range(0.18, 0.6), t * height]);
    }
    line.push([r.range(0.14, 0.5), height]);
    let body = vessel(&line, r.range(0.035, 0.07)).of(0, Kind::Any);
    if r.chance(0.2) {
        let radius = line[line.len() - 3][0];
        let y = line[line.len() - 3][1];
        let ear = tube(
            &[
                v(radius - 0.05, 0.75 * y, 0.0),
                v(radius + 0.28, y, 0.0),
                v(0.12 + line[count + 2][0], 0.96 * height, 0.0),
            ],
            0.045,
            0.045,
        );
        return all(vec![body, ear.of(0, Kind::Any).both_sides()]);
    }
    body
}

pub(super) fn bottle(r: &mut Rng) -> Shape {
    let (radius, height) = (r.range(0.28, 0.42), r.range(1.6, 2.2));
    let shoulder = r.range(0.5, 0.72) * height;
    let neck = r.range(0.3, 0.42) * radius;
    let neck_from = shoulder + r.range(0.08, 0.22) * height;
    let mut line =
        vec![[0.0, 0.0], [radius - 0.03, 0.0], [radius, 0.05], [radius, shoulder * 0.55], [radius, shoulder]];
    line.extend([[neck * 1.15, neck_from], [neck, neck_from + 0.08], [neck, height]]);
    let body = turned(&line).of(0, Kind::Glass);
    let mut parts = vec![body];
    match r.int(0, 2) {
        0 => parts.push(rod(0.09, neck * 1.3, 0.02).at(0.0, height, 0.0).of(1, Kind::Metal)),
        1 => {
            parts.push(frustum(0.1, neck * 0.7, neck * 0.85, 0.01).at(0.0, height + 0.05, 0.0).of(1, Kind::Wood));
            parts.push(torus(neck, 0.03).at(0.0, height - 0.08, 0.0).of(0, Kind::Glass));
        }
        _ => parts.push(torus(neck, 0.035).at(0.0, height - 0.04, 0.0).of(0, Kind::Glass)),
    }
    if r.chance(0.6) {
        let half = 0.28 * shoulder;
        parts.push(rod(half, radius + 0.008, 0.0).at(0.0, 0.5 * shoulder, 0.0).of(2, Kind::Light));
    }
    all(parts)
}

pub(super) fn bowl(r: &mut Rng) -> Shape {
    let (height, foot) = (r.range(0.35, 0.8), r.range(0.25, 0.5));
    let line = [[0.0, 0.0], [foot, 0.0], [r.range(0.7, 0.9), 0.45 * height], [r.range(0.9, 1.0), height]];
    let body = vessel(&line, r.range(0.04, 0.08)).of(0, Kind::Any);
    if r.chance(0.35) {
        let fruit = (0..r.int(3, 6)).map(|i| {
            let a = i as f32 * 2.1;
            let size = r.range(0.2, 0.28);
            ball(size)
                .at(0.38 * a.cos(), 0.75 * height + r.range(0.0, 0.12), 0.38 * a.sin())
                .of(1 + (i % 3) as u8, Kind::Red)
        });
        let fruit: Vec<_> = fruit.collect();
        return all(vec![body, all(fruit), rod(0.3 * height, 0.4, 0.1).at(0.0, 0.4 * height, 0.0).of(1, Kind::Red)]);
    }
    body
}

pub(super) fn wine_glass(r: &mut Rng) -> Shape {
    let (stem, wide, tall) = (r.range(0.4, 0.9), r.range(0.3, 0.45), r.range(0.5, 0.9));
    let thin = r.range(0.035, 0.06);
    let rim = wide * r.range(0.7, 1.1);
    let cup = vessel(&[[0.0, stem], [0.5 * wide, stem + 0.06], [wide, stem + 0.4 * tall], [rim, stem + tall]], 0.035);
    let foot = turned(&[
        [0.0, 0.0],
        [0.36, 0.0],
        [0.36, 0.03],
        [0.12, 0.07],
        [thin, 0.16],
        [thin, 0.6 * stem],
        [0.09, stem],
        [0.0, stem + 0.03],
    ]);
    all(vec![cup, foot]).of(0, Kind::Glass)
}

pub(super) fn teapot(r: &mut Rng) -> Shape {
    let (wide, tall) = (0.55, r.range(0.38, 0.6));
    let body = egg(wide, tall, wide).at(0.0, tall, 0.0);
    let body = body.within(brick(1.0, 1.0, 1.0, 0.0).at(0.0, 1.03, 0.0), 0.05);
    let spout = tube(
        &[v(0.8 * wide, 0.6 * tall, 0.0), v(wide + 0.25, 0.9 * tall, 0.0), v(wide + 0.4, 1.75 * tall, 0.0)],
        0.13,
        0.06,
    );
    let bore = limb(v(wide + 0.36, 1.6 * tall, 0.0), 0.03, v(wide + 0.43, 1.95 * tall, 0.0), 0.05);
    let body = blend(0.08, vec![body, spout]).without(bore).of(0, Kind::Light);
    let thick = r.range(0.045, 0.07);
    let handle = if r.chance(0.75) {
        let reach = r.range(0.3, 0.42);
        tube(
            &[
                v(-0.8 * wide, 1.65 * tall, 0.0),
                v(-wide - reach, 1.7 * tall, 0.0),
                v(-wide - 0.9 * reach, 0.8 * tall, 0.0),
                v(-0.9 * wide, 0.5 * tall, 0.0),
            ],
            thick,
            thick,
        )
    } else {
        tube(
            &[v(-0.5, 1.55 * tall, 0.0), v(-0.4, 2.6 * tall, 0.0), v(0.4, 2.6 * tall, 0.0), v(0.5, 1.55 * tall, 0.0)],
            thick,
            thick,
        )
    };
    let lid = egg(0.3, 0.1, 0.3).at(0.0, 1.94 * tall, 0.0).of(1, Kind::Light);
    let knob = ball(0.075).at(0.0, 1.94 * tall + 0.15, 0.0).of(1, Kind::Light);
    let pot = all(vec![body, handle.of(u8::from(r.chance(0.3)) * 2, Kind::Dark), lid, knob]);
    side(r, pot)
}

pub(super) fn jug(r: &mut Rng) -> Shape {
    let height = r.range(1.2, 1.7);
    let belly = r.range(0.42, 0.58);
    let line = [
        [0.0, 0.0],
        [0.75 * belly, 0.0],
        [belly, 0.35 * height],
        [0.62 * belly, 0.78 * height],
        [0.75 * belly, height],
    ];
    let body = vessel(&line, 0.05);
    let lip = chain(&[(v(-0.55 * belly, 0.95 * height, 0.0), 0.1), (v(-1.05 * belly, 1.03 * height, 0.0), 0.06)]);
    let body = blend(0.05, vec![body, lip]).of(0, Kind::Any);
    let hollow = all(vec![
        limb(v(0.0, height * 0.75, 0.0), 0.45 * belly, v(0.0, 1.4 * height, 0.0), 0.6 * belly),
        limb(v(-0.3 * belly, 1.03 * height, 0.0), 0.1, v(-1.1 * belly, 1.12 * height, 0.0), 0.07),
    ]);
    let handle = handle(r, 0.7 * belly, 0.4 * height, 0.85 * height, 0.42, 0.05).of(0, Kind::Any);
    let jug = all(vec![body, handle]).without(hollow);
    side(r, jug)
}

pub(super) fn plant_pot(r: &mut Rng) -> Shape {
    let (top, bottom, height) = (r.range(0.4, 0.55), r.range(0.26, 0.4), r.range(0.5, 0.8));
    let mut parts = vec![
        frustum(height / 2.0, bottom, top, 0.02).at(0.0, height / 2.0, 0.0).of(0, Kind::Red),
        rod(0.07, top + 0.05, 0.02).at(0.0, height - 0.03, 0.0).of(0, Kind::Red),
    ];
    match r.int(0, 2) {
        0 => {
            let count = r.int(6, 11);
            for i in 0..count {
                let (turn, lean) = (TAU * i as f32 / count as f32 + r.range(-0.2, 0.2), r.range(0.15, 0.75));
                let long = r.range(0.5, 0.95);
                let leaf = egg(0.11, long / 2.0, 0.05).at(0.0, long / 2.0 - 0.05, 0.0).turn_x(lean).turn_y(turn);
                parts.push(leaf.at(0.0, height, 0.0).of(1, Kind::Leaf));
            }
        }
        1 => {
            let tall = r.range(0.35, 0.9);
            parts.push(limb(v(0.0, height, 0.0), 0.07, v(0.0, height + tall, 0.0), 0.05).of(2, Kind::Wood));
            parts.push(ball(r.range(0.35, 0.55)).at(0.0, height + tall + 0.3, 0.0).of(1, Kind::Leaf));
        }
        _ => {
            let tall = r.range(0.5, 1.0);
            parts.push(limb(v(0.0, height, 0.0), 0.2, v(0.0, height + tall, 0.0), 0.18).of(1, Kind::Leaf));
            parts.push(
                chain(&[
                    (v(0.15, height + 0.35 * tall, 0.0), 0.1),
                    (v(0.42, height + 0.4 * tall, 0.0), 0.1),
                    (v(0.42, height + 0.8 * tall, 0.0), 0.09),
                ])
                .of(1, Kind::Leaf),
            );
        }
    }
    all(parts)
}

pub(super) fn bucket(r: &mut Rng) -> Shape {
    let (top, bottom, height) = (0.5, r.range(0.33, 0.44), r.range(0.75, 1.0));
    let body = vessel(&[[0.0, 0.0], [bottom, 0.0], [(top + bottom) / 2.0, height / 2.0], [top, height]], 0.04);
    let rim = torus(top, 0.04).at(0.0, height, 0.0);
    let up = r.range(0.3, 0.6);
    let bail = tube(
        &[
            v(-top, height - 0.05, 0.0),
            v(-0.75 * top, height + 0.75 * up, 0.0),
            v(0.0, height + up, 0.0),
            v(0.75 * top, height + 0.75 * up, 0.0),
            v(top, height - 0.05, 0.0),
        ],
        0.03,
        0.03,
    );
    let (lean, turn) = (r.range(-0.5, 0.5), r.range(-0.5, 0.5));
    let bail = bail.at(0.0, -height, 0.0).turn_x(lean).at(0.0, height, 0.0).of(1, Kind::Metal);
    all(vec![all(vec![body, rim]).of(0, Kind::Any), bail]).turn_y(turn)
}
