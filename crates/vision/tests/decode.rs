//! Every kind, every sort of samples, every limit, and files that were cut off or scrambled.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, Rgba, RgbaImage};
use orfeas_contract::Code;
use orfeas_vision::{Decoded, Limits, VisionError, decode};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures").join(name)).unwrap()
}

fn load(name: &str) -> Decoded {
    decode(&file(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn code(bytes: &[u8]) -> Code {
    decode(bytes, &Limits::default()).unwrap_err().code()
}

const QUARTERS: [[u8; 3]; 4] = [[200, 30, 30], [30, 180, 40], [40, 60, 200], [250, 250, 250]];
const PLACES: [(u32, u32); 4] = [(18, 6), (40, 6), (18, 26), (40, 26)];

fn assert_scene(name: &str, image: &RgbaImage, tolerance: u8) {
    assert_eq!(image.dimensions(), (48, 32), "{name}");
    for (place, expected) in PLACES.into_iter().zip(QUARTERS) {
        let found = image.get_pixel(place.0, place.1).0;
        let near = found[..3].iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= tolerance);
        assert!(near, "{name} at {place:?}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn every_kind_shows_the_scene() {
    for (name, kind, tolerance) in [
        ("rgb.png", "png", 0),
        ("rgba.png", "png", 0),
        ("palette.png", "png", 3),
        ("rgb16.png", "png", 0),
        ("rgb.jpg", "jpeg", 4),
        ("rgb444.jpg", "jpeg", 4),
        ("progressive.jpg", "jpeg", 4),
        ("restart.jpg", "jpeg", 4),
        ("cmyk.jpg", "jpeg", 5),
        ("ycck.jpg", "jpeg", 5),
        ("rgb.webp", "webp", 14),
        ("lossless.webp", "webp", 0),
        ("animated.webp", "webp", 0),
        ("rgba.webp", "webp", 0),
        ("rgb.gif", "gif", 4),
        ("animated.gif", "gif", 4),
        ("rgb.bmp", "bmp", 0),
        ("palette.bmp", "bmp", 3),
        ("rgb.tiff", "tiff", 0),
        ("lzw.tiff", "tiff", 0),
        ("rgb16.tiff", "tiff", 0),
        ("cmyk.tiff", "tiff", 2),
    ] {
        let decoded = load(name);
        assert_eq!(decoded.kind, kind, "{name}");
        assert_scene(name, &decoded.image, tolerance);
    }
}

#[test]
fn every_exif_orientation_stands_upright() {
    for name in
        (1..=8).map(|n| format!("exif{n}.jpg")).chain(["png", "webp", "tiff"].map(|kind| format!("exif6.{kind}")))
    {
        assert_scene(&name, &load(&name).image, 5);
    }
}

#[test]
fn alpha_comes_through() {
    for name in ["rgba.png", "rgba.webp", "grey_alpha.png"] {
        let decoded = load(name);
        assert!(decoded.had_alpha, "{name}");
        let alpha = [4, 13, 30].map(|x| decoded.image.get_pixel(x, 20).0[3]);
        assert_eq!(alpha, [0, 128, 255], "{name}");
    }
    let palette = load("palette_trns.png");
    assert!(palette.had_alpha);
    assert_eq!(palette.image.get_pixel(40, 4).0[3], 0);
    assert_eq!(palette.image.get_pixel(4, 4).0[3], 255);
    assert_eq!(load("rgba.gif").image.get_pixel(2, 2).0[3], 0);
    assert!(!load("rgb.png").had_alpha);
    assert!(!load("rgb.jpg").had_alpha);
}

#[test]
fn grey_one_bit_and_sixteen_bits_are_scaled() {
    let one_bit = load("one_bit.png").image;
    assert_eq!(one_bit.get_pixel(4, 4).0, [255; 4]);
    assert_eq!(one_bit.get_pixel(40, 4).0, [0, 0, 0, 255]);
    let ramp = load("grey16.png").image;
    for x in 0..48u32 {
        // What is stored runs from 0 to 65535, truncated; 65535 is white.
        let exact = (f64::from(x) * 65535.0 / 47.0).floor() / 257.0;
        assert!((f64::from(ramp.get_pixel(x, 9).0[0]) - exact).abs() <= 0.51, "column {x}");
    }
    let (png, jpeg) = (load("grey.png").image, load("grey.jpg").image);
    for (x, y) in PLACES {
        assert!(png.get_pixel(x, y).0[0].abs_diff(jpeg.get_pixel(x, y).0[0]) <= 3);
    }
}

#[test]
fn the_name_counts_for_nothing_and_other_bytes_are_no_picture() {
    assert_eq!(decode(&[], &Limits::default()).unwrap_err(), VisionError::Empty);
    assert_eq!(code(&[]), Code::EmptyPicture);
    assert_eq!(code(b"hello, I am a picture"), Code::NotAnImage);
    assert_eq!(code(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), Code::NotAnImage);
    assert_eq!(code(b"\0"), Code::NotAnImage);
    assert_eq!(code(b"\x89PNG\r\n\x1a\n"), Code::DamagedImage);
    assert_eq!(code(&[0xFF, 0xD8, 0xFF]), Code::DamagedImage);
    assert_eq!(code(&file("float.tiff")), Code::NotAnImage);
}

#[test]
fn each_limit_has_its_error() {
    let bytes = file("rgb.png");
    let refused = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        decode(&bytes, &limits).unwrap_err()
    };
    let found = bytes.len() as u64;
    assert_eq!(refused(&|l| l.max_bytes = found - 1), VisionError::TooManyBytes { found, limit: found - 1 });
    let (width, height) = (48, 32);
    assert_eq!(refused(&|l| l.max_pixels = 1535), VisionError::TooManyPixels { width, height, limit: 1535 });
    assert_eq!(refused(&|l| l.max_side = 47), VisionError::SideTooLong { width, height, limit: 47 });
    assert_eq!(refused(&|l| l.min_side = 33), VisionError::TooSmall { width, height, limit: 33 });
    assert_eq!(refused(&|l| l.max_decoder_bytes = 4607).code(), Code::ImageTooLarge);
    for error in [refused(&|l| l.max_side = 47), refused(&|l| l.max_bytes = 1)] {
        assert!(error.to_string().contains("47") || error.to_string().contains("at most 1"), "{error}");
    }
    let jpeg = Limits { max_decoder_bytes: 48 * 32 * 3, ..Limits::default() };
    assert!(decode(&file("rgb444.jpg"), &jpeg).is_ok());
    assert_eq!(decode(&file("progressive.jpg"), &jpeg).unwrap_err().code(), Code::ImageTooLarge);

    let mut dot = Vec::new();
    image::codecs::png::PngEncoder::new(&mut dot).write_image(&[0; 4], 1, 1, ExtendedColorType::Rgba8).unwrap();
    assert_eq!(code(&dot), Code::ImageTooSmall);
}

/// A PNG that claims 30000 × 30000 pixels, and a JPEG and a GIF that claim 60000 × 60000: refused from the header.
#[test]
fn a_small_file_that_claims_a_huge_picture_is_refused_unread() {
    let mut png = file("rgb.png");
    png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    // The header's checksum, so that it is the size that is refused and not the damage.
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(matches!(decode(&png, &Limits::default()), Err(VisionError::SideTooLong { width: 30_000, .. })));
    let roomy = Limits { max_side: u32::MAX, ..Limits::default() };
    assert!(matches!(decode(&png, &roomy), Err(VisionError::TooManyPixels { .. })));
    let roomy = Limits { max_pixels: u64::MAX, ..roomy };
    assert!(matches!(decode(&png, &roomy), Err(VisionError::TooMuchMemory { .. })));

    let mut jpeg = file("rgb.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert!(matches!(decode(&jpeg, &Limits::default()), Err(VisionError::SideTooLong { width: 60_000, .. })));
    let mut gif = file("rgb.gif");
    gif[6..10].copy_from_slice(&[0x60, 0xEA, 0x60, 0xEA]);
    assert_eq!(code(&gif), Code::ImageTooLarge);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

const WHOLE: [&str; 17] = [
    "rgb.png",
    "palette_trns.png",
    "rgb.jpg",
    "progressive.jpg",
    "restart.jpg",
    "grey.jpg",
    "cmyk.jpg",
    "rgb.webp",
    "lossless.webp",
    "rgba.webp",
    "animated.webp",
    "rgb.gif",
    "animated.gif",
    "rgb.bmp",
    "palette.bmp",
    "rgb.tiff",
    "lzw.tiff",
];

/// Cut at every length: refused, and as damaged wherever the kind can still be seen.
#[test]
fn a_file_that_was_cut_off_is_never_half_a_picture() {
    for name in WHOLE {
        let bytes = file(name);
        for length in 1..bytes.len() {
            // Some TIFF writers pad the end; what matters is that no pixel comes out wrong.
            match decode(&bytes[..length], &Limits::default()) {
                Err(error) if length >= 64 => {
                    assert_eq!(error.code(), Code::DamagedImage, "{name} at {length}: {error}")
                }
                Err(_) => {}
                Ok(decoded) => {
                    assert!(name.ends_with("tiff"), "{name} cut to {length} of {} bytes was taken", bytes.len());
                    assert_eq!(decoded.image, load(name).image, "{name} at {length}");
                }
            }
        }
    }
}

/// A scan that stops early although the end marker is there, as after a lost packet.
#[test]
fn a_jpeg_that_ends_within_its_scan_is_damaged() {
    let noise = RgbaImage::from_fn(160, 160, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 24;
        Rgba([v as u8, (v * 7) as u8, (v * 13) as u8, 255])
    });
    let mut bytes = Vec::new();
    let rgb = image::DynamicImage::ImageRgba8(noise).into_rgb8();
    rgb.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
    assert!(decode(&bytes, &Limits::default()).is_ok());
    for share in [3, 5, 7, 9] {
        let mut cut = bytes[..bytes.len() * share / 10].to_vec();
        if cut.last() == Some(&0xFF) {
            cut.pop();
        }
        cut.extend([0xFF, 0xD9]);
        assert_eq!(code(&cut), Code::DamagedImage, "{share} tenths");
    }
}

#[test]
fn bytes_after_the_end_are_allowed() {
    for name in ["rgb.png", "rgb.jpg", "progressive.jpg", "rgb.gif", "rgb.webp", "rgb.bmp"] {
        let mut bytes = file(name);
        bytes.extend_from_slice(&[0xAB; 300]);
        assert_eq!(decode(&bytes, &Limits::default()).unwrap().image, load(name).image, "{name}");
    }
}

/// Whatever is changed, an answer comes back: no panic, no abort.
#[test]
fn scrambled_files_are_answered() {
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut refused, mut taken) = (0, 0);
    for name in WHOLE.into_iter().chain(["cmyk.tiff", "rgb16.png", "ycck.jpg", "exif6.png", "exif6.jpg"]) {
        let bytes = file(name);
        for _ in 0..150 {
            let mut scrambled = bytes.clone();
            for _ in 0..=next() % 6 {
                // Half of the blows hit the headers.
                let reach = if next() % 2 == 0 { scrambled.len().min(120) } else { scrambled.len() };
                let at = next() as usize % reach;
                match next() % 4 {
                    0 => scrambled[at] = 0xFF,
                    1 => scrambled[at] ^= 1 << (next() % 8),
                    2 => scrambled[at] = next() as u8,
                    _ => scrambled.truncate((at + 8).max(scrambled.len() / 2)),
                }
            }
            match decode(&scrambled, &Limits { max_pixels: 4_000_000, ..Limits::default() }) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert!(!error.to_string().contains('\n'));
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000 && taken > 100, "{refused} refused, {taken} taken");
}
