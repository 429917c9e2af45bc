//! INGEST: takes a client's picture, and passes a prepared one on.
//!
//! `orfeas.images` → decode with limits, cut out, recentre → `orfeas-prepared` → `orfeas.work.infer.<job>`. It also
//! handles cancel wishes ([`cancel`]) and messages whose every delivery died ([`janitor`]).

mod cancel;
mod janitor;
mod submission;
mod take_in;

use std::sync::Arc;

use orfeas_bus::topology::{CONSUMER_CANCEL, CONSUMER_JANITOR};
use orfeas_bus::work;
use orfeas_contract::subjects;
use orfeas_service::Context;
use orfeas_service::config::IngestConfig;
use orfeas_stage::{ServiceError, Threads};
use orfeas_vision::{GraphCutMatting, Limits};

/// Runs the service until its shutdown is asked for.
///
/// # Errors
/// [`ServiceError`] where it cannot begin.
pub async fn run(config: IngestConfig, context: Context) -> Result<(), ServiceError> {
    let bus = orfeas_stage::connect(&config.common, &context).await?;
    let limits = Limits {
        max_bytes: config.images.max_bytes,
        max_pixels: config.images.max_pixels,
        max_side: config.images.max_side,
        max_decoder_bytes: config.images.max_decoder_bytes,
        ..Limits::default()
    };
    let threads = Threads::new(config.concurrency);
    let stage = take_in::TakeIn { bus: bus.clone(), limits, matting: Arc::new(GraphCutMatting::default()), threads };
    let stop = context.shutdown.token();
    let queue = |stream: &str, consumer: &str| orfeas_stage::queue(&config.common, stream, consumer, 1);
    let ready = context.readiness.clone();
    let cancels = work::run(
        bus.clone(),
        queue(subjects::STREAM_WORK, CONSUMER_CANCEL),
        Arc::new(cancel::Cancel { bus: bus.clone(), ready: ready.clone() }),
        stop.clone(),
    );
    let advisories = work::run(
        bus.clone(),
        queue(subjects::STREAM_DEAD, CONSUMER_JANITOR),
        Arc::new(janitor::Janitor { bus: bus.clone(), ready }),
        stop,
    );
    let pictures = orfeas_stage::run(bus, &config.common, &context, config.concurrency, stage);
    let (pictures, (), ()) = tokio::join!(pictures, cancels, advisories);
    pictures
}
