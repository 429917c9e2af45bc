//! The work messages between stages, and the small facts that travel with a job.

use serde::{Deserialize, Serialize};

use crate::{ArtifactRef, JobId, Options, Stage, Timestamp};

/// What made a field: enough to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The engine.
    pub engine: String,
    /// The model it ran (`none` for an engine without weights).
    pub model: String,
    /// SHA-256 of the weights, lower-case hex, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// Seed of the noise.
    pub seed: u64,
    /// Sampling steps that were run.
    pub steps: u32,
    /// Guidance scale that was used.
    pub guidance: f32,
    /// Cells of the field along its longest side.
    pub resolution: u32,
}

/// How long a job lay in a queue and how long a stage worked on it, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTiming {
    /// From being queued until a worker took it.
    pub queued: f64,
    /// From being taken until its result was stored.
    pub worked: f64,
}

/// The timings of the stages that have run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Decode, cut out, recentre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<StageTiming>,
    /// Picture to field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infer: Option<StageTiming>,
    /// Field to files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<StageTiming>,
}

impl Timings {
    /// The timing of one stage.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Option<StageTiming> {
        match stage {
            Stage::Ingest => self.ingest,
            Stage::Infer => self.infer,
            Stage::Export => self.export,
        }
    }

    /// These timings with one stage's added.
    #[must_use]
    pub fn with(mut self, stage: Stage, timing: StageTiming) -> Self {
        match stage {
            Stage::Ingest => self.ingest = Some(timing),
            Stage::Infer => self.infer = Some(timing),
            Stage::Export => self.export = Some(timing),
        }
        self
    }
}

/// A W3C `traceparent` header that was found well-formed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(String);

impl TraceParent {
    /// Takes a header of the form `00-<32 hex>-<16 hex>-<2 hex>`; anything else is dropped, as the W3C recommendation
    /// asks, since a broken trace must not break a job.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let zero = |part: &str| part.bytes().all(|b| b == b'0');
        match parts.as_slice() {
            [version, trace, parent, flags]
                if hex(version, 2)
                    && hex(trace, 32)
                    && hex(parent, 16)
                    && hex(flags, 2)
                    && *version != "ff"
                    && !zero(trace)
                    && !zero(parent) =>
            {
                Some(Self(text.to_owned()))
            }
            _ => None,
        }
    }

    /// The trace of a job whose client gave none: the same at every delivery of the same message.
    #[must_use]
    pub fn derived(job: &JobId, source: &crate::Source) -> Self {
        let message = format!("{job} {} {}", source.sequence, source.stored_nanos);
        let (high, low) = (fnv(b'a', &message), fnv(b'b', &message));
        Self(format!("00-{high:016x}{low:016x}-{}-01", Self::span_of(job)))
    }

    /// The id of a job's own span, which follows from the job.
    #[must_use]
    pub fn span_of(job: &JobId) -> String {
        format!("{:016x}", fnv(b's', job.as_str()))
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        // Checked where it was made: four parts with dashes between.
        self.0.split('-').nth(1).unwrap_or_default()
    }

    /// The id of the span that the job was sent from, 16 hexadecimal digits.
    #[must_use]
    pub fn parent_id(&self) -> &str {
        self.0.split('-').nth(2).unwrap_or_default()
    }

    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// FNV-1a, never 0: an id that is the same in every version and on every machine, and need not be secret.
fn fnv(salt: u8, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    std::iter::once(salt).chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

/// What every work message carries of its job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkCommon {
    /// The job.
    pub job: JobId,
    /// What the client asked for.
    pub options: Options,
    /// When the client's message was stored.
    #[serde(with = "time::serde::rfc3339")]
    pub submitted: Timestamp,
    /// When this message was made.
    #[serde(with = "time::serde::rfc3339")]
    pub queued: Timestamp,
    /// The stages before.
    pub timings: Timings,
    /// The client's trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

/// `orfeas.work.infer.<job>`: turn a prepared picture into a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferWork {
    /// The job so far; on the wire its fields stand beside the others.
    #[serde(flatten)]
    pub common: WorkCommon,
    /// The prepared picture: RGBA PNG, subject cut out and recentred.
    pub picture: ArtifactRef,
}

/// `orfeas.work.export.<job>`: turn a field into mesh files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportWork {
    /// The job so far; on the wire its fields stand beside the others.
    #[serde(flatten)]
    pub common: WorkCommon,
    /// The field.
    pub field: ArtifactRef,
    /// What made it.
    pub provenance: Provenance,
}

impl AsRef<WorkCommon> for InferWork {
    fn as_ref(&self) -> &WorkCommon {
        &self.common
    }
}

impl AsRef<WorkCommon> for ExportWork {
    fn as_ref(&self) -> &WorkCommon {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_traces_travel() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(good).unwrap().as_str(), good);
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let control = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n";
        for bad in ["", "00", zero, control] {
            assert!(TraceParent::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_derived_trace_is_well_formed_and_the_same_again() {
        let (job, source) = (JobId::parse("duck").unwrap(), crate::Source { sequence: 7, stored_nanos: 12 });
        let trace = TraceParent::derived(&job, &source);
        assert_eq!(TraceParent::parse(trace.as_str()), Some(trace.clone()));
        assert_eq!(TraceParent::derived(&job, &source), trace);
        assert_eq!(trace.parent_id(), TraceParent::span_of(&job));
        let other = TraceParent::derived(&job, &crate::Source { sequence: 8, stored_nanos: 12 });
        assert_ne!(other.trace_id(), trace.trace_id());
    }

    #[test]
    fn a_work_message_is_one_flat_object() {
        let json = serde_json::json!({
            "job": "duck", "options": { "guidance": 7.3, "seed": u64::MAX }, "submitted": "2026-01-02T03:04:05Z",
            "queued": "2026-01-02T03:04:06.5Z", "timings": { "ingest": { "queued": 0.1, "worked": 0.2 } },
            "picture": { "bucket": "b", "object": "o", "bytes": 1, "sha256": "00" }
        });
        let work: InferWork = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(work.common.job.as_str(), "duck");
        assert_eq!((work.common.options.guidance, work.common.options.seed), (Some(7.3), Some(u64::MAX)));
        let again = serde_json::to_value(&work).unwrap();
        for key in ["job", "submitted", "queued", "timings", "picture"] {
            assert_eq!(again[key], json[key], "{key}");
        }
        assert!(again.get("common").is_none());
    }
}
