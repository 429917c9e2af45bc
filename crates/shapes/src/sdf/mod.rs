//! Objects as trees of solids, with signed distances.

mod build;
mod primitive;
mod profile;
mod solid;

pub use build::*;
pub use primitive::{Link, Loft, Primitive};
pub use profile::{Polygon, Profile, closed_spline, spline};
pub use solid::{Bounds3, Cell, Solid};

use crate::math::{Placement, Vec3, v};

/// What a part is made of: which of the object's materials, and what kind that is likely to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Paint {
    /// Parts with the same number are made of the same material.
    pub slot: u8,
    /// What it is likely to be.
    pub kind: Kind,
}

/// Kinds of material, for likely colours. Any part may still get any colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub enum Kind {
    #[default]
    Any,
    Wood,
    Metal,
    Dark,
    Light,
    Leaf,
    Skin,
    Fur,
    Glass,
    Red,
    Yellow,
}

/// A part where it lies.
#[derive(Clone, Debug)]
pub struct Part {
    /// The solid.
    pub primitive: Primitive,
    /// Where.
    pub placement: Placement,
    /// Of what.
    pub paint: Paint,
}

impl Part {
    /// Signed distance in the world.
    #[must_use]
    pub fn distance(&self, p: Vec3) -> f32 {
        self.primitive.distance(self.placement.back(p)) * self.placement.scale
    }

    /// Two corners of a box around it in the world.
    #[must_use]
    pub fn bounds(&self) -> (Vec3, Vec3) {
        let (low, high) = self.primitive.bounds();
        let (middle, half) = ((low + high) * 0.5, (high - low) * 0.5);
        let centre = self.placement.apply(middle);
        let [x, y, z] = self.placement.axes.map(Vec3::abs);
        let half = (x * half.x + y * half.y + z * half.z) * self.placement.scale;
        (centre - half, centre + half)
    }
}

/// A tree of parts. Smoothness is the width, in the object's unit, of the zone in which two surfaces flow together; 0
/// is a sharp edge.
#[derive(Clone, Debug)]
pub enum Shape {
    /// One part.
    Part(Box<Part>),
    /// What any has.
    Union(Vec<Shape>, f32),
    /// What the first has and the second has not.
    Cut(Box<Shape>, Box<Shape>, f32),
    /// What both have.
    Both(Box<Shape>, Box<Shape>, f32),
}

impl Shape {
    /// Changes every part.
    pub fn each(&mut self, change: &mut dyn FnMut(&mut Part)) {
        match self {
            Self::Part(part) => change(part),
            Self::Union(shapes, _) => shapes.iter_mut().for_each(|shape| shape.each(change)),
            Self::Cut(a, b, _) | Self::Both(a, b, _) => {
                a.each(change);
                b.each(change);
            }
        }
    }

    fn each_smoothness(&mut self, change: &mut dyn FnMut(&mut f32)) {
        match self {
            Self::Part(_) => {}
            Self::Union(shapes, k) => {
                change(k);
                shapes.iter_mut().for_each(|shape| shape.each_smoothness(change));
            }
            Self::Cut(a, b, k) | Self::Both(a, b, k) => {
                change(k);
                a.each_smoothness(change);
                b.each_smoothness(change);
            }
        }
    }

    /// Signed distance, part by part: for building. A [`Solid`] gives the same faster.
    #[must_use]
    pub fn distance(&self, p: Vec3) -> f32 {
        match self {
            Self::Part(part) => part.distance(p),
            Self::Union(shapes, k) => {
                shapes.iter().map(|shape| shape.distance(p)).fold(f32::MAX, |a, b| smooth_min(a, b, *k))
            }
            Self::Cut(a, b, k) => -smooth_min(-a.distance(p), b.distance(p), *k),
            Self::Both(a, b, k) => -smooth_min(-a.distance(p), -b.distance(p), *k),
        }
    }

    /// Two corners of a box around it, which cuts may have made too large.
    #[must_use]
    pub fn bounds(&self) -> Bounds3 {
        match self {
            Self::Part(part) => part.bounds(),
            Self::Union(shapes, _) => shapes
                .iter()
                .map(Self::bounds)
                .fold((v(9e9, 9e9, 9e9), v(-9e9, -9e9, -9e9)), |(low, high), (l, h)| (low.min(l), high.max(h))),
            Self::Cut(a, _, _) => a.bounds(),
            Self::Both(a, b, _) => {
                let (a, b) = (a.bounds(), b.bounds());
                (a.0.max(b.0), a.1.min(b.1))
            }
        }
    }

    /// The shape elsewhere.
    #[must_use]
    pub fn placed(mut self, placement: &Placement) -> Self {
        self.each(&mut |part| part.placement = part.placement.then(placement));
        self.each_smoothness(&mut |k| *k *= placement.scale);
        self
    }
}

/// The lesser value, rounded over a zone of width `k` (the quadratic polynomial).
#[must_use]
pub fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    let overlap = (k - (a - b).abs()).max(0.0);
    if overlap > 0.0 { a.min(b) - overlap * overlap / (4.0 * k) } else { a.min(b) }
}
