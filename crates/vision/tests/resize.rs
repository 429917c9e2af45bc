//! Against what real `cv2.resize` made (opencv-python-headless 5.0.0 on x86; 4.14 gives the same), and against the
//! reference's own processed pictures. `fixtures/make.py` draws the goldens again.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::{Path, PathBuf};

use orfeas_vision::{BORDER_RATIO, Raster, Recentred, VisionError, model_input, recentre};
use orfeas_vision::{resize_area, resize_cubic, resize_nearest};

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
}

/// `area_77x93_35x41_3.bin` → (area, [77, 93, 35, 41, 3]).
fn parse(name: &str) -> Option<(String, [usize; 5])> {
    let (operation, shape) = name.strip_suffix(".bin")?.split_once('_')?;
    let numbers: Vec<usize> = shape.split(['x', '_']).map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some((operation.to_owned(), numbers.try_into().ok()?))
}

/// The unrounded cubic at value `i` of the resized raster, straight from the definition of Keys' kernel.
fn cubic_at(source: &Raster, width: usize, height: usize, i: usize) -> f64 {
    let kernel = |t: f64| match t.abs() {
        t if t <= 1.0 => 1.25 * t * t * t - 2.25 * t * t + 1.0,
        t if t < 2.0 => -0.75 * (t * t * t - 5.0 * t * t + 8.0 * t - 4.0),
        _ => 0.0,
    };
    let channels = source.channels;
    let centre = |index: usize, from: usize, to: usize| (index as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let x = centre(i / channels % width, source.width, width);
    let y = centre(i / channels / width, source.height, height);
    let mut sum = 0.0;
    for row in y.floor() as i64 - 1..=y.floor() as i64 + 2 {
        for column in x.floor() as i64 - 1..=x.floor() as i64 + 2 {
            let inside = |at: i64, size: usize| at.clamp(0, size as i64 - 1) as usize;
            let at = inside(row, source.height) * source.width + inside(column, source.width);
            let value = f64::from(source.data[at * channels + i % channels]);
            sum += value * kernel(x - column as f64) * kernel(y - row as f64);
        }
    }
    sum
}

#[test]
fn every_golden_of_opencv_is_met() {
    let source = std::fs::read(fixtures("resize/source.bin")).unwrap();
    let mut compared = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(fixtures("resize")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let Some((operation, [h, w, new_h, new_w, channels])) = parse(&name) else { continue };
        let raster = Raster::new(source[..h * w * channels].to_vec(), w, h, channels);
        let ours = match operation.as_str() {
            "area" => resize_area(&raster, new_w, new_h),
            "cubic" => resize_cubic(&raster, new_w, new_h),
            "nearest" => resize_nearest(&raster, new_w, new_h),
            other => panic!("{other} is no operation"),
        };
        let golden = std::fs::read(entry.path()).unwrap();
        assert_eq!(ours.data.len(), golden.len(), "{name}");
        let wrong: Vec<usize> = (0..golden.len()).filter(|&i| ours.data[i] != golden[i]).collect();
        if operation == "cubic" {
            // Intel IPP sums in f32: a value that lies between two integers to a thousandth may go either way.
            assert!(wrong.len() * 10_000 <= golden.len(), "{name}: {} of {} values differ", wrong.len(), golden.len());
            for i in wrong {
                assert_eq!(ours.data[i].abs_diff(golden[i]), 1, "{name} at {i}");
                let exact = cubic_at(&raster, new_w, new_h, i);
                assert!((exact - exact.floor() - 0.5).abs() < 1e-3, "{name} at {i}: {exact}");
            }
        } else {
            assert_eq!(wrong.len(), 0, "{name}: {} of {} values differ", wrong.len(), golden.len());
        }
        *compared.entry(operation).or_insert(0) += 1;
    }
    assert_eq!(
        compared.into_iter().collect::<Vec<_>>(),
        [("area".into(), 36), ("cubic".into(), 11), ("nearest".into(), 12)]
    );
}

#[test]
fn the_reference_s_processed_pictures_are_met_exactly() {
    for case in ["front", "left"] {
        let input = image::open(fixtures("parity").join(format!("{case}.png"))).unwrap().into_rgba8();
        let recentred = recentre(&input, BORDER_RATIO).unwrap();
        assert_eq!(recentred.image.dimensions(), (420, 420));
        // By way of the PNG's RGBA, as it travels.
        let (picture, mask) = model_input(&Recentred::from(&recentred.to_rgba()), 128);
        let golden = |key: &str| -> Vec<f32> {
            let bytes = std::fs::read(fixtures("parity").join(format!("{case}_{key}.bin"))).unwrap();
            bytes.iter().map(|&value| f32::from(value) / 255.0 * 2.0 - 1.0).collect()
        };
        assert_eq!(picture.len(), 3 * 128 * 128);
        assert!(picture == golden("image"), "{case}: picture");
        assert!(mask == golden("mask"), "{case}: mask");
        assert!(mask.contains(&1.0) && mask.contains(&-1.0));
    }
}

#[test]
fn what_the_reference_raises_on_is_no_subject() {
    let mut image = image::RgbaImage::new(64, 48);
    let refused = |image: &image::RgbaImage| matches!(recentre(image, BORDER_RATIO), Err(VisionError::NoSubject(_)));
    assert!(refused(&image));
    image.put_pixel(10, 10, image::Rgba([9, 9, 9, 255]));
    assert!(refused(&image), "one pixel");
    for x in 0..64 {
        image.put_pixel(x, 10, image::Rgba([9, 9, 9, 255]));
    }
    assert!(refused(&image), "a line");
    image.put_pixel(10, 20, image::Rgba([9, 9, 9, 1]));
    assert!(!refused(&image));
}

#[test]
fn the_free_border_is_as_wide_as_asked_for() {
    let image = image::RgbaImage::from_fn(100, 60, |x, y| {
        image::Rgba([200, 10, 10, if (20..61).contains(&x) && (10..31).contains(&y) { 255 } else { 0 }])
    });
    let recentred = recentre(&image, BORDER_RATIO).unwrap();
    let columns: Vec<u32> =
        recentred.mask.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] > 0).map(|(x, _, _)| x).collect();
    // 85 of 100 pixels, as an f64: as f32 it would be 84.
    assert_eq!((columns.iter().min(), columns.iter().max()), (Some(&7), Some(&91)));
    assert_eq!(recentred.image.get_pixel(0, 0).0, [255; 3]);
    assert_eq!(recentred.image.get_pixel(50, 50).0, [200, 10, 10]);
}
