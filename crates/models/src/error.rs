//! What can go wrong with model files, by kind: whether to try again is decided here, never by a message's text.

use std::error::Error;
use std::io;
use std::path::Path;

/// An error about model files: a kind for code, one sentence for people.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ModelError {
    kind: ModelErrorKind,
    sentence: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`ModelError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// A name, endpoint, revision or folder that cannot be.
    Usage,
    /// The hub, or the folder, does not have it.
    NotFound,
    /// The hub wants a token, or another one.
    Refused,
    /// The hub cannot be reached, or broke off: the same call may succeed later.
    Unreachable,
    /// The hub's answer breaks the protocol or a limit.
    Protocol,
    /// Bytes that are not what was promised.
    Damaged,
    /// The licence was not accepted.
    Licence,
    /// The disk has too little room.
    NoSpace,
    /// Another process works on the same checkpoint.
    Busy,
    /// The disk, or its permissions.
    Io,
}

impl ModelError {
    pub(crate) fn new(kind: ModelErrorKind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into(), source: None }
    }

    pub(crate) fn caused(
        kind: ModelErrorKind,
        sentence: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self { kind, sentence: format!("{}: {source}", sentence.into()), source: Some(source) }
    }

    /// An error of the disk: `doing` is what was tried, as in "cannot <doing> <path>".
    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ModelErrorKind::NoSpace,
            io::ErrorKind::NotFound => ModelErrorKind::NotFound,
            _ => ModelErrorKind::Io,
        };
        Self::caused(kind, format!("cannot {doing} {}", path.display()), source)
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> ModelErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn transient(&self) -> bool {
        matches!(self.kind, ModelErrorKind::Unreachable | ModelErrorKind::Busy)
    }
}
