//! A picture of a mesh: a small software renderer with studio light.
//!
//! Triangles go into a depth buffer of three samples a pixel side; each sample is shaded once (deferred): key light with
//! soft shadows, fill and rim light, sky, ambient occlusion. The floor shows only its shadows, so it has no seam.

mod camera;
mod raster;
mod shade;

use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use crate::Mesh;
use crate::error::{SurfaceError, SurfaceErrorKind};

pub use camera::View;

use camera::Camera;
use shade::Scene;

/// The most pixels of a picture.
const MAX_PIXELS: usize = 64 << 20;

/// How a picture is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Pixels across, all views together.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Views, side by side from left to right.
    pub views: Vec<View>,
    /// Samples along a pixel's side, 1 to 4.
    pub supersampling: u32,
}

impl Default for RenderOptions {
    /// One three-quarter view, 1024 × 1024.
    fn default() -> Self {
        Self { width: 1024, height: 1024, views: vec![View::ThreeQuarter], supersampling: 3 }
    }
}

impl RenderOptions {
    /// Front, three-quarter and side view next to each other, each `size` pixels wide and high.
    #[must_use]
    pub fn sheet(size: u32) -> Self {
        Self {
            width: size.saturating_mul(3),
            height: size,
            views: vec![View::Front, View::ThreeQuarter, View::Side],
            ..Self::default()
        }
    }
}

/// Renders a mesh (any unit, z up, front towards -y; it stands on its lowest point).
///
/// # Errors
/// [`SurfaceErrorKind::Argument`] for a picture without pixels or views, or of more than 64 Mi pixels;
/// [`SurfaceErrorKind::Empty`] for a mesh without extent, [`SurfaceErrorKind::Damaged`] for indices that name no vertex.
pub fn render(mesh: &Mesh, options: &RenderOptions) -> Result<RgbImage, SurfaceError> {
    let argument = |detail: &str| SurfaceError::new(SurfaceErrorKind::Argument, detail);
    let (width, height) = (options.width as usize, options.height as usize);
    if width < options.views.len() || height == 0 || options.views.is_empty() {
        return Err(argument("a picture without pixels or without views"));
    }
    if width.saturating_mul(height) > MAX_PIXELS || !(1..=4).contains(&options.supersampling) {
        return Err(argument("a picture that is too large, or supersampling that is not 1 to 4"));
    }
    let scene = Scene::new(mesh)?;
    let mut image = RgbImage::new(options.width, options.height);
    let count = options.views.len();
    for (number, view) in options.views.iter().enumerate() {
        let (left, right) = (number * width / count, (number + 1) * width / count);
        let part = one_view(&scene, *view, right - left, height, options.supersampling as usize);
        for (y, row) in part.chunks_exact(right - left).enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                image.put_pixel((left + x) as u32, y as u32, image::Rgb(*pixel));
            }
        }
    }
    Ok(image)
}

/// [`render`] as a PNG file.
///
/// # Errors
/// As [`render`], and [`SurfaceErrorKind::Io`].
pub fn render_png(mesh: &Mesh, options: &RenderOptions) -> Result<Vec<u8>, SurfaceError> {
    let mut out = std::io::Cursor::new(Vec::new());
    render(mesh, options)?.write_to(&mut out, ImageFormat::Png).map_err(|error| SurfaceError::io(&error))?;
    Ok(out.into_inner())
}

/// A picture for lists and file managers: three-quarter view, 512 × 512, PNG.
///
/// # Errors
/// As [`render_png`].
pub fn thumbnail(mesh: &Mesh) -> Result<Vec<u8>, SurfaceError> {
    render_png(mesh, &RenderOptions { width: 512, height: 512, supersampling: 2, ..RenderOptions::default() })
}

/// The pixels of one view, row by row from the top.
fn one_view(scene: &Scene, view: View, width: usize, height: usize, samples: usize) -> Vec<[u8; 3]> {
    let (fine_width, fine_height) = (width * samples, height * samples);
    let camera = Camera::new(view, scene.positions(), fine_width, fine_height);
    let points: Vec<[f32; 3]> = scene.positions().par_iter().map(|point| camera.project(*point)).collect();
    let buffer = raster::raster(fine_width, fine_height, &points, scene.triangles());
    (0..width * height)
        .into_par_iter()
        .with_min_len(256)
        .map(|pixel| {
            let (x, y) = (pixel % width * samples, pixel / width * samples);
            // Within one surface the diagonal will do; at an edge every sample counts.
            let even = buffer.is_even(x, y, samples);
            let mut sum = [0.0; 3];
            for sample in (0..samples * samples).step_by(if even { samples + 1 } else { 1 }) {
                let light = scene.shade(&camera, &buffer, x + sample % samples, y + sample / samples);
                (0..3).for_each(|k| sum[k] += shade::shoulder(light[k]));
            }
            let count = if even { samples } else { samples * samples } as f32;
            sum.map(|value| (shade::encode(value / count) * 255.0 + 0.5) as u8)
        })
        .collect()
}
