//! The contract of ORFEAS: subjects, ids, messages, options, errors.
//!
//! Everything a client, a service or a test may rely on by name stands here, and nothing that moves bytes does:
//! this crate knows neither tokio nor NATS. Wire types reject what they do not understand; constructors hold the
//! invariants.

mod artifact;
mod event;
mod failure;
mod format;
mod job;
mod options;
mod record;
mod report;
pub mod subjects;
mod work;

pub use artifact::{ArtifactRef, MeshFile};
pub use event::{Accepted, Cancelled, Completed, Event, EventBody, EventKind, Failed, Generated, Prepared, Progress};
pub use failure::{Code, Failure, Stage};
pub use format::{Format, UnknownFormat};
pub use job::{InvalidJobId, JobId};
pub use options::{BackgroundRemoval, GlbCompression, InvalidOptions, Options, REQUESTED_NAME_LIMIT, SurfaceMethod};
pub use record::{JobRecord, Source, State};
pub use report::{PrintReport, WallSampling};
pub use work::{ExportWork, InferWork, Provenance, StageTiming, Timings, TraceParent, WorkCommon};

/// Milliseconds-exact UTC time as it travels in every message (RFC 3339 on the wire).
pub type Timestamp = time::OffsetDateTime;

/// Now, in UTC, cut to whole milliseconds so that what is stored and what is sent compare equal.
#[must_use]
pub fn now() -> Timestamp {
    let now = time::OffsetDateTime::now_utc();
    now.replace_millisecond(now.millisecond()).unwrap_or(now)
}

/// Seconds from `start` to `end`; a clock that stepped back gives zero, never a negative duration.
#[must_use]
pub fn seconds_between(start: Timestamp, end: Timestamp) -> f64 {
    (end - start).as_seconds_f64().max(0.0)
}
