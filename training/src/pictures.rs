//! What an engine makes of ordinary pictures: each beside three views of its mesh.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use image::{Rgb, RgbImage, imageops};
use orfeas_contract::BackgroundRemoval;
use orfeas_engine::{Engine, Picture, Request, Silent};
use orfeas_surface::{FinishOptions, RenderOptions};
use orfeas_vision::{GraphCutMatting, Limits};

/// Cuts out, generates and finishes each picture as the pipeline does, and draws them, `columns` beside one another: the picture as
/// the engine sees it, the mesh from the front, from between and from the side.
///
/// # Errors
/// A file that is no picture, a picture that shows nothing, or the engine's own.
pub fn draw(engine: &mut dyn Engine, paths: &[PathBuf], side: u32, columns: u32) -> anyhow::Result<RgbImage> {
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
        let seen = image::load_from_memory(&prepared.png)?.into_rgba8();
        let picture = Picture::new(seen.width(), seen.height(), seen.as_raw().clone())?;
        let field = engine.generate(&picture, &Request::default(), &mut Silent).with_context(of)?;
        let (mesh, report) =
            orfeas_surface::finish(&field, &FinishOptions::default(), &mut |_| {}, &|| false).with_context(of)?;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{:<32} {seconds:>6.2} s {:>8} triangles, {} component(s), watertight: {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            report.triangles,
            report.components,
            report.watertight
        );
        let shown = imageops::resize(&seen, side, side, imageops::FilterType::Triangle);
        crate::sheet::paste(&mut sheet, &shown, left, top);
        let views = orfeas_surface::render(&mesh, &RenderOptions::sheet(side))?;
        imageops::replace(&mut sheet, &views, i64::from(left + side), i64::from(top));
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
