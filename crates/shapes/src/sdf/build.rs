//! Short words for making shapes, so that a family of objects reads like a description.

use std::f32::consts::TAU;
use std::sync::Arc;

use super::profile::{Polygon, Profile, spline};
use super::{Kind, Loft, Paint, Part, Primitive, Shape};
use crate::math::{Placement, Vec3, v};

fn part(primitive: Primitive) -> Shape {
    Shape::Part(Box::new(Part { primitive, placement: Placement::default(), paint: Paint::default() }))
}

/// A ball.
#[must_use]
pub fn ball(radius: f32) -> Shape {
    part(Primitive::Ellipsoid(v(radius, radius, radius)))
}

/// An ellipsoid of these half-axes.
#[must_use]
pub fn egg(x: f32, y: f32, z: f32) -> Shape {
    part(Primitive::Ellipsoid(v(x, y, z)))
}

/// A box of these half-sides with rounded edges.
#[must_use]
pub fn brick(x: f32, y: f32, z: f32, round: f32) -> Shape {
    part(Primitive::Brick(v(x, y, z), round.min(0.99 * x.min(y).min(z))))
}

/// An upright cylinder.
#[must_use]
pub fn rod(half: f32, radius: f32, round: f32) -> Shape {
    frustum(half, radius, radius, round)
}

/// An upright cone's frustum: half height, radius below, radius above.
#[must_use]
pub fn frustum(half: f32, below: f32, above: f32, round: f32) -> Shape {
    part(Primitive::Frustum(half, below, above, round.min(0.9 * half.min(below).min(above))))
}

/// A lying ring.
#[must_use]
pub fn torus(ring: f32, tube: f32) -> Shape {
    part(Primitive::Torus(ring, tube))
}

/// A limb from one ball to another.
#[must_use]
pub fn limb(a: Vec3, ra: f32, b: Vec3, rb: f32) -> Shape {
    part(Primitive::Chain(Arc::from([(a, ra), (b, rb)])))
}

/// A limb over several joints.
#[must_use]
pub fn chain(balls: &[(Vec3, f32)]) -> Shape {
    part(Primitive::Chain(Arc::from(balls)))
}

/// A tube along a smooth line through points, with the radius at its first and last point.
#[must_use]
pub fn tube(points: &[Vec3], first: f32, last: f32) -> Shape {
    const STEPS: usize = 5;
    let xy: Vec<_> = points.iter().map(|p| [p.x, p.y]).collect();
    let z: Vec<_> = points.iter().map(|p| [p.z, 0.0]).collect();
    let (xy, z) = (spline(&xy, STEPS), spline(&z, STEPS));
    let count = xy.len() - 1;
    let balls: Vec<_> = xy
        .iter()
        .zip(&z)
        .enumerate()
        .map(|(i, (xy, z))| (v(xy[0], xy[1], z[0]), first + (last - first) * i as f32 / count as f32))
        .collect();
    chain(&balls)
}

/// A solid of revolution inside a smooth line of (distance from the axis, height), from bottom to top.
#[must_use]
pub fn turned(line: &[[f32; 2]]) -> Shape {
    lathe(spline(line, 6))
}

/// A solid of revolution inside a line of (distance from the axis, height) that begins and ends on the axis; corners
/// stay as they are.
#[must_use]
pub fn lathe(mut line: Vec<[f32; 2]>) -> Shape {
    line.iter_mut().for_each(|p| p[0] = p[0].max(0.0));
    // What does not reach the axis is closed flat.
    let (first, last) = (line[0], line[line.len() - 1]);
    if first[0] > 0.0 {
        line.insert(0, [0.0, first[1]]);
    }
    if last[0] > 0.0 {
        line.push([0.0, last[1]]);
    }
    part(Primitive::Lathe(Arc::new(Profile::Polygon(Polygon::right_half(&line)))))
}

/// A vessel of revolution: the smooth outer line from bottom to top, walls of one thickness, a floor of that
/// thickness, open above.
#[must_use]
pub fn vessel(line: &[[f32; 2]], wall: f32) -> Shape {
    let outer = spline(line, 5);
    let floor = outer[0][1] + wall;
    let count = outer.len();
    // Inwards along the normal of the line.
    let mut inner: Vec<[f32; 2]> = Vec::new();
    for i in (0..count).rev() {
        let (a, b) = (outer[i.saturating_sub(1)], outer[(i + 1).min(count - 1)]);
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = dx.hypot(dy).max(1e-6);
        let point = [outer[i][0] - wall * dy / length, outer[i][1] + wall * dx / length];
        if point[1] > floor && point[0] > 0.3 * wall {
            inner.push(point);
        }
    }
    let Some(&last) = inner.last() else { return lathe(outer) };
    if let Some(first) = inner.first_mut() {
        first[1] = outer[count - 1][1];
    }
    inner.push([last[0] * 0.9, floor]);
    // Up the outside, over the rim, down the inside, across the floor.
    lathe(outer.into_iter().chain(inner).collect())
}

/// A figure extruded along z by half a depth to either side.
#[must_use]
pub fn extruded(profile: Profile, half: f32, round: f32) -> Shape {
    part(Primitive::Extrusion(Arc::new(profile), half, round.min(0.9 * half)))
}

/// A polygon extruded along z.
#[must_use]
pub fn plate(corners: &[[f32; 2]], half: f32, round: f32) -> Shape {
    extruded(Profile::polygon(corners), half, round)
}

/// Sections (half-width, half-height, height of the middle) along z from back to front.
#[must_use]
pub fn loft(half: f32, sections: Vec<[f32; 3]>, exponent: f32) -> Shape {
    part(Primitive::Loft(Arc::new(Loft::new(half, sections, exponent))))
}

/// All of them, with sharp edges.
#[must_use]
pub fn all(shapes: Vec<Shape>) -> Shape {
    Shape::Union(shapes, 0.0)
}

/// All of them, flowing together.
#[must_use]
pub fn blend(smoothness: f32, shapes: Vec<Shape>) -> Shape {
    Shape::Union(shapes, smoothness)
}

/// A regular polygon's corners.
#[must_use]
pub fn regular(count: usize, radius: f32, turn: f32) -> Vec<[f32; 2]> {
    (0..count)
        .map(|i| {
            let angle = TAU * i as f32 / count as f32 + turn;
            [radius * angle.cos(), radius * angle.sin()]
        })
        .collect()
}

impl Shape {
    /// Moved.
    #[must_use]
    pub fn at(self, x: f32, y: f32, z: f32) -> Self {
        self.placed(&Placement::shift(v(x, y, z)))
    }

    /// Turned about x: y goes to z.
    #[must_use]
    pub fn turn_x(self, angle: f32) -> Self {
        self.placed(&Placement::turned(0, angle))
    }

    /// Turned about y: z goes to x.
    #[must_use]
    pub fn turn_y(self, angle: f32) -> Self {
        self.placed(&Placement::turned(1, angle))
    }

    /// Turned about z: x goes to y.
    #[must_use]
    pub fn turn_z(self, angle: f32) -> Self {
        self.placed(&Placement::turned(2, angle))
    }

    /// Made larger.
    #[must_use]
    pub fn sized(self, scale: f32) -> Self {
        self.placed(&Placement::scaled(scale))
    }

    /// Of this material.
    #[must_use]
    pub fn of(mut self, slot: u8, kind: Kind) -> Self {
        self.each(&mut |part| part.paint = Paint { slot, kind });
        self
    }

    /// With its mirror image: left and right.
    #[must_use]
    pub fn both_sides(self) -> Self {
        let image = self.clone().placed(&Placement::mirrored(0));
        all(vec![self, image])
    }

    /// With its mirror image: front and back.
    #[must_use]
    pub fn front_and_back(self) -> Self {
        let image = self.clone().placed(&Placement::mirrored(2));
        all(vec![self, image])
    }

    /// Copies about the y axis, the first where it is.
    #[must_use]
    pub fn around(self, count: usize) -> Self {
        all((0..count).map(|i| self.clone().turn_y(TAU * i as f32 / count as f32)).collect())
    }

    /// Without what the other has.
    #[must_use]
    pub fn without(self, other: Shape) -> Self {
        Self::Cut(Box::new(self), Box::new(other), 0.0)
    }

    /// Without what the other has, with rounded edges.
    #[must_use]
    pub fn without_softly(self, other: Shape, smoothness: f32) -> Self {
        Self::Cut(Box::new(self), Box::new(other), smoothness)
    }

    /// Only what the other has too.
    #[must_use]
    pub fn within(self, other: Shape, smoothness: f32) -> Self {
        Self::Both(Box::new(self), Box::new(other), smoothness)
    }
}
