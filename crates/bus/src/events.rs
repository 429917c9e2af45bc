//! Events: what clients hear, and the fence that keeps a stage's result single.

use std::time::Duration;

use async_nats::HeaderMap;
use orfeas_contract::{Event, EventKind, JobId, TraceParent, subjects};
use time::format_description::well_known::Rfc3339;

use crate::publish::Guard;
use crate::{Bus, BusError, BusErrorKind};

/// Publishes an event that a job has once (all but progress). Where it is already there, from an attempt before this
/// one or from another worker, the one that is there counts and is given back.
///
/// # Errors
/// [`BusError`] when the server stayed away for longer than the publisher's patience.
pub async fn publish_once(bus: &Bus, event: &Event, trace: Option<&TraceParent>) -> Result<Event, BusError> {
    let subject = subjects::event(event.kind(), &event.job);
    match bus.publish(&subject, &headers(event, trace), payload(event)?, Guard::LastSequence(0)).await {
        Ok(_) => Ok(event.clone()),
        Err(error) if error.kind() == BusErrorKind::Conflict => {
            let there = find(bus, event.kind(), &event.job).await?;
            there.ok_or_else(|| BusError::caused(BusErrorKind::Unreachable, format!("{subject} vanished"), error))
        }
        Err(error) => Err(error),
    }
}

/// Publishes the event of a job that somebody else has ended, unless it comes: whoever ended the job is about to publish it,
/// or died before that. Said twice, the stream would take it once, but plain subscribers would hear it twice.
///
/// # Errors
/// As [`publish_once`].
pub(crate) async fn publish_missing(bus: &Bus, event: &Event, trace: Option<&TraceParent>) -> Result<Event, BusError> {
    /// How long whoever ended the job may take, and how often it is looked whether it did.
    const COMING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(50));
    let deadline = tokio::time::Instant::now() + COMING.0;
    loop {
        if let Some(there) = find(bus, event.kind(), &event.job).await? {
            return Ok(there);
        }
        if tokio::time::Instant::now() > deadline {
            return publish_once(bus, event, trace).await;
        }
        tokio::time::sleep(COMING.1).await;
    }
}

/// Publishes a progress event without waiting: one that is lost is soon followed by another.
pub async fn publish_progress(bus: &Bus, event: &Event, trace: Option<&TraceParent>) {
    let Ok(payload) = payload(event) else { return };
    let subject = subjects::event(event.kind(), &event.job);
    if let Err(error) = bus.client.publish_with_headers(subject, headers(event, trace), payload).await {
        tracing::debug!(job = %event.job, %error, "progress not sent");
    }
}

/// The event of a kind that a job already has.
///
/// # Errors
/// [`BusErrorKind::Damaged`] where it is no event of ours.
pub async fn find(bus: &Bus, kind: EventKind, job: &JobId) -> Result<Option<Event>, BusError> {
    let subject = subjects::event(kind, job);
    let Some(stored) = bus.last_of(subjects::STREAM_EVENTS, &subject).await? else { return Ok(None) };
    let event = serde_json::from_slice(&stored.payload)
        .map_err(|error| BusError::caused(BusErrorKind::Damaged, format!("the event on {subject}"), error))?;
    Ok(Some(event))
}

fn payload(event: &Event) -> Result<bytes::Bytes, BusError> {
    let json = serde_json::to_vec(event)
        .map_err(|error| BusError::caused(BusErrorKind::Refused, format!("an event of {}", event.job), error))?;
    Ok(json.into())
}

/// CloudEvents 1.0 in the binary mode of its NATS binding: attributes as `ce-` headers, the data as payload.
fn headers(event: &Event, trace: Option<&TraceParent>) -> HeaderMap {
    let kind = event.kind();
    let mut headers = HeaderMap::new();
    let time = event.time.format(&Rfc3339).unwrap_or_default();
    // Progress comes often; everything else once a job, so that kind and job name it.
    let id = match kind {
        EventKind::Progress => format!("{}.{kind}.{}", event.job, event.time.unix_timestamp_nanos()),
        _ => format!("{}.{kind}", event.job),
    };
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id.as_str());
    headers.insert("ce-source", "/orfeas");
    headers.insert("ce-type", format!("orfeas.job.{kind}").as_str());
    headers.insert("ce-subject", event.job.as_str());
    headers.insert("ce-time", time.as_str());
    headers.insert("content-type", "application/json");
    if let Some(trace) = trace {
        headers.insert(subjects::HEADER_TRACEPARENT, trace.as_str());
    }
    headers
}
