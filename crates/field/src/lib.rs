//! The field: samples of a scalar function on a regular grid, dense only near the surface.
//!
//! A field is what an engine makes of a picture and what the surface is extracted from. Positive is inside, as in the
//! reference's logits. Samples lie at `min + (max - min) * index / (samples - 1)` on each axis; the axes are x right,
//! y up, z towards the viewer (glTF's convention, which is the model's own).

mod codec;
mod grid;
mod unknown;

pub use codec::{DecodeLimits, FieldError, FieldErrorKind, decode, encode};
pub use grid::{BLOCK_EDGE, BLOCK_SAMPLES, BlockRef, BlockState, Bounds, HALO_EDGE, HALO_SAMPLES, SparseGrid};

use orfeas_contract::Provenance;

/// A field with what is needed to read it and to make it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The samples, relative to the iso level: the surface lies where they change sign.
    pub grid: SparseGrid,
    /// The box that the outermost samples lie on, in the model's unit (the subject fills about -1 to 1).
    pub bounds: Bounds,
    /// What made it.
    pub provenance: Provenance,
}
