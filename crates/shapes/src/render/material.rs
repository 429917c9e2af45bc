//! What parts are made of: colours and patterns in space.

use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::Kind;

/// How the second colour is mixed in.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    Plain,
    Stripes { along: Vec3, width: f32 },
    Checks { width: f32 },
    Gradient { along: Vec3 },
    Noise { size: f32 },
    Dots { width: f32 },
    Grain { along: Vec3, width: f32 },
}

/// A material.
#[derive(Clone, Copy, Debug)]
pub struct Material {
    base: Vec3,
    second: Vec3,
    pattern: Pattern,
    /// 0 matt to 1 polished.
    pub gloss: f32,
    /// Share of light that is mirrored straight on.
    pub mirror: f32,
    /// Whether what is mirrored has the material's colour.
    pub metal: bool,
}

/// Hue 0 to 1, saturation, value → linear colour.
#[must_use]
pub(super) fn hsv(h: f32, s: f32, value: f32) -> Vec3 {
    let channel = |n: f32| {
        let k = (n + h * 6.0).rem_euclid(6.0);
        value - value * s * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    let c = v(channel(5.0), channel(3.0), channel(1.0));
    v(c.x.powf(2.2), c.y.powf(2.2), c.z.powf(2.2))
}

fn colour(kind: Kind, r: &mut Rng) -> Vec3 {
    // A third of all parts has any colour at all, whatever they are.
    let kind = if r.chance(0.3) { Kind::Any } else { kind };
    match kind {
        Kind::Any | Kind::Glass => match r.int(0, 5) {
            0 => hsv(0.0, 0.0, r.range(0.1, 1.0)),
            1 => hsv(r.unit(), r.range(0.1, 0.4), r.range(0.6, 1.0)),
            _ => hsv(r.unit(), r.range(0.4, 0.95), r.range(0.35, 1.0)),
        },
        Kind::Wood => hsv(r.range(0.05, 0.1), r.range(0.3, 0.75), r.range(0.3, 0.85)),
        Kind::Metal => hsv(r.pick(&[0.6, 0.12, 0.0]), r.range(0.0, 0.25), r.range(0.45, 0.9)),
        Kind::Dark => hsv(r.unit(), r.range(0.0, 0.3), r.range(0.08, 0.3)),
        Kind::Light => hsv(r.unit(), r.range(0.0, 0.15), r.range(0.8, 1.0)),
        Kind::Leaf => hsv(r.range(0.2, 0.42), r.range(0.4, 0.9), r.range(0.25, 0.75)),
        Kind::Skin => hsv(r.range(0.04, 0.09), r.range(0.25, 0.65), r.range(0.35, 1.0)),
        Kind::Fur => hsv(r.range(0.03, 0.12), r.range(0.0, 0.7), r.range(0.15, 0.95)),
        Kind::Red => hsv(r.range(0.96, 1.06), r.range(0.6, 0.95), r.range(0.5, 0.95)),
        Kind::Yellow => hsv(r.range(0.09, 0.16), r.range(0.6, 0.95), r.range(0.75, 1.0)),
    }
}

impl Material {
    /// A material of a likely kind.
    #[must_use]
    pub fn random(kind: Kind, r: &mut Rng) -> Self {
        let base = colour(kind, r);
        let second = if r.chance(0.5) { base * r.pick(&[0.55, 0.75, 1.35]) } else { colour(Kind::Any, r) };
        let along = r.pick(&[v(0.0, 1.0, 0.0), v(0.0, 1.0, 0.0), v(1.0, 0.0, 0.0), v(0.7, 0.7, 0.0), v(0.0, 0.0, 1.0)]);
        let pattern = match (kind, r.int(0, 19)) {
            (Kind::Wood, 0..=11) => Pattern::Grain { along, width: r.range(0.05, 0.16) },
            (Kind::Dark | Kind::Metal | Kind::Glass, 0..=14) => Pattern::Plain,
            (_, 0..=9) => Pattern::Plain,
            (_, 10..=11) => Pattern::Stripes { along, width: r.range(0.08, 0.4) },
            (_, 12) => Pattern::Checks { width: r.range(0.1, 0.4) },
            (_, 13..=14) => Pattern::Gradient { along },
            (_, 15..=17) => Pattern::Noise { size: r.range(0.06, 0.5) },
            _ => Pattern::Dots { width: r.range(0.12, 0.35) },
        };
        let metal = kind == Kind::Metal && r.chance(0.75);
        let (gloss, mirror) = match kind {
            Kind::Metal if metal => (r.range(0.4, 0.95), r.range(0.3, 0.7)),
            Kind::Glass => (r.range(0.7, 1.0), r.range(0.06, 0.2)),
            Kind::Fur | Kind::Leaf | Kind::Wood => (r.range(0.0, 0.5), 0.02),
            _ => (r.range(0.0, 0.95), r.range(0.0, 0.06)),
        };
        Self { base, second, pattern, gloss, mirror, metal }
    }

    /// The colour at a point, linear.
    #[must_use]
    pub fn colour(&self, p: Vec3) -> Vec3 {
        let share = match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Stripes { along, width } => step((p.dot(along) / width).rem_euclid(1.0)),
            Pattern::Checks { width } => {
                let cell = (p.x / width).floor() + (p.y / width).floor() + (p.z / width + 0.37).floor();
                cell.rem_euclid(2.0)
            }
            Pattern::Gradient { along } => (p.dot(along) * 0.5 + 0.5).clamp(0.0, 1.0),
            Pattern::Noise { size } => {
                let n = noise(p * (1.0 / size)) * 0.65 + noise(p * (2.3 / size)) * 0.35;
                ((n - 0.3) * 2.5).clamp(0.0, 1.0)
            }
            Pattern::Dots { width } => {
                let q = p * (1.0 / width);
                let d = v(q.x - q.x.round(), q.y - q.y.round(), q.z - q.z.round());
                if d.length() < 0.33 { 1.0 } else { 0.0 }
            }
            Pattern::Grain { along, width } => {
                let across = p - along * (0.85 * p.dot(along));
                let rings = across.length() / width + 1.5 * noise(p * 3.0);
                0.5 + 0.5 * (rings * std::f32::consts::TAU).sin()
            }
        };
        let share = if matches!(self.pattern, Pattern::Grain { .. }) { 0.45 * share } else { share };
        self.base.lerp(self.second, share).min(v(1.0, 1.0, 1.0))
    }
}

fn step(x: f32) -> f32 {
    if x < 0.5 { 0.0 } else { 1.0 }
}

/// Value noise on the integer lattice, 0 to 1.
fn noise(p: Vec3) -> f32 {
    let (cell, f) = (v(p.x.floor(), p.y.floor(), p.z.floor()), v(p.x.fract(), p.y.fract(), p.z.fract()));
    let ease = |t: f32| {
        let t = t.rem_euclid(1.0);
        t * t * (3.0 - 2.0 * t)
    };
    let (u, w, s) = (ease(f.x), ease(f.y), ease(f.z));
    let corner = |dx: i32, dy: i32, dz: i32| {
        let (x, y, z) = (cell.x as i32 + dx, cell.y as i32 + dy, cell.z as i32 + dz);
        let mut h = (x as u32).wrapping_mul(0x8da6_b343)
            ^ (y as u32).wrapping_mul(0xd816_3841)
            ^ (z as u32).wrapping_mul(0xcb1a_b31f);
        h = (h ^ (h >> 13)).wrapping_mul(0x5bd1_e995);
        (h ^ (h >> 15)) as f32 / u32::MAX as f32
    };
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let plane = |dz| mix(mix(corner(0, 0, dz), corner(1, 0, dz), u), mix(corner(0, 1, dz), corner(1, 1, dz), u), w);
    mix(plane(0), plane(1), s)
}
