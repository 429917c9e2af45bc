//! Whole streams out of a server and into another one, by the server's own snapshots: messages with their sequences and
//! times, and consumers with what they have given out.
//!
//! Sequences matter: a job that was given no id is named by its message's sequence and time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::objects::hex;
use crate::topology::Topology;
use crate::{Bus, BusError, BusErrorKind};

/// The longest silence of a server that writes or reads a snapshot: it may have to flush gigabytes first.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of a message of a snapshot.
const CHUNK: usize = 512 * 1024;

/// A stream's snapshot, as a manifest keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The stream.
    pub stream: String,
    /// Its configuration, in the server's own words.
    pub config: Value,
    /// Its state, in the server's own words.
    pub state: Value,
    /// Bytes of the snapshot.
    pub bytes: u64,
    /// SHA-256 of it, lower-case hex.
    pub sha256: String,
}

impl Snapshot {
    /// Messages in it.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.state["messages"].as_u64().unwrap_or_default()
    }
}

fn trouble(stream: &str, what: impl std::fmt::Display) -> BusError {
    BusError::new(BusErrorKind::Refused, format!("stream {stream}: {what}"))
}

/// Asks the JetStream API in JSON; an error in the answer is an error.
async fn api(bus: &Bus, stream: &str, subject: String, request: Value) -> Result<Value, BusError> {
    let asked = bus.client.request(subject, Bytes::from(request.to_string())).await;
    let answer =
        asked.map_err(|error| BusError::caused(BusErrorKind::Unreachable, format!("stream {stream}"), error))?;
    understood(stream, &answer.payload)
}

fn understood(stream: &str, payload: &[u8]) -> Result<Value, BusError> {
    let answer: Value = serde_json::from_slice(payload)
        .map_err(|error| BusError::caused(BusErrorKind::Damaged, format!("stream {stream}"), error))?;
    match answer["error"]["description"].as_str() {
        Some(error) => Err(trouble(stream, error)),
        None => Ok(answer),
    }
}

/// Keeps every consumer from giving out messages; whatever becomes of us, they go on by themselves after `most`. What
/// is in hand goes on, and publishers notice nothing.
///
/// # Errors
/// [`BusErrorKind::Missing`] where a consumer is not there.
pub async fn pause(bus: &Bus, topology: &Topology, most: Duration) -> Result<(), BusError> {
    let until = orfeas_contract::now() + most;
    for spec in topology.consumers() {
        let stream = bus.context.get_stream_no_info(&spec.stream).await;
        let stream = stream.map_err(|error| BusError::caused(BusErrorKind::Unreachable, &spec.stream[..], error))?;
        let paused = stream.pause_consumer(&spec.name, until).await;
        paused.map_err(|error| BusError::caused(BusErrorKind::Missing, format!("consumer {}", spec.name), error))?;
    }
    Ok(())
}

/// Lets every consumer give out messages again.
///
/// # Errors
/// As [`pause`].
pub async fn resume(bus: &Bus, topology: &Topology) -> Result<(), BusError> {
    for spec in topology.consumers() {
        let stream = bus.context.get_stream_no_info(&spec.stream).await;
        let stream = stream.map_err(|error| BusError::caused(BusErrorKind::Unreachable, &spec.stream[..], error))?;
        let resumed = stream.resume_consumer(&spec.name).await;
        resumed.map_err(|error| BusError::caused(BusErrorKind::Missing, format!("consumer {}", spec.name), error))?;
    }
    Ok(())
}

/// Writes a stream's snapshot.
///
/// # Errors
/// [`BusErrorKind::Refused`] with the server's word; [`BusErrorKind::Damaged`] where it broke off.
pub async fn save(bus: &Bus, stream: &str, sink: &mut (impl AsyncWrite + Unpin)) -> Result<Snapshot, BusError> {
    let inbox = bus.client.new_inbox();
    let subscribed = bus.client.subscribe(inbox.clone()).await;
    let mut chunks =
        subscribed.map_err(|error| BusError::caused(BusErrorKind::Unreachable, format!("stream {stream}"), error))?;
    let request = json!({"deliver_subject": inbox, "no_consumers": false, "chunk_size": CHUNK});
    let mut answer = api(bus, stream, format!("$JS.API.STREAM.SNAPSHOT.{stream}"), request).await?;
    let mut digest = Sha256::new();
    let mut bytes = 0u64;
    loop {
        let chunk = timeout(SILENCE, chunks.next()).await;
        let broken = || BusError::new(BusErrorKind::Damaged, format!("the snapshot of {stream} broke off"));
        let chunk = chunk.map_err(|_| broken())?.ok_or_else(broken)?;
        if chunk.payload.is_empty() {
            // An empty message ends it, and says in its status if it did not end well.
            return match chunk.status.filter(|status| !status.is_success()) {
                Some(status) => Err(trouble(stream, format!("the snapshot ended with {status}"))),
                None => Ok(Snapshot {
                    stream: stream.to_owned(),
                    config: answer["config"].take(),
                    state: answer["state"].take(),
                    bytes,
                    sha256: hex(&digest.finalize()),
                }),
            };
        }
        digest.update(&chunk.payload);
        bytes += chunk.payload.len() as u64;
        let written = sink.write_all(&chunk.payload).await;
        written.map_err(|error| BusError::caused(BusErrorKind::Limit, format!("writing {stream}"), error))?;
        // The server waits for this before it sends much more.
        if let Some(reply) = chunk.reply {
            let _ = bus.client.publish(reply, Bytes::new()).await;
        }
    }
}

/// Whether these are the bytes of a snapshot.
///
/// # Errors
/// Where they cannot be read.
pub async fn matches(snapshot: &Snapshot, source: &mut (impl AsyncRead + Unpin)) -> std::io::Result<bool> {
    let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; CHUNK]);
    loop {
        match source.read(&mut buffer).await? {
            0 => return Ok(bytes == snapshot.bytes && hex(&digest.finalize()) == snapshot.sha256),
            read => {
                digest.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Makes a stream from its snapshot.
///
/// # Errors
/// [`BusErrorKind::Refused`] with the server's word: the stream is there already, or there is no room.
pub async fn load(bus: &Bus, snapshot: &Snapshot, source: &mut (impl AsyncRead + Unpin)) -> Result<(), BusError> {
    let stream = snapshot.stream.as_str();
    let request = json!({"config": snapshot.config, "state": snapshot.state});
    let answer = api(bus, stream, format!("$JS.API.STREAM.RESTORE.{stream}"), request).await?;
    let subject = answer["deliver_subject"].as_str().unwrap_or_default().to_owned();
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        while filled < CHUNK {
            let read = source.read(&mut buffer[filled..]).await;
            match read.map_err(|error| BusError::caused(BusErrorKind::Damaged, format!("reading {stream}"), error))? {
                0 => break,
                read => filled += read,
            }
        }
        let request = bus.client.send_request(
            subject.clone(),
            async_nats::Request::new().payload(Bytes::copy_from_slice(&buffer[..filled])).timeout(Some(SILENCE)),
        );
        let answer = request.await;
        let answer =
            answer.map_err(|error| BusError::caused(BusErrorKind::Unreachable, format!("stream {stream}"), error))?;
        // Each chunk is answered by nothing or by an error; the empty one, which ends it, by the stream that was made.
        if !answer.payload.is_empty() {
            understood(stream, &answer.payload)?;
        }
        if filled == 0 {
            return Ok(());
        }
    }
}
