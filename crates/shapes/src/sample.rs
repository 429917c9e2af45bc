//! One example to learn from: a picture as the product would prepare it, and what is known of the shape.

use image::RgbaImage;
use orfeas_vision::{BORDER_RATIO, recentre};

use crate::math::{Vec3, v};
use crate::random::Rng;
use crate::render::{Camera, View, render};
use crate::sdf::Solid;
use crate::{Family, ShapeError};

/// How much of everything a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOptions {
    /// Side of the picture, in pixels.
    pub side: u32,
    /// Points with distances; half of them near the surface.
    pub points: usize,
    /// Points on the surface, with normals.
    pub surface: usize,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self { side: 224, points: 8192, surface: 2048 }
    }
}

/// Coordinates are stored as whole numbers: 1 is this many steps.
pub const STEPS: f32 = 30_000.0;
/// Distances are stored as whole numbers: 1 is this many steps; what is farther than 2 is 2.
pub const DISTANCE_STEPS: f32 = 16_000.0;
/// Points are drawn from the cube from minus this to this: the model's box.
pub const BOX: f32 = 1.01;

/// An example.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is of.
    pub family: &'static str,
    /// Which of them.
    pub seed: u64,
    /// Which picture of it.
    pub view: u32,
    /// Where the picture was taken from.
    pub camera: Camera,
    /// The prepared picture, RGBA, straight alpha.
    pub picture: RgbaImage,
    /// Points, in [`STEPS`].
    pub points: Vec<[i16; 3]>,
    /// Their signed distances, negative inside, in [`DISTANCE_STEPS`].
    pub distances: Vec<i16>,
    /// Points on the surface, in [`STEPS`].
    pub surface: Vec<[i16; 3]>,
    /// Their normals, 1 = 127.
    pub normals: Vec<[i8; 3]>,
}

/// Widths (standard deviations) of the two clouds of points near the surface.
const WIDTHS: [f32; 2] = [0.012, 0.05];

fn stored(p: Vec3) -> [i16; 3] {
    p.array().map(|x| (x.clamp(-1.05, 1.05) * STEPS).round() as i16)
}

/// A stored point's coordinates.
#[must_use]
pub fn read_point(p: [i16; 3]) -> Vec3 {
    let [x, y, z] = p.map(|x| f32::from(x) / STEPS);
    v(x, y, z)
}

impl Sample {
    /// Makes the sample of a family's seed and view.
    ///
    /// # Errors
    /// [`ShapeError::NothingSeen`] where the picture shows nothing.
    pub fn new(family: &'static Family, seed: u64, view: u32, options: &SampleOptions) -> Result<Self, ShapeError> {
        Self::of(&family.solid(seed), family, seed, view, options)
    }

    /// As [`Self::new`], for a solid that is there.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(
        solid: &Solid,
        family: &'static Family,
        seed: u64,
        view: u32,
        options: &SampleOptions,
    ) -> Result<Self, ShapeError> {
        let (camera, picture) = picture(solid, family, seed, view, options.side)?;
        let mut r = Rng::new("points", &[seed, u64::from(view)]);
        let surface = surface_points(solid, &mut r, options.surface.max(options.points / 4));
        let mut points = Vec::with_capacity(options.points);
        for i in 0..options.points {
            let p = if i % 2 == 0 {
                let width = WIDTHS[i / 2 % 2];
                surface[(i / 2) % surface.len()].0 + v(r.normal(), r.normal(), r.normal()) * width
            } else {
                v(r.range(-BOX, BOX), r.range(-BOX, BOX), r.range(-BOX, BOX))
            };
            points.push(stored(p));
        }
        // The distance is that of the stored point, not of the one it was rounded from.
        let distance =
            |p: &[i16; 3]| (corrected(solid, read_point(*p)).clamp(-2.0, 2.0) * DISTANCE_STEPS).round() as i16;
        let distances = points.iter().map(distance).collect();
        let normals = surface[..options.surface].iter().map(|(_, n)| n.array().map(|x| (x * 127.0).round() as i8));
        let normals = normals.collect();
        let surface = surface[..options.surface].iter().map(|(p, _)| stored(*p)).collect();
        Ok(Self { family: family.name, seed, view, camera, picture, points, distances, surface, normals })
    }
}

/// The prepared picture of a view, and its camera.
///
/// # Errors
/// [`ShapeError::NothingSeen`] where it shows nothing.
pub fn picture(
    solid: &Solid,
    family: &'static Family,
    seed: u64,
    view: u32,
    side: u32,
) -> Result<(Camera, RgbaImage), ShapeError> {
    let chosen = View::random(solid, &mut Rng::new("view", &[seed, u64::from(view), family.name.len() as u64]));
    let image = chosen.flaws.apply(render(solid, &chosen, side));
    let nothing = |error: orfeas_vision::VisionError| ShapeError::NothingSeen {
        family: family.name,
        seed,
        reason: error.to_string(),
    };
    // A cut-out so bad that it left nothing of a thin object is no picture of it.
    let prepared = recentre(&image, BORDER_RATIO)
        .or_else(|_| recentre(&render(solid, &chosen, side), BORDER_RATIO))
        .map_err(nothing)?;
    let prepared = prepared.to_rgba();
    Ok((chosen.camera, prepared))
}

/// The distance to first order: near the surface the tree's value over its slope, which smooth unions flatten.
#[must_use]
pub fn corrected(solid: &Solid, p: Vec3) -> f32 {
    let value = solid.distance(p);
    if value.abs() > 0.1 {
        return value;
    }
    value / solid.gradient(p, 1e-3).length().clamp(0.6, 1.2)
}

/// Points on the surface with normals, about evenly: from a thin shell around it, then onto it.
fn surface_points(solid: &Solid, r: &mut Rng, count: usize) -> Vec<(Vec3, Vec3)> {
    const SHELL: f32 = 0.02;
    let (cells, side) = solid.surface_cells();
    let mut found = Vec::with_capacity(count);
    // Every object has a surface in its cells; the bound is for one that nobody could see.
    for _ in 0..count * 400 {
        if found.len() == count || cells.is_empty() {
            break;
        }
        let corner = cells[r.int(0, cells.len() - 1)];
        let mut p = corner + v(r.unit(), r.unit(), r.unit()) * side;
        let mut distance = solid.distance(p);
        if distance.abs() > SHELL {
            continue;
        }
        let mut normal = solid.gradient(p, 1e-3);
        for _ in 0..3 {
            p = p - normal * (distance / normal.dot(normal).max(0.2));
            distance = solid.distance(p);
            normal = solid.gradient(p, 1e-3);
            // As near as the stored whole numbers can tell.
            if distance.abs() < 1.0 / STEPS {
                break;
            }
        }
        if distance.abs() < 1e-3 {
            found.push((p, normal.unit()));
        }
    }
    while found.len() < count {
        found.push(found.first().copied().unwrap_or((Vec3::default(), v(0.0, 1.0, 0.0))));
    }
    found
}
