//! What can go wrong on the bus, by kind: whether to try again is decided here, never by a message's text.

use std::error::Error;

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct BusError {
    kind: BusErrorKind,
    context: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`BusError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusErrorKind {
    /// The server cannot be reached, or did not answer in time.
    Unreachable,
    /// A stream, consumer or bucket that ORFEAS needs is not there.
    Missing,
    /// No such key, object or message.
    NotFound,
    /// A compare-and-swap found another value.
    Conflict,
    /// A stream or bucket that refuses what is new, or a server without room.
    Full,
    /// Larger than a limit of the server or of ours: it never fits.
    Limit,
    /// Bytes that are not what was promised.
    Damaged,
    /// Settings that cannot work.
    Config,
    /// Refused by the server for another reason.
    Refused,
}

impl BusErrorKind {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Missing | Self::Full)
    }
}

impl BusError {
    pub(crate) fn new(kind: BusErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn caused(
        kind: BusErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self { kind, context: format!("{}: {source}", context.into()), source: Some(source) }
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> BusErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn transient(&self) -> bool {
        self.kind.transient()
    }
}
