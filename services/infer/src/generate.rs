//! The stage: picture → field → generated → queued for export.

use bytes::Bytes;
use orfeas_bus::jobs::{self, Admission};
use orfeas_bus::work::Delivery;
use orfeas_bus::{Bus, BusError, BusErrorKind, client, events, objects};
use orfeas_contract::{
    Code, Event, EventBody, EventKind, ExportWork, Failure, Generated, InferWork, JobId, Progress, Stage, StageTiming,
    State, WorkCommon, seconds_between, subjects,
};
use orfeas_engine::{EngineError, Picture, Request};
use orfeas_stage::{Halt, Job, StageWork, Threads, Worked, attempt_token, read_work};
use orfeas_vision::Limits;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::device::{Device, Step, Update};
use crate::phases::Phases;
use crate::resume::{self, Kept};

/// The stage `infer`.
pub struct Generate {
    /// The bus.
    pub bus: Bus,
    /// The device.
    pub device: Device,
    /// The engine that it runs.
    pub engine: &'static str,
    /// Steps between stored latents; 0: none are stored.
    pub checkpoint_every: u32,
    /// How long the engine's phases take.
    pub phases: Phases,
    /// Where pictures are decoded and fields encoded.
    pub threads: Threads,
}

/// The prepared picture is ours, but it came through a store that others can write to.
fn limits() -> Limits {
    Limits {
        max_bytes: 64 << 20,
        max_side: Picture::MAX_SIDE,
        max_pixels: u64::from(Picture::MAX_SIDE).pow(2),
        max_decoder_bytes: 256 << 20,
        min_side: 1,
    }
}

impl StageWork for Generate {
    const STAGE: Stage = Stage::Infer;
    type Task = InferWork;

    fn read(&self, delivery: &Delivery) -> Result<(Job, InferWork), (Option<JobId>, Failure)> {
        read_work(Self::STAGE, delivery)
    }

    async fn admit(&self, _: &Job, work: &InferWork, delivery: &Delivery) -> Result<Admission, BusError> {
        jobs::begin(&self.bus, &work.common, State::Inferring, delivery.attempt).await
    }

    async fn work(
        &self,
        job: &Job,
        work: &InferWork,
        delivery: &Delivery,
        cancel: &CancellationToken,
    ) -> Result<Worked, Halt> {
        if let Some(wanted) = work.common.options.engine.as_deref().filter(|wanted| *wanted != self.engine) {
            let sentence = format!("The engine {wanted:?} is not there; this pipeline runs {:?}.", self.engine);
            return Err(Failure::new(Stage::Infer, Code::EngineUnavailable, sentence).into());
        }
        // An attempt before this one may have got as far as the event; then only the hand-over is left.
        if delivery.attempt > 1
            && let Some(event) = events::find(&self.bus, EventKind::Generated, &job.id).await?
        {
            return self.hand_over(job, work, event).await;
        }
        let begun = orfeas_contract::now();
        let picture = match objects::get(&self.bus, &work.picture).await {
            Ok(bytes) => picture(&self.threads, bytes).await?,
            // It goes when the next stage has taken over; a message that comes again after that (a stream put back from
            // a backup counts its deliveries anew) finds what the stage said then.
            Err(error) if error.kind() == BusErrorKind::NotFound => {
                return match events::find(&self.bus, EventKind::Generated, &job.id).await? {
                    Some(event) => self.hand_over(job, work, event).await,
                    None => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        let (bytes, provenance) = self.field(job, work, delivery, picture, cancel).await?;
        // Its client may have left in the last moment: nothing is said of a job after its end.
        if jobs::ended(&self.bus, &job.id).await? {
            return Ok(Worked::Dropped);
        }
        let name = format!("{}/{}.field", job.id, attempt_token(delivery.attempt));
        let artifact = objects::put(&self.bus, subjects::BUCKET_FIELDS, &name, bytes).await?;
        let now = orfeas_contract::now();
        let timing =
            StageTiming { queued: seconds_between(work.common.queued, begun), worked: seconds_between(begun, now) };
        let event = EventBody::Generated(Generated {
            field: artifact,
            provenance,
            timings: work.common.timings.with(Stage::Infer, timing),
        });
        let event = Event::new(job.id.clone(), now, event);
        let event = events::publish_once(&self.bus, &event, job.trace.as_ref()).await?;
        self.hand_over(job, work, event).await
    }
}

/// Decodes the prepared picture on a thread of the blocking pool.
async fn picture(threads: &Threads, bytes: Bytes) -> Result<Picture, Halt> {
    let failed = |sentence: String| Halt::Failed(Failure::new(Stage::Infer, Code::ObjectDamaged, sentence));
    let decode = move || {
        let decoded = orfeas_vision::decode(&bytes, &limits()).map_err(|error| error.to_string())?;
        let (width, height) = decoded.image.dimensions();
        Picture::new(width, height, decoded.image.into_raw()).map_err(|error| error.to_string())
    };
    match threads.run(decode).await {
        Ok(decoded) => decoded.map_err(|error| failed(format!("The prepared picture cannot be read: {error}"))),
        Err(error) => Err(failed(format!("decoding the prepared picture broke off: {error}"))),
    }
}

fn engine_failure(error: &EngineError) -> Halt {
    match error.code() {
        Some(code) => Failure::new(Stage::Infer, code, error.to_string()).into(),
        None => Halt::Cancelled,
    }
}

impl Generate {
    /// Computes and encodes the field, telling the steps meanwhile.
    async fn field(
        &self,
        job: &Job,
        work: &InferWork,
        delivery: &Delivery,
        picture: Picture,
        cancel: &CancellationToken,
    ) -> Result<(Bytes, orfeas_contract::Provenance), Halt> {
        let request = Request {
            seed: work.common.options.seed.unwrap_or_default(),
            steps: work.common.options.steps,
            guidance: work.common.options.guidance,
            resolution: work.common.options.resolution,
            resume: None,
        };
        let kept = Kept::of(self.device.identity(), &request);
        let resume = if delivery.attempt > 1 { resume::find(&self.bus, &job.id, &kept).await } else { None };
        if let Some(resume) = &resume {
            tracing::info!(job = %job.id, step = resume.step, "going on from an earlier attempt's latents");
        }
        let request = Request { resume, ..request };
        // Dropped with this future: when the service must stop, the device's work for it stops too.
        let stop = cancel.child_token();
        let _guard = stop.clone().drop_guard();
        let (progress, mut steps) = mpsc::channel(64);
        let compute = self.device.generate(&job.id, picture, request, stop, progress, self.checkpoint_every);
        let mut clock = self.phases.clock();
        let mut heard = async |update: Update| match update {
            Update::Step(step) => {
                clock.at(&step.phase);
                self.tell(job, delivery, step).await;
            }
            Update::Keep(resume) => resume::keep(&self.bus, &job.id, delivery.attempt, &kept, &resume).await,
        };
        tokio::pin!(compute);
        let computed = loop {
            tokio::select! {
                biased;
                Some(update) = steps.recv() => heard(update).await,
                computed = &mut compute => break computed,
            }
        };
        // Not until the channel closes: whatever this job goes together with may hold it open for long.
        while let Ok(update) = steps.try_recv() {
            heard(update).await;
        }
        drop(clock);
        let field = computed.map_err(|error| engine_failure(&error))?;
        let encode = move || {
            let provenance = field.provenance.clone();
            orfeas_field::encode(&field).map(|bytes| (Bytes::from(bytes), provenance))
        };
        let failed = |sentence: String| Halt::Failed(Failure::new(Stage::Infer, Code::Internal, sentence));
        match self.threads.run(encode).await {
            Ok(Ok(encoded)) => Ok(encoded),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(format!("encoding the field broke off: {error}"))),
        }
    }

    async fn tell(&self, job: &Job, delivery: &Delivery, step: Step) {
        let Step { phase, step, steps, seconds_left } = step;
        let body = Progress { stage: Stage::Infer, phase, step, steps, seconds_left, attempt: delivery.attempt };
        let event = Event::new(job.id.clone(), orfeas_contract::now(), EventBody::Progress(body));
        events::publish_progress(&self.bus, &event, job.trace.as_ref()).await;
    }

    async fn hand_over(&self, job: &Job, work: &InferWork, event: Event) -> Result<Worked, Halt> {
        let EventBody::Generated(generated) = event.body else {
            return Err(Failure::new(Stage::Infer, Code::Internal, "the generated event is of another kind").into());
        };
        let mut common =
            WorkCommon { queued: orfeas_contract::now(), timings: generated.timings, ..work.common.clone() };
        common.options.floaters = common.options.floaters.or(self.device.floaters());
        let next = ExportWork { common, field: generated.field, provenance: generated.provenance };
        // The event carries on from here: whatever comes again needs latents and picture no more. The record's note goes before the
        // next stage can end the job, for then it stays as it is.
        if self.checkpoint_every > 0 {
            resume::forget(&self.bus, &job.id).await;
        }
        client::queue(&self.bus, Stage::Export, &job.id, &next).await?;
        objects::discard(&self.bus, &work.picture);
        Ok(Worked::Done)
    }
}
