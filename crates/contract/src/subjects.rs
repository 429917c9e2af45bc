//! Subjects, headers, streams and buckets by name. Clients rely on these; they do not change.

use crate::{EventKind, JobId, Stage};

/// Publish the encoded picture here.
pub const IMAGES: &str = "orfeas.images";

/// Idempotency key of a publish.
pub const HEADER_MESSAGE_ID: &str = "Nats-Msg-Id";
/// The client's own job id.
pub const HEADER_JOB: &str = "Orfeas-Job";
/// Options as JSON, see [`crate::Options`].
pub const HEADER_OPTIONS: &str = "Orfeas-Options";
/// Name of an object in [`BUCKET_IMAGES`] that stands for the payload.
pub const HEADER_OBJECT: &str = "Orfeas-Object";
/// W3C trace context.
pub const HEADER_TRACEPARENT: &str = "traceparent";

/// Stream of clients' pictures.
pub const STREAM_IMAGES: &str = "IMAGES";
/// Stream of the work queues.
pub const STREAM_WORK: &str = "WORK";
/// Stream of events.
pub const STREAM_EVENTS: &str = "EVENTS";
/// Stream of dead letters.
pub const STREAM_DEAD: &str = "DEAD";

/// Bucket for pictures over the payload limit.
pub const BUCKET_IMAGES: &str = "orfeas-images";
/// Bucket of prepared pictures.
pub const BUCKET_PREPARED: &str = "orfeas-prepared";
/// Bucket of fields.
pub const BUCKET_FIELDS: &str = "orfeas-fields";
/// Bucket of mesh files and print reports.
pub const BUCKET_MESHES: &str = "orfeas-meshes";
/// Every object bucket.
pub const BUCKETS: [&str; 4] = [BUCKET_IMAGES, BUCKET_PREPARED, BUCKET_FIELDS, BUCKET_MESHES];
/// Key-value bucket of job records.
pub const BUCKET_JOBS: &str = "orfeas-jobs";

/// All events of all jobs.
pub const EVENTS_ALL: &str = "orfeas.events.>";
/// All work of a stage, as a consumer's filter.
#[must_use]
pub fn work_filter(stage: Stage) -> String {
    match stage {
        Stage::Ingest => IMAGES.to_owned(),
        Stage::Infer | Stage::Export => format!("orfeas.work.{stage}.*"),
    }
}

/// Work of one job for a stage.
#[must_use]
pub fn work(stage: Stage, job: &JobId) -> String {
    format!("orfeas.work.{stage}.{job}")
}

/// An event of one job.
#[must_use]
pub fn event(kind: EventKind, job: &JobId) -> String {
    format!("orfeas.events.{kind}.{job}")
}

/// All events of one job.
#[must_use]
pub fn events_of(job: &JobId) -> String {
    format!("orfeas.events.*.{job}")
}

/// All cancel wishes.
pub const CANCEL_ALL: &str = "orfeas.control.cancel.*";

/// Publish here, with any payload, to cancel a job.
#[must_use]
pub fn cancel(job: &JobId) -> String {
    format!("orfeas.control.cancel.{job}")
}

/// All dead letters.
pub const DEAD_ALL: &str = "orfeas.dead.>";

/// The dead letter of a job at a stage.
#[must_use]
pub fn dead(stage: Stage, job: &JobId) -> String {
    format!("orfeas.dead.{stage}.{job}")
}

/// The last token of a subject, as a job id: how a cancel wish names its job.
#[must_use]
pub fn job_of(subject: &str) -> Option<JobId> {
    subject.rsplit('.').next().and_then(|token| JobId::parse(token).ok())
}
