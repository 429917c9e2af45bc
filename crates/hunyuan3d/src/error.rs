//! Why the model could not be read or run.

/// A failure of the model: a kind for code, one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ModelError {
    kind: ModelErrorKind,
    sentence: String,
}

/// The kinds of [`ModelError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// `config.yaml` is missing, malformed, or describes what this crate does not implement.
    Config,
    /// A checkpoint file is missing, malformed, or does not hold what the configuration asks for.
    Weights,
    /// The device or precision that was asked for is not there.
    Device,
    /// The request is outside what this model can do.
    Request,
    /// The job does not fit the memory it may use; nothing was begun.
    Memory,
    /// The device ran out of memory.
    OutOfMemory,
    /// The picture shows nothing to encode.
    NoSubject,
    /// The caller asked to stop.
    Cancelled,
    /// The device failed, or a value that must be finite is not.
    Compute,
}

impl ModelError {
    /// An error with its sentence.
    #[must_use]
    pub fn new(kind: ModelErrorKind, sentence: impl Into<String>) -> Self {
        // A file can put a megabyte into a name that it is then blamed by.
        const MOST: usize = 4096;
        let mut sentence = sentence.into();
        if sentence.len() > MOST {
            sentence.truncate(sentence.floor_char_boundary(MOST));
            sentence.push('…');
        }
        Self { kind, sentence }
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> ModelErrorKind {
        self.kind
    }

    pub(crate) fn config(sentence: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Config, sentence)
    }

    pub(crate) fn weights(sentence: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Weights, sentence)
    }

    pub(crate) fn request(sentence: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Request, sentence)
    }

    pub(crate) fn not_finite() -> Self {
        let sentence = "the network gave a value that is no finite number; a wider precision may mend that";
        Self::new(ModelErrorKind::Compute, sentence)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ModelErrorKind::Cancelled, "the run was cancelled")
    }
}
