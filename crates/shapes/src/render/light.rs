//! Light and shade.

use super::material::{Material, hsv};
use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::Solid;

/// A far lamp.
#[derive(Clone, Copy, Debug)]
struct Lamp {
    towards: Vec3,
    colour: Vec3,
    /// How soft its shadow is; 0 for one that throws none.
    softness: f32,
}

/// How a picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Like a photograph or a rendering.
    Photo,
    /// Flat colours in two or three tones, as in clip art.
    Flat,
}

/// All light of a picture.
#[derive(Clone, Debug)]
pub struct Light {
    lamps: Vec<Lamp>,
    sky: Vec3,
    ground: Vec3,
    occlusion: f32,
    exposure: f32,
    contrast: f32,
    /// How it is drawn.
    pub style: Style,
    /// Whether edges are drawn dark.
    pub outline: bool,
}

impl Light {
    /// Light as it may be: one lamp from above with a shadow, up to two more, and the sky.
    #[must_use]
    pub fn random(r: &mut Rng, [right, up, front]: [Vec3; 3]) -> Self {
        let style = if r.chance(0.15) { Style::Flat } else { Style::Photo };
        let tint = |r: &mut Rng| hsv(r.pick(&[0.08, 0.6, 0.1]), r.range(0.0, 0.25), 1.0);
        let direction = |r: &mut Rng, high: f32| {
            (right * r.range(-1.2, 1.2) + up * r.range(high, 1.3) + front * r.range(0.15, 1.3)).unit()
        };
        let mut lamps = vec![Lamp {
            towards: direction(r, 0.2),
            colour: tint(r) * r.range(0.9, 2.2),
            softness: if r.chance(0.85) { r.range(0.03, 0.35) } else { 0.0 },
        }];
        for _ in 0..r.int(0, 2) {
            lamps.push(Lamp { towards: direction(r, -0.3), colour: tint(r) * r.range(0.15, 0.7), softness: 0.0 });
        }
        let sky = tint(r) * r.range(0.25, 0.9);
        Self {
            lamps,
            sky,
            ground: sky * r.range(0.2, 0.7),
            occlusion: r.range(0.5, 1.0),
            exposure: r.range(0.75, 1.25),
            contrast: r.range(0.9, 1.15),
            style,
            outline: r.chance(if style == Style::Flat { 0.6 } else { 0.02 }),
        }
    }

    /// The colour of a point as it is seen, linear.
    pub(super) fn shade(&self, solid: &Solid, material: &Material, p: Vec3, normal: Vec3, view: Vec3) -> Vec3 {
        let base = material.colour(p);
        if self.style == Style::Flat {
            let lamp = &self.lamps[0];
            let lit = normal.dot(lamp.towards);
            let tone = if lit > 0.35 {
                1.0
            } else if lit > -0.1 {
                0.72
            } else {
                0.5
            };
            return base * (tone * 0.95);
        }
        let open = 1.0 - self.occlusion * occluded(solid, p, normal);
        let ambient = self.ground.lerp(self.sky, 0.5 + 0.5 * normal.y) * open;
        let mut diffuse = ambient;
        let mut shine = Vec3::default();
        let sharpness = 4.0 * 2f32.powf(7.0 * material.gloss);
        for lamp in &self.lamps {
            let lit = normal.dot(lamp.towards);
            if lit <= 0.0 {
                continue;
            }
            let seen = if lamp.softness > 0.0 {
                lamp_seen(solid, p + normal * 0.012, lamp.towards, lamp.softness)
            } else {
                1.0
            };
            diffuse += lamp.colour * (0.75 * lit * seen);
            let half = (lamp.towards + view).unit();
            let highlight = normal.dot(half).max(0.0).powf(sharpness) * (0.04 + 0.6 * material.gloss * material.gloss);
            shine += lamp.colour * (highlight * seen);
        }
        let mirror_way = normal * (2.0 * normal.dot(view)) - view;
        let room = self.ground.lerp(self.sky, (0.5 + 2.0 * mirror_way.y).clamp(0.0, 1.0));
        // A window that a polished thing shows.
        let window = ((mirror_way.dot(self.lamps[0].towards) - 0.9) * 12.0).clamp(0.0, 1.0);
        let grazing = (1.0 - normal.dot(view).max(0.0)).powi(4);
        let mirror = (material.mirror + 0.25 * material.gloss * grazing).min(1.0);
        let mirrored = (room + self.lamps[0].colour * (window * material.gloss)) * (mirror * open);
        let tint = if material.metal { base } else { v(1.0, 1.0, 1.0) };
        base.times(diffuse) * (1.0 - mirror) + (mirrored + shine).times(tint)
    }

    /// Linear colour → bytes.
    pub(super) fn develop(&self, colour: Vec3) -> [u8; 3] {
        let tone = |x: f32| {
            let x = (x * self.exposure).max(0.0);
            // A soft shoulder, then the display's gamma.
            let x = if self.style == Style::Flat { x } else { x * (1.0 + 0.15 * x) / (1.0 + 0.45 * x) };
            let x = x.min(1.0).powf(1.0 / 2.2);
            ((0.5 + (x - 0.5) * self.contrast) * 255.0).round().clamp(0.0, 255.0) as u8
        };
        [tone(colour.x), tone(colour.y), tone(colour.z)]
    }
}

/// How much of the sky is hidden, 0 to 1, by distances along the normal (Evans 2006).
fn occluded(solid: &Solid, p: Vec3, normal: Vec3) -> f32 {
    let hidden = [(0.03, 1.0), (0.09, 0.6), (0.2, 0.35)]
        .iter()
        .map(|(step, weight)| weight * (step - solid.distance(p + normal * *step)).max(0.0) / step)
        .sum::<f32>();
    (hidden / 1.6).clamp(0.0, 1.0)
}

/// How much of a lamp a point sees, by the narrowest passage on the way (Quilez 2010).
fn lamp_seen(solid: &Solid, from: Vec3, towards: Vec3, softness: f32) -> f32 {
    let inverse = v(1.0, 1.0, 1.0).over(towards);
    let (mut t, mut seen) = (0.02f32, 1.0f32);
    for _ in 0..40 {
        let p = from + towards * t;
        let Some(cell) = solid.cell(p) else { break };
        if cell.low > 0.02 + softness * t {
            t += solid.way_out(p, inverse).max(cell.low) + 1e-3;
            continue;
        }
        let distance = solid.distance_in(cell, p);
        if distance < 0.002 {
            return 0.0;
        }
        seen = seen.min(distance / (softness * t));
        t += distance.clamp(0.012, 0.2);
    }
    seen.clamp(0.0, 1.0)
}
