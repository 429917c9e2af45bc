//! The events of a job: JSON on `orfeas.events.<kind>.<job>`.

use serde::{Deserialize, Serialize};

use crate::{
    ArtifactRef, Code, Failure, Format, JobId, MeshFile, Options, PrintReport, Provenance, Stage, State, Timestamp,
    Timings,
};

/// The kinds of event, which are tokens of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The picture was taken in.
    Accepted,
    /// The subject is cut out and recentred.
    Prepared,
    /// A stage is at work.
    Progress,
    /// The field is stored.
    Generated,
    /// Terminal: the mesh files are stored.
    Completed,
    /// Terminal: there will be no mesh.
    Failed,
    /// Terminal: the client did not want it any more.
    Cancelled,
}

impl EventKind {
    /// Every kind, in the order of a job.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Prepared,
        Self::Progress,
        Self::Generated,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The token in the subject.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Prepared => "prepared",
            Self::Progress => "progress",
            Self::Generated => "generated",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state in which a terminal event leaves its job; none for the others.
    #[must_use]
    pub fn terminal_state(self) -> Option<State> {
        match self {
            Self::Completed => Some(State::Completed),
            Self::Failed => Some(State::Failed),
            Self::Cancelled => Some(State::Cancelled),
            Self::Accepted | Self::Prepared | Self::Progress | Self::Generated => None,
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One event. On the wire the body's fields stand beside `job`, `time` and `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The job.
    pub job: JobId,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EventBody {
    /// See [`Accepted`].
    Accepted(Accepted),
    /// See [`Prepared`].
    Prepared(Prepared),
    /// See [`Progress`].
    Progress(Progress),
    /// See [`Generated`].
    Generated(Generated),
    /// See [`Completed`].
    Completed(Box<Completed>),
    /// See [`Failed`].
    Failed(Failed),
    /// See [`Cancelled`].
    Cancelled(Cancelled),
}

/// The picture was taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Sequence of the client's message in the stream `IMAGES`: what its PubAck said.
    pub sequence: u64,
    /// The client's `Nats-Msg-Id`, if it set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What the client asked for.
    pub options: Options,
}

/// The subject is cut out and recentred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The prepared picture.
    pub picture: ArtifactRef,
    /// The sent picture's kind: png, jpeg, …
    pub image_format: String,
    /// The sent picture's width and height in pixels, upright.
    pub image_size: [u32; 2],
    /// How the subject was found: `alpha`, `segmentation`, `whole`.
    pub cut_out: String,
    /// The stages so far.
    pub timings: Timings,
}

/// A stage is at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// What it does now, in a word or two.
    pub phase: String,
    /// Steps done in this phase.
    pub step: u32,
    /// Steps of this phase.
    pub steps: u32,
    /// Seconds until this phase ends, if it goes on as it has; none before that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The attempt at this stage, from 1.
    pub attempt: u64,
}

/// The field is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The field.
    pub field: ArtifactRef,
    /// What made it.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The stages so far.
    pub timings: Timings,
}

/// Terminal: the mesh files are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// What made the field: engine, model, seed, …
    #[serde(flatten)]
    pub provenance: Provenance,
    /// One entry for each format.
    pub files: Vec<MeshFile>,
    /// The print report, as it also lies beside the files.
    pub report: PrintReport,
    /// Where the report lies as a JSON object of its own.
    pub report_file: ArtifactRef,
    /// The mesh without any loss, from which a file of every other format can be made later (`orfeas export`): one of
    /// `files`, or an object of its own where none of them is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshFile>,
    /// A picture of the mesh: PNG, 512 × 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<ArtifactRef>,
    /// Seconds of every stage.
    pub timings: Timings,
    /// Seconds from the client's publish to this event.
    pub total_seconds: f64,
    /// Attempts that the last stage took.
    pub attempts: u64,
}

impl Completed {
    /// Whether an object of the bucket of meshes is one of this job's: a file, the report, the picture, the exact mesh.
    #[must_use]
    pub fn holds(&self, object: &str) -> bool {
        let files = self.files.iter().chain(&self.mesh).map(|file| &file.artifact);
        files.chain(&self.thumbnail).chain([&self.report_file]).any(|artifact| artifact.object == object)
    }

    /// The file of a format.
    #[must_use]
    pub fn file(&self, format: Format) -> Option<&MeshFile> {
        self.files.iter().find(|file| file.format == format)
    }
}

/// Terminal: there will be no mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Where it failed.
    pub stage: Stage,
    /// Why, for machines.
    pub code: Code,
    /// Why, for people: one sentence.
    pub message: String,
    /// Attempts at that stage.
    pub attempts: u64,
    /// Sequence of the client's message in the stream `IMAGES`, so that a client whose job id was refused finds its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The stages that ended before.
    #[serde(default)]
    pub timings: Timings,
}

/// Terminal: the client did not want it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Where the job stood.
    pub state: State,
}

impl Event {
    /// An event of this moment.
    #[must_use]
    pub fn new(job: JobId, time: Timestamp, body: EventBody) -> Self {
        Self { job, time, body }
    }

    /// The failed event of a failure.
    #[must_use]
    pub fn failed(
        job: JobId,
        time: Timestamp,
        failure: Failure,
        attempts: u64,
        sequence: Option<u64>,
        timings: Timings,
    ) -> Self {
        let Failure { stage, code, message } = failure;
        Self::new(job, time, EventBody::Failed(Failed { stage, code, message, attempts, sequence, timings }))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match &self.body {
            EventBody::Accepted(_) => EventKind::Accepted,
            EventBody::Prepared(_) => EventKind::Prepared,
            EventBody::Progress(_) => EventKind::Progress,
            EventBody::Generated(_) => EventKind::Generated,
            EventBody::Completed(_) => EventKind::Completed,
            EventBody::Failed(_) => EventKind::Failed,
            EventBody::Cancelled(_) => EventKind::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_flat_json_with_its_kind() {
        let job = JobId::parse("duck").unwrap();
        let failure = Failure::new(Stage::Ingest, Code::NoSubject, "Nothing stands out.");
        let event = Event::failed(job, crate::now(), failure, 1, Some(8), Timings::default());
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value["kind"], "failed");
        assert_eq!(value["job"], "duck");
        assert_eq!(value["code"], "no_subject");
        assert_eq!(value["stage"], "ingest");
        assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
    }

    #[test]
    fn three_kinds_end_a_job() {
        let terminal: Vec<_> = EventKind::ALL.into_iter().filter(|kind| kind.terminal_state().is_some()).collect();
        assert_eq!(terminal, [EventKind::Completed, EventKind::Failed, EventKind::Cancelled]);
    }
}
