//! Key-value buckets by compare-and-swap, on the bucket's own stream.
//!
//! async-nats' `Store` would do the same; going to the stream directly keeps one publish path with its retries and
//! spares a stream info call at every use.

use async_nats::StatusCode;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::connection::CALL_TIMEOUT;
use crate::publish::Guard;
use crate::{Bus, BusError, BusErrorKind};

/// A value and the revision it was read at.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// The stream sequence of this value: what the next compare-and-swap expects.
    pub revision: u64,
}

/// A stored message, as far as its readers care.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub payload: Bytes,
    pub sequence: u64,
    pub time: orfeas_contract::Timestamp,
}

impl Bus {
    /// The last message of a subject, or none.
    pub(crate) async fn last_of(&self, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
        let unreachable = || format!("reading {subject}");
        let handle = self.context.get_stream_no_info(stream).await;
        let handle = handle.map_err(|error| BusError::caused(BusErrorKind::Unreachable, unreachable(), error))?;
        match timeout(CALL_TIMEOUT, handle.direct_get_last_for_subject(subject)).await {
            Err(_) => Err(BusError::new(BusErrorKind::Unreachable, format!("reading {subject}: no answer in time"))),
            Ok(Ok(message)) => {
                Ok(Some(Stored { payload: message.payload, sequence: message.sequence, time: message.time }))
            }
            Ok(Err(error)) => match error.kind() {
                DirectGetErrorKind::NotFound => Ok(None),
                // Nobody answers for a stream that is not there.
                DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _) => {
                    Err(BusError::new(BusErrorKind::Missing, format!("{}: there is no stream {stream}", unreachable())))
                }
                _ => Err(BusError::caused(BusErrorKind::Unreachable, unreachable(), error)),
            },
        }
    }
}

/// A key's entry, or none; a deleted key has none.
///
/// # Errors
/// [`BusErrorKind::Damaged`] where the value is not a `T`.
pub async fn get<T: DeserializeOwned>(bus: &Bus, bucket: &str, key: &str) -> Result<Option<Entry<T>>, BusError> {
    let Some(stored) = bus.last_of(&format!("KV_{bucket}"), &subject(bucket, key)).await? else { return Ok(None) };
    if stored.payload.is_empty() {
        // A delete marker, left by somebody's `nats kv del`.
        return Ok(None);
    }
    let value = serde_json::from_slice(&stored.payload)
        .map_err(|error| BusError::caused(BusErrorKind::Damaged, format!("{bucket}/{key}"), error))?;
    Ok(Some(Entry { value, revision: stored.sequence }))
}

/// Sets a key that is not there yet, or was deleted; gives its revision.
///
/// # Errors
/// [`BusErrorKind::Conflict`] where it is there.
pub async fn create<T: serde::Serialize>(bus: &Bus, bucket: &str, key: &str, value: &T) -> Result<u64, BusError> {
    match update(bus, bucket, key, value, 0).await {
        Err(error) if error.kind() == BusErrorKind::Conflict => {
            match bus.last_of(&format!("KV_{bucket}"), &subject(bucket, key)).await? {
                // A delete marker stands where the value stood.
                Some(marker) if marker.payload.is_empty() => update(bus, bucket, key, value, marker.sequence).await,
                _ => Err(error),
            }
        }
        created => created,
    }
}

/// Sets a key that stands at `revision` (0: nothing was ever there); gives the new revision.
///
/// # Errors
/// [`BusErrorKind::Conflict`] where it stands elsewhere.
pub async fn update<T: serde::Serialize>(
    bus: &Bus,
    bucket: &str,
    key: &str,
    value: &T,
    revision: u64,
) -> Result<u64, BusError> {
    let payload = serde_json::to_vec(value)
        .map_err(|error| BusError::caused(BusErrorKind::Refused, format!("{bucket}/{key}"), error))?;
    bus.publish(&subject(bucket, key), &async_nats::HeaderMap::new(), payload.into(), Guard::LastSequence(revision))
        .await
}

fn subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}
