//! The connection of the commands that talk to a running pipeline.

use std::future::Future;

use clap::Args;
use orfeas_bus::Bus;
use orfeas_bus::topology::Topology;
use orfeas_service::config::{ClientConfig, Service, Sources};
use orfeas_service::telemetry;

use crate::exit::{Ended, Exit};

/// Where the pipeline is. Everything else (user, password, TLS) comes from the environment, see .env.example.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// The NATS server [env: ORFEAS_NATS_URL] [default: nats://127.0.0.1:4222]
    #[arg(long = "nats", value_name = "URL")]
    pub url: Option<String>,
}

/// Sources of a command that a user waits in front of: what is logged in passing is not for them, unless they ask for it.
pub fn quiet(sources: Sources) -> Sources {
    let asked = sources.environment.iter().any(|(name, value)| name == "ORFEAS_LOG_LEVEL" && !value.is_empty());
    if asked { sources } else { sources.with("log_level", "warn") }
}

impl Server {
    pub fn config(&self) -> Result<ClientConfig, Exit> {
        let mut sources = quiet(Sources::from_environment());
        if let Some(url) = &self.url {
            sources = sources.with("nats_url", url);
        }
        ClientConfig::load(&sources).map_err(Exit::configuration)
    }

    /// Whether a server was named at all, by flag or environment.
    pub fn named(&self) -> bool {
        self.url.is_some() || std::env::var_os("ORFEAS_NATS_URL").is_some_and(|url| !url.is_empty())
    }

    pub async fn connect(&self) -> Result<(Bus, ClientConfig), Exit> {
        let config = self.config()?;
        telemetry::init(&config.log);
        let bus = Bus::connect(&orfeas_stage::connection(&config.nats, "client", false)).await?;
        Ok((bus, config))
    }
}

/// The topology of a configuration.
pub fn topology(config: &ClientConfig) -> Topology {
    Topology::new(orfeas_stage::limits(&config.topology, &config.work))
}

/// Runs a command's future.
pub fn block_on(future: impl Future<Output = Ended>) -> Ended {
    let runtime = orfeas_service::runtime(Service::Client).map_err(Exit::other)?;
    let ended = runtime.block_on(future);
    runtime.shutdown_background();
    ended
}
