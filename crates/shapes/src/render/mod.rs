//! Pictures of solids by sphere tracing (Hart 1996), cell by cell.

mod camera;
mod cut_out;
mod light;
mod material;

use image::{Rgba, RgbaImage};
use rayon::prelude::*;

pub use camera::{Camera, Frame, MOST_AZIMUTH};
pub use cut_out::Flaws;
pub use light::{Light, Style};
pub use material::Material;

use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::sdf::Solid;

/// A picture to be taken: camera, materials, light, and how badly it is cut out.
#[derive(Clone, Debug)]
pub struct View {
    /// Where from.
    pub camera: Camera,
    /// By slot.
    materials: Vec<Material>,
    light_seed: Rng,
    /// What the cutting out does to it.
    pub flaws: Flaws,
}

impl View {
    /// A view of a solid, all of it chosen by a stream of numbers.
    #[must_use]
    pub fn random(solid: &Solid, r: &mut Rng) -> Self {
        let paints = solid.paints();
        let slots = paints.iter().map(|paint| paint.slot).max().map_or(1, |slot| slot as usize + 1);
        let mut materials: Vec<Material> = (0..slots).map(|_| Material::random(crate::sdf::Kind::Any, r)).collect();
        for paint in &paints {
            materials[paint.slot as usize] = Material::random(paint.kind, r);
        }
        // Toys of one material, statues, unpainted prints.
        if r.chance(0.12) {
            let one = materials[paints[0].slot as usize];
            materials.fill(one);
        }
        Self { camera: Camera::random(r), materials, flaws: Flaws::random(r), light_seed: r.clone() }
    }
}

/// What a ray met.
#[derive(Clone, Copy, Debug)]
struct Hit {
    t: f32,
    point: Vec3,
    /// What the distance is there.
    distance: f32,
    /// 1 where the ray met the surface, less where it only brushed by.
    coverage: f32,
}

/// A picture of `side` pixels, its alpha what is covered, before anything was cut out badly.
#[must_use]
pub fn render(solid: &Solid, view: &View, side: u32) -> RgbaImage {
    let frame = Frame::new(&view.camera, solid, side);
    let light = Light::random(&mut view.light_seed.clone(), frame.axes());
    let tiles = Tiles::new(solid, &frame, side);
    let pixels: Vec<Option<Pixel>> = (0..side * side)
        .into_par_iter()
        .with_min_len(side as usize)
        .map(|i| pixel(solid, view, &light, &frame, &tiles, (i % side) as f32 + 0.5, (i / side) as f32 + 0.5))
        .collect();
    let side_ = side as usize;
    let image: Vec<[u8; 4]> = (0..side_ * side_)
        .into_par_iter()
        .with_min_len(side_)
        .map(|i| {
            let Some(own) = &pixels[i] else { return [0; 4] };
            let (x, y) = (i % side_, i / side_);
            let neighbours = [
                (x > 0).then(|| i - 1),
                (x + 1 < side_).then(|| i + 1),
                (y > 0).then(|| i - side_),
                (y + 1 < side_).then(|| i + side_),
            ];
            let differs = |other: &Pixel| {
                other.slot != own.slot || (other.t - own.t).abs() > 0.06 || other.normal.dot(own.normal) < 0.75
            };
            let edge = neighbours.iter().flatten().any(|&n| pixels[n].as_ref().is_some_and(differs));
            let rim = neighbours.iter().flatten().any(|&n| pixels[n].is_none());
            let mut colour = own.colour;
            if light.outline && (rim || edge) {
                colour = colour * 0.06;
            } else if edge {
                // Edges within the object get two more rays.
                let mut count = 1.0;
                for (dx, dy) in [(0.15, 0.8), (0.85, 0.2)] {
                    if let Some(more) = pixel(solid, view, &light, &frame, &tiles, x as f32 + dx, y as f32 + dy) {
                        colour += more.colour;
                        count += 1.0;
                    }
                }
                colour = colour * (1.0 / count);
            }
            let [r, g, b] = light.develop(colour);
            [r, g, b, (own.coverage * 255.0).round() as u8]
        })
        .collect();
    RgbaImage::from_fn(side, side, |x, y| Rgba(image[(y * side + x) as usize]))
}

struct Pixel {
    colour: Vec3,
    normal: Vec3,
    t: f32,
    slot: u8,
    coverage: f32,
}

fn pixel(solid: &Solid, view: &View, light: &Light, frame: &Frame, tiles: &Tiles, x: f32, y: f32) -> Option<Pixel> {
    let begin = tiles.begin(x, y)?;
    let ray = frame.ray(x, y);
    let hit = trace(solid, frame.eye, ray, frame.pixel, begin)?;
    let normal = solid.gradient_from(hit.point, hit.distance, 1e-3).unit();
    let slot = solid.paint(hit.point).slot;
    let colour = light.shade(solid, &view.materials[slot as usize], hit.point, normal, -ray);
    Some(Pixel { colour, normal, t: hit.t, slot, coverage: hit.coverage })
}

/// How far the rays of each small square of pixels go together before any of them may be near the surface (cone marching).
struct Tiles {
    across: usize,
    begins: Vec<Option<f32>>,
}

impl Tiles {
    /// Side of a square, in pixels.
    const SIDE: u32 = 4;

    fn new(solid: &Solid, frame: &Frame, side: u32) -> Self {
        let across = side.div_ceil(Self::SIDE) as usize;
        let begin = |i: usize| {
            let middle = |k: usize| (k as f32 + 0.5) * Self::SIDE as f32;
            let (x, y) = (middle(i % across), middle(i / across));
            let ray = frame.ray(x, y);
            // Where the widest of its rays is, and a pixel more: what is nearer than that counts as brushed.
            let spread = std::f32::consts::FRAC_1_SQRT_2 * Self::SIDE as f32 * frame.pixel + 1.5 * frame.pixel;
            let mut t = (frame.eye.length() - 1.8).max(0.0);
            let end = frame.eye.length() + 1.8;
            for _ in 0..200 {
                let p = frame.eye + ray * t;
                let distance = match solid.cell(p) {
                    Some(cell) if cell.low > 0.1 => cell.low,
                    Some(cell) => solid.distance_in(cell, p),
                    // The object is well within the cells.
                    None => {
                        let extent = v(1.0, 1.0, 1.0) * (Solid::HALF + 0.05);
                        (p.abs() - extent).max(Vec3::default()).length().max(0.02)
                    }
                };
                let room = distance - spread * t;
                if room < 0.1 * spread * t {
                    return Some(t);
                }
                t += 0.9 * room;
                if t > end {
                    return None;
                }
            }
            Some(t)
        };
        Self { across, begins: (0..across * across).into_par_iter().with_min_len(across).map(begin).collect() }
    }

    fn begin(&self, x: f32, y: f32) -> Option<f32> {
        self.begins[(y as u32 / Self::SIDE) as usize * self.across + (x as u32 / Self::SIDE) as usize]
    }
}

/// Follows a ray from a distance on to the surface, or past it as close as it comes. `pixel` is a pixel's side at
/// distance 1.
fn trace(solid: &Solid, eye: Vec3, ray: Vec3, pixel: f32, begin: f32) -> Option<Hit> {
    let inverse = v(1.0, 1.0, 1.0).over(ray);
    let extent = solid.extent() * 0.9999;
    let (a, b) = (v(-extent, -extent, -extent) - eye, v(extent, extent, extent) - eye);
    let (a, b) = (a.times(inverse), b.times(inverse));
    let (near, far) = (a.min(b), a.max(b));
    let (mut t, end) = (near.largest().max(begin) + 1e-4, far.x.min(far.y).min(far.z));
    let (mut last, mut step) = (0.0, 0.0);
    let mut closest: Option<(f32, f32)> = None;
    for _ in 0..160 {
        if t >= end {
            break;
        }
        let p = eye + ray * t;
        let Some(cell) = solid.cell(p) else { break };
        let size = pixel * t;
        if cell.low > size {
            t += solid.way_out(p, inverse).max(cell.low) + 1e-4;
            step = 0.0;
            continue;
        }
        let distance = solid.distance_in(cell, p);
        if distance < -0.25 * size && step > 0.0 {
            // Too far: back to where the line from the last distance to this one is zero, once.
            t += step * distance / (last - distance);
            (last, step) = (f32::MAX, 0.0);
            continue;
        }
        if distance < 0.25 * size {
            return Some(Hit { t, point: p, distance, coverage: 1.0 });
        }
        if distance < size && closest.is_none_or(|(least, _)| distance < least) {
            closest = Some((distance, t));
        }
        // Close by, as far as the surface is if it stays as it is, but at most twice as far as is safe.
        let slope = if distance < 6.0 * size && step > 0.0 { (last - distance) / step } else { 1.0 };
        let slope = if slope > 0.0 { slope.clamp(0.5, 1.0) } else { 1.0 };
        (last, step) = (distance, (0.95 * distance / slope).max(0.3 * size));
        t += step;
    }
    closest.map(|(distance, t)| Hit { t, point: eye + ray * t, distance, coverage: 1.0 - distance / (pixel * t) })
}

/// The bare shape in grey, lit by its normals, from an azimuth and an elevation: how truths and results are shown.
#[must_use]
pub fn render_plain(solid: &Solid, azimuth: f32, elevation: f32, side: u32) -> RgbaImage {
    let frame = Frame::new(&Camera { azimuth, elevation, field_of_view: 22.0 }, solid, side);
    let axes = frame.axes();
    let tiles = Tiles::new(solid, &frame, side);
    let pixels: Vec<[u8; 4]> = (0..side * side)
        .into_par_iter()
        .with_min_len(side as usize)
        .map(|i| {
            let (x, y) = ((i % side) as f32 + 0.5, (i / side) as f32 + 0.5);
            let hit = tiles.begin(x, y).and_then(|begin| trace(solid, frame.eye, frame.ray(x, y), frame.pixel, begin));
            let Some(hit) = hit else { return [0; 4] };
            let normal = solid.gradient(hit.point, 2e-3).unit();
            let [r, g, b] = axes.map(|axis| 0.5 + 0.5 * normal.dot(axis));
            let lit = 0.35 + 0.65 * (0.3 * r + 0.5 * g + 0.35 * b).min(1.0);
            let byte = |x: f32| (x * 255.0).clamp(0.0, 255.0) as u8;
            [
                byte(lit * (0.72 + 0.2 * (r - 0.5))),
                byte(lit * (0.74 + 0.2 * (g - 0.5))),
                byte(lit * 0.82),
                byte(hit.coverage),
            ]
        })
        .collect();
    RgbaImage::from_fn(side, side, |x, y| Rgba(pixels[(y * side + x) as usize]))
}
