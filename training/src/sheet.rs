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

/// Writes it.
///
/// # Errors
/// As the encoder says.
pub fn write(sheet: &RgbImage, path: &Path) -> anyhow::Result<()> {
    Ok(sheet.save(path)?)
}
