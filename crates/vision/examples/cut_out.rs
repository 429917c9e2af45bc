//! Prepares a picture as the ingest stage does: `cargo run --release --example cut_out -- picture.jpg prepared.png`.
#![allow(clippy::print_stdout)] // A command-line example talks to its user.

use std::time::Instant;

use orfeas_contract::BackgroundRemoval;
use orfeas_vision::{GraphCutMatting, Limits, prepare};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: cut_out <picture> <prepared.png> [auto|always|never]".into());
    };
    let removal = match arguments.next().as_deref() {
        None | Some("auto") => BackgroundRemoval::Auto,
        Some("always") => BackgroundRemoval::Always,
        Some("never") => BackgroundRemoval::Never,
        Some(other) => return Err(format!("`{other}` is none of auto, always, never").into()),
    };
    let bytes = std::fs::read(from)?;
    let start = Instant::now();
    let prepared = prepare(&bytes, &Limits::default(), removal, &GraphCutMatting::default())?;
    println!(
        "{} {:?} -> {:?} by {} in {:.0?}",
        prepared.kind,
        prepared.original_size,
        prepared.prepared_size,
        prepared.cut_out,
        start.elapsed()
    );
    std::fs::write(to, prepared.png)?;
    Ok(())
}
