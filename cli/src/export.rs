//! `orfeas export`: another file of a job's mesh, made of the stored one.

use std::path::PathBuf;

use clap::Args;
use orfeas_bus::{jobs, objects};
use orfeas_contract::{Completed, EventBody, Format, GlbCompression, JobId};
use orfeas_surface::{FileOptions, Origin};
use serde_json::json;

use crate::connect::{Server, block_on};
use crate::exit::{Ended, Exit, say, say_json};
use crate::files::{format_of, write_mesh, write_whole};
use crate::request::compression;

/// Write a finished job's mesh in any format, without making it anew
#[derive(Args)]
pub struct Export {
    /// The job
    job: JobId,
    /// The format [default: what the file's suffix names]
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Where to
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
    /// How a GLB file is encoded: none, or meshopt (a fourth of the size, for readers of EXT_meshopt_compression)
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = compression)]
    glb_compression: GlbCompression,
    /// Where to put the mesh's picture (PNG), too
    #[arg(long, value_name = "PNG")]
    thumbnail: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Export {
    pub fn run(self) -> Ended {
        block_on(async move {
            let named = format_of(&self.output);
            let format = match (self.format, named) {
                (Some(format), Ok(named)) if format != named && self.output.extension().is_some() => {
                    let output = self.output.display();
                    return Err(Exit::usage(format!(
                        "--format {format} and the suffix of {output} name different formats"
                    )));
                }
                (Some(format), _) => format,
                (None, named) => named?,
            };
            let (bus, _) = self.server.connect().await?;
            let completed = self.completed(jobs::get(&bus, &self.job).await?.map(|entry| entry.value.outcome))?;
            let stored = completed.mesh.as_ref().ok_or_else(|| Exit::other("the job kept no mesh to export"))?;
            let bytes = objects::get(&bus, &stored.artifact).await?;
            let picture = match &completed.thumbnail {
                Some(picture) => Some(objects::get(&bus, picture).await?),
                None => None,
            };
            if let (Some(path), Some(picture)) = (&self.thumbnail, &picture) {
                write_whole(path, picture)?;
            }
            let mesh = orfeas_surface::read(&bytes, Some(stored.format)).map_err(Exit::other)?;
            drop(bytes);
            let provenance = &completed.provenance;
            let origin = Origin {
                job: self.job.to_string(),
                engine: provenance.engine.clone(),
                model: provenance.model.clone(),
                seed: provenance.seed,
            };
            let own = format!(".{}", stored.format);
            let name = &stored.file_name;
            let name = name.strip_suffix(".mesh.ply").or_else(|| name.strip_suffix(&own)).unwrap_or(name);
            let options = FileOptions {
                name,
                origin: Some(&origin),
                report: Some(&completed.report),
                thumbnail: picture.as_deref(),
                glb_compression: self.glb_compression,
            };
            write_mesh(&self.output, &mesh, format, &options)?;
            if self.json {
                let from = &stored.artifact.object;
                return say_json(&json!({ "job": self.job, "file": self.output, "format": format, "from": from }));
            }
            say(self.output.display());
            Ok(())
        })
    }

    /// What the job's record says it ended with.
    fn completed(&self, outcome: Option<Option<orfeas_contract::Event>>) -> Result<Completed, Exit> {
        let job = &self.job;
        match outcome {
            None => Err(Exit::other(format!("there is no job {job}"))),
            Some(None) => Err(Exit::other(format!("job {job} has not ended yet"))),
            Some(Some(event)) => match event.body {
                EventBody::Completed(completed) => Ok(*completed),
                EventBody::Cancelled(_) => Err(Exit::cancelled(format!("job {job} was cancelled"))),
                EventBody::Failed(failed) => Err(Exit::job_failed(format!("{} ({})", failed.message, failed.code))),
                _ => Err(Exit::other(format!("job {job} has not ended yet"))),
            },
        }
    }
}
