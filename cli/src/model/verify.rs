//! `orfeas model verify`.

use clap::Args;
use indicatif::HumanBytes;

use super::Models;
use super::pull::Progress;
use crate::exit::{Ended, Exit, say, say_json};

/// Hash a checkpoint's files again
#[derive(Args)]
pub struct Verify {
    /// A checkpoint folder, or the name of one that is there
    #[arg(value_name = "DIR|NAME")]
    model: String,
    #[command(flatten)]
    models: Models,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(self) -> Ended {
        let folder = self.models.store()?.resolve(&self.model)?;
        // The report is the JSON; no line comes before it.
        let mut progress = Quiet(Progress::new(self.json, false));
        let result = orfeas_models::verify(&folder, &mut progress);
        progress.0.clear();
        let report = result?;
        if self.json {
            say_json(&report)?;
        } else {
            for file in &report.files {
                let size = file.size.map_or_else(|| "-".into(), |size| HumanBytes(size).to_string());
                let found = file.problem.as_deref().unwrap_or("ok");
                say(format!("{:<24} {size:>11}  {found}", file.file));
            }
            if let Some(header) = report.header.as_ref().filter(|_| report.ok) {
                let of = format!("{} parameters, tensors: {}", header.parameters, header.tensors);
                say(format!("{}: {of}, mostly {}", report.folder.display(), header.precision));
            }
        }
        match report.sentence() {
            Some(sentence) => Err(Exit::other(sentence)),
            None => Ok(()),
        }
    }
}

/// A bar and no lines.
struct Quiet(Progress);

impl orfeas_models::Observer for Quiet {
    fn event(&mut self, event: orfeas_models::Event<'_>) {
        self.0.bar(&event);
    }
}
