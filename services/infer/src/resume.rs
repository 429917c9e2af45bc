//! Latents kept on the way, so that a job whose worker died goes on from there and not from the noise.
//!
//! They lie in the bucket of fields under a name of their own; the job's record says which. Nothing here may fail a
//! job: without them it only takes longer.

use std::time::Duration;

use bytes::Bytes;
use orfeas_bus::{Bus, BusError, jobs, objects};
use orfeas_contract::{JobId, subjects};
use orfeas_engine::{Request, Resume};
use orfeas_stage::attempt_token;
use serde::{Deserialize, Serialize};

/// How long storing latents may take: the job is not to wait for what only a worker's death makes use of.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the latents belong to. Others than those of the very same run are of no use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    engine: String,
    seed: u64,
    steps: Option<u32>,
    guidance: Option<f32>,
    /// Steps that are done; not compared.
    #[serde(default)]
    done: u32,
}

impl Kept {
    /// What a request's latents belong to, on the engine of that identity.
    pub fn of(engine: &str, request: &Request) -> Self {
        let Request { seed, steps, guidance, .. } = *request;
        Self { engine: engine.to_owned(), seed, steps, guidance, done: 0 }
    }

    fn encode(&self, resume: &Resume) -> Result<Bytes, serde_json::Error> {
        let mut bytes = serde_json::to_vec(&Self { done: resume.step, ..self.clone() })?;
        bytes.push(b'\n');
        bytes.extend_from_slice(bytemuck::cast_slice(&resume.latents));
        Ok(bytes.into())
    }

    /// None for bytes that are not ours, or of another run.
    fn decode(&self, bytes: &[u8]) -> Option<Resume> {
        let header = bytes.iter().position(|byte| *byte == b'\n')?;
        let kept: Self = serde_json::from_slice(&bytes[..header]).ok()?;
        let (latents, rest) = bytes[header + 1..].as_chunks::<4>();
        let same = Self { done: 0, ..kept.clone() } == *self;
        let latents: Vec<f32> = latents.iter().map(|word| f32::from_ne_bytes(*word)).collect();
        let sound = rest.is_empty() && latents.iter().all(|value| value.is_finite());
        (same && sound).then_some(Resume { step: kept.done, latents })
    }
}

/// Stores latents and notes them in the job's record.
pub async fn keep(bus: &Bus, job: &JobId, attempt: u64, kept: &Kept, resume: &Resume) {
    let store = async {
        let bytes = kept.encode(resume).map_err(|error| error.to_string())?;
        let name = format!("{job}/{}-{}.latents", attempt_token(attempt), resume.step);
        let artifact =
            objects::put(bus, subjects::BUCKET_FIELDS, &name, bytes).await.map_err(|error| error.to_string())?;
        let before = jobs::note_checkpoint(bus, job, Some(artifact)).await.map_err(|error| error.to_string())?;
        before.iter().for_each(|before| objects::discard(bus, before));
        Ok::<_, String>(())
    };
    // A bucket without room would be waited for.
    let stored = tokio::time::timeout(PATIENCE, store).await.unwrap_or_else(|_| Err("no room in time".to_owned()));
    if let Err(error) = stored {
        tracing::warn!(%job, step = resume.step, error, "latents could not be kept");
    }
}

/// What an earlier attempt at the same run kept.
pub async fn find(bus: &Bus, job: &JobId, kept: &Kept) -> Option<Resume> {
    let read = async {
        let Some(artifact) = jobs::get(bus, job).await?.and_then(|entry| entry.value.checkpoint) else {
            return Ok(None);
        };
        Ok::<_, BusError>(kept.decode(&objects::get(bus, &artifact).await?))
    };
    match read.await {
        Ok(resume) => resume,
        Err(error) => {
            tracing::warn!(%job, %error, "kept latents cannot be read; the job begins anew");
            None
        }
    }
}

/// Removes what was kept, once it is of no more use.
pub async fn forget(bus: &Bus, job: &JobId) {
    match jobs::note_checkpoint(bus, job, None).await {
        Ok(before) => before.iter().for_each(|before| objects::discard(bus, before)),
        Err(error) => tracing::debug!(%job, %error, "kept latents are left to the bucket's age limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_come_back_to_the_same_run_only() {
        let request = Request { seed: 7, steps: Some(20), ..Request::default() };
        let kept = Kept::of("engine weights", &request);
        let resume = Resume { step: 5, latents: vec![0.5, -1.25, 3e-8] };
        let bytes = kept.encode(&resume).unwrap();
        assert_eq!(kept.decode(&bytes), Some(resume));
        assert_eq!(Kept::of("engine weights", &Request { seed: 8, ..request.clone() }).decode(&bytes), None);
        assert_eq!(Kept::of("other weights", &request).decode(&bytes), None);
        assert_eq!(kept.decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(kept.decode(b"no header"), None);
    }
}
