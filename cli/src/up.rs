//! `orfeas up`: all services in one process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use orfeas_bus::Bus;
use orfeas_service::config::{
    ClientConfig, ConfigErrors, ExportConfig, HttpConfig, InferConfig, IngestConfig, MetricsConfig, Service,
    ServiceConfig, Sources,
};
use orfeas_service::trace::Tracer;
use orfeas_service::{Context, Shutdown, telemetry};
use orfeas_stage::ServiceError;
use tokio::task::JoinSet;

use crate::connect::{Server, block_on, topology};
use crate::exit::{Ended, Exit, say};
use crate::private_server::PrivateServer;

/// Run the whole pipeline in this process
#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    server: Server,
    /// Where the private nats-server keeps its data
    #[arg(long, value_name = "DIR", default_value = ".orfeas/nats")]
    data: PathBuf,
    /// Port of the private nats-server; 0 takes a free one
    #[arg(long, default_value_t = 4222)]
    port: u16,
    /// The engine: hunyuan3d, inflate, or noop for measuring [default: hunyuan3d, with the starter model]
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
    /// Settings file (TOML) for all services
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// No health and metrics ports
    #[arg(long)]
    no_http: bool,
}

impl Up {
    pub fn run(self) -> Ended {
        block_on(async move {
            let shutdown = Shutdown::on_signals().map_err(Exit::other)?;
            let private = if self.server.url.is_none() {
                Some(PrivateServer::start(&self.data, self.port, false).await?)
            } else {
                None
            };
            let url = private.as_ref().map(|server| server.url.clone()).or(self.server.url.clone());
            let mut sources = Sources::from_environment();
            if let Some(file) = &self.config {
                sources.file = Some(file.clone());
            }
            let infer = self.checkpoint.settings(self.engine.as_deref());
            let running = Services::start(sources, url.as_deref(), &infer, !self.no_http, shutdown).await?;
            say(format!("the pipeline runs on {}; publish pictures on orfeas.images, Ctrl-C drains", running.url));
            let ended = running.ended().await;
            if let Some(server) = private {
                server.stop().await;
            }
            ended
        })
    }
}

/// Which checkpoint engine hunyuan3d runs, and where. Beyond these, the settings of `orfeas serve infer` hold.
#[derive(Args, Clone, Debug)]
pub struct CheckpointFlags {
    /// Checkpoint folder of engine hunyuan3d [env: ORFEAS_MODEL_DIR] [default: the starter model]
    #[arg(long = "model", value_name = "DIR")]
    model: Option<PathBuf>,
    /// Where it runs: cpu, cuda or cuda:N [env: ORFEAS_DEVICE]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

impl CheckpointFlags {
    /// Whether any was given.
    pub fn named(&self) -> bool {
        self.model.is_some() || self.device.is_some()
    }

    /// As settings of infer, with the engine.
    pub fn settings(&self, engine: Option<&str>) -> Vec<(&'static str, String)> {
        let engine = engine.map(|engine| ("engine", engine.to_owned()));
        let model = self.model.as_ref().map(|folder| ("model_dir", folder.display().to_string()));
        let device = self.device.as_ref().map(|device| ("device", device.clone()));
        [engine, model, device].into_iter().flatten().collect()
    }
}

/// The services, running in this process.
pub struct Services {
    tasks: JoinSet<(Service, Result<(), ServiceError>)>,
    shutdown: Shutdown,
    health_end: Shutdown,
    pub bus: Bus,
    pub url: String,
    contexts: Vec<Context>,
}

impl Services {
    /// Applies the topology and starts all four services.
    pub async fn start(
        sources: Sources,
        url: Option<&str>,
        infer: &[(&'static str, String)],
        http: bool,
        shutdown: Shutdown,
    ) -> Result<Self, Exit> {
        let sources = match url {
            Some(url) => sources.with("nats_url", url),
            None => sources,
        };
        let infer_sources =
            infer.iter().fold(sources.clone(), |sources, (setting, value)| sources.with(setting, value.as_str()));
        let client = ClientConfig::load(&sources);
        let (ingest, infer) = (IngestConfig::load(&sources), InferConfig::load(&infer_sources));
        let (export, metrics) = (ExportConfig::load(&sources), MetricsConfig::load(&sources));
        let (client, ingest, infer, export, metrics) = match (client, ingest, infer, export, metrics) {
            (Ok(client), Ok(ingest), Ok(infer), Ok(export), Ok(metrics)) => (client, ingest, infer, export, metrics),
            (client, ingest, infer, export, metrics) => {
                let mistakes = [client.err(), ingest.err(), infer.err(), export.err(), metrics.err()];
                return Err(Exit::configuration(ConfigErrors::of_all(mistakes.into_iter().flatten())));
            }
        };
        telemetry::init(&client.log);
        let bus = Bus::connect(&orfeas_stage::connection(&client.nats, "up", false)).await?;
        topology(&client).apply(&bus).await?;
        let url = client.nats.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let health_end = Shutdown::new();
        let mut this = Self { tasks: JoinSet::new(), shutdown, health_end, bus, url, contexts: Vec::new() };
        this.spawn(ingest, http, orfeas_ingest::run).await?;
        this.spawn(infer, http, orfeas_infer::run).await?;
        this.spawn(export, http, orfeas_export::run).await?;
        this.spawn(metrics, http, orfeas_metrics::run).await?;
        Ok(this)
    }

    async fn spawn<C, F>(&mut self, config: C, http: bool, run: impl FnOnce(C, Context) -> F) -> Ended
    where
        C: ServiceConfig,
        F: Future<Output = Result<(), ServiceError>> + Send + 'static,
    {
        let http = if http { config.common().http } else { HttpConfig { listen: None } };
        let tracer = Tracer::start(C::SERVICE, config.common().otlp_endpoint.as_ref());
        let (shutdown, health_end) = (self.shutdown.child(), self.health_end.clone());
        let started = orfeas_service::start(C::SERVICE, http, tracer, shutdown, health_end).await;
        let context = started.map_err(Exit::other)?;
        self.contexts.push(context.clone());
        let service = run(config, context);
        self.tasks.spawn(async move { (C::SERVICE, service.await) });
        Ok(())
    }

    /// Waits until every service takes work.
    pub async fn ready(&mut self) -> Ended {
        let contexts = self.contexts.clone();
        let all = async {
            for context in &contexts {
                context.readiness.wait_ready().await;
            }
        };
        tokio::select! {
            () = all => Ok(()),
            ended = self.tasks.join_next() => Err(ended_early(ended)),
            () = tokio::time::sleep(Duration::from_secs(600)) => {
                let reasons: Vec<String> = contexts.iter().filter_map(|context| context.readiness.reason()).collect();
                Err(Exit::other(format!("the services did not become ready: {}", reasons.join("; "))))
            }
        }
    }

    /// Waits for the end: a signal, after which the services drain, or one that cannot go on, which ends all.
    pub async fn ended(mut self) -> Ended {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if !self.shutdown.is_requested() {
                self.shutdown.request();
                result = Err(ended_early(Some(ended)));
            } else if let Ok((service, Err(error))) = ended {
                result = Err(Exit::other(format!("{service}: {error}")));
            }
        }
        self.bus.flush().await;
        self.health_end.request();
        result
    }

    /// Asks for the end and waits for it.
    pub async fn stop(self) -> Ended {
        self.shutdown.request();
        self.ended().await
    }
}

type TaskEnd = Result<(Service, Result<(), ServiceError>), tokio::task::JoinError>;

fn ended_early(ended: Option<TaskEnd>) -> Exit {
    match ended {
        Some(Ok((service, Err(error)))) => Exit::other(format!("{service}: {error}")),
        Some(Ok((service, Ok(())))) => Exit::other(format!("{service} ended by itself")),
        Some(Err(error)) => Exit::other(format!("a service broke off: {error}")),
        None => Exit::other("no service runs"),
    }
}
