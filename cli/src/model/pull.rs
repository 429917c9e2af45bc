//! `orfeas model pull`, and what is shown while files are fetched and hashed: a bar for people, lines of JSON for scripts.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use orfeas_models::{
    CheckedAgainst, Event, HubOptions, LicenceText, ModelErrorKind, Observer, Origin, Outcome, Phase, Source,
};
use serde_json::{Value, json};

use super::Models;
use crate::exit::{Ended, Exit, say};

/// Fetch a checkpoint
#[derive(Args)]
pub struct Pull {
    /// A name of `orfeas model list`, or owner/repo:subfolder
    #[arg(value_name = "NAME")]
    model: String,
    #[command(flatten)]
    models: Models,
    /// Take it from a folder: a copy of the repository, a folder of models, or a Hugging Face cache
    #[arg(long, value_name = "DIR", conflicts_with_all = ["endpoint", "revision"])]
    from: Option<PathBuf>,
    /// The hub, or a mirror of it [env: HF_ENDPOINT] [default: https://huggingface.co]; its token comes from HF_TOKEN
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Branch, tag or commit
    #[arg(long, value_name = "REV", default_value = "main")]
    revision: String,
    /// Accept the model's licence without being asked, as a script must
    #[arg(long, visible_alias = "accept-license")]
    accept_licence: bool,
    /// What happens, as one line of JSON each
    #[arg(long)]
    json: bool,
}

impl Pull {
    pub fn run(self) -> Ended {
        let source: Source = self.model.parse()?;
        let store = self.models.store()?;
        let origin = match self.from {
            Some(folder) => Origin::Folder(folder),
            None => {
                let options = HubOptions::from_environment(self.endpoint.as_deref())?;
                Origin::Hub(options.with_revision(&self.revision)?)
            }
        };
        let mut progress = Progress::new(self.json, self.accept_licence);
        let result = orfeas_models::pull(&store, &source, &origin, &mut progress);
        progress.clear();
        let outcome = result.map_err(|error| match error.kind() {
            ModelErrorKind::Licence if !progress.declined => {
                Exit::usage(format!("{error}; here nobody can be asked, so give --accept-licence"))
            }
            ModelErrorKind::Unreachable => {
                Exit::other(format!("{error}; the same command goes on where this one stopped"))
            }
            _ => error.into(),
        })?;
        if self.json {
            let manifest = &outcome.manifest;
            let event = if outcome.changed { "installed" } else { "unchanged" };
            say(json!({ "event": event, "folder": outcome.folder, "manifest": manifest }));
        } else {
            tell(&outcome);
        }
        Ok(())
    }
}

fn tell(outcome: &Outcome) {
    let manifest = &outcome.manifest;
    let revision =
        manifest.revision.as_deref().map_or_else(String::new, |revision| format!(", revision {revision:.12}"));
    let checked = match manifest.checked_against {
        CheckedAgainst::Hub => "verified against the hub",
        CheckedAgainst::Sha256sums => "verified against SHA256SUMS",
        CheckedAgainst::Manifest => "verified against the manifest it came with",
        CheckedAgainst::Nothing => "not verified: the folder has neither SHA256SUMS nor a manifest",
    };
    let had = if outcome.changed { "" } else { " was there already" };
    say(format!(
        "{}{had}: {}, {}{revision}, {checked}",
        manifest.name,
        HumanBytes(manifest.bytes()),
        manifest.precision
    ));
    say(outcome.folder.display());
}

/// The watcher of one pull or check.
pub struct Progress {
    bar: ProgressBar,
    json: bool,
    accept: bool,
    /// Whether a person was asked for the licence and said no.
    pub declined: bool,
}

impl Progress {
    /// `accept` accepts any licence without asking.
    pub fn new(json: bool, accept: bool) -> Self {
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{prefix:<8} {msg:<24} [{bar:30}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, json, accept, declined: false }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Moves the bar.
    pub fn bar(&self, event: &Event<'_>) {
        match event {
            Event::Begin { file, phase, size, have } => {
                // Anew, so that speed and time left are of this phase.
                self.bar.reset();
                self.bar.set_prefix(name(*phase));
                self.bar.set_message((*file).to_owned());
                self.bar.set_length(*size);
                self.bar.set_position(*have);
                self.bar.reset_eta();
            }
            Event::Advance(count) => self.bar.inc(*count),
            _ => {}
        }
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Download => "download",
        Phase::Copy => "copy",
        Phase::Hash => "verify",
    }
}

/// The line of an event.
fn line(event: &Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Plan { files, bytes, missing } => {
            json!({ "event": "plan", "files": files, "bytes": bytes, "missing": missing })
        }
        Event::Begin { file, phase, size, have } => {
            json!({ "event": "begin", "file": file, "phase": name(*phase), "size": size, "have": have })
        }
        Event::Advance(_) => return None,
        Event::Retry { file, error } => json!({ "event": "retry", "file": file, "error": error.to_string() }),
        Event::Done { file, size, sha256 } => {
            json!({ "event": "done", "file": file, "size": size, "sha256": sha256 })
        }
    })
}

impl Observer for Progress {
    fn event(&mut self, event: Event<'_>) {
        self.bar(&event);
        if self.json {
            line(&event).into_iter().for_each(say);
        } else if let Event::Retry { error, .. } = &event {
            self.bar.suspend(|| eprintln!("{error}; trying again"));
        }
    }

    fn accepts(&mut self, licence: &LicenceText) -> bool {
        self.clear();
        let name = licence.file.as_deref().unwrap_or("none");
        if self.accept {
            eprintln!("The licence of {} ({name}) is accepted by --accept-licence.", licence.model);
            return true;
        }
        match &licence.file {
            Some(_) => eprintln!("{}\n\nThis is the licence of {} ({name}).", licence.text.trim_end(), licence.model),
            None => eprintln!("{} comes without a licence file: nothing says what you may do with it.", licence.model),
        }
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            return false;
        }
        eprint!("Type yes to accept it: ");
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let accepted = read.is_ok() && answer.trim().eq_ignore_ascii_case("yes");
        self.declined = !accepted;
        accepted
    }
}
