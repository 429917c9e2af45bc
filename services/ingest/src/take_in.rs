//! The stage: accepted → decoded, cut out, recentred → prepared → queued for inference.

use std::sync::Arc;

use bytes::Bytes;
use orfeas_bus::jobs::{self, Acceptance, Admission};
use orfeas_bus::work::Delivery;
use orfeas_bus::{Bus, BusError, BusErrorKind, client, events, objects};
use orfeas_contract::{
    Accepted, Code, Event, EventBody, EventKind, Failure, InferWork, JobId, Options, Prepared, Stage, StageTiming,
    Timings, TraceParent, WorkCommon, seconds_between, subjects,
};
use orfeas_stage::{Halt, Job, StageWork, Threads, Worked, attempt_token};
use orfeas_vision::{Limits, Matting};
use tokio_util::sync::CancellationToken;

use crate::submission::Submission;

/// The stage `ingest`.
pub struct TakeIn {
    /// The bus.
    pub bus: Bus,
    /// What a client may send.
    pub limits: Limits,
    /// How a subject is found.
    pub matting: Arc<dyn Matting>,
    /// Where pictures are decoded.
    pub threads: Threads,
}

impl StageWork for TakeIn {
    const STAGE: Stage = Stage::Ingest;
    type Task = Submission;

    fn read(&self, delivery: &Delivery) -> Result<(Job, Submission), (Option<JobId>, Failure)> {
        let (id, trace, submission) = Submission::read(delivery);
        let trace = trace.unwrap_or_else(|| TraceParent::derived(&id, &submission.source));
        Ok((
            Job {
                id,
                trace: Some(trace),
                timings: Timings::default(),
                sequence: Some(delivery.sequence),
                submitted: Some(delivery.stored),
            },
            submission,
        ))
    }

    async fn admit(&self, job: &Job, submission: &Submission, _: &Delivery) -> Result<Admission, BusError> {
        let options = submission.options.as_ref().cloned().unwrap_or_default();
        let message_id = submission.message_id.as_deref();
        match jobs::accept(&self.bus, &job.id, &submission.source, &options, message_id).await? {
            Acceptance::Ours => Ok(Admission::Go),
            Acceptance::Repetition => {
                tracing::info!(job = %job.id, sequence = submission.source.sequence, "a repetition; nothing added");
                Ok(Admission::Ended)
            }
            Acceptance::Ended => Ok(Admission::Ended),
        }
    }

    async fn work(
        &self,
        job: &Job,
        submission: &Submission,
        delivery: &Delivery,
        _: &CancellationToken,
    ) -> Result<Worked, Halt> {
        let worked = self.take_in(job, submission, delivery).await;
        let over = match &worked {
            Ok(_) => true,
            Err(Halt::Failed(failure)) => !failure.code.retryable(),
            Err(_) => false,
        };
        if let Some(upload) = submission.own_object(&job.id).filter(|_| over) {
            objects::discard_named(&self.bus, subjects::BUCKET_IMAGES, upload);
        }
        worked
    }
}

impl TakeIn {
    async fn take_in(&self, job: &Job, submission: &Submission, delivery: &Delivery) -> Result<Worked, Halt> {
        let options = submission.options.clone()?;
        // An attempt before this one may have got as far as the event; then only the hand-over is left.
        if let Some(event) = self.prepared_before(&job.id, delivery).await? {
            return self.hand_over(job, options, delivery, event).await;
        }
        let begun = orfeas_contract::now();
        let accepted = EventBody::Accepted(Accepted {
            sequence: delivery.sequence,
            message_id: submission.message_id.clone(),
            options: options.clone(),
        });
        let accepted = Event::new(job.id.clone(), begun, accepted);
        let picture = async {
            let bytes = self.picture(submission, delivery).await?;
            self.prepare(bytes, &options).await
        };
        let (accepted, prepared) =
            tokio::join!(events::publish_once(&self.bus, &accepted, job.trace.as_ref()), picture);
        accepted?;
        let prepared = prepared?;
        // Its client may have left meanwhile: nothing is said of a job after its end.
        if jobs::ended(&self.bus, &job.id).await? {
            return Ok(Worked::Dropped);
        }
        let name = format!("{}/{}.png", job.id, attempt_token(delivery.attempt));
        let artifact = objects::put(&self.bus, subjects::BUCKET_PREPARED, &name, prepared.png.into()).await?;
        let now = orfeas_contract::now();
        let timing =
            StageTiming { queued: seconds_between(delivery.stored, begun), worked: seconds_between(begun, now) };
        let event = Event::new(
            job.id.clone(),
            now,
            EventBody::Prepared(Prepared {
                picture: artifact,
                image_format: prepared.kind.to_owned(),
                image_size: prepared.original_size,
                cut_out: prepared.cut_out.to_owned(),
                timings: job.timings.with(Stage::Ingest, timing),
            }),
        );
        let event = events::publish_once(&self.bus, &event, job.trace.as_ref()).await?;
        self.hand_over(job, options, delivery, event).await
    }

    async fn prepared_before(&self, job: &JobId, delivery: &Delivery) -> Result<Option<Event>, BusError> {
        // A first delivery has nothing before it, unless the server lost its delivery record: then the work is done
        // again, and the event's fence keeps the first result.
        if delivery.attempt == 1 {
            return Ok(None);
        }
        events::find(&self.bus, EventKind::Prepared, job).await
    }

    /// The picture's bytes: the payload, or the object it names.
    async fn picture(&self, submission: &Submission, delivery: &Delivery) -> Result<Bytes, Halt> {
        let Some(name) = submission.object_name()? else { return Ok(delivery.payload.clone()) };
        let read = objects::get_named(&self.bus, subjects::BUCKET_IMAGES, name, self.limits.max_bytes).await;
        read.map_err(|error| {
            let fail = |code, sentence: String| Halt::Failed(Failure::new(Stage::Ingest, code, sentence));
            match error.kind() {
                BusErrorKind::NotFound => {
                    let sentence = format!("There is no object {name:?} in the bucket {}.", subjects::BUCKET_IMAGES);
                    fail(Code::ObjectMissing, sentence)
                }
                BusErrorKind::Limit => {
                    let most = self.limits.max_bytes;
                    fail(Code::ImageTooLarge, format!("The picture is larger than the allowed {most} bytes."))
                }
                BusErrorKind::Damaged => fail(Code::ObjectDamaged, format!("The picture {name:?} is incomplete.")),
                _ => Halt::Bus(error),
            }
        })
    }

    /// Decoding and segmentation compute; they run on a thread of the blocking pool.
    async fn prepare(&self, bytes: Bytes, options: &Options) -> Result<orfeas_vision::Prepared, Halt> {
        let (limits, matting, removal) = (self.limits, self.matting.clone(), options.remove_background);
        let work = move || orfeas_vision::prepare(&bytes, &limits, removal, &*matting);
        match self.threads.run(work).await {
            Ok(Ok(prepared)) => Ok(prepared),
            Ok(Err(error)) => Err(Failure::new(Stage::Ingest, error.code(), error.to_string()).into()),
            Err(error) => {
                Err(Failure::new(Stage::Ingest, Code::Internal, format!("decoding broke off: {error}")).into())
            }
        }
    }

    async fn hand_over(&self, job: &Job, options: Options, delivery: &Delivery, event: Event) -> Result<Worked, Halt> {
        let EventBody::Prepared(prepared) = event.body else {
            return Err(Failure::new(Stage::Ingest, Code::Internal, "the prepared event is of another kind").into());
        };
        let common = WorkCommon {
            job: job.id.clone(),
            options,
            submitted: delivery.stored,
            queued: orfeas_contract::now(),
            timings: prepared.timings,
            traceparent: job.trace.clone(),
        };
        let work = InferWork { common, picture: prepared.picture };
        client::queue(&self.bus, Stage::Infer, &job.id, &work).await?;
        Ok(Worked::Done)
    }
}
