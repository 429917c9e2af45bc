//! `submit`, `watch`, `status`, `cancel`: a running pipeline's jobs.

use clap::Args;
use futures_util::StreamExt;
use orfeas_bus::{client, jobs};
use orfeas_contract::{Event, EventBody, EventKind, JobId, subjects};
use serde_json::json;

use crate::connect::{Server, block_on};
use crate::exit::{Ended, Exit, say, say_json};
use crate::files::report_lines;
use crate::request::{Request, new_job_id};

/// Publish a picture as a job
#[derive(Args)]
pub struct Submit {
    #[command(flatten)]
    request: Request,
    /// The job's id; submitting the same id again adds nothing
    #[arg(long)]
    job: Option<JobId>,
}

impl Submit {
    pub fn run(self) -> Ended {
        let Self { request, job } = self;
        let picture = request.read_picture()?;
        let options = request.flags.options(request.format.clone(), None)?;
        block_on(async move {
            let (bus, _) = request.server.connect().await?;
            let job = job.unwrap_or_else(new_job_id);
            let sequence = client::submit(&bus, &job, picture, &options).await?;
            if request.json {
                return say_json(&json!({"job": job, "sequence": sequence}));
            }
            say(job);
            Ok(())
        })
    }
}

/// Print events as they come
#[derive(Args)]
pub struct Watch {
    /// Only this job, from its first event to its last; without it, all jobs from now on
    job: Option<JobId>,
    #[command(flatten)]
    server: Server,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub fn run(self) -> Ended {
        block_on(async move {
            let (bus, _) = self.server.connect().await?;
            let filter = self.job.as_ref().map_or_else(|| subjects::EVENTS_ALL.to_owned(), subjects::events_of);
            let mut events = client::follow(&bus, filter, self.job.is_some()).await?;
            if let Some(job) = &self.job
                && jobs::get(&bus, job).await?.is_none()
            {
                // A job may be watched before its picture is published; a mistyped one would be waited for in silence.
                eprintln!("orfeas: there is no job {job} yet; waiting for its first event");
            }
            while let Some(event) = events.next().await {
                let event = event?;
                if self.json {
                    say(serde_json::to_string(&event).map_err(Exit::other)?);
                } else {
                    say(line(&event));
                }
                if self.job.is_some() && event.kind().terminal_state().is_some() {
                    return terminal(&event);
                }
            }
            Ok(())
        })
    }
}

fn terminal(event: &Event) -> Ended {
    match &event.body {
        EventBody::Failed(_) => Err(Exit::job_failed("")),
        EventBody::Cancelled(_) => Err(Exit::cancelled("")),
        _ => Ok(()),
    }
}

/// An event in one line.
fn line(event: &Event) -> String {
    let what = match &event.body {
        EventBody::Accepted(accepted) => format!("message {}", accepted.sequence),
        EventBody::Prepared(prepared) => {
            let [width, height] = prepared.image_size;
            format!("{} {width} x {height}, subject by {}", prepared.image_format, prepared.cut_out)
        }
        EventBody::Progress(progress) => {
            format!("{} {} {}/{}", progress.stage, progress.phase, progress.step, progress.steps)
        }
        EventBody::Generated(generated) => {
            format!("{} at {}", generated.provenance.engine, generated.provenance.resolution)
        }
        EventBody::Completed(completed) => {
            let names: Vec<&str> = completed.files.iter().map(|file| file.format.name()).collect();
            format!("{} in {:.2} s, {} triangles", names.join(" "), completed.total_seconds, completed.report.triangles)
        }
        EventBody::Failed(failed) => format!("{}: {} ({})", failed.stage, failed.message, failed.code),
        EventBody::Cancelled(_) => String::new(),
    };
    let time = event.time;
    let clock = format!("{:02}:{:02}:{:02}.{:03}", time.hour(), time.minute(), time.second(), time.millisecond());
    format!("{clock} {} {} {what}", event.job, event.kind())
}

/// Say where a job stands
#[derive(Args)]
pub struct Status {
    /// The job
    job: JobId,
    #[command(flatten)]
    server: Server,
    /// The job's record as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn run(self) -> Ended {
        block_on(async move {
            let (bus, _) = self.server.connect().await?;
            let entry = jobs::get(&bus, &self.job).await?;
            let entry = entry.ok_or_else(|| Exit::other(format!("there is no job {}", self.job)))?;
            if self.json {
                return say_json(&entry.value);
            }
            let record = entry.value;
            match &record.outcome {
                Some(event) => {
                    say(line(event));
                    if let EventBody::Completed(completed) = &event.body {
                        report_lines(&completed.report);
                    }
                }
                None => {
                    let state = serde_json::to_value(record.state).map_err(Exit::other)?;
                    say(format!("{} {} attempt {}", record.job, state.as_str().unwrap_or_default(), record.attempt));
                }
            }
            Ok(())
        })
    }
}

/// Cancel a job
#[derive(Args)]
pub struct Cancel {
    /// The job
    job: JobId,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Cancel {
    pub fn run(self) -> Ended {
        block_on(async move {
            let (bus, _) = self.server.connect().await?;
            if jobs::get(&bus, &self.job).await?.is_none() {
                return Err(Exit::other(format!("there is no job {}", self.job)));
            }
            let mut events = client::follow(&bus, subjects::events_of(&self.job), true).await?;
            client::cancel(&bus, &self.job).await?;
            let ended = tokio::time::timeout(std::time::Duration::from_secs(30), async {
                while let Some(event) = events.next().await {
                    let kind = event?.kind();
                    if kind.terminal_state().is_some() {
                        return Ok(kind);
                    }
                }
                Err(Exit::new(3, "the event stream ended"))
            });
            let kind =
                ended.await.map_err(|_| Exit::new(3, "the wish is stored, but no service has taken it up yet"))??;
            if self.json {
                return say_json(&json!({"job": self.job, "ended": kind}));
            }
            match kind {
                EventKind::Cancelled => say(format!("{} cancelled", self.job)),
                other => say(format!("{} had ended before: {other}", self.job)),
            }
            Ok(())
        })
    }
}
