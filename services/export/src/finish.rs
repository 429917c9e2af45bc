//! The stage: field → mesh → files and report → completed.

use bytes::Bytes;
use orfeas_bus::jobs::{self, Admission};
use orfeas_bus::work::Delivery;
use orfeas_bus::{Bus, BusError, events, objects};
use orfeas_contract::{
    Code, Completed, Event, EventBody, ExportWork, Failure, Format, JobId, MeshFile, Options, PrintReport, Progress,
    Stage, StageTiming, State, seconds_between, subjects,
};
use orfeas_field::DecodeLimits;
use orfeas_stage::{Halt, Job, StageWork, Worked, attempt_token, read_work};
use orfeas_surface::{FinishOptions, SurfaceErrorKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The largest field that is read, in bytes as stored.
const MAX_FIELD_BYTES: u64 = 512 << 20;

/// The stage `export`.
pub struct Finish {
    /// The bus.
    pub bus: Bus,
}

/// What the surface gives: the files by format, and the report that holds for all of them.
struct Made {
    files: Vec<(Format, Bytes)>,
    report: PrintReport,
}

impl StageWork for Finish {
    const STAGE: Stage = Stage::Export;
    type Task = ExportWork;

    fn read(&self, delivery: &Delivery) -> Result<(Job, ExportWork), (Option<JobId>, Failure)> {
        read_work(Self::STAGE, delivery)
    }

    async fn admit(&self, job: &Job, _: &ExportWork, delivery: &Delivery) -> Result<Admission, BusError> {
        jobs::begin(&self.bus, &job.id, State::Exporting, delivery.attempt).await
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
        let made = self.make(job, work, delivery, field, cancel).await?;
        let folder = format!("{}/{}", job.id, attempt_token(delivery.attempt));
        let stem = stem(work);
        let mut files = Vec::with_capacity(made.files.len());
        for (format, bytes) in made.files {
            let file_name = format!("{stem}.{format}");
            let object = format!("{folder}/{file_name}");
            let artifact = objects::put(&self.bus, subjects::BUCKET_MESHES, &object, bytes).await?;
            files.push(MeshFile { format, file_name, artifact });
        }
        let report = serde_json::to_vec_pretty(&made.report)
            .map_err(|error| Failure::new(Stage::Export, Code::Internal, error.to_string()))?;
        let report_name = format!("{folder}/{stem}.report.json");
        let report_file = objects::put(&self.bus, subjects::BUCKET_MESHES, &report_name, report.into()).await?;
        let now = orfeas_contract::now();
        let timing =
            StageTiming { queued: seconds_between(work.common.queued, begun), worked: seconds_between(begun, now) };
        let completed = Completed {
            provenance: work.provenance.clone(),
            files,
            report: made.report,
            report_file,
            timings: work.common.timings.with(Stage::Export, timing),
            total_seconds: seconds_between(work.common.submitted, now),
            attempts: delivery.attempt,
        };
        let event = Event::new(job.id.clone(), now, EventBody::Completed(Box::new(completed)));
        jobs::finish(&self.bus, event, job.trace.as_ref()).await?;
        // The job has ended: whatever comes again needs the field no more.
        objects::discard(&self.bus, &work.field);
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
        let (options, name) = (work.common.options.clone(), stem(work));
        let compute = tokio::task::spawn_blocking(move || {
            let field = orfeas_field::decode(&field, DecodeLimits::default())
                .map_err(|error| Halt::from(Failure::new(Stage::Export, Code::ObjectDamaged, error.to_string())))?;
            let mut tell = |phase: &str| drop(phases.try_send(phase.to_owned()));
            let cancelled = || stop.is_cancelled();
            let surface = |error: orfeas_surface::SurfaceError| match error.kind() {
                SurfaceErrorKind::Cancelled => Halt::Cancelled,
                _ => Failure::new(Stage::Export, error.code(), error.to_string()).into(),
            };
            let (mesh, report) =
                orfeas_surface::finish(&field, &finish_options(&options), &mut tell, &cancelled).map_err(surface)?;
            tell("write");
            let mut files = Vec::new();
            for format in options.formats() {
                if cancelled() {
                    return Err(Halt::Cancelled);
                }
                files.push((format, Bytes::from(orfeas_surface::write(&mesh, format, &name).map_err(surface)?)));
            }
            Ok(Made { files, report })
        });
        let tell = async {
            let mut step = 0;
            while let Some(phase) = told.recv().await {
                step += 1;
                let body = Progress {
                    stage: Stage::Export,
                    phase,
                    step,
                    steps: 4,
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

fn finish_options(options: &Options) -> FinishOptions {
    FinishOptions {
        size_mm: options.size_mm(),
        target_faces: options.target_faces,
        fail_unprintable: true,
        ..FinishOptions::default()
    }
}

/// The files' common name: the requested one without its folder and suffix, or the job's id.
fn stem(work: &ExportWork) -> String {
    let requested = work.common.options.file_name.as_deref().unwrap_or_default();
    let last = requested.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = match last.rsplit_once('.') {
        Some((stem, suffix)) if Format::parse(suffix).is_ok() => stem,
        _ => last,
    };
    let safe: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_. ()".contains(c) { c } else { '_' }).take(100).collect();
    if safe.trim_matches(['.', ' ']).is_empty() { work.common.job.to_string() } else { safe }
}
