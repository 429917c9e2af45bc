//! What can go wrong between a field and a file.

use orfeas_contract::Code;

/// Why there is no mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SurfaceError {
    kind: SurfaceErrorKind,
    detail: String,
}

/// The kinds of [`SurfaceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SurfaceErrorKind {
    /// The field has no inside, or nothing of the mesh is large enough to print.
    Empty,
    /// The mesh is not a closed, manifold, oriented solid without degenerate triangles.
    NotPrintable,
    /// More samples, vertices, triangles or bytes than the limits allow.
    Limit,
    /// Bytes that are not in the format they claim to be in, or damaged.
    Damaged,
    /// In a known format, but using a part of it that ORFEAS does not read.
    Unsupported,
    /// The caller asked to stop.
    Cancelled,
    /// An argument that makes no sense (a size that is not positive, a picture without pixels).
    Argument,
    /// Writing failed.
    Io,
}

impl SurfaceError {
    pub(crate) fn new(kind: SurfaceErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::new(SurfaceErrorKind::Damaged, detail)
    }

    pub(crate) fn limit(detail: impl Into<String>) -> Self {
        Self::new(SurfaceErrorKind::Limit, detail)
    }

    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(SurfaceErrorKind::Unsupported, detail)
    }

    pub(crate) fn io(error: &dyn std::fmt::Display) -> Self {
        Self::new(SurfaceErrorKind::Io, format!("the mesh could not be written: {error}"))
    }

    /// The caller asked to stop.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(SurfaceErrorKind::Cancelled, "cancelled")
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> SurfaceErrorKind {
        self.kind
    }

    /// The contract's code for it. Only [`SurfaceErrorKind::Empty`] and [`SurfaceErrorKind::NotPrintable`] are the
    /// field's fault; a cancelled job is reported as such by the caller, who asked for it, and never as a failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.kind {
            SurfaceErrorKind::Empty => Code::EmptySurface,
            SurfaceErrorKind::NotPrintable => Code::NotPrintable,
            SurfaceErrorKind::Argument => Code::InvalidOptions,
            SurfaceErrorKind::Damaged | SurfaceErrorKind::Unsupported | SurfaceErrorKind::Limit => Code::ObjectDamaged,
            SurfaceErrorKind::Cancelled | SurfaceErrorKind::Io => Code::Internal,
        }
    }
}
