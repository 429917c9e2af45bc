//! A picture and what its job is told: what `generate` and `submit` have in common.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use orfeas_contract::{BackgroundRemoval, Format, GlbCompression, JobId, Options, SurfaceMethod};

use crate::connect::Server;
use crate::exit::Exit;

/// A picture, what its job is told, and where the pipeline is.
#[derive(Args)]
pub struct Request {
    /// The picture (PNG, JPEG, WebP, GIF, BMP, TIFF)
    pub picture: PathBuf,
    /// Formats to write; `generate` writes them into a folder [default: stl]
    #[arg(short, long = "format", value_name = "FORMAT")]
    pub format: Vec<Format>,
    #[command(flatten)]
    pub flags: JobFlags,
    #[command(flatten)]
    pub server: Server,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl Request {
    /// The picture's bytes.
    pub fn read_picture(&self) -> Result<Bytes, Exit> {
        let read = std::fs::read(&self.picture);
        read.map(Bytes::from)
            .map_err(|error| Exit::usage(format!("{} cannot be read: {error}", self.picture.display())))
    }
}

/// What a job may be told, as flags.
#[derive(Args, Clone, Debug)]
pub struct JobFlags {
    /// The engine that must make it; the job fails if another one runs
    #[arg(long, value_name = "NAME")]
    pub engine: Option<String>,
    /// Seed of the noise
    #[arg(long, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Sampling steps
    #[arg(long)]
    pub steps: Option<u32>,
    /// Guidance scale
    #[arg(long, allow_negative_numbers = true)]
    pub guidance: Option<f32>,
    /// Cells of the field along its longest side
    #[arg(long)]
    pub resolution: Option<u32>,
    /// Simplify the mesh to about this many triangles
    #[arg(long, value_name = "N")]
    pub target_faces: Option<u32>,
    /// Longest side of the object in millimetres [default: 100]
    #[arg(long, value_name = "MM", allow_negative_numbers = true)]
    pub size_mm: Option<f32>,
    /// When to cut the subject out of its background: auto, always, never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = removal)]
    pub remove_background: BackgroundRemoval,
    #[command(flatten)]
    pub surface: SurfaceFlags,
    /// How GLB files are encoded: none, or meshopt (a fourth of the size, for readers of EXT_meshopt_compression)
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = compression)]
    pub glb_compression: GlbCompression,
}

/// What the surface is told, as flags.
#[derive(Args, Clone, Debug)]
pub struct SurfaceFlags {
    /// How the surface is taken from the field: marching_cubes, or dual (keeps edges and corners)
    #[arg(long, value_name = "METHOD", default_value = "marching_cubes", value_parser = method)]
    pub surface: SurfaceMethod,
    /// Leave out pieces with fewer faces than this share of the largest piece's, 0 to 1 [default: the model's own, or 0.005]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub floaters: Option<f32>,
    /// Fill hollows that no opening leads into
    #[arg(long)]
    pub fill_cavities: bool,
    /// Iterations of smoothing that keeps the volume, up to 100 [default: 0]
    #[arg(long, value_name = "N")]
    pub smooth: Option<u32>,
    /// Fail where the mesh is not printable, instead of writing it with a report that says why
    #[arg(long)]
    pub fail_unprintable: bool,
}

fn method(text: &str) -> Result<SurfaceMethod, String> {
    match text {
        "marching_cubes" => Ok(SurfaceMethod::MarchingCubes),
        "dual" => Ok(SurfaceMethod::Dual),
        _ => Err("one of marching_cubes, dual".into()),
    }
}

/// How GLB files are encoded.
pub fn compression(text: &str) -> Result<GlbCompression, String> {
    match text {
        "none" => Ok(GlbCompression::None),
        "meshopt" => Ok(GlbCompression::Meshopt),
        _ => Err("one of none, meshopt".into()),
    }
}

fn removal(text: &str) -> Result<BackgroundRemoval, String> {
    match text {
        "auto" => Ok(BackgroundRemoval::Auto),
        "always" => Ok(BackgroundRemoval::Always),
        "never" => Ok(BackgroundRemoval::Never),
        _ => Err("one of auto, always, never".into()),
    }
}

impl JobFlags {
    pub fn options(&self, formats: Vec<Format>, file_name: Option<String>) -> Result<Options, Exit> {
        let options = Options {
            formats,
            file_name,
            engine: self.engine.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance: self.guidance,
            resolution: self.resolution,
            target_faces: self.target_faces,
            size_mm: self.size_mm,
            remove_background: self.remove_background,
            glb_compression: self.glb_compression,
            ..self.surface.options()
        };
        options.checked().map_err(Exit::usage)
    }
}

impl SurfaceFlags {
    /// Options that say this and nothing else; not checked yet.
    pub fn options(&self) -> Options {
        Options {
            surface: self.surface,
            floaters: self.floaters,
            fill_cavities: self.fill_cavities,
            smooth: self.smooth,
            fail_unprintable: self.fail_unprintable,
            ..Options::default()
        }
    }
}

/// An id that nobody else has.
pub fn new_job_id() -> JobId {
    JobId::derive(u64::from(std::process::id()), orfeas_contract::Timestamp::now_utc())
}
