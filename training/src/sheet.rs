//! Contact sheets: pictures beside three views of the truth.

use std::path::Path;

use image::{Rgb, RgbImage, RgbaImage};
use orfeas_shapes::{Family, ShapeError, render::render_plain, sample::picture};
use rayon::prelude::*;

/// Puts a picture with alpha onto a sheet.
pub fn paste(sheet: &mut RgbImage, picture: &RgbaImage, left: u32, top: u32) {
    for (x, y, pixel) in picture.enumerate_pixels() {
        let [r, g, b, a] = pixel.0.map(u32::from);
        let under = sheet.get_pixel_mut(left + x, top + y);
        let mix = |own: u32, under: u8| ((own * a + u32::from(under) * (255 - a)) / 255) as u8;
        *under = Rgb([mix(r, under.0[0]), mix(g, under.0[1]), mix(b, under.0[2])]);
    }
}

/// Draws a sheet of `side` pixels a picture: for each family and seed the prepared picture, then the shape from the
/// front, from the right and from above behind; `columns` such groups in a row.
///
/// # Errors
/// A picture that shows nothing.
pub fn draw(objects: &[(&'static Family, u64)], side: u32, columns: u32) -> Result<RgbImage, ShapeError> {
    let rows = (objects.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(columns * 4 * side, rows * side, Rgb([255; 3]));
    let groups: Vec<_> = objects
        .par_iter()
        .map(|(family, seed)| {
            let solid = family.solid(*seed);
            let (_, shown) = picture(&solid, family, *seed, 0, side)?;
            let views = [(0.0, 8.0), (90.0, 8.0), (215.0, 35.0)]
                .map(|(azimuth, elevation)| render_plain(&solid, azimuth, elevation, side));
            Ok((shown, views))
        })
        .collect::<Result<_, ShapeError>>()?;
    for (i, (shown, views)) in groups.iter().enumerate() {
        let (left, top) = ((i as u32 % columns) * 4 * side, (i as u32 / columns) * side);
        paste(&mut sheet, shown, left, top);
        for (k, view) in views.iter().enumerate() {
            paste(&mut sheet, view, left + (k as u32 + 1) * side, top);
        }
    }
    Ok(sheet)
}

/// Draws what an engine makes of a held-out object of each family, a row each: the picture, the truth from three sides,
/// the engine's mesh from the front, from between and from the side. A field without an inside leaves its place empty.
///
/// # Errors
/// A picture that shows nothing, or the engine's own.
#[cfg(feature = "engines")]
pub fn predicted(
    engine: &mut dyn orfeas_engine::Engine,
    families: &[&'static Family],
    side: u32,
) -> anyhow::Result<RgbImage> {
    let mut sheet = RgbImage::from_pixel(7 * side, families.len() as u32 * side, Rgb([255; 3]));
    for (row, family) in families.iter().enumerate() {
        let top = row as u32 * side;
        let (solid, shown, field) = crate::bench::field(engine, family, 0, 224)?;
        let shown = image::imageops::resize(&shown, side, side, image::imageops::FilterType::Triangle);
        paste(&mut sheet, &shown, 0, top);
        for (place, (azimuth, elevation)) in [(0.0, 8.0), (35.0, 20.0), (90.0, 8.0)].into_iter().enumerate() {
            paste(&mut sheet, &render_plain(&solid, azimuth, elevation, side), (1 + place as u32) * side, top);
        }
        let Ok((mesh, _)) = finished(engine, &field) else { continue };
        paste_views(&mut sheet, &mesh, side, 4 * side, top)?;
    }
    Ok(sheet)
}

/// The mesh of an engine's field as the product makes it.
///
/// # Errors
/// A field without an inside.
#[cfg(feature = "engines")]
pub fn finished(
    engine: &dyn orfeas_engine::Engine,
    field: &orfeas_field::Field,
) -> Result<(orfeas_surface::Mesh, orfeas_contract::PrintReport), orfeas_surface::SurfaceError> {
    let options = orfeas_contract::Options { floaters: engine.floaters(), ..orfeas_contract::Options::default() };
    orfeas_surface::finish(field, &orfeas_surface::FinishOptions::from(&options), &mut |_| {}, &|| false)
}

/// Puts a mesh onto a sheet: from the front, from between and from the side.
///
/// # Errors
/// As rendering says.
#[cfg(feature = "engines")]
pub fn paste_views(
    sheet: &mut RgbImage,
    mesh: &orfeas_surface::Mesh,
    side: u32,
    left: u32,
    top: u32,
) -> anyhow::Result<()> {
    let views = orfeas_surface::render(mesh, &orfeas_surface::RenderOptions::sheet(side))?;
    image::imageops::replace(sheet, &views, i64::from(left), i64::from(top));
    Ok(())
}

/// Writes it.
///
/// # Errors
/// As the encoder says.
pub fn write(sheet: &RgbImage, path: &Path) -> anyhow::Result<()> {
    Ok(sheet.save(path)?)
}
