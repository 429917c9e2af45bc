//! Cancel wishes, as running work hears them: at once, by a core subscription.
//!
//! The wish is also stored in a work queue, whose handler ends the job in its record; this is only how a worker learns
//! of it without asking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use orfeas_contract::{JobId, subjects};
use tokio_util::sync::CancellationToken;

use crate::{Bus, BusError, BusErrorKind};

/// The jobs in hand, each with the token that stops it.
#[derive(Clone, Debug, Default)]
pub struct Cancellations {
    running: Arc<Mutex<HashMap<JobId, CancellationToken>>>,
}

/// A job in hand; dropping it forgets the job.
#[derive(Debug)]
pub struct InHand {
    job: JobId,
    token: CancellationToken,
    all: Cancellations,
}

impl InHand {
    /// The token that is cancelled when the job is.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.all.lock().remove(&self.job);
    }
}

impl Cancellations {
    /// Listens for wishes until `stop`.
    ///
    /// # Errors
    /// [`BusErrorKind::Unreachable`] where the subscription cannot be made.
    pub async fn listen(bus: &Bus, stop: CancellationToken) -> Result<Self, BusError> {
        let all = Self::default();
        let mut wishes = bus
            .client
            .subscribe(subjects::CANCEL_ALL)
            .await
            .map_err(|error| BusError::caused(BusErrorKind::Unreachable, subjects::CANCEL_ALL, error))?;
        let listener = all.clone();
        tokio::spawn(async move {
            while let Some(Some(wish)) = stop.run_until_cancelled(wishes.next()).await {
                if let Some(token) = subjects::job_of(&wish.subject).and_then(|job| listener.lock().get(&job).cloned())
                {
                    token.cancel();
                }
            }
        });
        Ok(all)
    }

    /// Takes a job in hand.
    #[must_use]
    pub fn take(&self, job: &JobId) -> InHand {
        let token = CancellationToken::new();
        self.lock().insert(job.clone(), token.clone());
        InHand { job: job.clone(), token, all: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, CancellationToken>> {
        // A map of tokens is whole whatever its holder panicked over.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
