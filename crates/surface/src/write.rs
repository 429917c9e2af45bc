//! Mesh files: the same mesh in every format, the same bytes every time.
//!
//! Files are written as they are made: what is held beside the mesh is a few chunks of the file, whatever its length
//! (and one normal a vertex, in the formats that have normals; a GLB's compressed data, whose length stands at its
//! beginning).

mod gltf;
mod obj;
mod ply;
mod stl;
mod stream;
mod text;
mod three_mf;
mod zip;

use std::io::Write;

use orfeas_contract::{Format, GlbCompression, PrintReport};

use crate::Mesh;
use crate::error::SurfaceError;

/// What made a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The job.
    pub job: String,
    /// Its engine.
    pub engine: String,
    /// The model that the engine ran.
    pub model: String,
    /// Seed of the noise.
    pub seed: u64,
}

/// What a file says beside its triangles, where its format has room for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileOptions<'a> {
    /// The object's name: 3MF, GLB, glTF, OBJ.
    pub name: &'a str,
    /// What made the mesh: every format.
    pub origin: Option<&'a Origin>,
    /// The report, of which GLB and glTF keep the essentials.
    pub report: Option<&'a PrintReport>,
    /// A picture, PNG: 3MF.
    pub thumbnail: Option<&'a [u8]>,
    /// How a GLB is encoded.
    pub glb_compression: GlbCompression,
}

impl<'a> FileOptions<'a> {
    /// A name and nothing else.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }
}

/// Writes a mesh (millimetres, z up) as a file of nothing but its triangles and a name.
///
/// STL, OBJ, PLY and 3MF keep the millimetres; GLB and glTF are in metres with y up.
///
/// # Errors
/// [`SurfaceErrorKind::Damaged`](crate::SurfaceErrorKind::Damaged) for indices that name no vertex,
/// [`SurfaceErrorKind::Limit`](crate::SurfaceErrorKind::Limit) where the format's counters are too small.
pub fn write(mesh: &Mesh, format: Format, name: &str) -> Result<Vec<u8>, SurfaceError> {
    let mut out = Vec::new();
    write_to(mesh, format, &FileOptions::named(name), &mut out)?;
    Ok(out)
}

/// Writes a mesh to a writer, with all that the format can say of it. The writer gets large pieces and needs no buffer.
///
/// # Errors
/// Those of [`write`], and [`SurfaceErrorKind::Io`](crate::SurfaceErrorKind::Io) where writing fails.
pub fn write_to(
    mesh: &Mesh,
    format: Format,
    options: &FileOptions<'_>,
    out: &mut impl Write,
) -> Result<(), SurfaceError> {
    if !mesh.indices_fit() {
        return Err(SurfaceError::damaged("a triangle names a vertex that is not there"));
    }
    match format {
        Format::Stl => stl::stl(mesh, options, out),
        Format::Obj => obj::obj(mesh, options, out),
        Format::Ply => ply::ply(mesh, options, out),
        Format::Glb => gltf::glb(mesh, options, out),
        Format::Gltf => gltf::gltf(mesh, options, out),
        Format::ThreeMf => three_mf::three_mf(mesh, options, out),
    }
}

/// Facts of the origin as one line of text: `job duck, engine hunyuan3d, model …, seed 7`.
fn origin_line(origin: &Origin) -> String {
    let Origin { job, engine, model, seed } = origin;
    one_line(&format!("job {job}, engine {engine}, model {model}, seed {seed}"))
}

/// Without line breaks and other control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
