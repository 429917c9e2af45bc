//! The frame that a service's `main` hangs in.

use std::{ffi::OsString, fmt::Display, future::Future, io::Write, net::SocketAddr, process::ExitCode};

use prometheus::Registry;

use crate::{
    config::{HttpConfig, Invocation, Service, ServiceConfig, Sources},
    health, metrics,
    pages::Pages,
    readiness::Readiness,
    shutdown::Shutdown,
    telemetry,
    trace::Tracer,
};

/// What a service is given beside its configuration.
#[derive(Clone, Debug)]
pub struct Context {
    /// The service.
    pub service: Service,
    /// Asks the service to take no new work, to end what it has in hand, and to return.
    pub shutdown: Shutdown,
    /// The service names its conditions here; the first one ends "starting".
    pub readiness: Readiness,
    /// The metrics that `/metrics` shows.
    pub registry: Registry,
    /// Pages that the service adds to its listener.
    pub pages: Pages,
    /// Where spans are told.
    pub tracer: Tracer,
    /// Where the health server listens, if it does.
    pub http_address: Option<SocketAddr>,
}

/// The work loop itself ends at the grace time and gives its work back, which takes a moment more.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Why a service cannot go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Health(#[from] health::HealthError),
    #[error("a metric cannot be registered: {0}")]
    Metric(#[from] prometheus::Error),
    #[error("signals cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    #[error("{0}")]
    Service(String),
    #[error("the service panicked: {0}")]
    Panic(String),
    #[error("the work in hand did not end within {0:?} (shutdown_grace); the queues will give it to another worker")]
    Grace(std::time::Duration),
}

/// The context of a service, its health server started. The `orfeas` command uses this to run several services in one
/// process; `health_end` is what ends the health server, last of all.
///
/// # Errors
/// One sentence that says what to change.
pub async fn start(
    service: Service,
    http: HttpConfig,
    tracer: Tracer,
    shutdown: Shutdown,
    health_end: Shutdown,
) -> Result<Context, health::HealthError> {
    let registry = Registry::new();
    metrics::build_info(service, &registry)?;
    let readiness = Readiness::new();
    let pages = Pages::default();
    let mut context = Context { service, shutdown, readiness, registry, pages, tracer, http_address: None };
    if let Some(address) = http.listen {
        let Context { registry, readiness, pages, .. } = context.clone();
        let server = health::serve(address, registry, readiness, pages, health_end).await?;
        tracing::info!(%service, address = %server.address, "health and metrics are served");
        context.http_address = Some(server.address);
    }
    Ok(context)
}

/// A whole service process: arguments, configuration, log, runtime, health server, signals, and the service itself
/// (`run`) until it returns. Exit codes: 0 ended well, 1 with one sentence on standard error, 2 for mistakes in the
/// arguments or the configuration, which are all listed.
pub fn run_service<C, F, Fut, E>(args: impl IntoIterator<Item = impl Into<OsString> + Clone>, run: F) -> ExitCode
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    match Sources::from_process(C::SERVICE, args) {
        Err(text) => complain(&text, 2),
        Ok(Invocation::Print(text)) => print(&text),
        Ok(Invocation::PrintConfig(sources)) => match C::load(&sources) {
            Err(errors) => complain(&format!("orfeas-{}: {errors}\n", C::SERVICE), 2),
            Ok(config) => match serde_json::to_string_pretty(&config) {
                Ok(text) => print(&format!("{text}\n")),
                Err(error) => complain(&format!("the configuration cannot be printed: {error}\n"), 1),
            },
        },
        Ok(Invocation::Run(sources)) => run_from(&sources, run),
    }
}

/// As [`run_service`], for a caller that has parsed its arguments itself.
pub fn run_from<C, F, Fut, E>(sources: &Sources, run: F) -> ExitCode
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let config = match C::load(sources) {
        Ok(config) => config,
        Err(errors) => return complain(&format!("orfeas-{}: {errors}\n", C::SERVICE), 2),
    };
    telemetry::init(&config.common().log);
    let runtime = match runtime(C::SERVICE) {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("orfeas-{}: no threads to run on: {error}\n", C::SERVICE), 1),
    };
    let ended = runtime.block_on(supervise(config, run));
    // What still blocks a thread must not hold the process: its work comes back through the queue.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("orfeas-{}: {error}\n", C::SERVICE), 1),
    }
}

/// A runtime with at most four workers: the services wait more than they compute, and every thread costs memory.
///
/// # Errors
/// Where the system gives no threads.
pub fn runtime(service: Service) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(4))
        .thread_name(format!("orfeas-{service}"))
        .enable_all()
        .build()
}

async fn supervise<C, F, Fut, E>(config: C, run: F) -> Result<(), RunError>
where
    C: ServiceConfig,
    F: FnOnce(C, Context) -> Fut,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let shutdown = Shutdown::on_signals().map_err(RunError::Signals)?;
    let health_end = Shutdown::new();
    let (http, grace) = (config.common().http, config.common().shutdown_grace);
    tracing::info!(service = %C::SERVICE, version = env!("CARGO_PKG_VERSION"), ?config, "starting");
    let tracer = Tracer::start(C::SERVICE, config.common().otlp_endpoint.as_ref());
    let context = start(C::SERVICE, http, tracer.clone(), shutdown.clone(), health_end.clone()).await?;
    let readiness = context.readiness.clone();
    let mut service = tokio::spawn(run(config, context));
    let ended = tokio::select! {
        ended = &mut service => ended,
        () = shutdown.requested() => {
            readiness.not_ready("shutdown", "the service is ending");
            match tokio::time::timeout(grace + MARGIN, &mut service).await {
                Ok(ended) => ended,
                Err(_) => {
                    service.abort();
                    return Err(RunError::Grace(grace));
                }
            }
        }
    };
    tracer.flush().await;
    health_end.request();
    match ended {
        Ok(Ok(())) => Ok(()),
        // The alternate form is the whole chain of causes on one line, where the error has one.
        Ok(Err(error)) => Err(RunError::Service(format!("{error:#}"))),
        Err(error) if error.is_panic() => {
            Err(RunError::Panic(telemetry::panic_message(&*error.into_panic()).to_owned()))
        }
        Err(error) => Err(RunError::Service(error.to_string())),
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}
