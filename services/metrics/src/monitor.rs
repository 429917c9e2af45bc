//! What the NATS servers tell of themselves on their monitoring ports: `/varz`, `/jsz`, `/healthz`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use orfeas_service::http::{self, HttpUrl};
use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, IntCounterVec, Registry};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use crate::gauges::Family;

/// What one server says; none where it does not answer.
#[derive(Clone, Debug)]
pub struct Said {
    varz: Varz,
    jsz: Jsz,
    healthy: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Varz {
    mem: u64,
    /// Per cent of one core.
    cpu: f64,
    connections: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    slow_consumers: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Jsz {
    storage: u64,
    reserved_storage: u64,
    api: Api,
    config: Store,
    meta_cluster: Option<Meta>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Api {
    errors: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Store {
    max_storage: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    /// Empty, or not there, while the servers have none.
    leader: String,
}

/// Asks the servers again and again.
pub struct Monitor {
    servers: Vec<HttpUrl>,
    up: Family,
    healthy: Family,
    quorum: Family,
    connections: Family,
    memory: Family,
    cpu: Family,
    store: Family,
    store_limit: Family,
    store_reserved: Family,
    messages: Grown,
    bytes: Grown,
    api_errors: Grown,
    slow_consumers: Grown,
}

impl Monitor {
    /// Registers the metrics, without series.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(servers: Vec<HttpUrl>, registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            servers,
            up: Family::new(Metric::NatsUp, registry)?,
            healthy: Family::new(Metric::NatsHealthy, registry)?,
            quorum: Family::new(Metric::NatsQuorum, registry)?,
            connections: Family::new(Metric::NatsConnections, registry)?,
            memory: Family::new(Metric::NatsMemory, registry)?,
            cpu: Family::new(Metric::NatsCpu, registry)?,
            store: Family::new(Metric::NatsStore, registry)?,
            store_limit: Family::new(Metric::NatsStoreLimit, registry)?,
            store_reserved: Family::new(Metric::NatsStoreReserved, registry)?,
            messages: Grown::new(Metric::NatsMessages, registry)?,
            bytes: Grown::new(Metric::NatsBytes, registry)?,
            api_errors: Grown::new(Metric::NatsApiErrors, registry)?,
            slow_consumers: Grown::new(Metric::NatsSlowConsumers, registry)?,
        })
    }

    /// Asks for ever.
    pub async fn run(mut self, every: Duration) -> Infallible {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let said = futures_util::future::join_all(self.servers.iter().map(ask)).await;
            let servers = self.servers.iter().map(|url| url.authority().to_owned());
            let said = servers.zip(said).collect();
            self.show(&said);
        }
    }

    /// Shows what the servers said. One that is silent keeps `up` at 0 and shows no other gauge.
    pub fn show(&mut self, said: &BTreeMap<String, Option<Said>>) {
        self.up.show(said.iter().map(|(server, said)| ([server.clone()], flag(said.is_some()))));
        let each = |value: fn(&Said) -> f64| {
            said.iter().filter_map(move |(server, said)| Some(([server.clone()], value(said.as_ref()?))))
        };
        self.healthy.show(each(|said| flag(said.healthy)));
        self.quorum.show(each(|said| flag(said.jsz.meta_cluster.as_ref().is_none_or(|meta| !meta.leader.is_empty()))));
        self.connections.show(each(|said| number(said.varz.connections)));
        self.memory.show(each(|said| number(said.varz.mem)));
        self.cpu.show(each(|said| said.varz.cpu / 100.0));
        self.store.show(each(|said| number(said.jsz.storage)));
        self.store_limit.show(each(|said| number(said.jsz.config.max_storage)));
        self.store_reserved.show(each(|said| number(said.jsz.reserved_storage)));
        for (server, said) in said.iter().filter_map(|(server, said)| Some((server, said.as_ref()?))) {
            self.messages.to(&[server, "in"], said.varz.in_msgs);
            self.messages.to(&[server, "out"], said.varz.out_msgs);
            self.bytes.to(&[server, "in"], said.varz.in_bytes);
            self.bytes.to(&[server, "out"], said.varz.out_bytes);
            self.api_errors.to(&[server], said.jsz.api.errors);
            self.slow_consumers.to(&[server], said.varz.slow_consumers);
        }
    }
}

async fn ask(server: &HttpUrl) -> Option<Said> {
    let page = async |path: &str| http::get(&server.at(path)).await;
    let talk = async {
        let varz = page("/varz").await?;
        let jsz = page("/jsz").await?;
        let health = page("/healthz").await?;
        Ok::<_, http::HttpError>((varz, jsz, health))
    };
    match talk.await {
        Ok((varz, jsz, health)) => Some(Said {
            varz: serde_json::from_str(&varz.body).ok()?,
            jsz: serde_json::from_str(&jsz.body).ok()?,
            healthy: health.status == 200,
        }),
        Err(error) => {
            tracing::debug!(%error, "a NATS server's monitoring port");
            None
        }
    }
}

/// A counter that follows another program's: it grows by what that one grew, and goes on over its restarts.
struct Grown {
    counter: IntCounterVec,
    last: BTreeMap<Vec<String>, u64>,
}

impl Grown {
    fn new(metric: Metric, registry: &Registry) -> Result<Self, Error> {
        Ok(Self { counter: metric.counter_vec(registry)?, last: BTreeMap::new() })
    }

    fn to(&mut self, labels: &[&str], value: u64) {
        let key = labels.iter().map(|label| (*label).to_owned()).collect();
        let last = self.last.insert(key, value).unwrap_or(0);
        // Less than before: the program began again at 0.
        self.counter.with_label_values(labels).inc_by(value.checked_sub(last).unwrap_or(value));
    }
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
fn number(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use orfeas_service::prometheus::TextEncoder;

    use super::*;

    fn said(varz: &str, jsz: &str, healthy: bool) -> Option<Said> {
        Some(Said { varz: serde_json::from_str(varz).unwrap(), jsz: serde_json::from_str(jsz).unwrap(), healthy })
    }

    fn shown(monitor: &mut Monitor, registry: &Registry, said: Option<Said>) -> String {
        monitor.show(&BTreeMap::from([("n1:8222".to_owned(), said)]));
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn a_server_alone_a_cluster_without_a_leader_a_restart_and_silence() {
        let registry = Registry::new();
        let mut monitor = Monitor::new(Vec::new(), &registry).unwrap();
        let alone = r#"{"storage":5,"config":{"max_storage":20}}"#;
        let text = shown(&mut monitor, &registry, said(r#"{"in_msgs":7,"cpu":150}"#, alone, true));
        for line in [
            "quorum{server=\"n1:8222\"} 1",
            "cpu_ratio{server=\"n1:8222\"} 1.5",
            "store_limit_bytes{server=\"n1:8222\"} 20",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        // As 2.15.1 answers while two of three are away: no leader at all. And it has counted from 0 again.
        let headless = r#"{"meta_cluster":{"name":"x","cluster_size":3}}"#;
        let text = shown(&mut monitor, &registry, said(r#"{"in_msgs":2}"#, headless, false));
        for line in
            ["quorum{server=\"n1:8222\"} 0", "healthy{server=\"n1:8222\"} 0", "direction=\"in\",server=\"n1:8222\"} 9"]
        {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let led = r#"{"meta_cluster":{"leader":"n2"}}"#;
        assert!(shown(&mut monitor, &registry, said("{}", led, true)).contains("quorum{server=\"n1:8222\"} 1"));
        let text = shown(&mut monitor, &registry, None);
        assert!(
            text.contains("orfeas_nats_up{server=\"n1:8222\"} 0") && !text.contains("orfeas_nats_quorum{"),
            "{text}"
        );
    }
}
