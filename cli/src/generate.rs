//! `orfeas generate`: one picture, waited for.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orfeas_bus::{Bus, client, objects};
use orfeas_contract::{Completed, Event, EventBody, Format, Options, REQUESTED_NAME_LIMIT, subjects};
use orfeas_service::Shutdown;
use orfeas_service::config::Sources;

use crate::connect::{block_on, quiet};
use crate::exit::{Ended, Exit, say, say_json};
use crate::files::{format_of, name_of, report_lines, writable, write_whole};
use crate::private_server::PrivateServer;
use crate::request::{Request, new_job_id};
use crate::up::{CheckpointFlags, Services};

/// Make mesh files of a picture and wait for them
#[derive(Args)]
pub struct Generate {
    #[command(flatten)]
    request: Request,
    /// Where to: a file whose suffix names the format, or a folder; may be given several times
    #[arg(short, long = "output", value_name = "PATH", required = true)]
    output: Vec<PathBuf>,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
    /// Where to put the mesh's picture (PNG), too
    #[arg(long, value_name = "PNG")]
    thumbnail: Option<PathBuf>,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

/// A file to write: the folder or file that was named, and its format.
struct Target {
    path: PathBuf,
    format: Format,
}

impl Generate {
    pub fn run(self) -> Ended {
        let picture = self.request.read_picture()?;
        let targets = self.targets()?;
        let mut formats: Vec<Format> = Vec::new();
        for target in &targets {
            if !formats.contains(&target.format) {
                formats.push(target.format);
            }
        }
        let options = self.request.flags.options(formats, Some(self.name()))?;
        block_on(async move {
            let Request { server, flags, .. } = &self.request;
            if server.named() && self.checkpoint.named() {
                return Err(Exit::usage(
                    "--model and --device are for a pipeline of this command's own; the one that is named runs its own engine",
                ));
            }
            let embedded = if server.named() {
                None
            } else {
                Some(Embedded::start(&self.checkpoint.settings(flags.engine.as_deref())).await?)
            };
            let bus = match &embedded {
                Some(embedded) => embedded.services.bus.clone(),
                None => server.connect().await?.0,
            };
            let done = self.work(&bus, picture, &options, &targets).await;
            if let Some(embedded) = embedded {
                embedded.stop().await?;
            }
            done
        })
    }

    /// What the object is called in its files, which a slicer lists: as the picture is.
    fn name(&self) -> String {
        let mut name: String = name_of(&self.request.picture).chars().filter(|c| !c.is_control()).collect();
        name.truncate(name.floor_char_boundary(REQUESTED_NAME_LIMIT));
        if name.is_empty() { "mesh".into() } else { name }
    }

    /// The files to write; a folder gets one for every `--format`.
    fn targets(&self) -> Result<Vec<Target>, Exit> {
        let stem = name_of(&self.request.picture);
        let mut targets = Vec::new();
        for path in &self.output {
            let text = path.to_string_lossy();
            if path.is_dir() || text.ends_with('/') {
                let failed = |error| Exit::usage(format!("{} cannot be a folder: {error}", path.display()));
                std::fs::create_dir_all(path).map_err(failed)?;
                let formats =
                    if self.request.format.is_empty() { vec![Format::Stl] } else { self.request.format.clone() };
                targets.extend(
                    formats.into_iter().map(|format| Target { path: path.join(format!("{stem}.{format}")), format }),
                );
            } else {
                let format = format_of(path)?;
                writable(path)?;
                targets.push(Target { path: path.clone(), format });
            }
        }
        self.thumbnail.as_deref().map_or(Ok(()), writable)?;
        // A file's suffix says its format; one that is asked for besides wants a folder to go to.
        if let Some(nowhere) = self.request.format.iter().find(|wanted| targets.iter().all(|to| to.format != **wanted))
        {
            return Err(Exit::usage(format!(
                "--format {nowhere} goes nowhere: name a folder or a .{nowhere} file with -o"
            )));
        }
        Ok(targets)
    }

    async fn work(&self, bus: &Bus, picture: Bytes, options: &Options, targets: &[Target]) -> Ended {
        let job = new_job_id();
        let mut events = client::follow(bus, subjects::events_of(&job), true).await?;
        client::submit(bus, &job, picture, options).await?;
        let bar = progress_bar(self.quiet || self.request.json);
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let completed = loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = &mut interrupted => {
                    client::cancel(bus, &job).await?;
                    return Err(Exit::cancelled(format!("job {job} was cancelled")));
                }
            };
            let event = event.ok_or_else(|| Exit::new(3, "the event stream ended"))??;
            show(&bar, &event);
            match event.body {
                EventBody::Completed(completed) => break completed,
                EventBody::Failed(failed) => {
                    bar.finish_and_clear();
                    return Err(Exit::job_failed(format!("{} ({})", failed.message, failed.code)));
                }
                EventBody::Cancelled(_) => {
                    bar.finish_and_clear();
                    return Err(Exit::cancelled(format!("job {job} was cancelled")));
                }
                _ => {}
            }
        };
        bar.finish_and_clear();
        for target in targets {
            let file = completed.file(target.format);
            let file = file.ok_or_else(|| Exit::other(format!("the job wrote no {} file", target.format)))?;
            write_whole(&target.path, &objects::get(bus, &file.artifact).await?)?;
        }
        if let Some(path) = &self.thumbnail {
            let picture = completed.thumbnail.as_ref().ok_or_else(|| Exit::other("the job has no picture"))?;
            write_whole(path, &objects::get(bus, picture).await?)?;
        }
        if self.request.json {
            let mut said = serde_json::to_value(&completed).map_err(Exit::other)?;
            said["written"] = targets.iter().map(|target| target.path.display().to_string()).collect();
            return say_json(&said);
        }
        for target in targets {
            say(format!("{}", target.path.display()));
        }
        summary(&completed);
        Ok(())
    }
}

/// A pipeline inside this command, on a server and a store that end with it.
struct Embedded {
    services: Services,
    server: PrivateServer,
    _folder: tempfile::TempDir,
}

impl Embedded {
    async fn start(infer: &[(&'static str, String)]) -> Result<Self, Exit> {
        let folder = tempfile::Builder::new().prefix("orfeas-").tempdir()?;
        let server = PrivateServer::start(folder.path(), 0, true).await?;
        let sources = quiet(Sources::from_environment());
        let mut services = Services::start(sources, Some(&server.url), infer, false, Shutdown::new()).await?;
        services.ready().await?;
        Ok(Self { services, server, _folder: folder })
    }

    async fn stop(self) -> Ended {
        let ended = self.services.stop().await;
        self.server.stop().await;
        ended
    }
}

fn progress_bar(hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<8} {msg:<14} [{bar:30}] {pos}/{len}  {elapsed}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, event: &Event) {
    match &event.body {
        EventBody::Accepted(_) => {
            bar.set_prefix("ingest");
            bar.set_message("cut out");
        }
        EventBody::Prepared(_) => {
            bar.set_prefix("infer");
            bar.set_message("queued");
        }
        EventBody::Generated(_) => {
            bar.set_prefix("export");
            bar.set_message("queued");
        }
        EventBody::Progress(progress) => {
            bar.set_prefix(progress.stage.name());
            bar.set_message(progress.phase.clone());
            bar.set_length(u64::from(progress.steps));
            bar.set_position(u64::from(progress.step));
        }
        _ => {}
    }
}

fn summary(completed: &Completed) {
    let provenance = &completed.provenance;
    say(format!("engine {} ({}), {:.2} s in all", provenance.engine, provenance.model, completed.total_seconds));
    report_lines(&completed.report);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        generate: Generate,
    }

    /// The suffixes of the files that a command line asks for, or why it cannot.
    fn targets(line: &[&str]) -> Result<Vec<String>, String> {
        let line = ["orfeas", "duck.jpg"].iter().chain(line);
        let targets = Line::parse_from(line).generate.targets().map_err(|error| error.message)?;
        Ok(targets.iter().map(|target| target.format.to_string()).collect())
    }

    #[test]
    fn what_goes_nowhere_is_said_before_the_job_runs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(targets(&["-o", &at("duck.stl")]).unwrap(), ["stl"]);
        assert_eq!(targets(&["-o", &at(""), "-f", "3mf", "-f", "glb"]).unwrap(), ["3mf", "glb"]);
        assert_eq!(targets(&["-o", &at("duck.glb"), "-f", "glb"]).unwrap(), ["glb"]);
        assert!(targets(&["-o", &at("duck.stl"), "-f", "3mf"]).unwrap_err().contains("3mf goes nowhere"));
        assert!(targets(&["-o", &at("none/duck.stl")]).unwrap_err().contains("there is no folder"));
        assert!(targets(&["-o", &at("duck.stl"), "--thumbnail", &at("none/t.png")]).unwrap_err().contains("no folder"));
        assert!(targets(&["-o", &at("duck.stl"), "--thumbnail", &at("")]).unwrap_err().contains("is a folder"));
        for nameless in [at("duck"), "-".to_owned()] {
            assert!(targets(&["-o", &nameless]).unwrap_err().contains("no suffix that names a format: stl, "));
        }
        let kept = folder.path().join("kept.stl");
        std::fs::write(&kept, "kept").unwrap();
        let mut permissions = std::fs::metadata(&kept).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&kept, permissions).unwrap();
        assert!(targets(&["-o", &at("kept.stl")]).unwrap_err().contains("it may only be read"));
    }
}
