//! The reference's image processor (PyPI `hy3dgen` 2.0.2, `ImageProcessorV2`), as observed: the subject's bounding
//! box is scaled into the middle of a white square, and the model takes that square at its own size.
//!
//! Three of its habits look like slips, and are kept because the published weights have only seen pictures made so:
//! the box ends one pixel short of the last row and column of the subject, colour is resampled without regard to
//! alpha, and composing truncates where it could round.

use image::{GrayImage, RgbImage, Rgba, RgbaImage};

use crate::VisionError;
use crate::resize::{Raster, resize_area, resize_cubic, resize_nearest};

/// The share of the square's side that stays free around the subject, as the reference's `load_image` sets it.
pub const BORDER_RATIO: f64 = 0.15;

/// A subject in the middle of a white square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recentred {
    /// The picture on white, `side` × `side`.
    pub image: RgbImage,
    /// The subject's alpha, `side` × `side`.
    pub mask: GrayImage,
}

impl Recentred {
    /// The prepared picture: RGB as composed on white, alpha = mask. Nothing is premultiplied, so [`model_input`]
    /// gets both back as they are.
    #[must_use]
    pub fn to_rgba(&self) -> RgbaImage {
        RgbaImage::from_fn(self.image.width(), self.image.height(), |x, y| {
            let [r, g, b] = self.image.get_pixel(x, y).0;
            Rgba([r, g, b, self.mask.get_pixel(x, y).0[0]])
        })
    }
}

impl From<&RgbaImage> for Recentred {
    /// Takes a prepared picture apart again.
    fn from(prepared: &RgbaImage) -> Self {
        let (width, height) = prepared.dimensions();
        Self {
            image: RgbImage::from_fn(width, height, |x, y| {
                let [r, g, b, _] = prepared.get_pixel(x, y).0;
                image::Rgb([r, g, b])
            }),
            mask: GrayImage::from_fn(width, height, |x, y| image::Luma([prepared.get_pixel(x, y).0[3]])),
        }
    }
}

/// Scales what is not fully transparent into the middle of a white square whose side is the picture's longer one,
/// leaving `border_ratio` (0 ≤ ratio < 1; [`BORDER_RATIO`]) of it free.
///
/// `border_ratio` is an `f64` because the reference computes with Python's floats: as an `f32`, 0.15 would make some
/// sizes one pixel smaller.
///
/// # Errors
/// [`VisionError::NoSubject`] where nothing is opaque, or the subject is only one pixel wide or high, or so thin that
/// no pixel of it is left at the new size: the reference raises there.
pub fn recentre(image: &RgbaImage, border_ratio: f64) -> Result<Recentred, VisionError> {
    const THIN: VisionError = VisionError::NoSubject("what is opaque is less than a pixel wide once it is scaled");
    let (left, top, right, bottom) =
        opaque_bounds(image).ok_or(VisionError::NoSubject("every pixel is transparent"))?;
    let (width, height) = (right - left, bottom - top);
    if width == 0 || height == 0 {
        return Err(THIN);
    }
    let side = image.width().max(image.height());
    let wanted = (f64::from(side) * (1.0 - border_ratio)).floor();
    let factor = wanted / f64::from(width.max(height));
    let (new_width, new_height) = ((f64::from(width) * factor) as u32, (f64::from(height) * factor) as u32);
    if new_width == 0 || new_height == 0 {
        return Err(THIN);
    }

    let crop = image::imageops::crop_imm(image, left, top, width, height).to_image();
    let crop = Raster::new(crop.into_raw(), width as usize, height as usize, 4);
    let scaled = resize_area(&crop, new_width as usize, new_height as usize);
    let scaled = RgbaImage::from_raw(new_width, new_height, scaled.data)
        .ok_or_else(|| VisionError::Encoding("the scaled subject has another size than asked for".into()))?;

    let (x0, y0) = ((side - new_width) / 2, (side - new_height) / 2);
    let mut composed =
        Recentred { image: RgbImage::from_pixel(side, side, image::Rgb([255; 3])), mask: GrayImage::new(side, side) };
    for (x, y, &Rgba([r, g, b, a])) in scaled.enumerate_pixels() {
        let share = f32::from(a) / 255.0;
        let on_white = |value: u8| (f32::from(value) * share + 255.0 * (1.0 - share)).clamp(0.0, 255.0) as u8;
        composed.image.put_pixel(x0 + x, y0 + y, image::Rgb([on_white(r), on_white(g), on_white(b)]));
        composed.mask.put_pixel(x0 + x, y0 + y, image::Luma([(share * 255.0).clamp(0.0, 255.0) as u8]));
    }
    Ok(composed)
}

/// First and last column and row with a pixel that is not fully transparent: `(left, top, right, bottom)`, inclusive.
fn opaque_bounds(image: &RgbaImage) -> Option<(u32, u32, u32, u32)> {
    image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] != 0).fold(None, |bounds, (x, y, _)| {
        let (left, top, right, bottom) = bounds.unwrap_or((x, y, x, y));
        Some((left.min(x), top.min(y), right.max(x), bottom.max(y)))
    })
}

/// The model's inputs from a prepared picture at the image processor's `size` (512 in every published checkpoint).
///
/// # Shapes
/// Picture `[3, size, size]` (RGB planes) and mask `[1, size, size]`, both row-major and scaled so that 0 is -1 and
/// 255 is 1, in the reference's order of f32 operations.
///
/// # Panics
/// If `size` or a side of the picture is zero: a fault of the caller.
#[must_use]
pub fn model_input(prepared: &Recentred, size: u32) -> (Vec<f32>, Vec<f32>) {
    let side = size as usize;
    let (width, height) = (prepared.image.width() as usize, prepared.image.height() as usize);
    let image = resize_cubic(&Raster::new(prepared.image.as_raw().clone(), width, height, 3), side, side);
    let mask = resize_nearest(&Raster::new(prepared.mask.as_raw().clone(), width, height, 1), side, side);
    let signed = |value: u8| f32::from(value) / 255.0 * 2.0 - 1.0;
    let planes = (0..3).flat_map(|channel| image.data.iter().skip(channel).step_by(3)).map(|&v| signed(v)).collect();
    (planes, mask.data.iter().map(|&v| signed(v)).collect())
}
