//! `orfeas mesh`: look into meshes on disk, and make them of raw grids.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use orfeas_contract::{Format, Options, Provenance};
use orfeas_field::{Bounds, Field, SparseGrid};
use orfeas_surface::{FinishOptions, Mesh as Triangles, RenderOptions, View};
use serde_json::json;

use crate::exit::{Ended, Exit, say, say_json};
use crate::generate::report_lines;

#[derive(Subcommand)]
pub enum Mesh {
    /// The print report of a mesh file (STL, OBJ, PLY, GLB, glTF, 3MF)
    Inspect {
        /// The mesh
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a mesh of a raw NumPy grid, `[x, y, z]`, inside where at or above the iso level
    Extract {
        /// The grid (.npy, floats, three axes)
        grid: PathBuf,
        /// Half the edge of the cube that the grid spans
        #[arg(long, default_value_t = 1.01)]
        bounds: f32,
        /// The iso level
        #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
        iso: f32,
        /// Where to; the suffix names the format; may be given several times
        #[arg(short, long = "output", value_name = "FILE", required = true)]
        output: Vec<PathBuf>,
        /// Longest side in millimetres
        #[arg(long, value_name = "MM", default_value_t = Options::DEFAULT_SIZE_MM)]
        size_mm: f32,
        /// Simplify to about this many triangles
        #[arg(long, value_name = "N")]
        target_faces: Option<u32>,
        /// The report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw a shaded picture of a mesh file
    Render {
        /// The mesh
        file: PathBuf,
        /// The PNG to write
        #[arg(short, long = "output", value_name = "PNG")]
        output: PathBuf,
        /// Width of the picture in pixels
        #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(64..=8192))]
        width: u32,
        /// Height of the picture in pixels
        #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(64..=8192))]
        height: u32,
        /// Front, three-quarter and side view beside each other
        #[arg(long)]
        views: bool,
    },
}

impl Mesh {
    pub fn run(self) -> Ended {
        match self {
            Self::Inspect { file, json } => {
                let report = orfeas_surface::report(&read(&file)?, 0);
                if json {
                    let mut value = serde_json::to_value(&report).map_err(Exit::other)?;
                    value["printable"] = json!(report.printable());
                    return say_json(&value);
                }
                say(file.display());
                report_lines(&report);
                Ok(())
            }
            Self::Extract { grid, bounds, iso, output, size_mm, target_faces, json } => {
                if !(bounds.is_finite() && bounds > 0.0 && iso.is_finite()) {
                    return Err(Exit::usage("the bounds must be above zero, and they and the iso level finite"));
                }
                let formats: Vec<Format> = output
                    .iter()
                    .map(|path| {
                        Format::of_file_name(&path.to_string_lossy()).map(|format| format.unwrap_or(Format::Stl))
                    })
                    .collect::<Result<_, _>>()
                    .map_err(Exit::usage)?;
                let (mesh, report) = extract(&grid, bounds, iso, size_mm, target_faces)?;
                for (path, format) in output.iter().zip(formats) {
                    let name =
                        path.file_stem().map_or_else(|| "mesh".into(), |stem| stem.to_string_lossy().into_owned());
                    let bytes = orfeas_surface::write(&mesh, format, &name).map_err(Exit::other)?;
                    std::fs::write(path, bytes).map_err(|error| Exit::other(format!("{}: {error}", path.display())))?;
                    if !json {
                        say(path.display());
                    }
                }
                if json {
                    return say_json(&report);
                }
                report_lines(&report);
                Ok(())
            }
            Self::Render { file, output, width, height, views } => {
                let views =
                    if views { vec![View::Front, View::ThreeQuarter, View::Side] } else { vec![View::ThreeQuarter] };
                let options = RenderOptions { width, height, views, ..RenderOptions::default() };
                let png = orfeas_surface::render_png(&read(&file)?, &options);
                std::fs::write(&output, png.map_err(Exit::other)?)
                    .map_err(|error| Exit::other(format!("{}: {error}", output.display())))?;
                say(output.display());
                Ok(())
            }
        }
    }
}

/// A mesh from disk, in millimetres and Z up whatever its format.
fn read(file: &Path) -> Result<Triangles, Exit> {
    let bytes = std::fs::read(file).map_err(|error| Exit::usage(format!("{}: {error}", file.display())))?;
    let format = Format::of_file_name(&file.to_string_lossy()).ok().flatten();
    orfeas_surface::read(&bytes, format).map_err(|error| Exit::other(format!("{}: {error}", file.display())))
}

fn extract(
    grid: &Path,
    half: f32,
    iso: f32,
    size_mm: f32,
    target_faces: Option<u32>,
) -> Result<(Triangles, orfeas_contract::PrintReport), Exit> {
    let bytes = std::fs::read(grid).map_err(|error| Exit::usage(format!("{}: {error}", grid.display())))?;
    let (samples, values) = orfeas_surface::npy::read(&bytes).map_err(Exit::usage)?;
    drop(bytes);
    let sparse = SparseGrid::from_dense(samples, &values, iso);
    let sparse = sparse.ok_or_else(|| Exit::usage("the grid needs at least two samples on each axis"))?;
    drop(values);
    let provenance = Provenance {
        engine: "grid".into(),
        model: "none".into(),
        weights_sha256: None,
        seed: 0,
        steps: 0,
        guidance: 0.0,
        resolution: samples.into_iter().max().map_or(0, |n| n.saturating_sub(1) as u32),
    };
    let field = Field { grid: sparse, bounds: Bounds::cube(half), provenance };
    let options = FinishOptions { size_mm, target_faces, fail_unprintable: true, ..FinishOptions::default() };
    orfeas_surface::finish(&field, &options, &mut |_| {}, &|| false).map_err(Exit::other)
}
