//! Random figures of the plane, thick and thin: with holes, notches, tabs, reliefs; and bent strips.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use super::{Palette, between, facing};
use crate::math::v;
use crate::random::Rng;
use crate::sdf::*;

/// A closed outline around the origin that is seen whole from there: a polygon or a smooth line, regular or not, often
/// its own mirror image. Its radius is about `size`.
pub(super) fn around(r: &mut Rng, size: f32) -> Vec<[f32; 2]> {
    let count = r.int(3, 12);
    let (wide, high) = (size * between(r, 0.5, 1.0), size * between(r, 0.5, 1.0));
    let uneven = if r.chance(0.3) { 0.0 } else { r.range(0.1, 0.5) };
    let mirrored = r.chance(0.6);
    let half: Vec<f32> = (0..count).map(|_| 1.0 - uneven * r.unit()).collect();
    let turn = r.pick(&[FRAC_PI_2, FRAC_PI_2, FRAC_PI_2 + PI / count as f32, 0.0]);
    let corners: Vec<[f32; 2]> = (0..count)
        .map(|i| {
            let radius = if mirrored { half[i.min(count - i)] } else { half[i] };
            let angle = turn + TAU * i as f32 / count as f32;
            [wide * radius * angle.cos(), high * radius * angle.sin()]
        })
        .collect();
    if r.chance(0.5) && count >= 4 { closed_spline(&corners, 4) } else { corners }
}

/// The outline `share` as large.
fn smaller(line: &[[f32; 2]], share: f32) -> Vec<[f32; 2]> {
    line.iter().map(|[x, y]| [share * x, share * y]).collect()
}

/// How far the outline is from the origin in a direction.
fn reach(line: &[[f32; 2]], angle: f32) -> f32 {
    let profile = Profile::polygon(line);
    let mut t = 0.0;
    for _ in 0..60 {
        let inside = -profile.distance(t * angle.cos(), t * angle.sin());
        if inside < 1e-3 {
            break;
        }
        t += inside;
    }
    t
}

/// A through-going tool for a hole: round, square, long, or any figure.
fn hole(r: &mut Rng, size: f32) -> Shape {
    match r.int(0, 4) {
        0 | 1 => rod(3.0, size, 0.0).turn_x(FRAC_PI_2),
        2 => brick(size, size * r.range(0.3, 1.0), 3.0, 0.0).turn_z(r.pick(&[0.0, FRAC_PI_2, 0.7])),
        3 => {
            let half_width = r.range(0.25, 0.5) * size;
            let reach = size - half_width;
            let segments = vec![[-reach, 0.0, reach, 0.0]];
            let slot = extruded(Profile::Strokes { segments, half_width, square: false }, 3.0, 0.0);
            slot.turn_z(r.pick(&[0.0, FRAC_PI_2, 0.7]))
        }
        _ => plate(&around(r, size), 3.0, 0.0),
    }
}

/// An extruded outline with what may be done to it.
pub(in super::super) fn outline(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let line = around(r, 1.0);
    let half = between(r, 0.06, 0.7);
    let soft = if r.chance(0.25) { 0.03 } else { 0.0 };
    let bevel = if r.chance(0.4) { r.range(0.2, 0.85) } else { 0.1 } * half.min(0.35);
    let mut body = palette.paint(r, plate(&line, half, bevel));
    let narrowest = (0..16).map(|i| reach(&line, TAU * i as f32 / 16.0)).fold(f32::MAX, f32::min);
    let kind = r.int(0, 9);
    match kind {
        // A frame, open or with a floor.
        0 | 1 => {
            let tool = plate(&smaller(&line, r.range(0.5, 0.85)), 3.0, 0.0);
            let through = r.chance(0.6);
            let floor = if through { 0.0 } else { 3.0 - half * r.range(-0.5, 0.6) };
            body = body.without_softly(tool.at(0.0, 0.0, floor), soft);
        }
        2..=4 => {
            let size = r.range(0.2, 0.6) * narrowest;
            let tool = hole(r, size);
            body = body.without_softly(tool, soft);
        }
        5 => {
            // Several around.
            let count = r.int(3, 8);
            let distance = r.range(0.55, 0.65) * narrowest;
            let size = (0.16 * narrowest).min(0.35 * distance * TAU / count as f32);
            let tool = rod(3.0, size, 0.0).turn_x(FRAC_PI_2).at(0.0, distance, 0.0);
            let tools = (0..count).map(|i| tool.clone().turn_z(TAU * i as f32 / count as f32)).collect();
            body = body.without_softly(all(tools), soft);
        }
        _ => {}
    }
    for _ in 0..r.int(0, 2) {
        // At the rim, often on both sides.
        let aslant = r.range(-FRAC_PI_2, FRAC_PI_2);
        let angle = r.pick(&[0.0, FRAC_PI_2, -FRAC_PI_2, aslant]);
        let edge = reach(&line, angle);
        let size = r.range(0.12, 0.35);
        if r.chance(0.5) {
            let deep = 0.2 * edge.min(2.0 * narrowest);
            let tool = if r.chance(0.5) {
                rod(3.0, deep.min(size), 0.0).turn_x(FRAC_PI_2)
            } else {
                brick(deep, 0.5 * size, 3.0, 0.0)
            };
            let tool = tool.turn_z(angle).at(edge * angle.cos(), edge * angle.sin(), 0.0);
            body = body.without_softly(if r.chance(0.6) { tool.both_sides() } else { tool }, soft);
        } else {
            let long = size + 0.12;
            let tab = match r.int(0, 2) {
                0 => rod(0.9 * half, size, 0.0).turn_x(FRAC_PI_2).at(edge, 0.0, 0.0),
                1 => brick(long, 0.6 * size, 0.9 * half, 0.01).at(edge + long - 0.15 - 0.1 * edge, 0.0, 0.0),
                _ => plate(
                    &[[-0.2, -size], [2.0 * size, -0.3 * size], [2.0 * size, 0.3 * size], [-0.2, size]],
                    half,
                    0.01,
                )
                .at(edge - 0.05, 0.0, 0.0),
            };
            let tab = tab.turn_z(angle);
            let tab = if r.chance(0.6) { tab.both_sides() } else { tab };
            let tab = palette.paint(r, tab);
            body = blend(soft, vec![body, tab]);
        }
    }
    match r.int(0, 7) {
        // Nothing is raised within an open frame: it would hang in the air.
        0 | 1 if kind > 1 => {
            let raised = plate(&smaller(&line, r.range(0.4, 0.85)), half, bevel).at(0.0, 0.0, r.range(0.2, 1.2) * half);
            let raised = palette.paint(r, raised);
            body = all(vec![body, raised]);
        }
        2 => {
            // Something in front, in the middle or on both sides, which must find the plate behind it.
            let size = r.range(0.15, 0.5) * narrowest;
            let knob = super::lump(r).sized(size);
            let x = if r.chance(0.5) { 0.0 } else { 0.5 * narrowest };
            let way = v(0.0, 0.0, 1.0);
            let place = super::meet(&body, v(x, 0.0, 0.0), -way);
            let knob = place.and_then(|point| Some((super::seated(r, knob, point, way)?, point)));
            if let Some((knob, point)) = knob {
                let knob = palette.paint(r, super::paired(&body, knob, point, way));
                body = all(vec![body, knob]);
            }
        }
        _ => {}
    }
    posed(r, body, &palette)
}

/// Standing and facing the camera, lying, standing across, leaning or on a foot.
fn posed(r: &mut Rng, body: Shape, palette: &Palette) -> Shape {
    let posed = match r.int(0, 11) {
        0 | 1 => body.turn_x(-FRAC_PI_2),
        3 => body.turn_y(FRAC_PI_2),
        4 => body.turn_z(r.range(-0.8, 0.8)),
        5 => body.turn_x(r.range(-0.6, 0.2)),
        6 => {
            let up = v(0.0, 1.0, 0.0);
            let Some(point) = super::meet(&body, v(0.0, 0.0, 0.0), up) else { return body };
            let (wide, high) = (r.range(0.25, 0.7), r.range(0.03, 0.15));
            let foot = if r.chance(0.5) { rod(high, wide, 0.02) } else { brick(wide, high, 0.8 * wide, 0.02) };
            let post = r.range(0.02, 0.5);
            let stand = all(vec![
                rod(0.5 * post + 0.06, r.range(0.04, 0.1), 0.0).at(point.x, point.y - 0.5 * post, point.z),
                foot.at(point.x, point.y - post - high + 0.02, point.z),
            ]);
            let stand = palette.paint(r, stand);
            all(vec![body, stand])
        }
        _ => body,
    };
    facing(r, posed)
}

/// A strip along a random line: hooks, brackets, frames, loops.
pub(in super::super) fn strokes(r: &mut Rng) -> Shape {
    let palette = Palette::new(r);
    let straight = r.chance(0.55);
    let half_width = between(r, 0.06, 0.24);
    let closed = r.chance(0.2);
    let count = r.int(3, 6);
    let mut points: Vec<[f32; 2]> = vec![[0.0, 0.0]];
    let mut way = r.pick(&[0.0, FRAC_PI_2, 0.0, 0.7]);
    for _ in 1..count {
        let long = r.range(0.5, 1.3);
        let [x, y] = points[points.len() - 1];
        points.push([x + long * f32::cos(way), y + long * f32::sin(way)]);
        way += if straight { r.pick(&[FRAC_PI_2, -FRAC_PI_2, 0.8, -0.8]) } else { r.range(-1.5, 1.5) };
    }
    let mirrored = r.chance(0.45);
    if mirrored {
        // Ends on the axis, from where the other half goes on.
        let last = points[points.len() - 1][0];
        points.iter_mut().for_each(|p| p[0] -= last);
        let image: Vec<_> = points.iter().rev().skip(1).map(|[x, y]| [-x, *y]).collect();
        points.extend(image);
    }
    if closed {
        points.push(points[0]);
    }
    let line = if straight { points } else { spline(&points, 5) };
    let mut segments: Vec<[f32; 4]> =
        line.windows(2).map(|pair| [pair[0][0], pair[0][1], pair[1][0], pair[1][1]]).collect();
    for _ in 0..r.int(0, 2) {
        // A branch.
        let [x, y] = line[r.int(0, line.len() - 1)];
        let (long, way) = (r.range(0.4, 1.0), r.pick(&[0.0, FRAC_PI_2, PI, -FRAC_PI_2, 0.8]));
        let end = [x + long * f32::cos(way), y + long * f32::sin(way)];
        segments.push([x, y, end[0], end[1]]);
        if mirrored {
            segments.push([-x, y, -end[0], end[1]]);
        }
    }
    let half = between(r, 0.06, 0.8);
    let square = straight && r.chance(0.6);
    let round = r.range(0.05, 0.7) * half.min(half_width);
    let mut body = palette.paint(r, extruded(Profile::Strokes { segments, half_width, square }, half, round));
    if r.chance(0.3) {
        let [x, y] = line[0];
        let end = super::lump(r).sized(r.range(0.2, 0.45)).at(x, y, 0.0);
        let end = palette.paint(r, end);
        body = all(vec![body, if mirrored { end.both_sides() } else { end }]);
    }
    posed(r, body, &palette)
}
