//! Why a job failed: a machine-readable code, the stage, and one sentence for the person who sent the picture.

use serde::{Deserialize, Serialize};

/// The stages of a job, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Decode, cut out, recentre.
    Ingest,
    /// Picture to field.
    Infer,
    /// Field to mesh to files.
    Export,
}

impl Stage {
    /// All stages, in their order.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Infer, Self::Export];

    /// The name in subjects, events and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Infer => "infer",
            Self::Export => "export",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $retry:literal;)*) => {
        /// Machine-readable failure codes. Names are stable; new ones may be added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether another attempt at the same message can end better. What the picture or the options are to
            /// blame for never is; a full disk or a lost connection may be.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

codes! {
    /// The `Orfeas-Job` header is no job id.
    InvalidJobId => "invalid_job_id", false;
    /// The `Orfeas-Options` header is not JSON, names an unknown option or a value out of range.
    InvalidOptions => "invalid_options", false;
    /// A format that ORFEAS does not write.
    UnknownFormat => "unknown_format", false;
    /// No picture was sent: neither a payload nor an object reference.
    EmptyPicture => "empty_picture", false;
    /// The bytes are no picture of a kind that ORFEAS reads.
    NotAnImage => "not_an_image", false;
    /// The picture is of a known kind, but damaged or cut off.
    DamagedImage => "damaged_image", false;
    /// More bytes, pixels, a longer side or more decoder memory than the limits allow.
    ImageTooLarge => "image_too_large", false;
    /// Too few pixels to hold a subject.
    ImageTooSmall => "image_too_small", false;
    /// No subject stands out from the background.
    NoSubject => "no_subject", false;
    /// The object named by `Orfeas-Object` is not in the bucket.
    ObjectMissing => "object_missing", false;
    /// An object's bytes are not those that were promised.
    ObjectDamaged => "object_damaged", true;
    /// The wanted engine is not the one that runs.
    EngineUnavailable => "engine_unavailable", false;
    /// The engine cannot do what the options ask for.
    UnsupportedOption => "unsupported_option", false;
    /// The engine failed.
    EngineFailed => "engine_failed", true;
    /// The job needs more device memory than `GPU_MEMORY_LIMIT` leaves it.
    InsufficientMemory => "insufficient_memory", false;
    /// The device ran out of memory for this job.
    OutOfMemory => "out_of_memory", true;
    /// The field holds no surface.
    EmptySurface => "empty_surface", false;
    /// The mesh could not be made printable.
    NotPrintable => "not_printable", false;
    /// Every allowed attempt ended without an answer (the worker died each time).
    AttemptsExhausted => "attempts_exhausted", false;
    /// A fault of ORFEAS or of what it runs on.
    Internal => "internal", true;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A job's failure as a library or service reports it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Where it happened.
    pub stage: Stage,
    /// What happened, for machines.
    pub code: Code,
    /// What happened, for the person who sent the picture: one sentence.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    #[must_use]
    pub fn new(stage: Stage, code: Code, message: impl Into<String>) -> Self {
        Self { stage, code, message: shortened(message.into()) }
    }
}

/// Sentences quote what a client sent, whose events have a limit; what is longer than this many bytes ends in three dots.
const LONGEST_MESSAGE: usize = 1000;

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_a_limit() {
        let long = Failure::new(Stage::Ingest, Code::InvalidOptions, "ä".repeat(40_000)).message;
        assert!(long.len() <= LONGEST_MESSAGE + 3 && long.ends_with("ä…"), "{}", long.len());
        assert_eq!(Failure::new(Stage::Ingest, Code::InvalidOptions, "short").message, "short");
    }

    #[test]
    fn wire_names_and_display_agree() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{stage}\""));
        }
    }
}
