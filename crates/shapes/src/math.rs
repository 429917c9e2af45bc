//! Vectors and rigid placements.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// A point or a direction: x right, y up, z to the front.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vec3 {
    /// Right.
    pub x: f32,
    /// Up.
    pub y: f32,
    /// To the front, towards the viewer.
    pub z: f32,
}

/// A vector of its coordinates.
#[must_use]
pub const fn v(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Vec3 {
    /// The dot product.
    #[must_use]
    pub fn dot(self, other: Self) -> f32 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// The cross product.
    #[must_use]
    pub fn cross(self, other: Self) -> Self {
        v(self.y * other.z - self.z * other.y, self.z * other.x - self.x * other.z, self.x * other.y - self.y * other.x)
    }

    /// The length.
    #[must_use]
    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The same direction with length 1; upwards for the zero vector.
    #[must_use]
    pub fn unit(self) -> Self {
        let length = self.length();
        if length > 1e-20 { self * (1.0 / length) } else { v(0.0, 1.0, 0.0) }
    }

    /// Coordinates without their signs.
    #[must_use]
    pub fn abs(self) -> Self {
        v(self.x.abs(), self.y.abs(), self.z.abs())
    }

    /// The greater of each coordinate.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        v(self.x.max(other.x), self.y.max(other.y), self.z.max(other.z))
    }

    /// The lesser of each coordinate.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        v(self.x.min(other.x), self.y.min(other.y), self.z.min(other.z))
    }

    /// The products of each coordinate.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        v(self.x * other.x, self.y * other.y, self.z * other.z)
    }

    /// The quotients of each coordinate.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        v(self.x / other.x, self.y / other.y, self.z / other.z)
    }

    /// The greatest coordinate.
    #[must_use]
    pub fn largest(self) -> f32 {
        self.x.max(self.y).max(self.z)
    }

    /// From here to there, `t` from 0 to 1.
    #[must_use]
    pub fn lerp(self, other: Self, t: f32) -> Self {
        self + (other - self) * t
    }

    /// `[x, y, z]`.
    #[must_use]
    pub fn array(self) -> [f32; 3] {
        [self.x, self.y, self.z]
    }
}

impl Add for Vec3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        v(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl AddAssign for Vec3 {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        v(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Self;
    fn mul(self, by: f32) -> Self {
        v(self.x * by, self.y * by, self.z * by)
    }
}

impl Neg for Vec3 {
    type Output = Self;
    fn neg(self) -> Self {
        v(-self.x, -self.y, -self.z)
    }
}

/// The length of (a, b). Not `f32::hypot`, whose care for overflow costs more than the distance it is part of.
#[must_use]
pub fn hypot(a: f32, b: f32) -> f32 {
    (a * a + b * b).sqrt()
}

/// Where a part lies: scaled, then turned (or mirrored), then moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Images of the axes; orthonormal, possibly left-handed.
    pub axes: [Vec3; 3],
    /// Image of the origin.
    pub origin: Vec3,
    /// Uniform scale.
    pub scale: f32,
}

impl Default for Placement {
    fn default() -> Self {
        Self { axes: [v(1.0, 0.0, 0.0), v(0.0, 1.0, 0.0), v(0.0, 0.0, 1.0)], origin: Vec3::default(), scale: 1.0 }
    }
}

impl Placement {
    /// From the part's coordinates to the world's.
    #[must_use]
    pub fn apply(&self, p: Vec3) -> Vec3 {
        self.turn(p * self.scale) + self.origin
    }

    /// From the world's coordinates to the part's.
    #[must_use]
    pub fn back(&self, p: Vec3) -> Vec3 {
        let q = p - self.origin;
        v(q.dot(self.axes[0]), q.dot(self.axes[1]), q.dot(self.axes[2])) * (1.0 / self.scale)
    }

    fn turn(&self, p: Vec3) -> Vec3 {
        self.axes[0] * p.x + self.axes[1] * p.y + self.axes[2] * p.z
    }

    /// This placement, then another.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self {
            axes: self.axes.map(|axis| next.turn(axis)),
            origin: next.apply(self.origin),
            scale: self.scale * next.scale,
        }
    }

    /// A move.
    #[must_use]
    pub fn shift(by: Vec3) -> Self {
        Self { origin: by, ..Self::default() }
    }

    /// A turn about an axis (0 = x, 1 = y, 2 = z) by an angle in radians, right-handed.
    #[must_use]
    pub fn turned(axis: usize, angle: f32) -> Self {
        let (s, c) = angle.sin_cos();
        let axes = match axis {
            0 => [v(1.0, 0.0, 0.0), v(0.0, c, s), v(0.0, -s, c)],
            1 => [v(c, 0.0, -s), v(0.0, 1.0, 0.0), v(s, 0.0, c)],
            _ => [v(c, s, 0.0), v(-s, c, 0.0), v(0.0, 0.0, 1.0)],
        };
        Self { axes, ..Self::default() }
    }

    /// A mirror image: the coordinate of `axis` changes its sign.
    #[must_use]
    pub fn mirrored(axis: usize) -> Self {
        let mut placement = Self::default();
        placement.axes[axis] = -placement.axes[axis];
        placement
    }

    /// A uniform scale.
    #[must_use]
    pub fn scaled(scale: f32) -> Self {
        Self { scale, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_undoes_apply() {
        let placement = Placement::scaled(1.7)
            .then(&Placement::turned(0, 0.4))
            .then(&Placement::turned(1, -1.1))
            .then(&Placement::mirrored(0))
            .then(&Placement::turned(2, 2.0))
            .then(&Placement::shift(v(0.3, -0.2, 0.9)));
        let p = v(0.1, 0.5, -0.7);
        assert!((placement.back(placement.apply(p)) - p).length() < 1e-5);
    }
}
