//! Writes the alpha that segmentation finds: `cargo run --release --example alpha -- picture.jpg alpha.png`.
#![allow(clippy::print_stdout)] // A command-line example talks to its user.

use std::time::Instant;

use orfeas_vision::{GraphCutMatting, Limits, Matting, decode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: alpha <picture> <alpha.png>".into());
    };
    let decoded = decode(&std::fs::read(from)?, &Limits::default())?;
    let picture = image::DynamicImage::ImageRgba8(decoded.image).into_rgb8();
    let start = Instant::now();
    let alpha = GraphCutMatting::default().alpha(&picture)?;
    println!("{} x {} in {:.0?}", alpha.width(), alpha.height(), start.elapsed());
    alpha.save(to)?;
    Ok(())
}
