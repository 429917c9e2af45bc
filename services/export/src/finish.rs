//! The stage: field → mesh → files, report and picture → completed.

use std::sync::Arc;

use bytes::Bytes;
use orfeas_bus::jobs::{self, Admission};
use orfeas_bus::work::Delivery;
use orfeas_bus::{Bus, BusError, events, objects};
use orfeas_contract::{
    Code, Completed, Event, EventBody, ExportWork, Failure, JobId, Progress, Stage, StageTiming, State, seconds_between,
};
use orfeas_field::DecodeLimits;
use orfeas_stage::{Halt, Job, StageWork, Threads, Worked, read_work};
use orfeas_surface::FinishOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::shelf::{Made, Shelf, surface};

/// The largest field that is read, in bytes as stored.
const MAX_FIELD_BYTES: u64 = 512 << 20;

/// The stage `export`.
pub struct Finish {
    /// The bus.
    pub bus: Bus,
    /// Where meshes are made.
    pub threads: Threads,
}

impl StageWork for Finish {
    const STAGE: Stage = Stage::Export;
    type Task = ExportWork;

    fn read(&self, delivery: &Delivery) -> Result<(Job, ExportWork), (Option<JobId>, Failure)> {
        read_work(Self::STAGE, delivery)
    }

    async fn admit(&self, _: &Job, work: &ExportWork, delivery: &Delivery) -> Result<Admission, BusError> {
        jobs::begin(&self.bus, &work.common, State::Exporting, delivery.attempt).await
    }

    async fn work(
        &self,
        job: &Job,
        work: &ExportWork,
        delivery: &Delivery,
        cancel: &CancellationToken,
    ) -> Result<Worked, Halt> {
        let begun = orfeas_contract::now();
        if work.field.bytes > MAX_FIELD_BYTES {
            let sentence = format!("The field has {} bytes; at most {MAX_FIELD_BYTES} are read.", work.field.bytes);
            return Err(Failure::new(Stage::Export, Code::ObjectDamaged, sentence).into());
        }
        let field = objects::get(&self.bus, &work.field).await?;
        let made = Arc::new(self.make(job, work, delivery, field, cancel).await?);
        let shelf = Shelf::new(&self.bus, work, delivery.attempt, cancel);
        let (files, mesh) = shelf.meshes(&made).await?;
        let report = serde_json::to_vec_pretty(&made.report)
            .map_err(|error| Failure::new(Stage::Export, Code::Internal, error.to_string()))?;
        let report_file = shelf.put("report.json", report.into()).await?;
        let report_object = report_file.object.clone();
        let thumbnail = shelf.put("png", made.thumbnail.clone()).await?;
        let now = orfeas_contract::now();
        let timing =
            StageTiming { queued: seconds_between(work.common.queued, begun), worked: seconds_between(begun, now) };
        let completed = Completed {
            provenance: work.provenance.clone(),
            files,
            report: made.report.clone(),
            report_file,
            mesh: Some(mesh),
            thumbnail: Some(thumbnail),
            timings: work.common.timings.with(Stage::Export, timing),
            total_seconds: seconds_between(work.common.submitted, now),
            attempts: delivery.attempt,
        };
        let event = Event::new(job.id.clone(), now, EventBody::Completed(Box::new(completed)));
        let stored = shelf.keep();
        let ended = jobs::finish(&self.bus, event, job.trace.as_ref()).await?;
        // The job has ended: whatever comes again needs the field no more.
        objects::discard(&self.bus, &work.field);
        let ours = matches!(&ended.body, EventBody::Completed(completed) if completed.holds(&report_object));
        if !ours {
            // Another attempt or its client was first; no event names this one's files.
            stored.iter().for_each(|artifact| objects::discard(&self.bus, artifact));
            return Ok(Worked::Dropped);
        }
        Ok(Worked::Done)
    }
}

impl Finish {
    /// Extracts, repairs and writes on a thread of the blocking pool, telling the phases meanwhile.
    async fn make(
        &self,
        job: &Job,
        work: &ExportWork,
        delivery: &Delivery,
        field: Bytes,
        cancel: &CancellationToken,
    ) -> Result<Made, Halt> {
        let stop = cancel.child_token();
        // Dropped with this future: when the service must stop, the thread stops too.
        let _guard = stop.clone().drop_guard();
        let (phases, mut told) = mpsc::channel::<String>(16);
        let options = work.common.options.clone();
        // Extract, report and write, and what was asked for between them (a reduction that finds little enough is left out).
        let steps =
            3 + u32::from(options.smooth.is_some_and(|count| count > 0)) + u32::from(options.target_faces.is_some());
        let compute = self.threads.run(move || {
            let field = orfeas_field::decode(&field, DecodeLimits::default())
                .map_err(|error| Halt::from(Failure::new(Stage::Export, Code::ObjectDamaged, error.to_string())))?;
            let mut tell = |phase: &str| drop(phases.try_send(phase.to_owned()));
            let cancelled = || stop.is_cancelled();
            let (mesh, report) = orfeas_surface::finish(&field, &FinishOptions::from(&options), &mut tell, &cancelled)
                .map_err(surface)?;
            tell("write");
            // As a reader of the STL file numbers them, so that every file of the job, whenever it is made, is the same.
            let mesh = mesh.in_order_of_use();
            let thumbnail = orfeas_surface::thumbnail(&mesh).map_err(surface)?.into();
            Ok(Made { mesh, report, thumbnail })
        });
        let tell = async {
            let mut step = 0;
            while let Some(phase) = told.recv().await {
                step += 1;
                let body = Progress {
                    stage: Stage::Export,
                    phase,
                    step,
                    steps,
                    seconds_left: None,
                    attempt: delivery.attempt,
                };
                let event = Event::new(job.id.clone(), orfeas_contract::now(), EventBody::Progress(body));
                events::publish_progress(&self.bus, &event, job.trace.as_ref()).await;
            }
        };
        let (made, ()) = tokio::join!(compute, tell);
        made.unwrap_or_else(|error| {
            let sentence = format!("making the mesh broke off: {error}");
            Err(Failure::new(Stage::Export, Code::Internal, sentence).into())
        })
    }
}
