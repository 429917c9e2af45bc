//! From a decoded picture to one whose alpha is the subject.

use image::{RgbImage, Rgba, RgbaImage};
use orfeas_contract::BackgroundRemoval;

use crate::{Decoded, Matting, VisionError};

/// A picture whose alpha is the subject.
#[derive(Clone, Debug)]
pub struct CutOut {
    /// Alpha not premultiplied.
    pub image: RgbaImage,
    /// Where the alpha comes from: `alpha` (the picture's own), `segmentation`, or `whole` (there was nothing to
    /// remove, or it was not to be removed).
    pub method: &'static str,
}

/// At or below, a pixel is clearly transparent.
const CLEAR: u8 = 16;
/// At or above, a pixel is clearly opaque.
const SOLID: u8 = 240;
/// The share of pixels that must be clear for an alpha to carry a shape: rounded corners and stray pixels do not.
const LEAST_CLEAR: f64 = 0.01;

/// Cuts the subject out of its background as `removal` asks.
///
/// - `Auto`: the picture's own alpha where it carries a shape (at least one pixel in a hundred clearly transparent,
///   and some clearly opaque), else segmentation.
/// - `Always`: segmentation of the picture as it looks on white.
/// - `Never`: the alpha as it is; an opaque picture is all subject.
///
/// # Errors
/// [`VisionError::NoSubject`] where every pixel is transparent or segmentation finds nothing.
pub fn cut_out(decoded: Decoded, removal: BackgroundRemoval, matting: &dyn Matting) -> Result<CutOut, VisionError> {
    let Decoded { image, had_alpha, .. } = decoded;
    let pixels = f64::from(image.width()) * f64::from(image.height());
    let count = |test: &dyn Fn(u8) -> bool| image.pixels().filter(|pixel| test(pixel.0[3])).count();
    let opaque = !had_alpha || count(&|alpha| alpha < 255) == 0;
    if !opaque && count(&|alpha| alpha > 0) == 0 && removal != BackgroundRemoval::Always {
        return Err(VisionError::NoSubject("every pixel is transparent"));
    }
    match removal {
        BackgroundRemoval::Never => Ok(CutOut { image, method: if opaque { "whole" } else { "alpha" } }),
        BackgroundRemoval::Auto
            if !opaque
                && count(&|alpha| alpha <= CLEAR) as f64 >= LEAST_CLEAR * pixels
                && count(&|alpha| alpha >= SOLID) > 0 =>
        {
            Ok(CutOut { image, method: "alpha" })
        }
        BackgroundRemoval::Auto | BackgroundRemoval::Always => {
            let picture = on_white(&image);
            let alpha = matting.alpha(&picture)?;
            let mut image = RgbaImage::from_fn(picture.width(), picture.height(), |x, y| {
                let [r, g, b] = picture.get_pixel(x, y).0;
                Rgba([r, g, b, alpha.get_pixel(x, y).0[0]])
            });
            spread_subject_colours(&mut image);
            Ok(CutOut { image, method: "segmentation" })
        }
    }
}

fn on_white(image: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, a] = image.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|value| ((value * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

/// Gives the pixels along and just outside the outline the colours of the subject beside them: what they had is
/// partly background, and would come back as a fringe when the picture is scaled without regard to alpha.
fn spread_subject_colours(image: &mut RgbaImage) {
    const STEPS: usize = 4;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut known: Vec<bool> = image.pixels().map(|pixel| pixel.0[3] >= 250).collect();
    let mut front: Vec<usize> = (0..known.len()).filter(|&i| known[i]).collect();
    for _ in 0..STEPS {
        // Unknown neighbours of what is known, each once, all coloured from the last step.
        let mut next: Vec<usize> =
            front.iter().flat_map(|&i| neighbours(i, width, height)).filter(|&i| !known[i]).collect();
        next.sort_unstable();
        next.dedup();
        let colours: Vec<[u8; 3]> = next
            .iter()
            .map(|&i| {
                let (mut sum, mut count) = ([0u32; 3], 0);
                for j in neighbours(i, width, height).filter(|&j| known[j]) {
                    let pixel = image.get_pixel((j % width) as u32, (j / width) as u32).0;
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(value);
                    }
                    count += 1;
                }
                sum.map(|total| (total / count.max(1)) as u8)
            })
            .collect();
        for (&i, [r, g, b]) in next.iter().zip(colours) {
            known[i] = true;
            let pixel = image.get_pixel_mut((i % width) as u32, (i / width) as u32);
            pixel.0 = [r, g, b, pixel.0[3]];
        }
        front = next;
    }
}

/// The up to eight pixels around pixel `i`.
fn neighbours(i: usize, width: usize, height: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (i % width, i / width);
    let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
    rows.flat_map(move |row| (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |column| row * width + column))
        .filter(move |&j| j != i)
}
