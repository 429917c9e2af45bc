//! Solids with their signed distances, in coordinates of their own; negative inside.
//!
//! The exact formulas are well known (Hart 1996; the round cone and the frustum after Inigo Quilez); written anew. The
//! loft is first-order: its gradient has length 1 on the surface.

use std::sync::Arc;

use super::profile::Profile;
use crate::math::{Vec3, hypot, v};

/// A solid around the origin. The axis of what has one is y.
#[derive(Clone, Debug)]
pub enum Primitive {
    /// Half-axes.
    Ellipsoid(Vec3),
    /// Half-sides and the radius of the edges, within the half-sides.
    Brick(Vec3, f32),
    /// A cone's frustum: half height, radius below, radius above, radius of the edges, within all of these.
    Frustum(f32, f32, f32, f32),
    /// Radius of the ring, radius of its tube.
    Torus(f32, f32),
    /// Balls along a line, each joined with the next by a cone that touches both: centre and radius.
    Chain(Arc<[(Vec3, f32)]>),
    /// One link of a chain.
    Link(Link),
    /// A figure turned about the y axis: x of the figure is the distance from the axis.
    Lathe(Arc<Profile>),
    /// A figure extruded along z: half the depth, radius of the edges (inside the depth, outside the figure).
    Extrusion(Arc<Profile>, f32, f32),
    /// Superelliptic sections along z.
    Loft(Arc<Loft>),
}

/// Two balls and the cone that touches both, with what its distance needs of them.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    a: (Vec3, f32),
    b: (Vec3, f32),
    axis: Vec3,
    squared: f32,
    inverse: f32,
    narrowing: f32,
    /// The cone's length along its side, squared; not positive where one ball is within the other.
    slant: f32,
}

impl Link {
    /// Of two balls.
    #[must_use]
    pub fn new(a: (Vec3, f32), b: (Vec3, f32)) -> Self {
        let (axis, narrowing) = (b.0 - a.0, a.1 - b.1);
        let squared = axis.dot(axis);
        Self { a, b, axis, squared, inverse: 1.0 / squared, narrowing, slant: squared - narrowing * narrowing }
    }

    fn distance(&self, p: Vec3) -> f32 {
        let ((a, ra), (b, rb)) = (self.a, self.b);
        let (squared, inverse, narrowing, slant) = (self.squared, self.inverse, self.narrowing, self.slant);
        if slant <= 1e-9 {
            // One ball is within the other.
            return ((p - a).length() - ra).min((p - b).length() - rb);
        }
        let from = p - a;
        let y = from.dot(self.axis);
        let z = y - squared;
        let aside = from * squared - self.axis * y;
        let x2 = aside.dot(aside);
        let (y2, z2) = (y * y * squared, z * z * squared);
        let k = narrowing.signum() * narrowing * narrowing * x2;
        if z.signum() * slant * z2 > k {
            return (x2 + z2).sqrt() * inverse - rb;
        }
        if y.signum() * slant * y2 < k {
            return (x2 + y2).sqrt() * inverse - ra;
        }
        ((x2 * slant * inverse).sqrt() + y * narrowing) * inverse - ra
    }
}

/// Sections along z, each an upright superellipse.
#[derive(Clone, Debug)]
pub struct Loft {
    /// Half the length.
    pub half: f32,
    /// Half-widths and half-heights and the height of the middle, at equal distances along z.
    pub sections: Vec<[f32; 3]>,
    /// 2 is an ellipse; more is boxier.
    pub exponent: f32,
    /// Middle and half-sides of a box around it.
    middle: Vec3,
    around: Vec3,
}

impl Loft {
    /// Beyond this distance the value is only a lower bound, about.
    const TRUSTED: f32 = 0.15;

    /// Sections as in the fields of the same names.
    #[must_use]
    pub fn new(half: f32, sections: Vec<[f32; 3]>, exponent: f32) -> Self {
        let most = |f: &dyn Fn(&[f32; 3]) -> f32| sections.iter().map(f).fold(f32::MIN, f32::max);
        // The spline between sections may go a little beyond them.
        let (wide, high, low) = (1.1 * most(&|s| s[0]), most(&|s| s[2] + 1.1 * s[1]), -most(&|s| 1.1 * s[1] - s[2]));
        let (middle, around) = (v(0.0, (low + high) / 2.0, 0.0), v(wide, (high - low) / 2.0, half));
        Self { half, sections, exponent, middle, around }
    }

    fn section(&self, z: f32) -> [f32; 3] {
        let last = self.sections.len() - 1;
        let at = ((z / self.half + 1.0) * 0.5 * last as f32).clamp(0.0, last as f32);
        let i = (at as usize).min(last - 1);
        let t = at - i as f32;
        let get = |k: usize| self.sections[k.min(last)];
        let (p0, p1, p2, p3) = (get(i.saturating_sub(1)), get(i), get(i + 1), get(i + 2));
        std::array::from_fn(|k| {
            let (a, b) = (2.0 * p1[k], p2[k] - p0[k]);
            let (c, d) = (2.0 * p0[k] - 5.0 * p1[k] + 4.0 * p2[k] - p3[k], 3.0 * p1[k] - p0[k] - 3.0 * p2[k] + p3[k]);
            0.5 * (a + b * t + c * t * t + d * t * t * t)
        })
    }

    /// 0 on the surface, and its slopes along x and y.
    fn implicit(&self, p: Vec3) -> (f32, f32, f32) {
        let [w, h, middle] = self.section(p.z);
        let (w, h) = (w.max(0.01), h.max(0.01));
        let (x, y) = ((p.x / w).abs(), ((p.y - middle) / h).abs());
        if self.exponent == 2.0 {
            let length = hypot(x, y).max(1e-9);
            return (length - 1.0, x / (length * w), y / (length * h));
        }
        let (a, b) = (x.powf(self.exponent), y.powf(self.exponent));
        let sum = (a + b).max(1e-20);
        let value = sum.powf(1.0 / self.exponent);
        (value - 1.0, value / sum * a / (x.max(1e-6) * w), value / sum * b / (y.max(1e-6) * h))
    }

    fn distance(&self, p: Vec3) -> f32 {
        const STEP: f32 = 2e-3;
        let (value, x, y) = self.implicit(p);
        let z = (self.implicit(p + v(0.0, 0.0, STEP)).0 - self.implicit(p - v(0.0, 0.0, STEP)).0) / (2.0 * STEP);
        let gradient = v(x, y, z).length();
        // Towards the middle of a section the gradient says nothing about the distance; the half-width does.
        let [w, h, _] = self.section(p.z);
        let side = value / gradient.max(1.0 / w.min(h).max(0.01) * 0.3).max(1e-3);
        let end = p.z.abs() - self.half;
        let first_order = if end > 0.0 && side > 0.0 { hypot(side, end) } else { side.max(end) };
        // Far away the first order is worth nothing. The distance from the box around it, and a little, is at least
        // smooth and never far too much.
        let box_ = ((p - self.middle).abs() - self.around).max(Vec3::default()).length();
        let near = first_order.min(box_ + Self::TRUSTED);
        let near = if box_ > 0.0 { near.max(box_) } else { near };
        let far = (box_ / Self::TRUSTED).min(1.0);
        near * (1.0 - far) + (box_ + 0.5 * Self::TRUSTED) * far
    }
}

impl Primitive {
    /// Signed distance.
    #[must_use]
    pub fn distance(&self, p: Vec3) -> f32 {
        match self {
            Self::Ellipsoid(half) if half.x == half.y && half.y == half.z => p.length() - half.x,
            Self::Ellipsoid(half) => ellipsoid(p.abs(), *half),
            Self::Brick(half, round) => {
                let q = p.abs() - *half + v(*round, *round, *round);
                q.max(Vec3::default()).length() + q.largest().min(0.0) - round
            }
            Self::Frustum(half, below, above, round) => {
                let (half, below, above) = (half - round, below - round, above - round);
                let radius = hypot(p.x, p.z);
                let cap = if p.y < 0.0 { below } else { above };
                let (cx, cy) = ((radius - radius.min(cap)), p.y.abs() - half);
                let (ex, ey) = (above - below, 2.0 * half);
                let (wx, wy) = (radius - below, p.y + half);
                let t = ((wx * ex + wy * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
                let (dx, dy) = (wx - ex * t, wy - ey * t);
                let inside = cy < 0.0 && wx * ey - wy * ex < 0.0;
                let squared = (cx * cx + cy * cy).min(dx * dx + dy * dy);
                (if inside { -squared.sqrt() } else { squared.sqrt() }) - round
            }
            Self::Torus(ring, tube) => hypot(hypot(p.x, p.z) - ring, p.y) - tube,
            Self::Chain(balls) => match balls.len() {
                1 => (p - balls[0].0).length() - balls[0].1,
                _ => balls.windows(2).map(|pair| Link::new(pair[0], pair[1]).distance(p)).fold(f32::MAX, f32::min),
            },
            Self::Link(link) => link.distance(p),
            Self::Lathe(profile) => profile.distance(hypot(p.x, p.z), p.y),
            Self::Extrusion(profile, half, round) => {
                let (side, end) = (profile.distance(p.x, p.y) + round, p.z.abs() - half + round);
                hypot(side.max(0.0), end.max(0.0)) + side.max(end).min(0.0) - round
            }
            Self::Loft(loft) => loft.distance(p),
        }
    }

    /// The same solid within `radius` of a point, by less to look at; `None` where there is nothing to leave out.
    #[must_use]
    pub fn near(&self, p: Vec3, radius: f32) -> Option<Self> {
        match self {
            Self::Lathe(profile) => Some(Self::Lathe(Arc::new(profile.near(hypot(p.x, p.z), p.y, radius)?))),
            Self::Extrusion(profile, half, round) => {
                Some(Self::Extrusion(Arc::new(profile.near(p.x, p.y, radius)?), *half, *round))
            }
            _ => None,
        }
    }

    /// How fast the value changes at most, where a way of length 1 is gone.
    #[must_use]
    pub fn steepness(&self) -> f32 {
        match self {
            Self::Loft(_) => 3.0,
            _ => 1.0,
        }
    }

    /// Two corners of a box around it.
    #[must_use]
    pub fn bounds(&self) -> (Vec3, Vec3) {
        let around = |half: Vec3| (-half, half);
        match self {
            Self::Ellipsoid(half) | Self::Brick(half, _) => around(*half),
            Self::Frustum(half, below, above, _) => around(v(below.max(*above), *half, below.max(*above))),
            Self::Torus(ring, tube) => around(v(ring + tube, *tube, ring + tube)),
            Self::Chain(balls) => balls.iter().fold((v(9e9, 9e9, 9e9), v(-9e9, -9e9, -9e9)), |(low, high), (p, r)| {
                let r = v(*r, *r, *r);
                (low.min(*p - r), high.max(*p + r))
            }),
            Self::Link(Link { a, b, .. }) => {
                let (ra, rb) = (v(a.1, a.1, a.1), v(b.1, b.1, b.1));
                ((a.0 - ra).min(b.0 - rb), (a.0 + ra).max(b.0 + rb))
            }
            Self::Lathe(profile) => {
                let [_, low, wide, high] = profile.bounds();
                (v(-wide, low, -wide), v(wide, high, wide))
            }
            Self::Extrusion(profile, half, _) => {
                let [left, low, right, high] = profile.bounds();
                (v(left, low, -half), v(right, high, *half))
            }
            Self::Loft(loft) => (loft.middle - loft.around, loft.middle + loft.around),
        }
    }
}

/// Distance to an ellipsoid from a point without signs: the nearest point of the surface is r² p / (r² + t) for the
/// greatest root t of `Σ (r p / (r² + t))² = 1`, which Newton's method reaches from the left without overshooting.
fn ellipsoid(p: Vec3, r: Vec3) -> f32 {
    // On a plane of symmetry the root may vanish; a hair beside it, it does not.
    let p = p.max(r * 1e-4);
    let (rp, squares) = (r.times(p), r.times(r));
    let mut t = (rp - squares).largest();
    for _ in 0..12 {
        let shares = v(squares.x + t, squares.y + t, squares.z + t);
        let ratio = rp.over(shares);
        let value = ratio.dot(ratio) - 1.0;
        if value < 1e-5 {
            break;
        }
        t += value / (2.0 * ratio.times(ratio).over(shares).dot(v(1.0, 1.0, 1.0)));
    }
    t * p.over(v(squares.x + t, squares.y + t, squares.z + t)).length()
}
