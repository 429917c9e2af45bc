//! Bytes in object-store buckets, in the layout of NATS' own object store (ADR-20), so that every NATS client can read
//! them.
//!
//! async-nats' `ObjectStore` is not used for two reasons, both seen: its `get` hangs for good when chunks are gone, and
//! its `put` asks for an older object of the same name, which ours, named for one attempt, never has. Here every wait
//! is bounded, and bytes are handed out only after their digest was found right.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use orfeas_contract::ArtifactRef;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::upload::Upload;
use crate::{Bus, BusError, BusErrorKind};

/// The longest silence between two chunks of a running read.
const SILENCE: Duration = Duration::from_secs(5);

/// Chunks that are asked for at once. The server ends a batch early at its `max_pending` bytes (64 MiB where nobody set it),
/// and holds what it has read for one reader: ours of 512 KiB come to half of that.
const BATCH: u64 = 64;

/// An object's description as it lies in the bucket (ADR-20's names).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectInfo {
    pub name: String,
    pub bucket: String,
    pub nuid: String,
    pub size: u64,
    pub chunks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub mtime: Option<time::OffsetDateTime>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<ObjectOptions>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chunk_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<serde_json::Value>,
}

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn meta_subject(bucket: &str, name: &str) -> String {
    format!("$O.{bucket}.M.{}", URL_SAFE.encode(name))
}

/// Puts bytes under a name that nobody else uses.
///
/// # Errors
/// [`BusErrorKind::Full`] where the bucket stayed full for longer than a command's patience.
pub async fn put(bus: &Bus, bucket: &str, name: &str, bytes: Bytes) -> Result<ArtifactRef, BusError> {
    let mut upload = Upload::begin(bus, bucket, name);
    upload.write(bytes).await?;
    upload.finish().await
}

/// Reads what a work message or an event refers to.
///
/// # Errors
/// [`BusErrorKind::NotFound`] where it is gone, [`BusErrorKind::Damaged`] where its bytes are not those promised.
pub async fn get(bus: &Bus, artifact: &ArtifactRef) -> Result<Bytes, BusError> {
    let bytes = get_named(bus, &artifact.bucket, &artifact.object, artifact.bytes).await?;
    if bytes.len() as u64 != artifact.bytes || sha256_hex(&bytes) != artifact.sha256 {
        let what = format!("{}/{} holds other bytes than were promised", artifact.bucket, artifact.object);
        return Err(BusError::new(BusErrorKind::Damaged, what));
    }
    Ok(bytes)
}

/// Reads an object that a client put there; its size is looked at before its bytes.
///
/// # Errors
/// [`BusErrorKind::NotFound`], [`BusErrorKind::Limit`] over `max_bytes`, [`BusErrorKind::Damaged`] where chunks are
/// missing or the digest is wrong.
pub async fn get_named(bus: &Bus, bucket: &str, name: &str, max_bytes: u64) -> Result<Bytes, BusError> {
    let label = format!("{bucket}/{name}");
    let info = info(bus, bucket, name).await?;
    let info = info.ok_or_else(|| BusError::new(BusErrorKind::NotFound, format!("there is no object {label}")))?;
    if info.size > max_bytes {
        let what = format!("object {label} has {} bytes; at most {max_bytes} are read", info.size);
        return Err(BusError::new(BusErrorKind::Limit, what));
    }
    let chunk_subject = format!("$O.{bucket}.C.{}", info.nuid);
    let bytes = match info.chunks {
        0 => Bytes::new(),
        1 => match bus.last_of(&format!("OBJ_{bucket}"), &chunk_subject).await? {
            Some(chunk) => chunk.payload,
            None => return Err(BusError::new(BusErrorKind::Damaged, format!("the bytes of object {label} are gone"))),
        },
        chunks => read_chunks(bus, bucket, &chunk_subject, chunks, info.size, &label).await?,
    };
    if bytes.len() as u64 != info.size {
        let what = format!("object {label} has {} of {} bytes", bytes.len(), info.size);
        return Err(BusError::new(BusErrorKind::Damaged, what));
    }
    if let Some(digest) = &info.digest {
        // Clients differ in padding; the digest itself must be the same.
        let promised = digest.trim_start_matches("SHA-256=").trim_end_matches('=');
        if promised != URL_SAFE.encode(Sha256::digest(&bytes)).trim_end_matches('=') {
            return Err(BusError::new(BusErrorKind::Damaged, format!("the bytes of object {label} are damaged")));
        }
    }
    Ok(bytes)
}

/// Whether a description, which clients write, names chunks of its own: a part of a subject, no wildcard, which would name everybody's.
pub(crate) fn is_sound(info: &ObjectInfo) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&info.nuid.len()) && info.nuid.bytes().all(letter)
}

async fn info(bus: &Bus, bucket: &str, name: &str) -> Result<Option<ObjectInfo>, BusError> {
    let Some(stored) = bus.last_of(&format!("OBJ_{bucket}"), &meta_subject(bucket, name)).await? else {
        return Ok(None);
    };
    let info: ObjectInfo = serde_json::from_slice(&stored.payload)
        .map_err(|error| BusError::caused(BusErrorKind::Damaged, format!("{bucket}/{name}"), error))?;
    let linked = info.options.as_ref().is_some_and(|options| options.link.is_some());
    // A link may point into any bucket; following a client's would read what they must not.
    if info.deleted || linked {
        return Ok(None);
    }
    if !is_sound(&info) {
        let what = format!("{bucket}/{name} is described as bytes that are not its own");
        return Err(BusError::new(BusErrorKind::Damaged, what));
    }
    Ok(Some(info))
}

#[derive(Serialize)]
struct BatchRequest<'a> {
    batch: u64,
    seq: u64,
    next_by_subj: &'a str,
}

/// All chunks by batched direct gets (ADR-31): no consumer to create, and a gap shows as an early end.
async fn read_chunks(
    bus: &Bus,
    bucket: &str,
    subject: &str,
    chunks: u64,
    size: u64,
    label: &str,
) -> Result<Bytes, BusError> {
    let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
    let (mut received, mut next) = (0, 1);
    while received < chunks {
        let batch = BatchRequest { batch: (chunks - received).min(BATCH), seq: next, next_by_subj: subject };
        let (came, last) = read_batch(bus, bucket, &batch, size, &mut bytes, label).await?;
        if came == 0 {
            break;
        }
        (received, next) = (received + came, last + 1);
    }
    Ok(bytes.freeze())
}

/// Appends the chunks of one batch to `bytes`; gives how many came, and the last one's sequence.
async fn read_batch(
    bus: &Bus,
    bucket: &str,
    batch: &BatchRequest<'_>,
    size: u64,
    bytes: &mut BytesMut,
    label: &str,
) -> Result<(u64, u64), BusError> {
    let unreachable = |error: String| BusError::new(BusErrorKind::Unreachable, format!("reading {label}: {error}"));
    let damaged = |what: &str| BusError::new(BusErrorKind::Damaged, format!("object {label} {what}"));
    let request = serde_json::to_vec(batch).map_err(|error| unreachable(error.to_string()))?;
    let inbox = bus.client.new_inbox();
    let mut answers = bus.client.subscribe(inbox.clone()).await.map_err(|error| unreachable(error.to_string()))?;
    let sent = bus.client.publish_with_reply(format!("$JS.API.DIRECT.GET.OBJ_{bucket}"), inbox, request.into()).await;
    sent.map_err(|error| unreachable(error.to_string()))?;
    let (mut came, mut last) = (0, 0);
    while came < batch.batch {
        let answer = timeout(SILENCE, answers.next()).await;
        let answer = answer.map_err(|_| unreachable("no answer in time".into()))?;
        let answer = answer.ok_or_else(|| unreachable("the connection was closed".into()))?;
        if answer.status.is_some() {
            // 204 ends the batch, 404 says there was none.
            break;
        }
        if bytes.len() as u64 + answer.payload.len() as u64 > size {
            return Err(damaged("has more bytes than it says"));
        }
        let sequence = answer.headers.as_ref().and_then(|headers| headers.get_last("Nats-Sequence"));
        let sequence = sequence.and_then(|sequence| sequence.as_str().parse().ok());
        last = sequence.ok_or_else(|| damaged("came in chunks without a sequence"))?;
        bytes.extend_from_slice(&answer.payload);
        came += 1;
    }
    Ok((came, last))
}

/// Removes an object that nobody needs any more, in the background: the caller's acknowledgement does not wait for it,
/// the end of the work loop does ([`crate::work::run`]). What fails is left to the bucket's age limit.
pub fn discard(bus: &Bus, artifact: &ArtifactRef) {
    discard_named(bus, &artifact.bucket, &artifact.object);
}

/// The same for an object of which only the name is known.
pub fn discard_named(bus: &Bus, bucket: &str, name: &str) {
    let (with, bucket, name) = (bus.clone(), bucket.to_owned(), name.to_owned());
    bus.chores.spawn(async move {
        if let Err(error) = remove(&with, &bucket, &name).await {
            tracing::debug!(object = name, %error, "left to the bucket's age limit");
        }
    });
}

async fn remove(bus: &Bus, bucket: &str, name: &str) -> Result<(), BusError> {
    let Some(info) = info(bus, bucket, name).await? else { return Ok(()) };
    let stream = bus.context.get_stream_no_info(format!("OBJ_{bucket}")).await;
    let stream = stream.map_err(|error| BusError::caused(BusErrorKind::Unreachable, "purging", error))?;
    // The description first: an object without bytes would be a lie, bytes without one are only litter.
    for subject in [meta_subject(bucket, name), format!("$O.{bucket}.C.{}", info.nuid)] {
        let purged = stream.purge().filter(subject).await;
        purged.map_err(|error| BusError::caused(BusErrorKind::Unreachable, "purging", error))?;
    }
    Ok(())
}
