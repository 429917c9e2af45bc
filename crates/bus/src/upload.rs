//! An object that is stored while it is made.

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use orfeas_contract::ArtifactRef;
use sha2::{Digest, Sha256};

use crate::objects::{ObjectInfo, ObjectOptions, hex, meta_subject};
use crate::publish::Guard;
use crate::{Bus, BusError, BusErrorKind};

const CHUNK: usize = 512 * 1024;

/// An object in the making: its bytes go to the server chunk by chunk, so that no more than one is held. Nobody sees
/// it before [`Upload::finish`]; dropped before that, it leaves nothing.
pub struct Upload {
    bus: Bus,
    bucket: String,
    name: String,
    nuid: String,
    held: BytesMut,
    digest: Sha256,
    size: u64,
    chunks: u64,
    /// The last chunk's sequence in the bucket's stream.
    last: u64,
    finished: bool,
}

impl Upload {
    /// Begins an object under a name that nobody else uses.
    #[must_use]
    pub fn begin(bus: &Bus, bucket: &str, name: &str) -> Self {
        Self {
            nuid: bus.client.new_inbox().rsplit('.').next().unwrap_or_default().to_owned(),
            bus: bus.clone(),
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            held: BytesMut::new(),
            digest: Sha256::new(),
            size: 0,
            chunks: 0,
            last: 0,
            finished: false,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`BusErrorKind::Full`] where the bucket stayed full for longer than a command's patience, [`BusErrorKind::Damaged`]
    /// where somebody has taken away what was stored before: bytes that wait long for room look like bytes that nobody needs.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), BusError> {
        while self.held.len() + bytes.len() >= CHUNK {
            let part = bytes.split_to(CHUNK - self.held.len());
            // Whole chunks are sent without being copied.
            let chunk = if self.held.is_empty() {
                part
            } else {
                self.held.extend_from_slice(&part);
                self.held.split().freeze()
            };
            self.send(chunk).await?;
        }
        self.held.extend_from_slice(&bytes);
        Ok(())
    }

    /// Stores what is left and the object's description, which makes it visible.
    ///
    /// # Errors
    /// Those of [`Upload::write`].
    pub async fn finish(mut self) -> Result<ArtifactRef, BusError> {
        if !self.held.is_empty() {
            let rest = self.held.split().freeze();
            self.send(rest).await?;
        }
        let digest = std::mem::take(&mut self.digest).finalize();
        let info = ObjectInfo {
            name: self.name.clone(),
            bucket: self.bucket.clone(),
            nuid: self.nuid.clone(),
            size: self.size,
            chunks: self.chunks,
            digest: Some(format!("SHA-256={}", URL_SAFE.encode(digest))),
            mtime: Some(orfeas_contract::now()),
            deleted: false,
            options: Some(ObjectOptions { max_chunk_size: Some(CHUNK as u64), link: None }),
        };
        let mut rollup = HeaderMap::new();
        rollup.insert("Nats-Rollup", "sub");
        let label = format!("describing {}/{}", self.bucket, self.name);
        let meta = serde_json::to_vec(&info).map_err(|error| BusError::caused(BusErrorKind::Refused, label, error))?;
        let (subject, chunks) = (meta_subject(&self.bucket, &self.name), self.chunk_subject());
        let guard = Guard::LastSequenceOf { subject: &chunks, sequence: self.last };
        self.bus.publish(&subject, &rollup, meta.into(), guard).await.map_err(|error| self.taken_away(error))?;
        self.finished = true;
        Ok(ArtifactRef {
            bucket: self.bucket.clone(),
            object: self.name.clone(),
            bytes: self.size,
            sha256: hex(&digest),
        })
    }

    fn chunk_subject(&self) -> String {
        format!("$O.{}.C.{}", self.bucket, self.nuid)
    }

    async fn send(&mut self, chunk: Bytes) -> Result<(), BusError> {
        self.digest.update(&chunk);
        self.size += chunk.len() as u64;
        self.chunks += 1;
        // Each after the one before it, which so is still there. A message id would not do: the server asks where the subject stands
        // before it looks for repetitions.
        let (subject, guard) = (self.chunk_subject(), Guard::LastSequence(self.last));
        self.last = match self.bus.publish(&subject, &HeaderMap::new(), chunk.clone(), guard).await {
            Err(error) if error.kind() == BusErrorKind::Conflict => {
                // Perhaps this very chunk, whose answer was lost.
                let last = self.bus.last_of(&format!("OBJ_{}", self.bucket), &subject).await?;
                let ours = last.filter(|last| last.sequence > self.last && last.payload == chunk);
                ours.map(|last| last.sequence).ok_or_else(|| self.taken_away(error))?
            }
            stored => stored?,
        };
        Ok(())
    }

    /// Where the chunks before are not what they were, no description may say that the object is whole.
    fn taken_away(&self, error: BusError) -> BusError {
        match error.kind() {
            BusErrorKind::Conflict => {
                let what = format!("the bytes of {}/{} were taken away while it was stored", self.bucket, self.name);
                BusError::caused(BusErrorKind::Damaged, what, error)
            }
            _ => error,
        }
    }
}

impl Drop for Upload {
    /// Chunks that no description will ever name are taken away in the background; what that misses is left to the
    /// bucket's age limit.
    fn drop(&mut self) {
        if self.finished || self.chunks == 0 || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (bus, bucket, subject) = (self.bus.clone(), self.bucket.clone(), self.chunk_subject());
        self.bus.chores.spawn(async move {
            let purged = match bus.context.get_stream_no_info(format!("OBJ_{bucket}")).await {
                Ok(stream) => stream.purge().filter(subject).await.is_ok(),
                Err(_) => false,
            };
            if !purged {
                tracing::debug!(bucket, "an unfinished object is left to the bucket's age limit");
            }
        });
    }
}
