//! Letters and digits, drawn with strokes and extruded.

use std::f32::consts::TAU;

use crate::random::Rng;
use crate::sdf::*;

/// One stroke: a line over points, or an arc of an ellipse from one angle to another in quarter turns.
enum Stroke {
    Line(&'static [[f32; 2]]),
    Arc([f32; 4], f32, f32),
}

use Stroke::{Arc, Line};

/// The strokes of a glyph in a box 2 wide and 3 high; an unknown one is a cross.
fn strokes(glyph: char) -> Vec<Stroke> {
    let full = [1.0, 1.5, 1.0, 1.5];
    let (upper, lower) = ([1.0, 2.25, 0.85, 0.75], [1.0, 0.75, 1.0, 0.75]);
    match glyph {
        'A' => vec![Line(&[[0.0, 0.0], [1.0, 3.0], [2.0, 0.0]]), Line(&[[0.4, 1.0], [1.6, 1.0]])],
        'B' => vec![
            Line(&[[1.0, 0.0], [0.0, 0.0], [0.0, 3.0], [1.0, 3.0]]),
            Line(&[[0.0, 1.6], [1.0, 1.6]]),
            Arc([1.0, 2.3, 0.8, 0.7], -1.0, 1.0),
            Arc([1.0, 0.8, 1.0, 0.8], -1.0, 1.0),
        ],
        'C' => vec![Arc(full, 0.5, 3.5)],
        'D' => vec![Line(&[[0.7, 0.0], [0.0, 0.0], [0.0, 3.0], [0.7, 3.0]]), Arc([0.7, 1.5, 1.3, 1.5], -1.0, 1.0)],
        'E' => vec![Line(&[[1.8, 0.0], [0.0, 0.0], [0.0, 3.0], [1.8, 3.0]]), Line(&[[0.0, 1.55], [1.5, 1.55]])],
        'F' => vec![Line(&[[0.0, 0.0], [0.0, 3.0], [1.8, 3.0]]), Line(&[[0.0, 1.55], [1.5, 1.55]])],
        'G' => vec![Arc(full, 0.5, 4.0), Line(&[[1.1, 1.5], [2.0, 1.5]])],
        'H' => vec![Line(&[[0.0, 0.0], [0.0, 3.0]]), Line(&[[2.0, 0.0], [2.0, 3.0]]), Line(&[[0.0, 1.5], [2.0, 1.5]])],
        'K' => vec![Line(&[[0.0, 0.0], [0.0, 3.0]]), Line(&[[1.9, 3.0], [0.0, 1.3]]), Line(&[[0.6, 1.8], [2.0, 0.0]])],
        'L' => vec![Line(&[[0.0, 3.0], [0.0, 0.0], [1.8, 0.0]])],
        'M' => vec![Line(&[[0.0, 0.0], [0.0, 3.0], [1.0, 1.2], [2.0, 3.0], [2.0, 0.0]])],
        'N' => vec![Line(&[[0.0, 0.0], [0.0, 3.0], [2.0, 0.0], [2.0, 3.0]])],
        'P' => vec![
            Line(&[[0.0, 0.0], [0.0, 3.0], [1.0, 3.0]]),
            Line(&[[0.0, 1.4], [1.0, 1.4]]),
            Arc([1.0, 2.2, 1.0, 0.8], -1.0, 1.0),
        ],
        'R' => vec![
            Line(&[[0.0, 0.0], [0.0, 3.0], [1.0, 3.0]]),
            Line(&[[0.0, 1.5], [1.0, 1.5], [2.0, 0.0]]),
            Arc([1.0, 2.25, 0.9, 0.75], -1.0, 1.0),
        ],
        'S' => vec![Arc(upper, 0.3, 3.0), Arc(lower, -2.0, 1.0)],
        'T' => vec![Line(&[[0.0, 3.0], [2.0, 3.0]]), Line(&[[1.0, 3.0], [1.0, 0.0]])],
        'U' => {
            vec![Line(&[[0.0, 3.0], [0.0, 1.0]]), Line(&[[2.0, 3.0], [2.0, 1.0]]), Arc([1.0, 1.0, 1.0, 1.0], 2.0, 4.0)]
        }
        'V' => vec![Line(&[[0.0, 3.0], [1.0, 0.0], [2.0, 3.0]])],
        'X' => vec![Line(&[[0.0, 0.0], [2.0, 3.0]]), Line(&[[0.0, 3.0], [2.0, 0.0]])],
        'Y' => vec![Line(&[[0.0, 3.0], [1.0, 1.5], [2.0, 3.0]]), Line(&[[1.0, 1.5], [1.0, 0.0]])],
        'Z' => vec![Line(&[[0.0, 3.0], [2.0, 3.0], [0.0, 0.0], [2.0, 0.0]])],
        'O' | '0' => vec![Arc(full, 0.0, 4.0)],
        '1' => vec![Line(&[[0.4, 2.3], [1.2, 3.0], [1.2, 0.0]]), Line(&[[0.5, 0.0], [1.9, 0.0]])],
        '2' => vec![Arc([1.0, 2.1, 0.95, 0.9], -0.35, 1.9), Line(&[[1.8, 1.62], [0.0, 0.0], [2.0, 0.0]])],
        '3' => vec![Arc(upper, -1.0, 1.8), Arc(lower, -1.8, 1.0)],
        '4' => vec![Line(&[[1.5, 0.0], [1.5, 3.0], [0.0, 1.0], [2.1, 1.0]])],
        '5' => vec![Line(&[[1.8, 3.0], [0.3, 3.0], [0.2, 1.7]]), Arc([0.95, 0.95, 1.0, 0.95], -1.75, 1.55)],
        '6' => vec![Arc([1.0, 0.9, 1.0, 0.9], 0.0, 4.0), Arc([1.5, 0.9, 1.5, 2.1], 1.0, 2.0)],
        '7' => vec![Line(&[[0.0, 3.0], [2.0, 3.0], [0.7, 0.0]])],
        '8' => vec![Arc(upper, 0.0, 4.0), Arc(lower, 0.0, 4.0)],
        '9' => vec![Arc([1.0, 2.1, 1.0, 0.9], 0.0, 4.0), Arc([0.5, 2.1, 1.5, 2.1], -1.0, 0.0)],
        _ => vec![Line(&[[1.0, 0.0], [1.0, 3.0]]), Line(&[[0.0, 1.5], [2.0, 1.5]])],
    }
}

fn glyph(r: &mut Rng, which: char) -> Shape {
    let wide = r.range(0.8, 1.25);
    let bold = r.range(0.22, 0.4);
    let mut segments = Vec::new();
    let mut add = |a: [f32; 2], b: [f32; 2]| segments.push([a[0] * wide, a[1], b[0] * wide, b[1]]);
    for stroke in strokes(which) {
        match stroke {
            Line(points) => points.windows(2).for_each(|pair| add(pair[0], pair[1])),
            Arc([x, y, rx, ry], from, to) => {
                let steps = (6.0 * (to - from)).ceil() as usize;
                let at = |i: usize| {
                    let angle = TAU / 4.0 * (from + (to - from) * i as f32 / steps as f32);
                    [x + rx * angle.cos(), y + ry * angle.sin()]
                };
                (0..steps).for_each(|i| add(at(i), at(i + 1)));
            }
        }
    }
    // Square ends would show as steps along an arc of many pieces.
    let straight = strokes(which).iter().all(|stroke| matches!(stroke, Line(_)));
    let profile = Profile::Strokes { segments, half_width: bold, square: straight && r.chance(0.6) };
    let half = r.range(0.2, 0.8);
    let body = extruded(profile, half, r.range(0.01, 0.5) * half.min(bold)).of(0, Kind::Any);
    let whole = if r.chance(0.2) {
        all(vec![body, brick(1.3 * wide + bold, 0.15, half + 0.2, 0.03).at(wide, -bold - 0.1, 0.0).of(1, Kind::Any)])
    } else {
        body
    };
    whole.at(-wide, 0.0, 0.0).turn_y(r.range(-0.4, 0.4))
}

pub(super) fn letter(r: &mut Rng) -> Shape {
    let which = r.pick(&[
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'K', 'L', 'M', 'N', 'O', 'P', 'R', 'S', 'T', 'U', 'V', 'X', 'Y', 'Z',
    ]);
    glyph(r, which)
}

pub(super) fn digit(r: &mut Rng) -> Shape {
    let which = r.pick(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    glyph(r, which)
}
