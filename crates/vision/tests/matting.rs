//! Segmentation of synthetic photographs whose true alpha is known.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use image::{GrayImage, Luma, Rgb, RgbImage};
use orfeas_vision::{GraphCutMatting, Matting, VisionError};

const SIDE: u32 = 640;

/// Numbers that look random, from 0 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / 16_777_216.0
    }

    /// About normal, of variance 1.
    fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.next()).sum::<f32>()) - 6.0
    }
}

/// A signed distance in units of the picture's side: negative inside.
type Shape = dyn Fn(f32, f32) -> f32;

fn disc(x: f32, y: f32, r: f32) -> impl Fn(f32, f32) -> f32 {
    move |u, v| ((u - x).powi(2) + (v - y).powi(2)).sqrt() - r
}

fn block(x: f32, y: f32, w: f32, h: f32) -> impl Fn(f32, f32) -> f32 {
    move |u, v| ((u - x).abs() - w).max((v - y).abs() - h)
}

/// A mug whose handle has a true hole.
fn mug(u: f32, v: f32) -> f32 {
    let body = block(0.43, 0.52, 0.15, 0.22)(u, v);
    let handle = disc(0.62, 0.5, 0.14)(u, v).max(-disc(0.62, 0.5, 0.085)(u, v));
    body.min(handle.max(0.56 - u))
}

fn coverage(shape: &Shape) -> GrayImage {
    GrayImage::from_fn(SIDE, SIDE, |x, y| {
        let (u, v) = ((x as f32 + 0.5) / SIDE as f32, (y as f32 + 0.5) / SIDE as f32);
        Luma([((0.5 - shape(u, v) * SIDE as f32).clamp(0.0, 1.0) * 255.0).round() as u8])
    })
}

/// Composes a subject, lit from the left, over a backdrop with the given noise (standard deviation in 8-bit steps).
fn photograph(
    shape: &Shape,
    subject: [f32; 3],
    backdrop: impl Fn(f32, f32) -> [f32; 3],
    noise: f32,
) -> (RgbImage, GrayImage) {
    let truth = coverage(shape);
    let mut random = Noise(0x1234_5678_9ABC_DEF1);
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (u, v) = (x as f32 / SIDE as f32, y as f32 / SIDE as f32);
        let alpha = f32::from(truth.get_pixel(x, y).0[0]) / 255.0;
        let behind = backdrop(u, v);
        let light = 1.15 - 0.4 * u;
        Rgb(std::array::from_fn(|c| {
            let value = alpha * subject[c] * light + (1.0 - alpha) * behind[c] + noise * random.normal();
            value.round().clamp(0.0, 255.0) as u8
        }))
    });
    (picture, truth)
}

/// Soft intersection over union of two alphas.
fn iou(a: &GrayImage, b: &GrayImage) -> f64 {
    let pairs = || a.as_raw().iter().zip(b.as_raw());
    let both: u64 = pairs().map(|(&a, &b)| u64::from(a.min(b))).sum();
    let either: u64 = pairs().map(|(&a, &b)| u64::from(a.max(b))).sum();
    both as f64 / either as f64
}

fn score((picture, truth): (RgbImage, GrayImage)) -> f64 {
    iou(&GraphCutMatting::default().alpha(&picture).unwrap(), &truth)
}

fn flat(colour: [f32; 3]) -> impl Fn(f32, f32) -> [f32; 3] {
    move |_, _| colour
}

/// A soft shadow of `shape`, thrown to the lower right: `depth` of the light is taken.
fn shadow<'a>(shape: &'a Shape, colour: [f32; 3], depth: f32) -> impl Fn(f32, f32) -> [f32; 3] + 'a {
    move |u, v| {
        let dark = (0.5 - shape(u - 0.07, v - 0.06) / 0.1).clamp(0.0, 1.0);
        let dark = dark * dark * (3.0 - 2.0 * dark);
        colour.map(|value| value * (1.0 - depth * dark))
    }
}

#[test]
fn clean_photographs() {
    for (subject, backdrop) in [
        ([200.0, 60.0, 50.0], [240.0, 240.0, 240.0]),
        ([70.0, 80.0, 170.0], [90.0, 150.0, 90.0]),
        ([160.0, 160.0, 160.0], [250.0, 250.0, 250.0]),
        ([235.0, 225.0, 60.0], [15.0, 15.0, 20.0]),
    ] {
        let found = score(photograph(&mug, subject, flat(backdrop), 1.0));
        assert!(found >= 0.97, "{subject:?} on {backdrop:?}: {found}");
    }
}

#[test]
fn dark_on_dark() {
    let found = score(photograph(&mug, [62.0, 62.0, 66.0], flat([26.0, 26.0, 28.0]), 1.5));
    assert!(found >= 0.97, "{found}");
}

#[test]
fn soft_shadows_are_background() {
    for (subject, depth) in [([60.0, 90.0, 180.0], 0.45), ([40.0, 40.0, 40.0], 0.4), ([220.0, 120.0, 40.0], 0.3)] {
        let found = score(photograph(&mug, subject, shadow(&mug, [236.0, 233.0, 228.0], depth), 2.0));
        assert!(found >= 0.93, "{subject:?} with a shadow of {depth}: {found}");
    }
}

#[test]
fn gradients_are_background() {
    let lit =
        |u: f32, v: f32| [150.0 + 80.0 * (1.0 - v) + 20.0 * u, 148.0 + 76.0 * (1.0 - v), 140.0 + 70.0 * (1.0 - v)];
    let found = score(photograph(&mug, [60.0, 140.0, 70.0], lit, 3.0));
    assert!(found >= 0.93, "gradient: {found}");
    let vignette = |u: f32, v: f32| [230.0 - 190.0 * ((u - 0.5).powi(2) + (v - 0.5).powi(2)); 3];
    let found = score(photograph(&mug, [150.0, 60.0, 120.0], vignette, 3.0));
    assert!(found >= 0.93, "vignette: {found}");
}

#[test]
fn sensor_noise_is_background() {
    for noise in [8.0, 16.0] {
        let found = score(photograph(&mug, [200.0, 170.0, 40.0], flat([120.0, 140.0, 160.0]), noise));
        assert!(found >= 0.93, "noise {noise}: {found}");
    }
}

#[test]
fn a_subject_may_leave_the_picture() {
    let bust = |u: f32, v: f32| disc(0.5, 0.4, 0.18)(u, v).min(disc(0.5, 0.95, 0.33)(u, v));
    let found = score(photograph(&bust, [120.0, 90.0, 70.0], flat([200.0, 210.0, 220.0]), 2.0));
    assert!(found >= 0.97, "{found}");
}

#[test]
fn a_table_before_a_wall_is_background() {
    let room = |_: f32, v: f32| if v > 0.62 { [150.0, 110.0, 80.0] } else { [210.0, 215.0, 205.0] };
    let found = score(photograph(&mug, [40.0, 70.0, 160.0], room, 3.0));
    assert!(found >= 0.93, "{found}");
}

#[test]
fn several_parts_stay_and_specks_go() {
    let two = |u: f32, v: f32| disc(0.28, 0.5, 0.15)(u, v).min(block(0.74, 0.5, 0.08, 0.12)(u, v));
    let dusty = move |u: f32, v: f32| two(u, v).min(disc(0.5, 0.15, 0.008)(u, v)).min(disc(0.1, 0.9, 0.006)(u, v));
    let (picture, _) = photograph(&dusty, [60.0, 60.0, 120.0], flat([230.0, 230.0, 225.0]), 1.0);
    let alpha = GraphCutMatting::default().alpha(&picture).unwrap();
    let found = iou(&alpha, &coverage(&two));
    assert!(found >= 0.97, "{found}");
    assert_eq!(alpha.get_pixel(SIDE / 2, SIDE * 15 / 100).0, [0], "dust");
}

#[test]
fn a_true_hole_stays_and_a_pin_hole_is_filled() {
    let pricked = |u: f32, v: f32| mug(u, v).max(-disc(0.4, 0.5, 0.004)(u, v));
    let (picture, _) = photograph(&pricked, [180.0, 50.0, 60.0], flat([235.0, 235.0, 235.0]), 1.0);
    let alpha = GraphCutMatting::default().alpha(&picture).unwrap();
    let at = |u: f32, v: f32| alpha.get_pixel((u * SIDE as f32) as u32, (v * SIDE as f32) as u32).0[0];
    assert_eq!(at(0.645, 0.5), 0, "the handle's hole");
    assert_eq!(at(0.735, 0.5), 255, "the handle");
    assert_eq!(at(0.4, 0.5), 255, "the pin-hole");
}

/// The outline lies within a pixel of where it should: alpha is right to a tenth on average along it.
#[test]
fn outlines_are_accurate_to_a_pixel() {
    let round = disc(0.5, 0.5, 0.3);
    let (picture, truth) = photograph(&round, [40.0, 110.0, 150.0], flat([232.0, 228.0, 220.0]), 1.5);
    let alpha = GraphCutMatting::default().alpha(&picture).unwrap();
    let mut along = Vec::new();
    for (x, y, pixel) in alpha.enumerate_pixels() {
        let distance = round((x as f32 + 0.5) / SIDE as f32, (y as f32 + 0.5) / SIDE as f32) * SIDE as f32;
        let off = pixel.0[0].abs_diff(truth.get_pixel(x, y).0[0]);
        if distance.abs() < 1.0 {
            along.push(f64::from(off));
        } else if distance.abs() > 2.0 {
            assert_eq!(off, 0, "{distance} pixels from the outline");
        }
    }
    let mean = along.iter().sum::<f64>() / along.len() as f64;
    assert!(along.len() > 1000 && mean < 25.0, "{mean} of 255 along {} pixels", along.len());
}

#[test]
fn nothing_to_see_is_no_subject() {
    let nothing: &Shape = &|_, _| 1.0;
    let gradient = |u: f32, v: f32| [40.0 + 180.0 * u, 60.0 + 100.0 * v, 120.0];
    let mut random = Noise(77);
    let noise = RgbImage::from_fn(SIDE, SIDE, |_, _| Rgb(std::array::from_fn(|_| (random.next() * 255.9) as u8)));
    for (name, picture) in [
        ("flat", photograph(nothing, [0.0; 3], flat([120.0, 130.0, 140.0]), 0.0).0),
        ("white", photograph(nothing, [0.0; 3], flat([255.0; 3]), 0.0).0),
        ("black", photograph(nothing, [0.0; 3], flat([0.0; 3]), 0.0).0),
        ("grainy", photograph(nothing, [0.0; 3], flat([120.0; 3]), 12.0).0),
        ("gradient", photograph(nothing, [0.0; 3], gradient, 2.0).0),
        ("noise", noise),
        ("a dot", photograph(&disc(0.5, 0.5, 0.012), [200.0, 20.0, 20.0], flat([230.0; 3]), 1.0).0),
    ] {
        let answer = GraphCutMatting::default().alpha(&picture);
        assert!(matches!(answer, Err(VisionError::NoSubject(_))), "{name}");
    }
}

#[test]
fn every_size_is_taken() {
    for (width, height) in [(16, 16), (17, 400), (400, 17), (31, 33), (321, 320)] {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let inside = x > width / 4 && x < width * 3 / 4 && y > height / 4 && y < height * 3 / 4;
            Rgb(if inside { [200, 40, 40] } else { [230, 230, 230] })
        });
        let alpha = GraphCutMatting::default().alpha(&picture).unwrap();
        assert_eq!(alpha.dimensions(), (width, height));
        assert_eq!(alpha.get_pixel(width / 2, height / 2).0, [255]);
        assert_eq!(alpha.get_pixel(0, 0).0, [0]);
    }
}
