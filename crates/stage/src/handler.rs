//! One attempt at one message: who may work on it, what becomes of it.

use std::future::Future;
use std::time::{Duration, Instant};

use orfeas_bus::cancel::Cancellations;
use orfeas_bus::jobs::{self, Admission};
use orfeas_bus::work::{Delivery, Handler, Outcome, retry_delay};
use orfeas_bus::{Bus, BusError, BusErrorKind, dead};
use orfeas_contract::{Code, Event, Failure, JobId, Stage, Timestamp, Timings, TraceParent, WorkCommon, subjects};
use orfeas_service::Readiness;
use orfeas_service::metrics::{Outcome as Counted, StageMetrics};
use orfeas_service::trace::{Span, Tracer};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What every stage knows of a job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The client's trace.
    pub trace: Option<TraceParent>,
    /// The stages before this one.
    pub timings: Timings,
    /// The client's message, where this stage knows it.
    pub sequence: Option<u64>,
    /// When the client's message was stored, where this stage knows it.
    pub submitted: Option<Timestamp>,
}

/// How an attempt ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// The result is stored and passed on.
    Done,
    /// There was nothing left to do.
    Dropped,
}

/// Why an attempt did not end well.
#[derive(Debug)]
pub enum Halt {
    /// The job has failed, or this attempt has: the code says which.
    Failed(Failure),
    /// The client does not want it any more.
    Cancelled,
    /// The bus is in trouble.
    Bus(BusError),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<BusError> for Halt {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

/// A stage.
pub trait StageWork: Send + Sync + 'static {
    /// Which.
    const STAGE: Stage;
    /// Its message, read.
    type Task: Send + Sync;

    /// Reads a message.
    ///
    /// # Errors
    /// The failure, with the job as far as the message names it.
    fn read(&self, delivery: &Delivery) -> Result<(Job, Self::Task), (Option<JobId>, Failure)>;

    /// Enters the attempt into the job's record.
    fn admit(
        &self,
        job: &Job,
        task: &Self::Task,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<Admission, BusError>> + Send;

    /// Does the work. `cancel` is cancelled when the client cancels the job; what runs on other threads must look at
    /// it, the rest is dropped by the caller.
    fn work(
        &self,
        job: &Job,
        task: &Self::Task,
        delivery: &Delivery,
        cancel: &CancellationToken,
    ) -> impl Future<Output = Result<Worked, Halt>> + Send;
}

/// Reads the message that the stage before wrote; what [`StageWork::read`] is for the stages after the first.
///
/// # Errors
/// The failure, with the job as far as the message's subject names it.
pub fn read_work<T>(stage: Stage, delivery: &Delivery) -> Result<(Job, T), (Option<JobId>, Failure)>
where
    T: DeserializeOwned + AsRef<WorkCommon>,
{
    let work: T = serde_json::from_slice(&delivery.payload).map_err(|error| {
        let sentence = format!("The work message cannot be read: {error}.");
        (subjects::job_of(&delivery.subject), Failure::new(stage, Code::Internal, sentence))
    })?;
    let WorkCommon { job, traceparent, timings, submitted, .. } = work.as_ref();
    let (trace, submitted) = (traceparent.clone(), Some(*submitted));
    let job = Job { id: job.clone(), trace, timings: *timings, sequence: None, submitted };
    Ok((job, work))
}

/// The work loop's handler of a stage.
#[derive(Debug)]
pub struct StageHandler<W> {
    pub(crate) bus: Bus,
    pub(crate) stage: W,
    pub(crate) metrics: StageMetrics,
    pub(crate) cancellations: Cancellations,
    pub(crate) readiness: Readiness,
    pub(crate) tracer: Tracer,
    pub(crate) max_attempts: u64,
}

impl<W: StageWork> Handler for StageHandler<W> {
    async fn ready(&self) {
        self.readiness.wait_ready().await;
    }

    async fn handle(&self, delivery: Delivery) -> Outcome {
        let begun = Instant::now();
        let _in_hand = self.metrics.in_hand();
        let (counted, outcome) = self.attempt(&delivery).await;
        self.metrics.attempt(counted, begun.elapsed());
        outcome
    }
}

impl<W: StageWork> StageHandler<W> {
    async fn attempt(&self, delivery: &Delivery) -> (Counted, Outcome) {
        let (job, task) = match self.stage.read(delivery) {
            Ok(read) => read,
            Err((id, failure)) => return self.unreadable(id, failure, delivery).await,
        };
        // Every line of the log within it names the job and its trace.
        let trace = job.trace.as_ref().map(TraceParent::trace_id);
        let span = tracing::info_span!("job", job = %job.id, trace, stage = %W::STAGE, attempt = delivery.attempt);
        let begun = orfeas_contract::now();
        let (counted, outcome) = self.attempt_job(&job, &task, delivery).instrument(span).await;
        self.trace(&job, begun, delivery, counted, &outcome);
        (counted, outcome)
    }

    /// Tells the attempt, and where it ended the job, the whole job.
    fn trace(&self, job: &Job, begun: Timestamp, delivery: &Delivery, counted: Counted, outcome: &Outcome) {
        let Some(trace) = &job.trace else { return };
        let error = match (counted, outcome) {
            (Counted::Failed, _) => Some("the job failed".to_owned()),
            (_, Outcome::Retry { why, .. }) => Some(why.clone()),
            _ => None,
        };
        let attributes = vec![
            ("orfeas.attempt", delivery.attempt.into()),
            ("orfeas.outcome", counted.name().into()),
            ("messaging.system", "nats".into()),
            ("messaging.destination.name", delivery.subject.as_str().into()),
        ];
        let (name, ended) = (format!("orfeas.{}", W::STAGE), orfeas_contract::now());
        let span = Span { job: &job.id, trace, name, begun, ended, attributes, error };
        self.tracer.attempt(&span);
        let over = counted == Counted::Failed || (counted == Counted::Done && W::STAGE == Stage::Export);
        if let Some(submitted) = job.submitted.filter(|_| over) {
            let attributes = vec![("orfeas.stage", W::STAGE.name().into())];
            self.tracer.job(&Span { name: "orfeas.job".to_owned(), begun: submitted, attributes, ..span });
        }
    }

    async fn attempt_job(&self, job: &Job, task: &W::Task, delivery: &Delivery) -> (Counted, Outcome) {
        match self.admitted(job, task, delivery).await {
            Ok(Admission::Go) => {}
            Ok(Admission::Ended) => return (Counted::Dropped, Outcome::Done),
            Err(error) => return later(delivery, &error),
        }
        // Looked at before the payload is: whoever died over it the times before would die again.
        if delivery.attempt > self.max_attempts {
            let sentence = format!(
                "The {} stage was tried {} times and its worker died or was stopped each time.",
                W::STAGE,
                delivery.attempt - 1
            );
            return self.fail(job, Failure::new(W::STAGE, Code::AttemptsExhausted, sentence), delivery).await;
        }
        let in_hand = self.cancellations.take(&job.id);
        let cancel = in_hand.token();
        let worked = tokio::select! {
            worked = self.worked(job, task, delivery.clone(), cancel) => worked,
            () = cancel.cancelled() => Err(Halt::Cancelled),
        };
        match worked {
            Ok(Worked::Done) => (Counted::Done, Outcome::Done),
            Ok(Worked::Dropped) => (Counted::Dropped, Outcome::Done),
            Err(Halt::Cancelled) => match jobs::cancel(&self.bus, &job.id).await {
                Ok(_) => (Counted::Dropped, Outcome::Done),
                Err(error) => later(delivery, &error),
            },
            Err(Halt::Failed(failure)) if failure.code.retryable() && delivery.attempt < self.max_attempts => {
                (Counted::Retry, Outcome::Retry { after: retry_delay(delivery.attempt), why: failure.message })
            }
            Err(Halt::Failed(failure)) => self.fail(job, failure, delivery).await,
            Err(Halt::Bus(error)) if delivery.attempt < self.max_attempts => later(delivery, &error),
            Err(Halt::Bus(error)) => {
                let code = match error.kind() {
                    BusErrorKind::NotFound => Code::ObjectMissing,
                    BusErrorKind::Damaged => Code::ObjectDamaged,
                    _ => Code::Internal,
                };
                self.fail(job, Failure::new(W::STAGE, code, error.to_string()), delivery).await
            }
        }
    }

    /// Enters the attempt, however long the server is in trouble: a message that is given back would be followed by the next
    /// one, and so on through all that wait, each time with a delivery spent.
    async fn admitted(&self, job: &Job, task: &W::Task, delivery: &Delivery) -> Result<Admission, BusError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.stage.admit(job, task, delivery).await {
                Err(error) if error.transient() => wait_out(&error, tried).await,
                admitted => return admitted,
            }
        }
    }

    /// Does the work, however long the server is in trouble.
    async fn worked(
        &self,
        job: &Job,
        task: &W::Task,
        mut delivery: Delivery,
        cancel: &CancellationToken,
    ) -> Result<Worked, Halt> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.stage.work(job, task, &delivery, cancel).await {
                Err(Halt::Bus(error)) if error.transient() => wait_out(&error, tried).await,
                worked => return worked,
            }
            // What was stored before the trouble is looked for.
            delivery.attempt = delivery.attempt.max(2);
        }
    }

    async fn fail(&self, job: &Job, failure: Failure, delivery: &Delivery) -> (Counted, Outcome) {
        tracing::info!(job = %job.id, stage = %failure.stage, code = %failure.code, reason = failure.message, "failed");
        match fail(&self.bus, job, failure, delivery).await {
            Ok(()) => (Counted::Failed, Outcome::Done),
            Err(error) => later(delivery, &error),
        }
    }

    /// A message that no service of ours wrote, or that another version did: while one is put in the place of the other, a replica of the
    /// new one may get it the next time.
    async fn unreadable(&self, id: Option<JobId>, failure: Failure, delivery: &Delivery) -> (Counted, Outcome) {
        let Some(id) = id else {
            tracing::error!(subject = delivery.subject, reason = failure.message, "dropped: it names no job");
            return (Counted::Dropped, Outcome::Done);
        };
        if delivery.attempt < self.max_attempts {
            return (Counted::Retry, Outcome::Retry { after: retry_delay(delivery.attempt), why: failure.message });
        }
        let job = Job { id, trace: None, timings: Timings::default(), sequence: None, submitted: None };
        self.fail(&job, failure, delivery).await
    }
}

/// Ends a job as failed: the dead letter first where the fault is ours, then the record and its event.
///
/// # Errors
/// [`BusError`] when the server stayed away.
pub(crate) async fn fail(bus: &Bus, job: &Job, failure: Failure, delivery: &Delivery) -> Result<(), BusError> {
    if failure.code.retryable() || failure.code == Code::AttemptsExhausted {
        match dead::bury(bus, &job.id, &failure, delivery).await {
            Err(error) if error.transient() => return Err(error),
            // The job ends without its letter rather than never.
            Err(error) => tracing::error!(job = %job.id, %error, "no dead letter"),
            Ok(()) => {}
        }
    }
    // The attempt that only found the others spent is none itself.
    let spent = u64::from(failure.code == Code::AttemptsExhausted);
    let attempts = delivery.attempt.saturating_sub(spent);
    let event =
        Event::failed(job.id.clone(), orfeas_contract::now(), failure, attempts.max(1), job.sequence, job.timings);
    jobs::finish(bus, event, job.trace.as_ref()).await.map(drop)
}

/// How long a server in trouble is left alone: not as long as a job that failed.
fn pause(tried: u64) -> Duration {
    retry_delay(tried).min(Duration::from_secs(5))
}

async fn wait_out(error: &BusError, tried: u64) {
    tracing::warn!(%error, "the server is in trouble; waiting with the job in hand");
    tokio::time::sleep(pause(tried)).await;
}

fn later(delivery: &Delivery, error: &BusError) -> (Counted, Outcome) {
    (Counted::Retry, Outcome::Retry { after: pause(delivery.attempt), why: error.to_string() })
}

/// A name for what this attempt stores, that no other attempt has: delivery counts can repeat after the server lost a
/// delivery record.
#[must_use]
pub fn attempt_token(attempt: u64) -> String {
    use std::hash::{BuildHasher, Hasher};
    // RandomState is seeded by the operating system; the time makes two tokens of one process differ.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_i128(orfeas_contract::now().unix_timestamp_nanos());
    format!("{attempt}-{:016x}", hasher.finish())
}

/// Ends the job of a message that its consumer will not deliver again; the janitor's way in.
///
/// # Errors
/// [`BusError`] when the server stayed away.
pub async fn exhausted(bus: &Bus, job: &Job, stage: Stage, delivery: &Delivery) -> Result<(), BusError> {
    let sentence = format!("The {stage} stage was tried {} times and its worker died each time.", delivery.attempt);
    fail(bus, job, Failure::new(stage, Code::AttemptsExhausted, sentence), delivery).await
}

#[cfg(test)]
mod tests {
    use orfeas_contract::InferWork;

    use super::*;

    #[test]
    fn a_work_message_that_cannot_be_read_still_names_its_job() {
        let delivery = Delivery {
            subject: "orfeas.work.infer.duck".to_owned(),
            headers: orfeas_bus::HeaderMap::new(),
            payload: r#"{"job":"duck"}"#.into(),
            attempt: 1,
            sequence: 1,
            stored: orfeas_contract::now(),
        };
        let (job, failure) = read_work::<InferWork>(Stage::Infer, &delivery).unwrap_err();
        assert_eq!(job.unwrap().as_str(), "duck");
        assert_eq!((failure.stage, failure.code), (Stage::Infer, Code::Internal));
        assert!(failure.message.starts_with("The work message cannot be read: "), "{}", failure.message);
    }
}
