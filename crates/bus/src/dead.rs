//! Dead letters: messages that a stage gave up on, kept as they were, with the reason in their headers.

use async_nats::HeaderMap;
use orfeas_contract::{Failure, JobId, subjects};
use serde::Deserialize;

use crate::publish::Guard;
use crate::work::Delivery;
use crate::{Bus, BusError, BusErrorKind};

/// Writes the dead letter of a message: once, however often it is tried.
///
/// # Errors
/// [`BusError`] when the server stayed away, or will never take it (too large with its reason).
pub async fn bury(bus: &Bus, job: &JobId, failure: &Failure, delivery: &Delivery) -> Result<(), BusError> {
    let mut headers = kept(&delivery.headers);
    headers.insert("Orfeas-Code", failure.code.name());
    // Header values hold no line breaks; a sentence of ours has none, one that quotes an error may.
    headers.insert("Orfeas-Reason", failure.message.replace(['\r', '\n'], " ").as_str());
    headers.insert("Orfeas-Attempts", delivery.attempt.to_string().as_str());
    let subject = subjects::dead(failure.stage, job);
    match bus.publish(&subject, &headers, delivery.payload.clone(), Guard::LastSequence(0)).await {
        Err(error) if error.kind() != BusErrorKind::Conflict => Err(error),
        _ => Ok(()),
    }
}

/// A message's headers, without those that would tell the server something about the letter: what to expect of its stream, or
/// that it is a repetition. The client's message id stays, under a name of ours.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        let name = match name {
            subjects::HEADER_MESSAGE_ID => "Orfeas-Message-Id",
            server if server.to_ascii_lowercase().starts_with("nats-") => continue,
            other => other,
        };
        values.iter().for_each(|value| kept.append(name, value.as_str()));
    }
    kept
}

/// The server's word that a message was delivered as often as its consumer allows.
#[derive(Clone, Debug, Deserialize)]
pub struct Exhausted {
    /// The stream that still holds it.
    pub stream: String,
    /// The consumer that gave up.
    pub consumer: String,
    /// Its sequence there.
    pub stream_seq: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

impl Exhausted {
    /// Reads an advisory's payload.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// The message itself, as its last delivery would have shown it; none where it is gone.
    ///
    /// # Errors
    /// [`BusErrorKind::Unreachable`] when the server does not answer.
    pub async fn message(&self, bus: &Bus) -> Result<Option<Delivery>, BusError> {
        use async_nats::jetstream::stream::DirectGetErrorKind;
        let trouble = |error: Box<dyn std::error::Error + Send + Sync>| {
            BusError::caused(BusErrorKind::Unreachable, format!("{} {}", self.stream, self.stream_seq), error)
        };
        let stream = bus.context.get_stream_no_info(&self.stream).await.map_err(|error| trouble(error.into()))?;
        match stream.direct_get(self.stream_seq).await {
            Ok(message) => Ok(Some(Delivery {
                subject: message.subject.to_string(),
                headers: message.headers,
                payload: message.payload,
                attempt: self.deliveries,
                sequence: self.stream_seq,
                stored: message.time,
            })),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(error.into())),
        }
    }

    /// Takes the message out of its queue, where it would count as a waiting one for ever.
    ///
    /// # Errors
    /// [`BusErrorKind::Unreachable`] when the server does not answer.
    pub async fn remove(&self, bus: &Bus) -> Result<(), BusError> {
        let trouble = |error: Box<dyn std::error::Error + Send + Sync>| {
            BusError::caused(BusErrorKind::Unreachable, format!("{} {}", self.stream, self.stream_seq), error)
        };
        let stream = bus.context.get_stream_no_info(&self.stream).await.map_err(|error| trouble(error.into()))?;
        stream.delete_message(self.stream_seq).await.map(drop).map_err(|error| trouble(error.into()))
    }
}
