//! Where the picture is taken from.

use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::Solid;

/// A camera that looks at the origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Around the object, in degrees: 0 from the front, positive from the right.
    pub azimuth: f32,
    /// Above the horizon, in degrees.
    pub elevation: f32,
    /// Vertical angle of view that a ball of radius 1 would fill, in degrees: small for a long lens.
    pub field_of_view: f32,
}

/// The greatest azimuth, in degrees either way.
pub const MOST_AZIMUTH: f32 = 45.0;

impl Camera {
    /// A camera as a photographer would choose it. The model's shapes come out as they stand, whatever the camera: the
    /// picture's own direction must be guessed from it, so most are from near the front, and none from beyond 45°.
    #[must_use]
    pub fn random(r: &mut Rng) -> Self {
        let azimuth =
            if r.chance(0.3) { r.range(-6.0, 6.0) } else { (18.0 * r.normal()).clamp(-MOST_AZIMUTH, MOST_AZIMUTH) };
        let elevation = if r.chance(0.6) { r.range(-5.0, 18.0) } else { r.range(0.0, 40.0) };
        Self { azimuth, elevation, field_of_view: 12.0 * (50.0f32 / 12.0).powf(r.unit()) }
    }

    /// From the origin to the camera.
    #[must_use]
    pub fn direction(&self) -> Vec3 {
        let (a, e) = (self.azimuth.to_radians(), self.elevation.to_radians());
        v(a.sin() * e.cos(), e.sin(), a.cos() * e.cos())
    }
}

/// A camera with its picture's frame around an object.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Where the rays begin.
    pub eye: Vec3,
    forward: Vec3,
    right: Vec3,
    up: Vec3,
    /// Left and top of the frame, and the side of a pixel, at distance 1.
    left: f32,
    top: f32,
    /// The side of a pixel at distance 1.
    pub pixel: f32,
}

impl Frame {
    /// The least square frame of `side` pixels in which the object has a little room.
    #[must_use]
    pub fn new(camera: &Camera, solid: &Solid, side: u32) -> Self {
        let back = camera.direction();
        let distance = 1.15 / (camera.field_of_view.to_radians() / 2.0).sin();
        let right = v(0.0, 1.0, 0.0).cross(back).unit();
        let up = back.cross(right);
        let eye = back * distance;
        let mut bounds = [9e9f32, 9e9, -9e9, -9e9];
        let (cells, edge) = solid.surface_cells();
        for corner in cells {
            let p = corner + v(edge, edge, edge) * 0.5 - eye;
            let depth = -p.dot(back);
            let (x, y) = (p.dot(right) / depth, p.dot(up) / depth);
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        }
        let room = 0.6 * edge / distance;
        let size = (bounds[2] - bounds[0]).max(bounds[3] - bounds[1]) + 2.0 * room;
        let left = (bounds[0] + bounds[2] - size) / 2.0;
        let top = (bounds[1] + bounds[3] + size) / 2.0;
        Self { eye, forward: -back, right, up, left, top, pixel: size / side as f32 }
    }

    /// The direction through a place in the picture, in pixels from its left and top.
    #[must_use]
    pub fn ray(&self, x: f32, y: f32) -> Vec3 {
        (self.forward + self.right * (self.left + x * self.pixel) + self.up * (self.top - y * self.pixel)).unit()
    }

    /// Right, up and towards the viewer.
    #[must_use]
    pub fn axes(&self) -> [Vec3; 3] {
        [self.right, self.up, -self.forward]
    }
}
