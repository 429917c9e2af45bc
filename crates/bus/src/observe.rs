//! What the metrics service looks at: queues, bucket sizes, and every event with its sequence.

use futures_util::{Stream, StreamExt, TryStreamExt};
use orfeas_contract::{Event, subjects};

use crate::follow::{self, Anew, Begin};
use crate::topology::{EXHAUSTED_ADVISORIES, Topology};
use crate::{Bus, BusError, BusErrorKind};

/// A consumer's numbers.
#[derive(Clone, Debug)]
pub struct ConsumerNumbers {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub consumer: String,
    /// Messages that wait.
    pub pending: u64,
    /// Messages in hand or waiting for a retry.
    pub ack_pending: u64,
    /// Messages in hand that were delivered more than once.
    pub redelivered: u64,
}

/// A stream's numbers.
#[derive(Clone, Debug)]
pub struct StreamNumbers {
    /// Its name.
    pub stream: String,
    /// Messages in it.
    pub messages: u64,
    /// Those among the dead letters that are the server's word that it gave up on a message, whose letter is another one.
    pub advisories: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that it may hold; 0: no limit.
    pub max_bytes: u64,
    /// Age of its first message in seconds; 0 where there is none.
    pub oldest_seconds: f64,
    /// Its last sequence.
    pub last_sequence: u64,
}

fn trouble(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::caused(BusErrorKind::Unreachable, what, error)
}

/// The numbers of every consumer of the topology that is there.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where the server does not answer.
pub async fn consumers(bus: &Bus, topology: &Topology) -> Result<Vec<ConsumerNumbers>, BusError> {
    let mut numbers = Vec::new();
    for spec in topology.consumers() {
        let stream =
            bus.context.get_stream_no_info(&spec.stream).await.map_err(|error| trouble(&spec.stream, error))?;
        let info = stream.consumer_info(&spec.name).await.map_err(|error| trouble(&spec.name, error))?;
        numbers.push(ConsumerNumbers {
            stream: spec.stream.clone(),
            consumer: spec.name.clone(),
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
        });
    }
    Ok(numbers)
}

/// The numbers of every stream of the topology.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where the server does not answer.
pub async fn streams(bus: &Bus, topology: &Topology) -> Result<Vec<StreamNumbers>, BusError> {
    let mut numbers = Vec::new();
    for summary in topology.streams() {
        let stream = bus.context.get_stream(&summary.name).await.map_err(|error| trouble(&summary.name, error))?;
        let advisories = match summary.name.as_str() {
            subjects::STREAM_DEAD => {
                let listed = stream.info_with_subjects(EXHAUSTED_ADVISORIES).await;
                let listed = listed.map_err(|error| trouble(&summary.name, error))?;
                let counts = listed.map_ok(|(_, count)| count as u64);
                counts.try_fold(0, |sum, count| async move { Ok(sum + count) }).await
            }
            _ => Ok(0),
        };
        let advisories = advisories.map_err(|error| trouble(&summary.name, error))?;
        let info = stream.cached_info();
        let state = &info.state;
        let oldest = orfeas_contract::seconds_between(state.first_timestamp, orfeas_contract::now());
        numbers.push(StreamNumbers {
            stream: summary.name,
            messages: state.messages,
            advisories,
            bytes: state.bytes,
            max_bytes: info.config.max_bytes.try_into().unwrap_or(0),
            oldest_seconds: if state.messages == 0 { 0.0 } else { oldest.max(0.0) },
            last_sequence: state.last_sequence,
        });
    }
    Ok(numbers)
}

/// When the event stream was made, in nanoseconds since 1970: a checkpoint of another stream counts for nothing.
///
/// # Errors
/// [`BusErrorKind::Missing`] where there is no event stream.
pub async fn events_identity(bus: &Bus) -> Result<(i64, u64), BusError> {
    let stream = bus.context.get_stream(subjects::STREAM_EVENTS).await;
    let stream = stream.map_err(|error| BusError::caused(BusErrorKind::Missing, subjects::STREAM_EVENTS, error))?;
    let info = stream.cached_info();
    let created = i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(i64::MAX);
    Ok((created, info.state.last_sequence))
}

/// Every event from a sequence on, with its sequence; an event that cannot be read comes as none. Ends where the event
/// stream is no longer the same one: it was made anew, or has lost its newest events.
///
/// # Errors
/// [`BusErrorKind::Missing`] where there is no event stream.
pub async fn events_from(
    bus: &Bus,
    sequence: u64,
) -> Result<impl Stream<Item = (u64, Option<Event>)> + Unpin + use<>, BusError> {
    let messages = follow::follow(bus, subjects::EVENTS_ALL.to_owned(), Begin::At(sequence), Anew::End).await?;
    Ok(messages.map(|message| (message.sequence, serde_json::from_slice(&message.payload).ok())))
}
