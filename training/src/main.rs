//! `orfeas-train`: data for the starter model, a look at it, and the numbers to beat.
#![allow(clippy::print_stdout)]

#[cfg(feature = "engines")]
mod bench;
mod data;
#[cfg(feature = "engines")]
mod learn;
#[cfg(feature = "engines")]
mod pictures;
mod sheet;
#[cfg(feature = "engines")]
mod train;

use std::path::PathBuf;

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
        /// Families, separated by commas, one that comes twice twice as often; by default a round of all that are not
        /// held out, more than half of it random compositions
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
    /// Score a model, or the engine `inflate`, on held-out objects
    #[cfg(feature = "engines")]
    Bench {
        /// The checkpoint folder; without, `inflate` is scored, which a model must beat
        #[arg(long)]
        model: Option<PathBuf>,
        /// Where the model runs: cpu, cuda or cuda:N
        #[arg(long, default_value = "cpu")]
        device: orfeas_hunyuan3d::DeviceName,
        /// Families, separated by commas; all by default
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Objects of each family
        #[arg(long, default_value_t = 4)]
        each: u64,
        /// Side of the pictures in pixels
        #[arg(long, default_value_t = 224)]
        side: u32,
        /// Draw an object of each family as well: picture, truth and prediction from three sides
        #[arg(long, value_name = "PNG")]
        sheet: Option<PathBuf>,
    },
    /// Draw what a model makes of pictures: each beside its mesh from three sides
    #[cfg(feature = "engines")]
    Pictures {
        /// The checkpoint folder; without, `inflate` is drawn
        #[arg(long)]
        model: Option<PathBuf>,
        /// Where the model runs: cpu, cuda or cuda:N
        #[arg(long, default_value = "cpu")]
        device: orfeas_hunyuan3d::DeviceName,
        /// Cells along an edge; by default what the model says of itself
        #[arg(long)]
        resolution: Option<u32>,
        /// Side of one picture in pixels
        #[arg(long, default_value_t = 240)]
        side: u32,
        /// Pictures in a row
        #[arg(long, default_value_t = 2)]
        columns: u32,
        /// The PNG to write
        #[arg(short, long)]
        out: PathBuf,
        /// Pictures as somebody would send them
        #[arg(required = true)]
        pictures: Vec<PathBuf>,
    },
    /// Learn: goes on where the last run of the folder stopped
    #[cfg(feature = "engines")]
    Train(train::Arguments),
    /// Measure the processor time that samples take
    Speed {
        /// Families, separated by commas; a round of training by default
        #[arg(long, value_delimiter = ',')]
        families: Vec<String>,
        /// Samples
        #[arg(long, default_value_t = 161)]
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

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Families => {
            for family in FAMILIES {
                let times = if family.composed() { format!(" (×{})", family.weight) } else { String::new() };
                println!("{}{}{times}", family.name, if family.held_out { " (held out)" } else { "" });
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
            let families = match (names.is_empty(), held_out) {
                (true, true) => FAMILIES.iter().filter(|family| family.held_out).collect(),
                (true, false) => orfeas_shapes::families::round(),
                (false, _) => families(&names)?,
            };
            data::write(&data::Plan { families, count, views, seed, per_shard, held_out }, &out)?;
        }
        #[cfg(feature = "engines")]
        Command::Bench { model, device, families: names, each, side, sheet } => {
            let families = families(&names)?;
            let mut engine = bench::model_or_inflate(model.as_deref(), device, Some(bench::RESOLUTION))?;
            bench::print(engine.as_mut(), &families, each, side)?;
            if let Some(out) = sheet {
                sheet::write(&sheet::predicted(engine.as_mut(), &families, 160)?, &out)?;
            }
        }
        #[cfg(feature = "engines")]
        Command::Pictures { model, device, resolution, side, columns, out, pictures } => {
            let mut engine = bench::model_or_inflate(model.as_deref(), device, resolution)?;
            sheet::write(&pictures::draw(engine.as_mut(), &pictures, side, columns)?, &out)?;
        }
        #[cfg(feature = "engines")]
        Command::Train(arguments) => arguments.run()?,
        Command::Speed { families: names, count } => {
            let round = if names.is_empty() { orfeas_shapes::families::round() } else { families(&names)? };
            let (mut build, mut render, mut points) = (0.0, 0.0, 0.0);
            for i in 0..count {
                let (family, seed) = (round[i % round.len()], i as u64);
                let began = cpu_seconds()?;
                let solid = family.solid(seed);
                let built = cpu_seconds()?;
                orfeas_shapes::sample::picture(&solid, family, seed, 0, 224)?;
                let rendered = cpu_seconds()?;
                let sample = Sample::of(&solid, family, seed, 0, &SampleOptions::default())?;
                // Its picture is made a second time.
                points += cpu_seconds()? - rendered - (rendered - built);
                build += built - began;
                render += rendered - built;
                std::hint::black_box(sample);
            }
            let ms = |seconds: f64| 1e3 * seconds / count as f64;
            println!(
                "{count} samples, processor time of each: solid {:.1} ms, picture {:.1} ms, points {:.1} ms, together {:.1} ms",
                ms(build),
                ms(render),
                ms(points),
                ms(build + render + points)
            );
        }
    }
    Ok(())
}
