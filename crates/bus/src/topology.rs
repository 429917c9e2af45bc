//! The one place that wires subjects, streams, consumers and buckets, with their limits.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType};
use orfeas_contract::{Stage, subjects};
use serde::Serialize;

use crate::{Bus, BusError, BusErrorKind};

/// Key-value bucket that maps a client's message id to its job.
pub const BUCKET_REQUESTS: &str = "orfeas-requests";
/// Key-value bucket of the metrics service's checkpoint.
pub const BUCKET_METRICS: &str = "orfeas-metrics";
/// Durable consumer of cancel wishes.
pub const CONSUMER_CANCEL: &str = "cancel";
/// Durable consumer of the advisories about exhausted messages.
pub const CONSUMER_JANITOR: &str = "janitor";
/// What the server says when a message was delivered as often as its consumer allows.
pub const EXHAUSTED_ADVISORIES: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>";

/// A file-store record must stay under 32 MiB with its headers and subject, whatever `max_payload` says.
const MAX_PICTURE_MESSAGE: i32 = 31 * 1024 * 1024;
const MAX_SMALL_MESSAGE: i32 = 64 * 1024;
/// Progress events of a job that are kept: its last ones. All others a job has once. A long job says many, and they would push the ends
/// of other jobs out.
const PROGRESS_KEPT: i64 = 32;
/// A checkpoint has some ten kilobytes.
const METRICS_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Sizes and ages that a deployment may set. Their defaults stand in the table of settings (`orfeas-service`) alone.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Copies of every stream in a cluster.
    pub replicas: usize,
    /// Bytes of pictures that wait to be taken in.
    pub images_max_bytes: u64,
    /// Messages in the work queues.
    pub work_max_messages: u64,
    /// Bytes of events.
    pub events_max_bytes: u64,
    /// How long events are kept.
    pub events_max_age: Duration,
    /// Bytes of dead letters.
    pub dead_max_bytes: u64,
    /// How long dead letters are kept.
    pub dead_max_age: Duration,
    /// Bytes of the bucket for large pictures.
    pub uploads_max_bytes: u64,
    /// Bytes of prepared pictures.
    pub prepared_max_bytes: u64,
    /// Bytes of fields.
    pub fields_max_bytes: u64,
    /// Bytes of mesh files.
    pub meshes_max_bytes: u64,
    /// Bytes of job records.
    pub jobs_max_bytes: u64,
    /// Bytes of remembered message ids.
    pub requests_max_bytes: u64,
    /// How long uploads, prepared pictures and fields are kept at most.
    pub artifacts_max_age: Duration,
    /// How long mesh files are kept.
    pub meshes_max_age: Duration,
    /// How long job records are kept.
    pub jobs_max_age: Duration,
    /// How long a worker may be silent before its message goes to another.
    pub ack_wait: Duration,
    /// How often a message is tried; the consumers deliver a few times more, as a backstop.
    pub max_attempts: u64,
}

/// Deliveries beyond `max_attempts` that a consumer still makes: each lets a worker move the message to the dead
/// letters; only if all of them die too, the advisory and the janitor are needed.
const BACKSTOP_DELIVERIES: u64 = 5;

/// A durable pull consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerSpec {
    /// Its stream.
    pub stream: String,
    /// Its durable name.
    pub name: String,
    /// The subjects it gets.
    pub filter: String,
}

/// Everything that must exist.
#[derive(Clone, Debug)]
pub struct Topology {
    limits: Limits,
    streams: Vec<StreamConfig>,
    consumers: Vec<ConsumerSpec>,
}

/// A stream as `topology show` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct StreamSummary {
    /// Name; `OBJ_…` and `KV_…` are the streams of buckets.
    pub name: String,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// `work queue` or `limits`.
    pub retention: &'static str,
    /// Byte limit, 0 where there is none.
    pub max_bytes: u64,
    /// Message limit, 0 where there is none.
    pub max_messages: u64,
    /// Age limit in seconds, 0 where there is none.
    pub max_age_seconds: u64,
    /// What happens when it is full.
    pub when_full: &'static str,
}

impl Topology {
    /// Wires everything.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let queue = |name: &str, subjects: Vec<String>, max_message_size: i32| StreamConfig {
            retention: RetentionPolicy::WorkQueue,
            // A full queue refuses, and the publisher waits: that is the backpressure.
            discard: DiscardPolicy::New,
            max_message_size,
            ..base(&limits, name, subjects)
        };
        let mut streams = vec![
            StreamConfig {
                max_bytes: signed(limits.images_max_bytes),
                ..queue(subjects::STREAM_IMAGES, vec![subjects::IMAGES.into()], MAX_PICTURE_MESSAGE)
            },
            StreamConfig {
                max_messages: signed(limits.work_max_messages),
                ..queue(
                    subjects::STREAM_WORK,
                    vec!["orfeas.work.*.*".into(), subjects::CANCEL_ALL.into()],
                    MAX_SMALL_MESSAGE,
                )
            },
            StreamConfig {
                max_age: limits.events_max_age,
                max_bytes: signed(limits.events_max_bytes),
                max_message_size: MAX_SMALL_MESSAGE,
                max_messages_per_subject: PROGRESS_KEPT,
                // Full, it must still take the event that ends a job; what it forgets is history.
                discard: DiscardPolicy::Old,
                ..base(&limits, subjects::STREAM_EVENTS, vec![subjects::EVENTS_ALL.into()])
            },
            StreamConfig {
                max_age: limits.dead_max_age,
                max_bytes: signed(limits.dead_max_bytes),
                max_message_size: MAX_PICTURE_MESSAGE,
                discard: DiscardPolicy::Old,
                ..base(&limits, subjects::STREAM_DEAD, vec![subjects::DEAD_ALL.into(), EXHAUSTED_ADVISORIES.into()])
            },
        ];
        for (bucket, max_bytes, max_age) in [
            (subjects::BUCKET_IMAGES, limits.uploads_max_bytes, limits.artifacts_max_age),
            (subjects::BUCKET_PREPARED, limits.prepared_max_bytes, limits.artifacts_max_age),
            (subjects::BUCKET_FIELDS, limits.fields_max_bytes, limits.artifacts_max_age),
            (subjects::BUCKET_MESHES, limits.meshes_max_bytes, limits.meshes_max_age),
        ] {
            let subjects = vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")];
            streams.push(StreamConfig {
                max_bytes: signed(max_bytes),
                max_age,
                discard: DiscardPolicy::New,
                allow_rollup: true,
                ..base(&limits, &format!("OBJ_{bucket}"), subjects)
            });
        }
        // Records and message ids: full, the pipeline must still take new jobs, so what was touched longest ago goes. That
        // is a job that ended long ago as long as the bucket holds far more records than the queues hold jobs; refusing
        // new ones would stop every job until the old ones have aged. The one key of the metrics service stays.
        for (bucket, max_bytes, max_age, discard) in [
            (subjects::BUCKET_JOBS, limits.jobs_max_bytes, limits.jobs_max_age, DiscardPolicy::Old),
            (BUCKET_REQUESTS, limits.requests_max_bytes, limits.jobs_max_age, DiscardPolicy::Old),
            (BUCKET_METRICS, METRICS_MAX_BYTES, Duration::ZERO, DiscardPolicy::New),
        ] {
            streams.push(StreamConfig {
                max_messages_per_subject: 1,
                max_bytes: signed(max_bytes),
                max_age,
                discard,
                allow_rollup: true,
                deny_delete: true,
                ..base(&limits, &format!("KV_{bucket}"), vec![format!("$KV.{bucket}.>")])
            });
        }
        let consumer = |stream: &str, name: &str, filter: String| ConsumerSpec {
            stream: stream.into(),
            name: name.into(),
            filter,
        };
        let consumers = vec![
            consumer(subjects::STREAM_IMAGES, Stage::Ingest.name(), subjects::work_filter(Stage::Ingest)),
            consumer(subjects::STREAM_WORK, Stage::Infer.name(), subjects::work_filter(Stage::Infer)),
            consumer(subjects::STREAM_WORK, Stage::Export.name(), subjects::work_filter(Stage::Export)),
            consumer(subjects::STREAM_WORK, CONSUMER_CANCEL, subjects::CANCEL_ALL.into()),
            consumer(subjects::STREAM_DEAD, CONSUMER_JANITOR, EXHAUSTED_ADVISORIES.into()),
        ];
        Self { limits, streams, consumers }
    }

    /// The limits it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The consumers.
    #[must_use]
    pub fn consumers(&self) -> &[ConsumerSpec] {
        &self.consumers
    }

    /// The streams, those of buckets too.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamSummary> {
        self.streams
            .iter()
            .map(|stream| StreamSummary {
                name: stream.name.clone(),
                subjects: stream.subjects.clone(),
                retention: if stream.retention == RetentionPolicy::WorkQueue { "work queue" } else { "limits" },
                max_bytes: stream.max_bytes.try_into().unwrap_or(0),
                max_messages: stream.max_messages.try_into().unwrap_or(0),
                max_age_seconds: stream.max_age.as_secs(),
                when_full: if stream.discard == DiscardPolicy::New { "refuse new" } else { "drop oldest" },
            })
            .collect()
    }

    /// Creates or updates everything. Doing it twice is doing it once.
    ///
    /// # Errors
    /// The first thing the server refused, by name.
    pub async fn apply(&self, bus: &Bus) -> Result<(), BusError> {
        for stream in &self.streams {
            let made = bus.context.create_or_update_stream(stream.clone()).await;
            made.map_err(|error| {
                BusError::caused(BusErrorKind::Refused, format!("stream {} cannot be made", stream.name), error)
            })?;
        }
        for spec in &self.consumers {
            let made = bus.context.create_consumer_on_stream(self.consumer_config(spec), spec.stream.clone()).await;
            made.map_err(|error| {
                let what = format!("consumer {} of stream {} cannot be made", spec.name, spec.stream);
                BusError::caused(BusErrorKind::Refused, what, error)
            })?;
        }
        Ok(())
    }

    fn consumer_config(&self, spec: &ConsumerSpec) -> pull::Config {
        pull::Config {
            durable_name: Some(spec.name.clone()),
            filter_subject: spec.filter.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.limits.ack_wait,
            max_deliver: match spec.name.as_str() {
                // Nobody comes after these: a wish and an advisory are tried until they are done with.
                CONSUMER_CANCEL | CONSUMER_JANITOR => -1,
                _ => signed(self.limits.max_attempts + BACKSTOP_DELIVERIES),
            },
            // Delayed retries count as pending; a small bound would let a few of them block everyone.
            max_ack_pending: 10_000,
            ..Default::default()
        }
    }

    /// What of `streams` and `consumers` is not there, in one sentence; none where all is well.
    ///
    /// # Errors
    /// [`BusErrorKind::Unreachable`] where the server does not answer.
    pub async fn missing(&self, bus: &Bus, needs: &Needs) -> Result<Option<String>, BusError> {
        let mut missing = Vec::new();
        for name in &needs.streams {
            match bus.context.get_stream(name).await {
                Ok(_) => {}
                Err(error) if stream_not_found(&error) => missing.push(describe(name)),
                Err(error) => {
                    return Err(BusError::caused(BusErrorKind::Unreachable, format!("looking for {name}"), error));
                }
            }
        }
        for (stream, name) in &needs.consumers {
            if missing.contains(&describe(stream)) {
                continue;
            }
            let found = bus.context.get_consumer_from_stream::<pull::Config, _, _>(name, stream).await;
            if let Err(error) = found {
                use async_nats::jetstream::stream::ConsumerErrorKind;
                match error.kind() {
                    ConsumerErrorKind::TimedOut | ConsumerErrorKind::Request => {
                        let what = format!("looking for {stream}/{name}");
                        return Err(BusError::caused(BusErrorKind::Unreachable, what, error));
                    }
                    _ => missing.push(format!("consumer {name} of stream {stream}")),
                }
            }
        }
        if missing.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!("missing on the NATS server: {}; `orfeas topology apply` creates it", missing.join(", "))))
    }
}

/// What one service needs of the topology.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Streams by name.
    pub streams: Vec<String>,
    /// Stream and consumer names.
    pub consumers: Vec<(String, String)>,
}

impl Needs {
    /// What a stage needs: its own queue, the next one, its buckets, events, dead letters and records.
    #[must_use]
    pub fn of(stage: Stage) -> Self {
        let buckets: &[&str] = match stage {
            Stage::Ingest => &[subjects::BUCKET_IMAGES, subjects::BUCKET_PREPARED],
            Stage::Infer => &[subjects::BUCKET_PREPARED, subjects::BUCKET_FIELDS],
            Stage::Export => &[subjects::BUCKET_FIELDS, subjects::BUCKET_MESHES],
        };
        let mut streams: Vec<String> = [subjects::STREAM_WORK, subjects::STREAM_EVENTS, subjects::STREAM_DEAD]
            .into_iter()
            .map(String::from)
            .chain(buckets.iter().map(|bucket| format!("OBJ_{bucket}")))
            .collect();
        streams.push(format!("KV_{}", subjects::BUCKET_JOBS));
        let own = |stream: &str, name: &str| (stream.to_owned(), name.to_owned());
        let consumers = match stage {
            Stage::Ingest => {
                streams.push(subjects::STREAM_IMAGES.into());
                streams.push(format!("KV_{BUCKET_REQUESTS}"));
                vec![
                    own(subjects::STREAM_IMAGES, stage.name()),
                    own(subjects::STREAM_WORK, CONSUMER_CANCEL),
                    own(subjects::STREAM_DEAD, CONSUMER_JANITOR),
                ]
            }
            Stage::Infer | Stage::Export => vec![own(subjects::STREAM_WORK, stage.name())],
        };
        Self { streams, consumers }
    }

    /// What the metrics service needs.
    #[must_use]
    pub fn of_metrics() -> Self {
        Self { streams: vec![subjects::STREAM_EVENTS.into(), format!("KV_{BUCKET_METRICS}")], consumers: Vec::new() }
    }
}

fn base(limits: &Limits, name: &str, subjects: Vec<String>) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects,
        storage: StorageType::File,
        num_replicas: limits.replicas,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        duplicate_window: Duration::from_secs(600),
        allow_direct: true,
        ..Default::default()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn describe(stream: &str) -> String {
    match stream.split_once('_') {
        Some(("OBJ", bucket)) => format!("object bucket {bucket}"),
        Some(("KV", bucket)) => format!("key-value bucket {bucket}"),
        _ => format!("stream {stream}"),
    }
}

fn stream_not_found(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
