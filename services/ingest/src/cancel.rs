//! Cancel wishes: the stored ones, which end a job whether or not anybody works on it.

use std::time::Duration;

use orfeas_bus::work::{Delivery, Handler, Outcome, retry_delay};
use orfeas_bus::{Bus, jobs};
use orfeas_contract::subjects;
use orfeas_service::Readiness;

/// A wish may overtake the picture it is about; this many tries later it was about nothing, unless pictures that came before
/// it still wait to be taken in: one of them may be meant.
const TRIES: u64 = 4;

pub struct Cancel {
    pub bus: Bus,
    pub ready: Readiness,
}

impl Handler for Cancel {
    async fn ready(&self) {
        self.ready.wait_ready().await;
    }

    async fn handle(&self, delivery: Delivery) -> Outcome {
        let Some(job) = subjects::job_of(&delivery.subject) else { return Outcome::Done };
        match jobs::cancel(&self.bus, &job).await {
            Ok(Some(kind)) => {
                tracing::info!(%job, ended = %kind, "cancel wish");
                Outcome::Done
            }
            Ok(None) if delivery.attempt < TRIES => {
                Outcome::Retry { after: Duration::from_secs(1), why: format!("there is no job {job} yet") }
            }
            Ok(None) => match jobs::waiting_since(&self.bus).await {
                Ok(Some(stored)) if stored < delivery.stored => {
                    let why = format!("there is no job {job} yet, and pictures wait that came before the wish");
                    Outcome::Retry { after: Duration::from_secs(2), why }
                }
                Ok(_) => {
                    tracing::info!(%job, "cancel wish for a job that does not exist");
                    Outcome::Done
                }
                Err(error) => Outcome::Retry { after: retry_delay(delivery.attempt), why: error.to_string() },
            },
            Err(error) => Outcome::Retry { after: retry_delay(delivery.attempt), why: error.to_string() },
        }
    }
}
