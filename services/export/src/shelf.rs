//! What a job leaves in `orfeas-meshes`: files in the wanted formats, the mesh without loss, the report, the picture.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use orfeas_bus::{Bus, Upload, objects};
use orfeas_contract::{ArtifactRef, Code, ExportWork, Failure, Format, MeshFile, PrintReport, Stage, subjects};
use orfeas_stage::{Halt, attempt_token};
use orfeas_surface::{FileOptions, Mesh, Origin, SurfaceError, SurfaceErrorKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes that are handed over at a time, and how many such pieces may wait for the server.
const PIECE: usize = 512 * 1024;
const PIECES: usize = 4;

/// What the surface gives.
pub struct Made {
    pub mesh: Mesh,
    pub report: PrintReport,
    /// PNG.
    pub thumbnail: Bytes,
}

/// Where an attempt's objects go. Dropped before [`Shelf::keep`], it takes away what was stored: nobody will ever name it.
pub struct Shelf<'a> {
    bus: &'a Bus,
    folder: String,
    stem: String,
    work: &'a ExportWork,
    cancel: &'a CancellationToken,
    stored: Mutex<Vec<ArtifactRef>>,
}

impl Drop for Shelf<'_> {
    fn drop(&mut self) {
        self.keep().iter().for_each(|artifact| objects::discard(self.bus, artifact));
    }
}

impl<'a> Shelf<'a> {
    /// Nothing stored yet.
    pub fn new(bus: &'a Bus, work: &'a ExportWork, attempt: u64, cancel: &'a CancellationToken) -> Self {
        let folder = format!("{}/{}", work.common.job, attempt_token(attempt));
        Self { bus, folder, stem: stem(work), work, cancel, stored: Mutex::default() }
    }

    /// From here on the job's record may name what is stored; gives it.
    pub fn keep(&self) -> Vec<ArtifactRef> {
        std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, artifact: &ArtifactRef) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).push(artifact.clone());
    }

    /// Stores a file for every wanted format; gives them, and the one that every other format can be made of.
    pub async fn meshes(&self, made: &Arc<Made>) -> Result<(Vec<MeshFile>, MeshFile), Halt> {
        let mut files = Vec::new();
        for format in self.work.common.options.formats() {
            files.push(self.mesh(made, format, format.name()).await?);
        }
        let exact = exact(files.iter().map(|file| file.format), &made.mesh);
        let mesh = match exact.and_then(|format| files.iter().find(|file| file.format == format)) {
            Some(file) => file.clone(),
            // glTF is in metres, so its millimetres are rounded.
            None => self.mesh(made, Format::Ply, "mesh.ply").await?,
        };
        Ok((files, mesh))
    }

    /// Stores bytes beside the files.
    pub async fn put(&self, suffix: &str, bytes: Bytes) -> Result<ArtifactRef, Halt> {
        let artifact = objects::put(self.bus, subjects::BUCKET_MESHES, &self.object(suffix), bytes).await?;
        self.note(&artifact);
        Ok(artifact)
    }

    fn object(&self, suffix: &str) -> String {
        format!("{}/{}.{suffix}", self.folder, self.stem)
    }

    /// Writes one file, on a thread of the blocking pool, and stores it meanwhile: it is never held whole.
    async fn mesh(&self, made: &Arc<Made>, format: Format, suffix: &str) -> Result<MeshFile, Halt> {
        let (sender, mut pieces) = mpsc::channel(PIECES);
        let mut out = Pieces { sender, held: BytesMut::with_capacity(PIECE), stop: self.cancel.clone() };
        let (made, name) = (made.clone(), self.stem.clone());
        let (origin, glb_compression) = (origin(self.work), self.work.common.options.glb_compression);
        let writing = tokio::task::spawn_blocking(move || {
            let options = FileOptions {
                name: &name,
                origin: Some(&origin),
                report: Some(&made.report),
                thumbnail: Some(&made.thumbnail),
                glb_compression,
            };
            orfeas_surface::write_to(&made.mesh, format, &options, &mut out)?;
            out.hand_over().map_err(|_| SurfaceError::cancelled())
        });
        let mut upload = Upload::begin(self.bus, subjects::BUCKET_MESHES, &self.object(suffix));
        while let Some(piece) = pieces.recv().await {
            upload.write(piece).await?;
        }
        match writing.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) if self.cancel.is_cancelled() => return Err(Halt::Cancelled),
            Ok(Err(error)) => return Err(surface(error)),
            Err(error) => {
                let sentence = format!("writing the mesh broke off: {error}");
                return Err(Failure::new(Stage::Export, Code::Internal, sentence).into());
            }
        }
        let artifact = upload.finish().await?;
        self.note(&artifact);
        Ok(MeshFile { format, file_name: format!("{}.{suffix}", self.stem), artifact })
    }
}

/// The format among these that keeps a mesh as it is, the most handy first.
fn exact(formats: impl Iterator<Item = Format> + Clone, mesh: &Mesh) -> Option<Format> {
    let there = |wanted: Format| formats.clone().any(|format| format == wanted);
    // STL has no vertices: those in one place become one.
    let stl = || there(Format::Stl) && !mesh.has_twin_vertices();
    [Format::Ply, Format::Stl, Format::ThreeMf, Format::Obj]
        .into_iter()
        .find(|format| if *format == Format::Stl { stl() } else { there(*format) })
}

/// A writer whose pieces another task stores.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    held: BytesMut,
    stop: CancellationToken,
}

impl Pieces {
    fn hand_over(&mut self) -> io::Result<()> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let piece = self.held.split().freeze();
        self.held.reserve(PIECE);
        // Nobody takes it where storing failed, which is what the job then fails of.
        self.sender.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() == PIECE {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the surface's error means for the job.
pub fn surface(error: SurfaceError) -> Halt {
    match error.kind() {
        SurfaceErrorKind::Cancelled => Halt::Cancelled,
        _ => Failure::new(Stage::Export, error.code(), error.to_string()).into(),
    }
}

fn origin(work: &ExportWork) -> Origin {
    Origin {
        job: work.common.job.to_string(),
        engine: work.provenance.engine.clone(),
        model: work.provenance.model.clone(),
        seed: work.provenance.seed,
    }
}

/// The files' common name: the requested one without its folder and suffix, or the job's id.
fn stem(work: &ExportWork) -> String {
    let requested = work.common.options.file_name.as_deref().unwrap_or_default();
    let last = requested.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = match last.rsplit_once('.') {
        Some((stem, suffix)) if Format::parse(suffix).is_ok() => stem,
        _ => last,
    };
    let safe: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_. ()".contains(c) { c } else { '_' }).take(100).collect();
    if safe.trim_matches(['.', ' ']).is_empty() { work.common.job.to_string() } else { safe }
}
