//! METRICS: makes what happens on the bus, and on the GPUs of its machine, visible to Prometheus.
//!
//! `orfeas.events.>` → counters and histograms, which a checkpoint carries over a restart; queues, buckets and GPUs →
//! gauges, looked at every now and then. So are the NATS servers' monitoring ports and the disks that it is told of. It publishes nothing but its checkpoint.

mod checkpoint;
mod disks;
mod follow;
mod gauges;
mod gpu;
mod monitor;
mod queues;
mod recent;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use orfeas_bus::topology::{Needs, Topology};
use orfeas_service::Context;
use orfeas_service::config::MetricsConfig;
use orfeas_stage::ServiceError;
use tokio::sync::Notify;

use crate::checkpoint::Keeper;
use crate::disks::Disks;
use crate::follow::Follower;
use crate::gpu::Gpus;
use crate::monitor::Monitor;
use crate::queues::Queues;
use crate::recent::Recent;
use crate::tally::Tally;

/// How long the last checkpoint may take; without it the next start counts the events since the one before again,
/// which is right as well.
const LAST_STORE: Duration = Duration::from_secs(5);

/// Runs the service until its shutdown is asked for.
///
/// # Errors
/// [`ServiceError`] where it cannot begin; once begun it waits troubles out.
pub async fn run(config: MetricsConfig, context: Context) -> Result<(), ServiceError> {
    // Named before anything else, so that the service is never ready for a moment before it has caught up.
    context.readiness.not_ready("events", "the events of the past are not counted yet");
    let gpus = Gpus::new(&context.registry).map_err(ServiceError::Metric)?;
    let monitor = Monitor::new(config.nats_monitor_urls.clone(), &context.registry).map_err(ServiceError::Metric)?;
    let disks = Disks::new(config.watch_folders.clone(), &context.registry).map_err(ServiceError::Metric)?;
    // All parts run in this one task: a panic in any of them ends the service instead of leaving a part of it dead.
    tokio::select! {
        never = gpus.run(config.poll_interval) => match never {},
        never = monitor.run(config.poll_interval) => match never {},
        never = disks.run(config.poll_interval) => match never {},
        ended = on_the_bus(&config, &context) => ended,
    }
}

async fn on_the_bus(config: &MetricsConfig, context: &Context) -> Result<(), ServiceError> {
    let topology = Topology::new(orfeas_stage::limits(&config.common.topology, &config.common.work));
    let tally = Arc::new(Tally::new().map_err(ServiceError::Metric)?);
    let again = Arc::new(Notify::new());
    let bus = orfeas_stage::connect(&config.common, context).await?;
    let queues = Queues::new(bus.clone(), topology, tally.clone(), again.clone(), &context.registry)
        .map_err(ServiceError::Metric)?;
    if !orfeas_stage::topology_ready(&bus, &config.common, context, &Needs::of_metrics()).await {
        return Ok(());
    }
    let loading = Keeper::load(bus.clone(), tally.clone(), &context.registry);
    let Some(mut keeper) = context.shutdown.token().run_until_cancelled(loading).await else { return Ok(()) };
    let recent = Recent::new(&context.registry, context.pages.clone()).map_err(ServiceError::Metric)?;
    let follower = Follower::new(bus, tally, recent, again, context.registry.clone(), context.readiness.clone());
    tokio::select! {
        () = context.shutdown.requested() => {}
        never = follower.run() => match never {},
        never = queues.run(config.poll_interval) => match never {},
        never = keeper.run(config.checkpoint_interval) => match never {},
    }
    match tokio::time::timeout(LAST_STORE, keeper.store()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the last checkpoint was not stored; the next start counts from before")
        }
        Err(_) => tracing::warn!("the last checkpoint was not stored in time; the next start counts from before"),
    }
    Ok(())
}
