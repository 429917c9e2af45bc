//! `orfeas mesh`: look into meshes on disk, turn them into other files, and make them of raw grids.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use orfeas_contract::{Format, GlbCompression, Options, PrintReport, Provenance};
use orfeas_field::{Bounds, Field, SparseGrid};
use orfeas_surface::{FileOptions, FinishOptions, Mesh as Triangles, RenderOptions, View};
use serde_json::json;

use crate::exit::{Ended, Exit, say, say_json};
use crate::files::{format_of, name_of, read_mesh, report_lines, write_mesh, write_whole};
use crate::request::{SurfaceFlags, compression};

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
    /// Write a mesh file in another format
    Convert {
        /// The mesh
        from: PathBuf,
        /// Where to; the suffix names the format
        to: PathBuf,
        #[command(flatten)]
        encoding: Encoding,
    },
    /// Mend a mesh file: join, close, turn round and take apart what can be, and say what was done
    Repair {
        /// The mesh
        file: PathBuf,
        /// Where to; the suffix names the format
        #[arg(short, long = "output", value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        encoding: Encoding,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a mesh of a raw NumPy grid, `[x, y, z]`, inside where at or above the iso level
    Extract(Box<Extract>),
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

/// How files are encoded.
#[derive(Args, Clone, Copy, Debug)]
pub struct Encoding {
    /// How GLB files are encoded: none, or meshopt (a fourth of the size, for readers of EXT_meshopt_compression)
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = compression)]
    glb_compression: GlbCompression,
}

/// A grid, and what is to become of it.
#[derive(Args)]
pub struct Extract {
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
    #[command(flatten)]
    surface: SurfaceFlags,
    #[command(flatten)]
    encoding: Encoding,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

impl Mesh {
    pub fn run(self) -> Ended {
        match self {
            Self::Inspect { file, json } => {
                let report = orfeas_surface::report(&read_mesh(&file)?, 0);
                if json {
                    return say_json(&report);
                }
                say(file.display());
                report_lines(&report);
                Ok(())
            }
            Self::Convert { from, to, encoding } => {
                let format = format_of(&to)?;
                encoding.write(&to, &read_mesh(&from)?.in_order_of_use(), format, None)?;
                say(to.display());
                Ok(())
            }
            Self::Repair { file, output, encoding, json } => {
                let format = format_of(&output)?;
                let (mesh, done) = orfeas_surface::repair(read_mesh(&file)?);
                let mesh = mesh.in_order_of_use();
                if mesh.triangles.is_empty() {
                    return Err(Exit::other(format!("{}: no triangle is left after the repair", file.display())));
                }
                let report = orfeas_surface::report(&mesh, 0);
                encoding.write(&output, &mesh, format, Some(&report))?;
                if json {
                    return say_json(&json!({ "repair": done, "report": report }));
                }
                say(output.display());
                if let serde_json::Value::Object(counts) = serde_json::to_value(done).map_err(Exit::other)? {
                    for (what, count) in counts.iter().filter(|(_, count)| count.as_u64() != Some(0)) {
                        say(format!("  {}   {count}", what.replace('_', " ")));
                    }
                }
                report_lines(&report);
                Ok(())
            }
            Self::Extract(extract) => extract.run(),
            Self::Render { file, output, width, height, views } => {
                let views =
                    if views { vec![View::Front, View::ThreeQuarter, View::Side] } else { vec![View::ThreeQuarter] };
                let options = RenderOptions { width, height, views, ..RenderOptions::default() };
                let png = orfeas_surface::render_png(&read_mesh(&file)?, &options);
                write_whole(&output, &png.map_err(Exit::other)?)?;
                say(output.display());
                Ok(())
            }
        }
    }
}

impl Encoding {
    fn write(self, path: &Path, mesh: &Triangles, format: Format, report: Option<&PrintReport>) -> Ended {
        let name = name_of(path);
        let options = FileOptions { report, glb_compression: self.glb_compression, ..FileOptions::named(&name) };
        write_mesh(path, mesh, format, &options)
    }
}

impl Extract {
    fn run(self) -> Ended {
        if !(self.bounds.is_finite() && self.bounds > 0.0 && self.iso.is_finite()) {
            return Err(Exit::usage("the bounds must be above zero, and they and the iso level finite"));
        }
        let formats: Vec<Format> = self.output.iter().map(|path| format_of(path)).collect::<Result<_, _>>()?;
        let options =
            Options { size_mm: Some(self.size_mm), target_faces: self.target_faces, ..self.surface.options() };
        let options = options.checked().map_err(Exit::usage)?;
        let field = self.field()?;
        let (mesh, report) = orfeas_surface::finish(&field, &FinishOptions::from(&options), &mut |_| {}, &|| false)
            .map_err(Exit::other)?;
        let mesh = mesh.in_order_of_use();
        drop(field);
        for (path, format) in self.output.iter().zip(formats) {
            self.encoding.write(path, &mesh, format, Some(&report))?;
            if !self.json {
                say(path.display());
            }
        }
        if self.json {
            return say_json(&report);
        }
        report_lines(&report);
        Ok(())
    }

    fn field(&self) -> Result<Field, Exit> {
        let grid = &self.grid;
        let bytes = std::fs::read(grid).map_err(|error| Exit::usage(format!("{}: {error}", grid.display())))?;
        let read = orfeas_surface::npy::read(&bytes);
        let (samples, values) = read.map_err(|error| Exit::usage(format!("{}: {error}", grid.display())))?;
        drop(bytes);
        let sparse = SparseGrid::from_dense(samples, &values, self.iso);
        let sparse = sparse.ok_or_else(|| Exit::usage("the grid needs at least two samples on each axis"))?;
        let provenance = Provenance {
            engine: "grid".into(),
            model: "none".into(),
            weights_sha256: None,
            seed: 0,
            steps: 0,
            guidance: 0.0,
            resolution: samples.into_iter().max().map_or(0, |n| n.saturating_sub(1) as u32),
        };
        Ok(Field { grid: sparse, bounds: Bounds::cube(self.bounds), provenance })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        mesh: Mesh,
    }

    #[test]
    fn a_repair_that_leaves_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.stl");
        // One triangle closes nothing.
        let mut stl = vec![0; 80];
        stl.extend(1u32.to_le_bytes());
        stl.extend(
            [0.0f32; 3].iter().chain(&[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0]).flat_map(|x| x.to_le_bytes()),
        );
        stl.extend([0; 2]);
        std::fs::write(&path, &stl).unwrap();
        let file = path.to_str().unwrap();
        let error = Line::parse_from(["orfeas", "repair", file, "-o", file]).mesh.run().unwrap_err();
        assert!(error.message.contains("no triangle is left"), "{}", error.message);
        assert_eq!(std::fs::read(&path).unwrap(), stl);
    }
}
