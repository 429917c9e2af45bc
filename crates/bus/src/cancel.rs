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

/// The jobs in hand, each with the tokens that stop it: a redelivered job may be in hand twice for a while.
#[derive(Clone, Debug, Default)]
pub struct Cancellations {
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    tokens: HashMap<JobId, Vec<(u64, CancellationToken)>>,
    /// What the next one in hand is told apart by.
    next: u64,
}

/// A job in hand; dropping it forgets this one.
#[derive(Debug)]
pub struct InHand {
    job: JobId,
    number: u64,
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
        let mut running = self.all.lock();
        if let Some(tokens) = running.tokens.get_mut(&self.job) {
            tokens.retain(|(number, _)| *number != self.number);
            if tokens.is_empty() {
                running.tokens.remove(&self.job);
            }
        }
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
                if let Some(job) = subjects::job_of(&wish.subject) {
                    listener.cancel(&job);
                }
            }
        });
        Ok(all)
    }

    /// Takes a job in hand.
    #[must_use]
    pub fn take(&self, job: &JobId) -> InHand {
        let token = CancellationToken::new();
        let mut running = self.lock();
        let number = running.next;
        running.next += 1;
        running.tokens.entry(job.clone()).or_default().push((number, token.clone()));
        drop(running);
        InHand { job: job.clone(), number, token, all: self.clone() }
    }

    /// Stops a job wherever it is in hand.
    fn cancel(&self, job: &JobId) {
        for (_, token) in self.lock().tokens.get(job).into_iter().flatten() {
            token.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        // A map of tokens is whole whatever its holder panicked over.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_in_hand_twice_hears_its_wish_after_one_of_them_has_ended() {
        let all = Cancellations::default();
        let job: JobId = "twice".parse().unwrap();
        let (first, second) = (all.take(&job), all.take(&job));
        let other = all.take(&"other".parse().unwrap());
        drop(first);
        all.cancel(&job);
        assert!(second.token().is_cancelled());
        assert!(!other.token().is_cancelled());
        drop((second, other));
        assert!(all.lock().tokens.is_empty(), "nothing is kept of what has ended");
    }
}
