//! INFER: turns a prepared picture into a field.
//!
//! `orfeas.work.infer.<job>` → engine, on the one device thread → `orfeas-fields` → `orfeas.work.export.<job>`. Up to
//! `MAX_CONCURRENT_JOBS` jobs are in hand: while one computes, the next ones' pictures are fetched and wait decoded.

mod device;
mod generate;

use orfeas_service::Context;
use orfeas_service::config::InferConfig;
use orfeas_stage::ServiceError;

/// Runs the service until its shutdown is asked for.
///
/// # Errors
/// [`ServiceError`] where it cannot begin: the engine cannot be loaded, say.
pub async fn run(config: InferConfig, context: Context) -> Result<(), ServiceError> {
    context.readiness.not_ready("engine", format!("loading engine {}", config.engine));
    let bus = orfeas_stage::connect(&config.common, &context).await?;
    let device = device::Device::start(config.engine.name(), config.resolution)?;
    let ready = context.readiness.clone();
    let loaded = device.loaded();
    let stage = generate::Generate { bus: bus.clone(), device, engine: config.engine.name() };
    let load = async {
        loaded.await?;
        ready.ready("engine");
        Ok(())
    };
    let work = orfeas_stage::run(bus, &config.common, &context, config.max_concurrent_jobs, stage);
    // An engine that cannot be loaded ends the service at once; one that can never ends this join by itself.
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => ended,
        loaded = load => match loaded {
            Ok(()) => work.await,
            Err(error) => Err(error),
        },
    }
}
