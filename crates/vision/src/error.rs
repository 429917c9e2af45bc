//! What can be wrong with a picture, each as one sentence for the person who sent it.

use orfeas_contract::Code;

/// Why a picture could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// No bytes.
    #[error("no picture was sent: it has 0 bytes")]
    Empty,
    /// The bytes begin like no kind of picture that is read here.
    #[error("this is not a picture of a kind that is read here (PNG, JPEG, WebP, GIF, BMP or TIFF)")]
    NotAnImage,
    /// A known kind, in a flavour that is not read.
    #[error("this {kind} picture is of a sort that is not read here ({reason}); please save it as 8-bit PNG or JPEG")]
    Unsupported {
        /// The kind, as in [`crate::Decoded::kind`].
        kind: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A known kind, but damaged or cut off.
    #[error("the {kind} picture is damaged or cut off ({reason})")]
    Damaged {
        /// The kind, as in [`crate::Decoded::kind`].
        kind: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// More bytes than allowed.
    #[error("the picture has {found} bytes; at most {limit} are allowed")]
    TooManyBytes {
        /// Bytes sent.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// More pixels than allowed.
    #[error("the picture has {width} × {height} pixels; at most {limit} pixels in all are allowed")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels allowed.
        limit: u64,
    },
    /// A longer side than allowed.
    #[error("the picture has {width} × {height} pixels; neither side may be longer than {limit}")]
    SideTooLong {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Longest side allowed, in pixels.
        limit: u32,
    },
    /// The decoder would need more memory than allowed.
    #[error("decoding the picture takes {found} bytes of memory; at most {limit} are allowed")]
    TooMuchMemory {
        /// Bytes needed; at least this many where the decoder itself stopped.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A side too short to hold a subject.
    #[error("the picture has {width} × {height} pixels; each side must have at least {limit}")]
    TooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Shortest side allowed, in pixels.
        limit: u32,
    },
    /// No subject stands out.
    #[error("no subject was found in the picture: {0}")]
    NoSubject(&'static str),
    /// A fault of this crate.
    #[error("the prepared picture could not be written: {0}")]
    Encoding(String),
}

impl VisionError {
    /// The failure code that the client is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Empty => Code::EmptyPicture,
            Self::NotAnImage | Self::Unsupported { .. } => Code::NotAnImage,
            Self::Damaged { .. } => Code::DamagedImage,
            Self::TooManyBytes { .. }
            | Self::TooManyPixels { .. }
            | Self::SideTooLong { .. }
            | Self::TooMuchMemory { .. } => Code::ImageTooLarge,
            Self::TooSmall { .. } => Code::ImageTooSmall,
            Self::NoSubject(_) => Code::NoSubject,
            Self::Encoding(_) => Code::Internal,
        }
    }

    /// A damaged picture; the decoder's words are cut to a length that fits an event.
    pub(crate) fn damaged(kind: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { kind, reason: brief(&reason.to_string()) }
    }

    /// A sort of picture that is not read.
    pub(crate) fn unsupported(kind: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Unsupported { kind, reason: brief(&reason.to_string()) }
    }
}

/// The first line, at most 160 characters: decoders quote bytes of the file at length.
fn brief(reason: &str) -> String {
    reason.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(160).collect()
}
