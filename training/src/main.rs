//! `orfeas-train`: data for the starter model, a look at it, and the numbers to beat.
#![allow(clippy::print_stdout)]

#[cfg(feature = "engines")]
mod bench;
mod data;
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
    /// Write shards of samples
    Data {
        /// Families, separated by commas; all that are not held out by default
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Samples
        #[arg(long)]
        count: u64,
        /// Pictures of each object
        #[arg(long, default_value_t = 1)]
        views: u64,
        /// First seed of each family
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Samples in a file
        #[arg(long, default_value_t = 128)]
        per_shard: u64,
        /// Allow held-out families and seeds: for judging, never for learning
        #[arg(long)]
        held_out: bool,
        /// The folder to write into
        #[arg(long)]
        out: PathBuf,
    },
    /// Score the engine `inflate` on held-out objects: the number that a model must beat
    #[cfg(feature = "engines")]
    BenchInflate {
        /// Families, separated by commas; all by default
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Objects of each family
        #[arg(long, default_value_t = 4)]
        each: u64,
        /// Side of the pictures in pixels
        #[arg(long, default_value_t = 224)]
        side: u32,
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

/// Processor time of this process so far, from /proc.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

#[cfg(feature = "engines")]
fn bench_inflate(families: &[&'static Family], each: u64, side: u32) -> anyhow::Result<()> {
    println!("{:<16} {:>8} {:>8}   mean IoU at 64^3, {each} held-out seeds", "family", "as made", "fitted");
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for family in families {
        let scores = bench::family(family, each, side)?;
        let mean = bench::mean(&scores);
        let mark = if family.held_out { "  (held-out family)" } else { "" };
        println!("{:<16} {:>8.3} {:>8.3}{mark}", family.name, mean.as_made, mean.fitted);
        if family.held_out { unseen.extend(scores) } else { seen.extend(scores) }
    }
    for (name, scores) in [("families seen", seen), ("held-out families", unseen)] {
        let mean = bench::mean(&scores);
        println!("{name:<18} {:>6.3} {:>8.3}   over {} objects", mean.as_made, mean.fitted, scores.len());
    }
    Ok(())
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
        Command::Data { families: names, count, views, seed, per_shard, held_out, out } => {
            let mut families = families(&names)?;
            if names.is_empty() {
                families.retain(|family| family.held_out == held_out);
            }
            data::write(&data::Plan { families, count, views, seed, per_shard, held_out }, &out)?;
        }
        #[cfg(feature = "engines")]
        Command::BenchInflate { families: names, each, side } => bench_inflate(&families(&names)?, each, side)?,
        Command::Speed { count } => {
            let busy = cpu_seconds()?;
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
                std::hint::black_box(sample);
            }
            let ms = |seconds: f64| 1e3 * seconds / count as f64;
            println!(
                "{count} samples: solid {:.1} ms, picture {:.1} ms, points {:.1} ms each",
                ms(build),
                ms(render),
                ms(points)
            );
            println!("{:.1} ms of processor a sample (its picture is made twice)", ms(cpu_seconds()? - busy));
        }
    }
    Ok(())
}
