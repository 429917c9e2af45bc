//! `orfeas model`: checkpoints on disk.

mod bench;
mod info;
mod list;
mod pull;
mod trace;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use orfeas_models::{ModelError, ModelErrorKind, Store, models_folder};

use crate::exit::{Ended, Exit};

#[derive(Subcommand)]
pub enum Model {
    /// Fetch a checkpoint from the hub, a mirror or a folder; goes on where it was interrupted
    Pull(pull::Pull),
    /// Say which checkpoints are there, and which could be fetched by name
    List(list::List),
    /// Hash a checkpoint's files again and look into its weights' header
    Verify(verify::Verify),
    /// Say what a checkpoint is: its variant, its parameters, the memory that it needs
    Info(info::Info),
    /// Write every stage's tensor of one run, for comparison with another implementation
    Trace(trace::Trace),
    /// Time every stage at full size
    Bench(bench::Bench),
}

impl Model {
    pub fn run(self) -> Ended {
        match self {
            Self::Pull(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Info(command) => command.run(),
            Self::Trace(command) => command.run(),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Where the models are.
#[derive(Args)]
pub struct Models {
    /// The folder of models [env: ORFEAS_MODELS] [default: orfeas/models in the user's data folder]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl Models {
    pub fn store(self) -> Result<Store, Exit> {
        Ok(Store::new(models_folder(self.models)?))
    }
}

impl From<ModelError> for Exit {
    fn from(error: ModelError) -> Self {
        match error.kind() {
            ModelErrorKind::Usage | ModelErrorKind::Licence => Self::usage(error),
            _ => Self::other(error),
        }
    }
}

impl From<orfeas_hunyuan3d::ModelError> for Exit {
    fn from(error: orfeas_hunyuan3d::ModelError) -> Self {
        use orfeas_hunyuan3d::ModelErrorKind::{Device, Request};
        match error.kind() {
            Device | Request => Self::usage(error),
            _ => Self::other(error),
        }
    }
}
