//! `orfeas-train`: data for the starter model, a look at it, and the numbers to beat.
#![allow(clippy::print_stdout)]

mod sheet;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, Subcommand};
use orfeas_shapes::sample::{Sample, SampleOptions};
use orfeas_shapes::{FAMILIES, Family, HELD_OUT_SEEDS};

#[derive(Parser)]
#[command(about = "Data, benchmark and training of the starter model")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the families; the held-out ones are marked
    Families,
    /// Draw a sheet: each object's picture, and its shape from three sides
    Sheet {
        /// Families, separated by commas; all by default
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Objects of each family
        #[arg(long, default_value_t = 1)]
        each: u64,
        /// First seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Side of one picture in pixels
        #[arg(long, default_value_t = 128)]
        side: u32,
        /// Objects in a row
        #[arg(long, default_value_t = 3)]
        columns: u32,
        /// The PNG to write
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Measure how fast samples are made
    Speed {
        /// Samples
        #[arg(long, default_value_t = 74)]
        count: usize,
    },
}

fn families(names: &[String]) -> anyhow::Result<Vec<&'static Family>> {
    if names.is_empty() {
        return Ok(FAMILIES.iter().collect());
    }
    names.iter().map(|name| Ok(Family::named(name)?)).collect()
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Families => {
            for family in FAMILIES {
                println!("{}{}", family.name, if family.held_out { " (held out)" } else { "" });
            }
            println!("{} families; held-out seeds begin at {HELD_OUT_SEEDS}", FAMILIES.len());
        }
        Command::Sheet { families: names, each, seed, side, columns, out } => {
            let families = families(&names)?;
            let objects: Vec<_> =
                families.iter().flat_map(|family| (seed..seed + each).map(|seed| (*family, seed))).collect();
            sheet::write(&sheet::draw(&objects, side, columns)?, &out)?;
        }
        Command::Speed { count } => {
            let (mut build, mut render, mut points) = (0.0, 0.0, 0.0);
            for i in 0..count {
                let (family, seed) = (&FAMILIES[i % FAMILIES.len()], i as u64);
                let began = Instant::now();
                let solid = family.solid(seed);
                let built = Instant::now();
                orfeas_shapes::sample::picture(&solid, family, seed, 0, 224)?;
                let rendered = Instant::now();
                let sample = Sample::of(&solid, family, seed, 0, &SampleOptions::default())?;
                let sampled = Instant::now();
                build += (built - began).as_secs_f64();
                render += (rendered - built).as_secs_f64();
                points += (sampled - rendered).as_secs_f64() - (rendered - built).as_secs_f64();
                if (sampled - began).as_secs_f64() > 0.5 {
                    println!("slow: {} {seed}: {:.0} ms", sample.family, 1e3 * (sampled - began).as_secs_f64());
                }
            }
            let ms = |seconds: f64| 1e3 * seconds / count as f64;
            println!(
                "{count} samples: solid {:.1} ms, picture {:.1} ms, points {:.1} ms each",
                ms(build),
                ms(render),
                ms(points)
            );
        }
    }
    Ok(())
}
