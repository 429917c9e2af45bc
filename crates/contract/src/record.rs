//! The job record: one entry per job in the key-value bucket `orfeas-jobs`.

use serde::{Deserialize, Serialize};

use crate::{ArtifactRef, Event, JobId, Options, Timestamp};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Taken in.
    Accepted,
    /// A worker computes its field.
    Inferring,
    /// A worker makes its mesh.
    Exporting,
    /// Ended with files.
    Completed,
    /// Ended without.
    Failed,
    /// Ended by its client's wish.
    Cancelled,
}

impl State {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// The client's message that a job came from. Two messages that name the same job have different sources, and only
/// the first is the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Sequence in the stream `IMAGES`.
    pub sequence: u64,
    /// When the stream stored it, in nanoseconds since 1970.
    pub stored_nanos: i64,
}

/// A job's record. Every change is a compare-and-swap; the change to a terminal state decides, once and for all, how
/// the job ended, and carries the event that says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: State,
    /// The attempt at the present stage, from 1.
    pub attempt: u64,
    /// The client's message.
    pub source: Source,
    /// What the client asked for.
    pub options: Options,
    /// When it was taken in.
    #[serde(with = "time::serde::rfc3339")]
    pub created: Timestamp,
    /// When this record last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated: Timestamp,
    /// The latents that a later attempt at infer can go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<ArtifactRef>,
    /// The terminal event, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Event>,
}

impl JobRecord {
    /// The record of a job just taken in.
    #[must_use]
    pub fn accepted(job: JobId, source: Source, options: Options, now: Timestamp) -> Self {
        Self {
            job,
            state: State::Accepted,
            attempt: 1,
            source,
            options,
            created: now,
            updated: now,
            checkpoint: None,
            outcome: None,
        }
    }

    /// This record at a later stage.
    #[must_use]
    pub fn at(mut self, state: State, attempt: u64, now: Timestamp) -> Self {
        self.state = state;
        self.attempt = attempt;
        self.updated = now;
        self
    }

    /// This record ended by `outcome`; a terminal event gives its own state.
    #[must_use]
    pub fn ended(mut self, state: State, outcome: Event, now: Timestamp) -> Self {
        self.state = state;
        self.updated = now;
        self.outcome = Some(outcome);
        self
    }
}
