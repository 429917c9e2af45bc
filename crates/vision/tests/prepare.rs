//! From bytes to the prepared picture, and which alpha is taken.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::io::Cursor;

use image::{ImageFormat, Rgba, RgbaImage};
use orfeas_contract::{BackgroundRemoval, Code};
use orfeas_vision::{
    Decoded, GraphCutMatting, Limits, MAX_WORKING_SIDE, Prepared, VisionError, cut_out, model_input, prepare,
};

fn png(image: &RgbaImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// A red disc on grey, with the alpha that `alpha` gives a pixel by its distance to the disc (negative inside).
fn disc(side: u32, alpha: impl Fn(f32) -> u8) -> RgbaImage {
    RgbaImage::from_fn(side, side, |x, y| {
        let (u, v) = (x as f32 / side as f32 - 0.5, y as f32 / side as f32 - 0.5);
        let distance = (u * u + v * v).sqrt() - 0.25;
        let [r, g, b] = if distance < 0.0 { [200, 30, 30] } else { [190, 190, 190] };
        Rgba([r, g, b, alpha(distance)])
    })
}

fn run(image: &RgbaImage, removal: BackgroundRemoval) -> Result<Prepared, VisionError> {
    prepare(&png(image), &Limits::default(), removal, &GraphCutMatting::default())
}

#[test]
fn the_alpha_is_taken_where_it_carries_a_shape() {
    use BackgroundRemoval::{Always, Auto, Never};
    let shaped = disc(200, |distance| if distance < 0.0 { 255 } else { 0 });
    let opaque = disc(200, |_| 255);
    let nearly_opaque = disc(200, |distance| if distance < 0.0 { 255 } else { 252 });
    let glassy = disc(200, |_| 128);
    for (image, removal, method) in [
        (&shaped, Auto, "alpha"),
        (&shaped, Never, "alpha"),
        (&shaped, Always, "segmentation"),
        (&opaque, Auto, "segmentation"),
        (&opaque, Always, "segmentation"),
        (&opaque, Never, "whole"),
        (&nearly_opaque, Auto, "segmentation"),
        (&nearly_opaque, Never, "alpha"),
        (&glassy, Auto, "segmentation"),
    ] {
        assert_eq!(run(image, removal).unwrap().cut_out, method);
    }
    for removal in [Auto, Never, Always] {
        assert_eq!(run(&disc(200, |_| 0), removal).unwrap_err().code(), Code::NoSubject);
    }
}

#[test]
fn both_ways_give_the_same_disc_without_a_fringe() {
    let own = run(&disc(400, |distance| if distance < 0.0 { 255 } else { 0 }), BackgroundRemoval::Auto).unwrap();
    let found = run(&disc(400, |_| 255), BackgroundRemoval::Auto).unwrap();
    let [own, found] = [own, found].map(|prepared| image::load_from_memory(&prepared.png).unwrap().into_rgba8());
    let opaque = |image: &RgbaImage| image.pixels().filter(|pixel| pixel.0[3] >= 128).count() as f64;
    assert!((opaque(&own) / opaque(&found) - 1.0).abs() < 0.03);
    for pixel in found.pixels().filter(|pixel| pixel.0[3] > 0) {
        // Red on white: never the grey that was behind it.
        let [r, g, b, a] = pixel.0.map(i32::from);
        let expected = [200, 30, 30].map(|value| (value * a + 255 * (255 - a)) / 255);
        assert!([r, g, b].iter().zip(expected).all(|(v, e)| (v - e).abs() <= 12), "{pixel:?}");
    }
}

#[test]
fn the_prepared_picture_says_what_it_is() {
    let image = RgbaImage::from_fn(300, 200, |x, y| {
        Rgba([10, 90, 200, if (100..200).contains(&x) && (50..150).contains(&y) { 255 } else { 0 }])
    });
    let prepared = run(&image, BackgroundRemoval::Auto).unwrap();
    assert_eq!((prepared.kind, prepared.original_size, prepared.prepared_size), ("png", [300, 200], [300, 300]));
    let decoded = image::load_from_memory(&prepared.png).unwrap();
    assert_eq!(decoded.color(), image::ColorType::Rgba8);
    let decoded = decoded.into_rgba8();
    assert_eq!(decoded.dimensions(), (300, 300));
    assert_eq!(decoded.get_pixel(0, 0).0, [255, 255, 255, 0]);
    assert_eq!(decoded.get_pixel(150, 150).0, [10, 90, 200, 255]);
    let (picture, mask) = model_input(&(&decoded).into(), 64);
    assert_eq!((picture.len(), mask.len()), (3 * 64 * 64, 64 * 64));
    assert!((picture[32 * 64 + 32] - (10.0 / 255.0 * 2.0 - 1.0)).abs() < 1e-6);
    assert!((mask[0] + 1.0).abs() < 1e-6 && (mask[32 * 64 + 32] - 1.0).abs() < 1e-6);
}

#[test]
fn large_pictures_are_reduced_without_their_hidden_colours() {
    // Bright green lies hidden under the transparency.
    let image = RgbaImage::from_fn(2501, 1300, |x, y| {
        let inside = (600..1900).contains(&x) && (200..1100).contains(&y);
        if inside { Rgba([120, 20, 120, 255]) } else { Rgba([0, 255, 0, 0]) }
    });
    let prepared = run(&image, BackgroundRemoval::Auto).unwrap();
    assert_eq!(prepared.original_size, [2501, 1300]);
    assert_eq!(prepared.prepared_size, [MAX_WORKING_SIDE; 2]);
    let decoded = image::load_from_memory(&prepared.png).unwrap().into_rgba8();
    assert!(decoded.pixels().all(|pixel| pixel.0[1] <= pixel.0[0].saturating_add(3)), "a green fringe");
}

#[test]
fn an_opaque_file_is_whole_even_where_nothing_stands_out() {
    let flat = Decoded { image: RgbaImage::from_pixel(64, 64, Rgba([9, 9, 9, 255])), kind: "png", had_alpha: false };
    let matting = GraphCutMatting::default();
    assert_eq!(cut_out(flat.clone(), BackgroundRemoval::Never, &matting).unwrap().method, "whole");
    let refused = cut_out(flat, BackgroundRemoval::Auto, &matting).unwrap_err();
    assert_eq!(refused.code(), Code::NoSubject);
    assert!(refused.to_string().starts_with("no subject was found"));
}

#[test]
fn the_demo_pictures_are_cut_out_with_their_holes() {
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo");
    for (name, method, holes) in [("elephant.jpg", "segmentation", 1), ("fox.png", "alpha", 2)] {
        let bytes = std::fs::read(assets.join(name)).unwrap();
        let prepared =
            prepare(&bytes, &Limits::default(), BackgroundRemoval::Auto, &GraphCutMatting::default()).unwrap();
        assert_eq!(prepared.cut_out, method, "{name}");
        let image = image::load_from_memory(&prepared.png).unwrap().into_rgba8();
        let [width, height] = prepared.prepared_size.map(|side| side as usize);
        // Flood the clear pixels: every region besides the outer one is a hole.
        let mut seen: Vec<bool> = image.pixels().map(|pixel| pixel.0[3] >= 128).collect();
        let mut sizes = Vec::new();
        for start in 0..seen.len() {
            let (mut open, mut size) = (vec![start], 0);
            while let Some(i) = open.pop() {
                if std::mem::replace(&mut seen[i], true) {
                    continue;
                }
                size += 1;
                let (x, y) = (i % width, i / width);
                open.extend([(x > 0).then(|| i - 1), (x + 1 < width).then(|| i + 1)].into_iter().flatten());
                open.extend([(y > 0).then(|| i - width), (y + 1 < height).then(|| i + width)].into_iter().flatten());
            }
            if size > 40 {
                sizes.push(size);
            }
        }
        assert!(sizes.len() > holes, "{name}: regions of {sizes:?} clear pixels");
    }
}
