//! From configuration to a connection, and the wait for what must exist.

use std::time::Duration;

use orfeas_bus::topology::{Limits, Needs, Topology};
use orfeas_bus::{Bus, BusError, Connection, Credentials, Tls};
use orfeas_service::config::{CommonConfig, NatsConfig, TopologyConfig, WorkConfig};

/// Why a service cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A metric was registered twice.
    #[error("a metric cannot be registered: {0}")]
    Metric(orfeas_service::prometheus::Error),
    /// The service's own reason, in one sentence.
    #[error("{0}")]
    Own(String),
}

/// How to connect, from the configuration.
#[must_use]
pub fn connection(nats: &NatsConfig, name: &str, wait_for_server: bool) -> Connection {
    let credentials = match (&nats.creds_file, &nats.token, &nats.user) {
        (Some(path), _, _) => Credentials::CredentialsFile(path.clone()),
        (None, Some(token), _) => Credentials::Token(token.expose().to_owned()),
        (None, None, Some(user)) => Credentials::Password {
            user: user.clone(),
            password: nats.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default(),
        },
        (None, None, None) => Credentials::None,
    };
    Connection {
        urls: nats.urls.iter().map(|url| url.expose().to_owned()).collect(),
        name: format!("orfeas-{name}"),
        inbox_prefix: nats.inbox_prefix.clone(),
        credentials,
        tls: Tls {
            ca_file: nats.tls_ca_file.clone(),
            client: nats.tls_cert_file.clone().zip(nats.tls_key_file.clone()),
        },
        wait_for_server,
    }
}

/// Why a service takes no work until it has looked.
const LOOKING: &str = "looking for the streams on the NATS server";

/// Connects a service, which is not ready before [`topology_ready`] has found its streams, and keeps its condition `nats` true to the connection.
///
/// # Errors
/// [`ServiceError::Bus`] for settings that cannot work; a server that is away is waited for.
pub async fn connect(common: &CommonConfig, context: &orfeas_service::Context) -> Result<Bus, ServiceError> {
    context.readiness.not_ready("nats", "not connected to NATS");
    // Named before the connection can be there: with it alone the service would be ready for a moment.
    context.readiness.not_ready("topology", LOOKING);
    let bus = Bus::connect(&connection(&common.nats, context.service.name(), true)).await?;
    let (watched, readiness, shutdown) = (bus.clone(), context.readiness.clone(), context.shutdown.clone());
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        while !shutdown.is_requested() {
            tick.tick().await;
            if watched.connected() {
                readiness.ready("nats");
            } else {
                readiness.not_ready("nats", "not connected to NATS");
            }
        }
    });
    Ok(bus)
}

/// The topology's limits, from the configuration.
#[must_use]
pub fn limits(topology: &TopologyConfig, work: &WorkConfig) -> Limits {
    Limits {
        replicas: topology.replicas,
        images_max_bytes: topology.images_max_bytes,
        work_max_messages: topology.work_max_messages,
        events_max_bytes: topology.events_max_bytes,
        events_max_age: topology.events_max_age,
        dead_max_bytes: topology.dead_max_bytes,
        dead_max_age: topology.dead_max_age,
        uploads_max_bytes: topology.uploads_max_bytes,
        prepared_max_bytes: topology.prepared_max_bytes,
        fields_max_bytes: topology.fields_max_bytes,
        meshes_max_bytes: topology.meshes_max_bytes,
        jobs_max_bytes: topology.jobs_max_bytes,
        requests_max_bytes: topology.requests_max_bytes,
        artifacts_max_age: topology.artifacts_max_age,
        meshes_max_age: topology.meshes_max_age,
        jobs_max_age: topology.jobs_max_age,
        ack_wait: work.ack_wait,
        max_attempts: work.max_attempts,
    }
}

/// Waits until everything that a service needs is there, saying meanwhile what is missing; false where the shutdown
/// came first.
pub async fn topology_ready(
    bus: &Bus,
    common: &CommonConfig,
    context: &orfeas_service::Context,
    needs: &Needs,
) -> bool {
    let topology = Topology::new(limits(&common.topology, &common.work));
    let mut said = String::new();
    let wait = async {
        loop {
            let reason = match topology.missing(bus, needs).await {
                Ok(None) => break,
                Ok(Some(sentence)) => sentence,
                Err(error) => error.to_string(),
            };
            if reason != said {
                tracing::warn!("{reason}");
                context.readiness.not_ready("topology", reason.clone());
                said = reason;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    if context.shutdown.token().run_until_cancelled(wait).await.is_none() {
        return false;
    }
    context.readiness.ready("topology");
    true
}
