//! What an engine makes of ordinary pictures: each beside three views of its mesh.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use orfeas_contract::BackgroundRemoval;
use orfeas_engine::{Engine, Picture, Request, Silent};
use orfeas_vision::{GraphCutMatting, Limits};

use crate::sheet::{finished, paste_views};

/// Cuts out, generates and finishes each picture as the pipeline does, and draws them, at most `columns` beside one another: the
/// picture as the engine sees it, the mesh from the front, from between and from the side. Where no mesh comes of it, that is said and
/// its place stays empty.
///
/// # Errors
/// A file that is no picture, or a picture that shows nothing.
pub fn draw(engine: &mut dyn Engine, paths: &[PathBuf], side: u32, columns: u32) -> anyhow::Result<RgbImage> {
    let columns = columns.clamp(1, paths.len().max(1) as u32);
    let rows = (paths.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(columns * 4 * side, rows * side, Rgb([255; 3]));
    for (index, path) in (0..).zip(paths) {
        let (left, top) = (index % columns * 4 * side, index / columns * side);
        let of = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(of)?;
        let began = Instant::now();
        let prepared =
            orfeas_vision::prepare(&bytes, &Limits::default(), BackgroundRemoval::Auto, &GraphCutMatting::default())
                .with_context(of)?;
        let seen = image::load_from_memory(&prepared.png).with_context(of)?;
        // It is composed on white already, and alpha is its mask.
        let shown = imageops::resize(&seen.to_rgb8(), side, side, FilterType::Triangle);
        imageops::replace(&mut sheet, &shown, i64::from(left), i64::from(top));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let picture = Picture::new(seen.width(), seen.height(), seen.into_rgba8().into_raw()).with_context(of)?;
        let field = engine.generate(&picture, &Request::default(), &mut Silent);
        match field.map_err(anyhow::Error::from).and_then(|field| Ok(finished(engine, &field)?)) {
            Ok((mesh, report)) => {
                println!(
                    "{name:<32} {:>6.2} s {:>8} triangles, {} component(s), watertight: {}",
                    began.elapsed().as_secs_f64(),
                    report.triangles,
                    report.components,
                    report.watertight
                );
                paste_views(&mut sheet, &mesh, side, left + side, top).with_context(of)?;
            }
            Err(error) => println!("{name:<32} no mesh: {error:#}"),
        }
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_beside_its_mesh() {
        let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../assets/pictures");
        let paths = [pictures.join("clip_apple.png"), pictures.join("photo_spray_bottle.png")];
        let mut engine = orfeas_engine::Inflate::new(32).unwrap();
        let sheet = draw(&mut engine, &paths, 64, 1).unwrap();
        assert_eq!(sheet.dimensions(), (256, 128));
        let corner = |left: u32, top: u32| sheet.get_pixel(left, top).0;
        for top in [0, 64] {
            // Red on white, then a grey mesh in the middle of a view that is not white.
            let [r, g, _] = corner(32, top + 40);
            assert!(r > 120 && g < 100, "{r} {g}");
            assert_ne!(corner(65, top), [255; 3]);
            assert_ne!(corner(96, top + 36), corner(66, top + 36));
        }
        assert!(draw(&mut engine, &[pictures.join("README.md")], 64, 1).unwrap_err().to_string().contains("README.md"));
    }
}
