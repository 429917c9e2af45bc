//! EXPORT: turns a field into a mesh, its files and its print report, and ends the job.
//!
//! `orfeas.work.export.<job>` → surface → files in `orfeas-meshes` → `orfeas.events.completed.<job>`.

mod finish;
mod shelf;

use orfeas_service::Context;
use orfeas_service::config::ExportConfig;
use orfeas_stage::{ServiceError, Threads};

/// Runs the service until its shutdown is asked for.
///
/// # Errors
/// [`ServiceError`] where it cannot begin.
pub async fn run(config: ExportConfig, context: Context) -> Result<(), ServiceError> {
    let bus = orfeas_stage::connect(&config.common, &context).await?;
    let stage = finish::Finish { bus: bus.clone(), threads: Threads::new(config.concurrency) };
    orfeas_stage::run(bus, &config.common, &context, config.concurrency, stage).await
}
