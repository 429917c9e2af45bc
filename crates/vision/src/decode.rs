//! Bytes to an upright 8-bit RGBA picture: limits first, then the header, then the pixels.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::error::{LimitErrorKind, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbaImage};

use crate::VisionError;
use crate::container::{check_bmp, check_gif, check_png, check_webp};
use crate::jpeg::decode_jpeg;

/// What a picture may cost before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the encoded picture.
    pub max_bytes: u64,
    /// Pixels, width times height.
    pub max_pixels: u64,
    /// The longer side, in pixels.
    pub max_side: u32,
    /// Bytes the decoder may hold at once, its output included. The 8-bit RGBA picture that is made of it comes on
    /// top: four bytes a pixel.
    pub max_decoder_bytes: u64,
    /// The shorter side, in pixels: below, there is no room for a subject.
    pub min_side: u32,
}

impl Default for Limits {
    /// 64 MiB, 64 megapixels, 16384 pixels a side, 512 MiB of decoder memory; at least 16 pixels a side.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_pixels: 64_000_000,
            max_side: 16_384,
            max_decoder_bytes: 512 << 20,
            min_side: 16,
        }
    }
}

/// A picture as its owner sees it.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Upright (EXIF orientation applied), 8-bit, alpha not premultiplied.
    pub image: RgbaImage,
    /// `png`, `jpeg`, `webp`, `gif`, `bmp` or `tiff`.
    pub kind: &'static str,
    /// Whether the file had an alpha channel or a transparent colour at all.
    pub had_alpha: bool,
}

/// Decodes PNG, JPEG, WebP, GIF (first frame), BMP or TIFF (first page), recognised by content.
///
/// 16-bit samples are scaled to 8, palettes, 1-bit pictures and CMYK expanded. Floating-point and palette TIFFs are
/// refused: the first have no agreed white, the second are not in the decoder.
///
/// # Errors
/// [`VisionError`] in the order of checks: bytes, kind, size from the header, memory, then damage. A file that is cut
/// off is refused even where half a picture could be shown.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, VisionError> {
    if bytes.is_empty() {
        return Err(VisionError::Empty);
    }
    let found = bytes.len() as u64;
    if found > limits.max_bytes {
        return Err(VisionError::TooManyBytes { found, limit: limits.max_bytes });
    }
    let (format, kind) = sniff(bytes).ok_or(VisionError::NotAnImage)?;
    // A decoder is other people's code fed by strangers: its panic is the picture's fault, not the worker's end.
    catch_unwind(AssertUnwindSafe(|| decode_as(bytes, format, kind, limits)))
        .unwrap_or_else(|_| Err(VisionError::damaged(kind, "the decoder gave up on it")))
}

fn sniff(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok()?;
    let kind = match format {
        ImageFormat::Png => "png",
        ImageFormat::Jpeg => "jpeg",
        ImageFormat::WebP => "webp",
        ImageFormat::Gif => "gif",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Tiff => "tiff",
        _ => return None,
    };
    Some((format, kind))
}

fn decode_as(bytes: &[u8], format: ImageFormat, kind: &'static str, limits: &Limits) -> Result<Decoded, VisionError> {
    let (image, orientation) = if format == ImageFormat::Jpeg {
        decode_jpeg(bytes, limits)?
    } else {
        decode_other(bytes, format, kind, limits)?
    };
    let had_alpha = image.color().has_alpha();
    // Narrow first: to turn a picture takes a second one of its size.
    let mut image = DynamicImage::ImageRgba8(image.into_rgba8());
    image.apply_orientation(orientation);
    Ok(Decoded { image: image.into_rgba8(), kind, had_alpha })
}

fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    kind: &'static str,
    limits: &Limits,
) -> Result<(DynamicImage, Orientation), VisionError> {
    let refuse = |error: ImageError| refusal(kind, limits, &error);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_decoder_bytes);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(refuse)?;

    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    if matches!(decoder.color_type(), image::ColorType::Rgb32F | image::ColorType::Rgba32F) {
        return Err(VisionError::unsupported(kind, "floating-point samples"));
    }
    match format {
        ImageFormat::Png => check_png(bytes)?,
        ImageFormat::Gif => check_gif(bytes)?,
        ImageFormat::WebP => check_webp(bytes)?,
        ImageFormat::Bmp => check_bmp(bytes)?,
        // TIFF's parts are found by offset: one that points beyond the end fails when it is read.
        _ => {}
    }
    let needed = decoder.total_bytes();
    check_memory(needed, limits)?;
    allowed.reserve(needed).map_err(refuse)?;
    decoder.set_limits(allowed).map_err(refuse)?;
    // A broken note about orientation is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    Ok((image, orientation))
}

/// Sides and pixels against their limits.
pub(crate) fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), VisionError> {
    if width.max(height) > limits.max_side {
        return Err(VisionError::SideTooLong { width, height, limit: limits.max_side });
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(VisionError::TooManyPixels { width, height, limit: limits.max_pixels });
    }
    if width.min(height) < limits.min_side.max(1) {
        return Err(VisionError::TooSmall { width, height, limit: limits.min_side.max(1) });
    }
    Ok(())
}

/// The decoder's memory against its limit.
pub(crate) fn check_memory(found: u64, limits: &Limits) -> Result<(), VisionError> {
    if found > limits.max_decoder_bytes {
        return Err(VisionError::TooMuchMemory { found, limit: limits.max_decoder_bytes });
    }
    Ok(())
}

fn refusal(kind: &'static str, limits: &Limits, error: &ImageError) -> VisionError {
    match error {
        ImageError::Limits(error) => match error.kind() {
            LimitErrorKind::InsufficientMemory => VisionError::TooMuchMemory {
                found: limits.max_decoder_bytes.saturating_add(1),
                limit: limits.max_decoder_bytes,
            },
            _ => VisionError::damaged(kind, error),
        },
        ImageError::Unsupported(error) => match error.kind() {
            UnsupportedErrorKind::Color(color) => VisionError::unsupported(kind, format!("samples of type {color:?}")),
            _ => VisionError::unsupported(kind, error),
        },
        ImageError::IoError(_) => VisionError::damaged(kind, "the file ends too early"),
        error => VisionError::damaged(kind, error),
    }
}
