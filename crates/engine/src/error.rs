//! Why an engine made no field.

use orfeas_contract::Code;

/// An engine's failure: a kind for code, one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct EngineError {
    kind: EngineErrorKind,
    sentence: String,
}

/// The kinds of [`EngineError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// The observer asked to stop.
    Cancelled,
    /// The picture shows nothing to make a solid of.
    NoSubject,
    /// The request asks for what the engine cannot do.
    Unsupported,
    /// The run would need more memory than it may use; nothing was begun.
    InsufficientMemory,
    /// The device ran out of memory.
    OutOfMemory,
    /// The engine cannot be had here: no such device, no such checkpoint, or a damaged one.
    Unavailable,
    /// Anything else.
    Failed,
}

impl EngineError {
    /// An error with its sentence.
    #[must_use]
    pub fn new(kind: EngineErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    /// The error of a run that its observer stopped.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(EngineErrorKind::Cancelled, "the run was cancelled")
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    /// The failure code of the contract; `None` for a cancelled run, which is no failure.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self.kind {
            EngineErrorKind::Cancelled => None,
            EngineErrorKind::NoSubject => Some(Code::NoSubject),
            EngineErrorKind::Unsupported => Some(Code::UnsupportedOption),
            EngineErrorKind::InsufficientMemory => Some(Code::InsufficientMemory),
            EngineErrorKind::Unavailable => Some(Code::EngineUnavailable),
            EngineErrorKind::OutOfMemory => Some(Code::OutOfMemory),
            EngineErrorKind::Failed => Some(Code::EngineFailed),
        }
    }
}
