//! The whole way from bytes to the prepared picture.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbaImage};
use orfeas_contract::BackgroundRemoval;

use crate::resize::{Raster, resize_area};
use crate::{BORDER_RATIO, Decoded, Limits, Matting, VisionError, cut_out, decode, recentre};

/// A longer side is first reduced to this, in pixels: the model looks at 512, and memory stays bounded.
pub const MAX_WORKING_SIDE: u32 = 2048;

/// The prepared picture and what was done to get it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// RGBA PNG, square: RGB as composed on white, alpha = the subject's mask.
    pub png: Vec<u8>,
    /// What was sent: `png`, `jpeg`, `webp`, `gif`, `bmp` or `tiff`.
    pub kind: &'static str,
    /// Width and height of what was sent, upright, in pixels.
    pub original_size: [u32; 2],
    /// Width and height of the prepared picture, in pixels. As the reference makes it, its side is the picture's
    /// longer one, after the reduction to [`MAX_WORKING_SIDE`].
    pub prepared_size: [u32; 2],
    /// As in [`crate::CutOut::method`].
    pub cut_out: &'static str,
}

/// Decodes, cuts out and recentres.
///
/// # Errors
/// [`VisionError`], whose display is the sentence for the person who sent the picture.
pub fn prepare(
    bytes: &[u8],
    limits: &Limits,
    removal: BackgroundRemoval,
    matting: &dyn Matting,
) -> Result<Prepared, VisionError> {
    let decoded = decode(bytes, limits)?;
    let (kind, original_size) = (decoded.kind, [decoded.image.width(), decoded.image.height()]);
    let cut = cut_out(reduced(decoded, MAX_WORKING_SIDE), removal, matting)?;
    let prepared = recentre(&cut.image, BORDER_RATIO)?.to_rgba();
    Ok(Prepared {
        png: encode(&prepared)?,
        kind,
        original_size,
        prepared_size: [prepared.width(), prepared.height()],
        cut_out: cut.method,
    })
}

/// The picture with its longer side at most `longest`. Colours are weighted by alpha here, unlike in the reference's
/// own scaling: what lies hidden under transparency stays hidden.
fn reduced(decoded: Decoded, longest: u32) -> Decoded {
    let (width, height) = decoded.image.dimensions();
    if width.max(height) <= longest {
        return decoded;
    }
    let factor = f64::from(longest) / f64::from(width.max(height));
    let fit = |side: u32| ((f64::from(side) * factor).round() as u32).clamp(1, longest);
    let (new_width, new_height) = (fit(width), fit(height));
    let mut data = decoded.image.into_raw();
    if decoded.had_alpha {
        for pixel in data.chunks_exact_mut(4) {
            let alpha = u32::from(pixel[3]);
            pixel[..3].iter_mut().for_each(|value| *value = ((u32::from(*value) * alpha + 127) / 255) as u8);
        }
    }
    let source = Raster::new(data, width as usize, height as usize, 4);
    let mut small = resize_area(&source, new_width as usize, new_height as usize).data;
    if decoded.had_alpha {
        for pixel in small.chunks_exact_mut(4) {
            let alpha = u32::from(pixel[3]).max(1);
            pixel[..3]
                .iter_mut()
                .for_each(|value| *value = ((u32::from(*value) * 255 + alpha / 2) / alpha).min(255) as u8);
        }
    }
    let image = RgbaImage::from_fn(new_width, new_height, |x, y| {
        let at = 4 * (y as usize * new_width as usize + x as usize);
        image::Rgba([small[at], small[at + 1], small[at + 2], small[at + 3]])
    });
    Decoded { image, ..decoded }
}

fn encode(image: &RgbaImage) -> Result<Vec<u8>, VisionError> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgba8)
        .map_err(|error| VisionError::Encoding(error.to_string()))?;
    Ok(png)
}
