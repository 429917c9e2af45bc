//! `orfeas model list`.

use clap::Args;
use indicatif::HumanBytes;
use orfeas_models::{Installed, KNOWN, Known, Source, Store};
use serde_json::{Value, json};

use super::Models;
use crate::exit::{Ended, say, say_json};

/// Say which checkpoints are there
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    models: Models,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Ended {
        let store = self.models.store()?;
        let installed = store.installed()?;
        let absent = |known: &&Known| {
            let folder = store.folder(&Source::from(*known));
            !installed.iter().any(|there| there.folder == folder)
        };
        let available: Vec<&Known> = KNOWN.iter().filter(absent).collect();
        if self.json {
            return say_json(&json!({
                "models": store.root(),
                "installed": installed.iter().map(value).collect::<Vec<_>>(),
                "available": available.iter().map(|known| json!({
                    "name": known.name, "repo": known.repo, "subfolder": known.subfolder, "what": known.what,
                })).collect::<Vec<_>>(),
            }));
        }
        tell(&store, &installed, &available);
        Ok(())
    }
}

fn value(there: &Installed) -> Value {
    let manifest = there.manifest.as_ref();
    json!({
        "name": manifest.map(|manifest| &manifest.name),
        "folder": there.folder,
        "bytes": manifest.map(orfeas_models::Manifest::bytes),
        "precision": manifest.map(|manifest| &manifest.precision),
        "revision": manifest.and_then(|manifest| manifest.revision.as_ref()),
        "checked_against": manifest.map(|manifest| manifest.checked_against),
        "verified_at": manifest.and_then(|manifest| manifest.verified_at.as_ref()),
        "problem": there.problem,
    })
}

fn tell(store: &Store, installed: &[Installed], available: &[&Known]) {
    if installed.is_empty() {
        say(format!("No models in {}", store.root().display()));
    } else {
        say(format!("Models in {}\n", store.root().display()));
        let row = |name: &str, size: &str, precision: &str, revision: &str, verified: &str, folder: &str| {
            say(format!("{name:<28} {size:>11}  {precision:<10} {revision:<12} {verified:<20}  {folder}"));
        };
        row("NAME", "SIZE", "PRECISION", "REVISION", "VERIFIED", "FOLDER");
        for there in installed {
            let folder = there.folder.display().to_string();
            match &there.manifest {
                Some(manifest) => row(
                    &manifest.name,
                    &HumanBytes(manifest.bytes()).to_string(),
                    &manifest.precision,
                    manifest.revision.as_deref().map_or("-", |revision| revision.get(..12).unwrap_or(revision)),
                    manifest.verified_at.as_deref().unwrap_or("never"),
                    &folder,
                ),
                None => row("?", "-", "-", "-", "-", &folder),
            }
            if let Some(problem) = &there.problem {
                say(format!("  DAMAGED: {problem}"));
            }
        }
    }
    if !available.is_empty() {
        say("\nTo be had by `orfeas model pull NAME`:");
        for known in available {
            say(format!("  {:<28} {}", known.name, known.what));
        }
    }
}
