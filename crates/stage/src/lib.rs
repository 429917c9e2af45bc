//! What the three stages of a job have in common: connect, wait for the topology, take work, and turn whatever becomes
//! of it into exactly one outcome.
//!
//! A stage itself only says how to read its message ([`StageWork::read`]), who may work on it ([`StageWork::admit`])
//! and what to do ([`StageWork::work`]).

mod connect;
mod handler;
mod threads;

pub use connect::{ServiceError, connect, connection, limits, topology_ready};
pub use handler::{Halt, Job, StageHandler, StageWork, Worked, attempt_token, exhausted, read_work};
pub use threads::Threads;

use std::sync::Arc;

use orfeas_bus::cancel::Cancellations;
use orfeas_bus::topology::Needs;
use orfeas_bus::{Bus, work};
use orfeas_contract::{Stage, subjects};
use orfeas_service::config::CommonConfig;
use orfeas_service::metrics::StageMetrics;

/// Runs a stage until its shutdown is asked for and its work in hand has ended or was given back.
///
/// # Errors
/// [`ServiceError`] where the stage cannot begin; once begun it waits troubles out.
pub async fn run<W: StageWork>(
    bus: Bus,
    common: &CommonConfig,
    context: &orfeas_service::Context,
    concurrency: usize,
    stage: W,
) -> Result<(), ServiceError> {
    let metrics = StageMetrics::new(W::STAGE, &context.registry).map_err(ServiceError::Metric)?;
    let cancellations = Cancellations::listen(&bus, context.shutdown.token()).await?;
    if !topology_ready(&bus, common, context, &Needs::of(W::STAGE)).await {
        return Ok(());
    }
    let handler = StageHandler {
        bus: bus.clone(),
        stage,
        metrics,
        cancellations,
        readiness: context.readiness.clone(),
        tracer: context.tracer.clone(),
        max_attempts: common.work.max_attempts,
    };
    let queue = queue(common, stream_of(W::STAGE), W::STAGE.name(), concurrency);
    tracing::info!(stage = %W::STAGE, concurrency, "taking work");
    work::run(bus, queue, Arc::new(handler), context.shutdown.token()).await;
    Ok(())
}

/// The queue of a consumer, with the deployment's times.
#[must_use]
pub fn queue(common: &CommonConfig, stream: &str, consumer: &str, concurrency: usize) -> work::Queue {
    work::Queue { stream: stream.to_owned(), consumer: consumer.to_owned(), concurrency, grace: common.shutdown_grace }
}

fn stream_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Ingest => subjects::STREAM_IMAGES,
        Stage::Infer | Stage::Export => subjects::STREAM_WORK,
    }
}
