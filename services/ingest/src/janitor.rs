//! Messages that were delivered as often as their consumer allows, and whose every worker died: the server only says so
//! once and keeps them. Their jobs end here.

use orfeas_bus::dead::Exhausted;
use orfeas_bus::jobs::{self, Acceptance};
use orfeas_bus::work::{Delivery, Handler, Outcome, retry_delay};
use orfeas_bus::{Bus, BusError};
use orfeas_contract::{Options, Stage, Timings, subjects};
use orfeas_service::Readiness;
use orfeas_stage::Job;

use crate::submission::Submission;

pub struct Janitor {
    pub bus: Bus,
    pub ready: Readiness,
}

impl Handler for Janitor {
    async fn ready(&self) {
        self.ready.wait_ready().await;
    }

    async fn handle(&self, delivery: Delivery) -> Outcome {
        let Some(exhausted) = Exhausted::parse(&delivery.payload) else { return Outcome::Done };
        match self.clean(&exhausted).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Retry { after: retry_delay(delivery.attempt), why: error.to_string() },
        }
    }
}

impl Janitor {
    async fn clean(&self, exhausted: &Exhausted) -> Result<(), BusError> {
        let Some(stage) = Stage::ALL.into_iter().find(|stage| stage.name() == exhausted.consumer) else {
            return Ok(());
        };
        let Some(message) = exhausted.message(&self.bus).await? else { return Ok(()) };
        tracing::warn!(%stage, sequence = exhausted.stream_seq, deliveries = exhausted.deliveries, "gave up on a message");
        let job = match stage {
            Stage::Ingest => {
                let (id, trace, submission) = Submission::read(&message);
                // Perhaps no attempt came as far as the record.
                let options = submission.options.unwrap_or_else(|_| Options::default());
                let message_id = submission.message_id.as_deref();
                let accepted = jobs::accept(&self.bus, &id, &submission.source, &options, message_id).await?;
                // A repetition's job is another message's; that one is not given up on.
                matches!(accepted, Acceptance::Ours).then_some(Job {
                    id,
                    trace,
                    timings: Timings::default(),
                    sequence: Some(message.sequence),
                    submitted: None,
                })
            }
            Stage::Infer | Stage::Export => subjects::job_of(&message.subject).map(|id| Job {
                id,
                trace: None,
                timings: Timings::default(),
                sequence: None,
                submitted: None,
            }),
        };
        if let Some(job) = job {
            orfeas_stage::exhausted(&self.bus, &job, stage, &message).await?;
        }
        exhausted.remove(&self.bus).await
    }
}
