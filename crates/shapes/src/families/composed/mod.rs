//! Random compositions: shapes that are nothing in particular, so that a network learns to read a shape from its
//! picture and not which template it is.

mod assemblies;
mod branches;
mod crossbreeds;
mod legged;
mod outlines;
mod pipes;
mod turned_bodies;

use std::f32::consts::{FRAC_PI_2, PI};

pub(super) use assemblies::{assembly, gathering, stack};
pub(super) use branches::{body_plan, branched};
pub(super) use crossbreeds::crossbreed;
pub(super) use legged::legged;
pub(super) use outlines::{outline, strokes};
pub(super) use pipes::pipes;
pub(super) use turned_bodies::turned_body;

use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::*;

/// Materials of one object: few, each of one kind.
struct Palette {
    kinds: [Kind; 4],
    count: usize,
}

impl Palette {
    fn new(r: &mut Rng) -> Self {
        let kinds = std::array::from_fn(|_| {
            r.pick(&[
                Kind::Any,
                Kind::Any,
                Kind::Any,
                Kind::Wood,
                Kind::Metal,
                Kind::Dark,
                Kind::Light,
                Kind::Leaf,
                Kind::Fur,
                Kind::Red,
                Kind::Yellow,
            ])
        });
        Self { kinds, count: if r.chance(0.25) { 1 } else { r.int(2, 4) } }
    }

    fn paint(&self, r: &mut Rng, shape: Shape) -> Shape {
        let slot = r.int(0, self.count - 1);
        shape.of(slot as u8, self.kinds[slot])
    }
}

/// Between two positive numbers, as often near the lower as near the upper by their ratio.
fn between(r: &mut Rng, low: f32, high: f32) -> f32 {
    low * (high / low).powf(r.unit())
}

/// How softly an object's parts flow together: mostly not at all.
fn softness(r: &mut Rng) -> f32 {
    if r.chance(0.35) { between(r, 0.02, 0.2) } else { 0.0 }
}

/// Any direction.
fn direction(r: &mut Rng) -> Vec3 {
    v(r.normal(), r.normal(), r.normal()).unit()
}

/// Turned as things are: mostly upright, sometimes along another axis, seldom aslant.
fn tumbled(r: &mut Rng, shape: Shape) -> Shape {
    match r.int(0, 9) {
        0..=4 => shape,
        5 => shape.turn_x(FRAC_PI_2),
        6 => shape.turn_z(FRAC_PI_2),
        7 => shape.turn_x(PI),
        8 => shape.turn_z(r.range(-0.8, 0.8)),
        _ => shape.turn_x(r.range(-0.8, 0.8)).turn_y(r.range(-PI, PI)),
    }
}

/// Facing the camera in half of the objects, else a little or quite away from it.
fn facing(r: &mut Rng, shape: Shape) -> Shape {
    match r.int(0, 9) {
        0..=4 => shape,
        5..=7 => shape.turn_y(r.range(-0.6, 0.6)),
        8 => shape.turn_y(r.sign() * FRAC_PI_2),
        _ => shape.turn_y(r.range(-PI, PI)),
    }
}

/// Half-sides of a box: one of them 1, the others from a quarter up.
fn proportions(r: &mut Rng) -> Vec3 {
    let mut sides = [between(r, 0.25, 1.0), between(r, 0.25, 1.0), between(r, 0.25, 1.0)];
    if r.chance(0.3) {
        sides[2] = sides[0];
    }
    let most = sides[0].max(sides[1]).max(sides[2]);
    v(sides[0], sides[1], sides[2]) * (1.0 / most)
}

/// One simple solid of about size 1 that has the origin in it, before anything is cut away.
fn lump(r: &mut Rng) -> Shape {
    let s = proportions(r);
    let least = s.x.min(s.y).min(s.z);
    let round = if r.chance(0.5) { 0.02 } else { r.range(0.02, 0.9) * least };
    let shape = match r.int(0, 21) {
        0..=4 => {
            let shape = brick(s.x, s.y, s.z, round);
            carved(r, shape, 0.45)
        }
        5 | 6 => {
            let shape = egg(s.x, s.y, s.z);
            carved(r, shape, 0.3)
        }
        7..=9 => {
            let shape = rod(s.y, s.x, round);
            carved(r, shape, 0.35)
        }
        10 | 11 => frustum(s.y, s.x, s.x * r.range(0.03, 0.85), round),
        12 => {
            let ring = r.range(0.5, 0.8);
            torus(ring, r.range(0.15, 0.5) * ring).at(ring, 0.0, 0.0)
        }
        13 => limb(v(0.0, -s.y, 0.0), between(r, 0.15, 0.6), v(0.0, s.y, 0.0), between(r, 0.15, 0.6)),
        14 | 15 => {
            let (corners, turn) = (r.int(3, 8), r.pick(&[0.0, FRAC_PI_2]));
            let shape = plate(&regular(corners, s.x, turn), s.y, round.min(0.4 * s.y));
            carved(r, shape, 0.3)
        }
        16 => plate(&[[-s.x, -s.y], [s.x, -s.y], [r.range(-0.9, 0.9) * s.x, s.y]], s.z, 0.02),
        17 => {
            let half = brick(2.0, 2.0, 2.0, 0.0).at(0.0, 2.0 - 0.1 * s.y, 0.0);
            egg(s.x, s.y, s.z).within(half, 0.0)
        }
        18 => {
            let wall = r.range(0.07, 0.14);
            vessel(&[[0.0, 0.0], [r.range(0.4, 1.0) * s.x, 0.0], [s.x, s.y + wall]], wall).at(0.0, -0.5 * wall, 0.0)
        }
        19 => {
            // An open box.
            let wall = r.range(0.12, 0.3) * least;
            let inner = brick(s.x - wall, s.y, s.z - wall, 0.0).at(0.0, 2.0 * wall, 0.0);
            brick(s.x, s.y, s.z, 0.02).without(inner).at(0.0, s.y - wall, 0.0)
        }
        20 => {
            let balls = (0..r.int(3, 5))
                .map(|_| ball(r.range(0.3, 0.55)).at(r.range(-0.4, 0.4), r.range(-0.4, 0.4), r.range(-0.4, 0.4)));
            Shape::Union(balls.collect(), 0.15)
        }
        _ => {
            let arc = r.range(1.5, 4.5);
            let at = |t: f32| v(0.75 * ((t - 0.5) * arc).cos() - 0.75, 0.75 * ((t - 0.5) * arc).sin(), 0.0);
            let thick = r.range(0.1, 0.22);
            tube(&[at(0.0), at(0.25), at(0.5), at(0.75), at(1.0)], thick, thick)
        }
    };
    tumbled(r, shape)
}

/// A convex solid around the origin with a hole, a dent, a slot or a corner away, as often as `share` says. What is
/// left hangs together.
fn carved(r: &mut Rng, shape: Shape, share: f32) -> Shape {
    if !r.chance(share) {
        return shape;
    }
    let (low, high) = shape.bounds();
    let half = (high - low) * 0.5;
    let soft = if r.chance(0.3) { 0.04 } else { 0.0 };
    let tool = match r.int(0, 4) {
        0 | 1 => {
            let axis = r.int(0, 2);
            let room = [half.y.min(half.z), half.x.min(half.z), half.x.min(half.y)][axis];
            let wide = r.range(0.25, 0.55) * room;
            let tool = if r.chance(0.7) { rod(3.0, wide, 0.0) } else { brick(0.8 * wide, 3.0, 0.8 * wide, 0.0) };
            match axis {
                0 => tool.turn_z(FRAC_PI_2),
                1 => tool,
                _ => tool.turn_x(FRAC_PI_2),
            }
        }
        2 => {
            let way = direction(r);
            let at = way.times(half) * r.range(0.7, 1.0);
            ball(r.range(0.25, 0.6) * half.x.min(half.y).min(half.z)).at(at.x, at.y, at.z)
        }
        3 => {
            // Into one of the sides, not through.
            let (depth, wide) = (r.range(0.3, 1.2), r.range(0.15, 0.5));
            let slot = brick(wide * half.x, half.y, 3.0, 0.0).at(0.0, (2.0 - depth) * half.y, 0.0);
            if r.chance(0.5) { slot.turn_y(FRAC_PI_2) } else { slot }
        }
        _ => {
            let way = direction(r);
            let reach = way.abs().dot(half) * r.range(0.25, 0.6) + 3.0;
            // Its face, not a corner of it, is what looks at the middle.
            brick(3.0, 3.0, 3.0, 0.0).turn_x(-way.y.atan2(way.z.hypot(way.x))).turn_y(way.x.atan2(way.z)).at(
                way.x * reach,
                way.y * reach,
                way.z * reach,
            )
        }
    };
    shape.without_softly(tool, soft)
}

/// Where a line through a point first meets a shape that it comes to from outside.
fn meet(shape: &Shape, through: Vec3, heading: Vec3) -> Option<Vec3> {
    let (low, high) = shape.bounds();
    let far = (high - low).length() + ((high + low) * 0.5 - through).length();
    let mut t = -far;
    for _ in 0..200 {
        let p = through + heading * t;
        let distance = shape.distance(p);
        if distance < 2e-3 {
            return Some(p);
        }
        t += distance;
        if t > far {
            break;
        }
    }
    None
}

/// A point of a shape's surface that is seen from outside along `heading`; `spread` says how far from the middle of
/// the shape's box it may lie, 1 being the box's faces.
fn place_on(r: &mut Rng, shape: &Shape, heading: Vec3, spread: Vec3) -> Option<Vec3> {
    let (low, high) = shape.bounds();
    let (middle, half) = ((low + high) * 0.5, (high - low) * 0.5);
    (0..8).find_map(|_| {
        let offset = v(r.range(-1.0, 1.0), r.range(-1.0, 1.0), r.range(-1.0, 1.0)).times(spread);
        meet(shape, middle + half.times(offset), heading)
    })
}

/// A part on a shape's surface with its mirror image, where the shape has the mirror image of that place too; else the
/// part alone.
fn paired(shape: &Shape, part: Shape, point: Vec3, way: Vec3) -> Shape {
    let mirrored = |p: Vec3| v(-p.x, p.y, p.z);
    let there = meet(shape, mirrored(point), -mirrored(way));
    if there.is_some_and(|p| (p - mirrored(point)).length() < 0.02) { part.both_sides() } else { part }
}

/// A part moved so that its side opposite to `way` (length 1) is a little within the surface at a point.
fn seated(r: &mut Rng, part: Shape, point: Vec3, way: Vec3) -> Option<Shape> {
    let foot = meet(&part, Vec3::default(), way).or_else(|| place_on(r, &part, way, v(0.6, 0.6, 0.6)))?;
    let (low, high) = part.bounds();
    let size = (high - low).abs().dot(way.abs());
    let depth = 0.03 + r.range(0.0, 0.25) * size;
    let by = point - foot - way * depth.min(0.5 * size);
    Some(part.at(by.x, by.y, by.z))
}
