//! Pictures, drawn here.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("a picture in memory can be written");
    bytes.into_inner().into()
}

/// How far a pixel is from the middle, as a share of half the side.
fn radius(x: u32, y: u32, side: u32) -> f32 {
    let middle = side as f32 / 2.0;
    (x as f32 + 0.5 - middle).hypot(y as f32 + 0.5 - middle) / middle
}

/// A disc on transparent ground, PNG.
#[must_use]
pub fn disc(side: u32) -> Bytes {
    let pixel = |x, y| if radius(x, y, side) < 0.8 { Rgba([200, 120, 40, 255]) } else { Rgba([0, 0, 0, 0]) };
    encode(RgbaImage::from_fn(side, side, pixel), ImageFormat::Png)
}

/// A ring with a bar on transparent ground, PNG; every number gives another.
#[must_use]
pub fn ring(side: u32, number: u32) -> Bytes {
    let bar = side / 8 + number % 8 * side / 16;
    let pixel = |x: u32, y: u32| {
        let at = radius(x, y, side);
        let solid = (0.45..0.9).contains(&at) || (at < 0.9 && y.abs_diff(bar) < side / 16);
        if solid { Rgba([40, 90, 200, 255]) } else { Rgba([0, 0, 0, 0]) }
    };
    encode(RgbaImage::from_fn(side, side, pixel), ImageFormat::Png)
}

/// A picture without alpha: a dark thing, a little uneven, on a bright ground, as PNG.
#[must_use]
pub fn photo(side: u32) -> Bytes {
    encode(photographed(side), ImageFormat::Png)
}

/// The same as JPEG.
#[must_use]
pub fn photo_jpeg(side: u32) -> Bytes {
    encode(photographed(side), ImageFormat::Jpeg)
}

fn photographed(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let grain = (x.wrapping_mul(31) ^ y.wrapping_mul(17)) as u8 % 8;
        if radius(x, y, side) < 0.6 { Rgb([150 + grain, 40 + grain, 30]) } else { Rgb([225 + grain, 228, 220 + grain]) }
    })
}

/// One colour all over, PNG.
#[must_use]
pub fn flat(side: u32) -> Bytes {
    encode(RgbImage::from_pixel(side, side, Rgb([90, 90, 90])), ImageFormat::Png)
}

/// One pixel, PNG.
#[must_use]
pub fn pixel() -> Bytes {
    encode(RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 255])), ImageFormat::Png)
}

/// A PNG of a few kilobytes that says it has 30 000 × 30 000 pixels.
#[must_use]
pub fn bomb() -> Bytes {
    let small = encode(GrayImage::from_fn(2000, 2000, |x, y| Luma([u8::from(x == y)])), ImageFormat::Png);
    let mut bytes = small.to_vec();
    // Signature 8, length 4, then `IHDR`, width, height, five bytes of kind, and the checksum over all but the length.
    let side = 30_000u32.to_be_bytes();
    bytes[16..20].copy_from_slice(&side);
    bytes[20..24].copy_from_slice(&side);
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// The first half of a PNG.
#[must_use]
pub fn cut_off() -> Bytes {
    let whole = photo(64);
    whole.slice(..whole.len() / 2)
}
