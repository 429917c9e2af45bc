//! JPEG, with a decoder that refuses damaged scans instead of filling them with grey.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::container::outline_jpeg;
use crate::decode::Limits;
use crate::jpeg_scan::check_scans;
use crate::{VisionError, decode};

/// More scans than any encoder writes only serve to keep a decoder busy.
const MAX_SCANS: usize = 64;

/// Decodes a JPEG, grey or colour (CMYK and YCCK come out as RGB; their values are taken as inverted, as Adobe
/// writes them and every viewer reads them).
///
/// # Errors
/// As [`decode::decode`].
pub(crate) fn decode_jpeg(bytes: &[u8], limits: &Limits) -> Result<(DynamicImage, Orientation), VisionError> {
    let outline = outline_jpeg(bytes)?;
    let (width, height) = (outline.width, outline.height);
    decode::check_size(width, height, limits)?;
    if outline.scans > MAX_SCANS {
        return Err(VisionError::unsupported("jpeg", format!("{} scans", outline.scans)));
    }
    // Output, and where all scans must be read before the first row is known, every coefficient as i16.
    let pixels = u64::from(width) * u64::from(height);
    let samples = outline.components as u64;
    let held = if !outline.sequential || outline.scans > 1 { 2 * samples } else { 0 };
    decode::check_memory(pixels.saturating_mul(held + samples.min(3)), limits)?;
    if outline.sequential {
        check_scans(&outline.clean)?;
    }

    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(width as usize)
        .set_max_height(height as usize)
        .jpeg_set_max_scans(MAX_SCANS);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(outline.clean.as_slice()), options);
    decoder.decode_headers().map_err(|error| refusal(&error))?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let wanted = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let data = decoder.decode().map_err(|error| refusal(&error))?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));

    let image = if grey {
        GrayImage::from_raw(width, height, data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
    };
    let image = image.ok_or_else(|| VisionError::damaged("jpeg", "it holds another number of pixels than it says"))?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn refusal(error: &DecodeErrors) -> VisionError {
    match error {
        DecodeErrors::Unsupported(_) => VisionError::unsupported("jpeg", format!("{error:?}")),
        _ => VisionError::damaged("jpeg", format!("{error:?}")),
    }
}
