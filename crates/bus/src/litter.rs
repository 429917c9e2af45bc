//! What lies in the object buckets and nobody needs: bytes of puts that broke off, results of attempts that came
//! second, and intermediate objects of jobs that have ended. Age limits would remove all of it, later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::TryStreamExt;
use orfeas_contract::{EventBody, JobId, JobRecord, subjects};
use serde::Serialize;

use crate::objects::{self, ObjectInfo};
use crate::{Bus, BusError, BusErrorKind, jobs};

/// Something to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Litter {
    /// The bucket.
    pub bucket: &'static str,
    /// The object's name, or the id of chunks without one.
    pub name: String,
    /// Its bytes, as far as they are known.
    pub bytes: u64,
    /// Why nobody needs it.
    pub why: &'static str,
    #[serde(skip)]
    subjects: Vec<String>,
}

fn unreachable(bucket: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::caused(BusErrorKind::Unreachable, format!("looking through {bucket}"), error)
}

/// Looks for what is older than `older` and needed by nobody. Takes nothing away.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where the server does not answer.
pub async fn find(bus: &Bus, older: Duration) -> Result<Vec<Litter>, BusError> {
    let mut found = Vec::new();
    for bucket in subjects::BUCKETS {
        Search { bus, bucket, older }.through(&mut found).await?;
    }
    Ok(found)
}

/// Takes it away.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where the server does not answer.
pub async fn remove(bus: &Bus, litter: &Litter) -> Result<(), BusError> {
    let stream = bus.context.get_stream_no_info(format!("OBJ_{}", litter.bucket)).await;
    let stream = stream.map_err(|error| unreachable(litter.bucket, error))?;
    for subject in &litter.subjects {
        stream.purge().filter(subject).await.map_err(|error| unreachable(litter.bucket, error))?;
    }
    Ok(())
}

struct Search<'a> {
    bus: &'a Bus,
    bucket: &'static str,
    older: Duration,
}

impl Search<'_> {
    async fn through(&self, found: &mut Vec<Litter>) -> Result<(), BusError> {
        // Chunks first: an object that is put meanwhile then has its description in the second list.
        let chunks = self.subjects("C").await?;
        let descriptions = self.subjects("M").await?;
        let mut described = BTreeSet::new();
        for (subject, _) in descriptions {
            let Some((info, stored)) = self.description(&subject).await? else { continue };
            described.insert(info.nuid.clone());
            if self.fresh(stored) {
                continue;
            }
            if let Some(why) = self.needless(&info).await? {
                let subjects = vec![subject, self.chunk_subject(&info.nuid)];
                found.push(Litter { bucket: self.bucket, name: info.name, bytes: info.size, why, subjects });
            }
        }
        for (subject, _) in chunks {
            let nuid = subject.rsplit('.').next().unwrap_or_default().to_owned();
            if described.contains(&nuid) {
                continue;
            }
            let Some((stored, last)) = self.last(&subject).await? else { continue };
            if !self.fresh(stored) {
                let (why, subjects) = ("bytes without a description", vec![subject]);
                found.push(Litter { bucket: self.bucket, name: nuid, bytes: last, why, subjects });
            }
        }
        Ok(())
    }

    fn chunk_subject(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    fn fresh(&self, stored: orfeas_contract::Timestamp) -> bool {
        orfeas_contract::now() - stored < self.older
    }

    async fn subjects(&self, part: &str) -> Result<BTreeMap<String, usize>, BusError> {
        let trouble = |error| unreachable(self.bucket, error);
        let stream = self.bus.context.get_stream_no_info(format!("OBJ_{}", self.bucket)).await;
        let stream = stream.map_err(|error| unreachable(self.bucket, error))?;
        let listed = stream.info_with_subjects(format!("$O.{}.{part}.>", self.bucket)).await.map_err(trouble)?;
        listed.try_collect().await.map_err(|error| unreachable(self.bucket, error))
    }

    async fn last(&self, subject: &str) -> Result<Option<(orfeas_contract::Timestamp, u64)>, BusError> {
        let stored = self.bus.last_of(&format!("OBJ_{}", self.bucket), subject).await?;
        Ok(stored.map(|stored| (stored.time, stored.payload.len() as u64)))
    }

    async fn description(&self, subject: &str) -> Result<Option<(ObjectInfo, orfeas_contract::Timestamp)>, BusError> {
        let stored = self.bus.last_of(&format!("OBJ_{}", self.bucket), subject).await?;
        // One that cannot be read is somebody else's; it is left alone.
        let read = |payload: &[u8]| serde_json::from_slice(payload).ok().filter(objects::is_sound);
        Ok(stored.and_then(|stored| Some((read(&stored.payload)?, stored.time))))
    }

    /// Why nobody needs this object; none: somebody may.
    async fn needless(&self, info: &ObjectInfo) -> Result<Option<&'static str>, BusError> {
        // An upload outside of a job's folder has its client's name, which says nothing of a job.
        let Some(job) = info.name.split_once('/').and_then(|(job, _)| JobId::parse(job).ok()) else { return Ok(None) };
        let Some(record) = jobs::get(self.bus, &job).await? else { return Ok(None) };
        let record = record.value;
        if !record.state.terminal() {
            return Ok(None);
        }
        if self.bucket != subjects::BUCKET_MESHES {
            return Ok(Some("its job has ended"));
        }
        Ok((!names(&record, &info.name)).then_some("no event names it"))
    }
}

/// Whether a job's end names this object.
fn names(record: &JobRecord, object: &str) -> bool {
    match record.outcome.as_ref().map(|event| &event.body) {
        Some(EventBody::Completed(completed)) => completed.holds(object),
        _ => false,
    }
}
