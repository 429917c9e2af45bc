//! INFER: turns a prepared picture into a field.
//!
//! `orfeas.work.infer.<job>` → engine, on the one device thread → `orfeas-fields` → `orfeas.work.export.<job>`. Up to
//! `MAX_CONCURRENT_JOBS` jobs are in hand: while one computes, the next ones' pictures are fetched and wait decoded. Those
//! that wait and whose settings are equal go to the device together, where the engine gains by that (`HUNYUAN3D_BATCH`); each
//! keeps its own message, progress, cancel wish and end.

mod device;
mod generate;
mod phases;
mod resume;
mod serve;
mod spec;

use orfeas_service::Context;
use orfeas_service::config::InferConfig;
use orfeas_service::metrics::Metric;
use orfeas_stage::{ServiceError, Threads};

/// Runs the service until its shutdown is asked for.
///
/// # Errors
/// [`ServiceError`] where it cannot begin: the engine cannot be loaded, say; or where the engine is broken.
pub async fn run(config: InferConfig, context: Context) -> Result<(), ServiceError> {
    context.readiness.not_ready("engine", format!("loading engine {}", config.engine));
    let bus = orfeas_stage::connect(&config.common, &context).await?;
    let name = config.engine.name();
    let gauge =
        Metric::EngineLoaded.gauge_vec(&context.registry).map_err(ServiceError::Metric)?.with_label_values(&[name]);
    let (ready, loading, ratio) = (context.readiness.clone(), context.readiness.clone(), gauge.clone());
    let progress = move |percent: u8| {
        ratio.set(f64::from(percent) / 100.0);
        loading.not_ready("engine", format!("loading model {percent} %"));
    };
    let device = device::Device::start(spec::of(&config)?, progress)?;
    let (loaded, broken) = (device.loaded(), device.broken());
    let checkpoint_every = config.checkpoint_every;
    let threads = Threads::new(config.max_concurrent_jobs);
    let phases = phases::Phases::new(name, &context.registry).map_err(ServiceError::Metric)?;
    let stage = generate::Generate { bus: bus.clone(), device, engine: name, checkpoint_every, phases, threads };
    let load = async {
        loaded.await?;
        gauge.set(1.0);
        ready.ready("engine");
        Ok(())
    };
    let work = orfeas_stage::run(bus, &config.common, &context, config.max_concurrent_jobs, stage);
    // An engine that cannot be loaded ends the service at once; one that can never ends this join by itself.
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => ended,
        loaded = load => match loaded {
            // A device that fails every job would spend the attempts of all that wait: whoever restarts this process gets a
            // new one, and what is in hand is delivered again.
            Ok(()) => tokio::select! {
                ended = work => ended,
                error = broken => Err(error),
            },
            Err(error) => Err(error),
        },
    }
}
