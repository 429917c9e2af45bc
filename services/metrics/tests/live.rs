//! The service against a real nats-server: killed, restarted, and with the server and the stream going away under it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orfeas_bus::topology::Topology;
use orfeas_bus::{Bus, Connection, events};
use orfeas_contract::{Event, JobId};
use orfeas_service::config::{ClientConfig, HttpConfig, MetricsConfig, Service, Sources};
use orfeas_service::prometheus::{Registry, TextEncoder};
use orfeas_service::trace::Tracer;
use orfeas_service::{Context, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn nats_server() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nats/bin/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::var_os("NATS_SERVER")
        .map(PathBuf::from)
        .into_iter()
        .chain([own])
        .chain(std::env::split_paths(&path).map(|folder| folder.join("nats-server")))
        .find(|candidate| candidate.is_file())
        .expect("there is no nats-server; `make test` sets one up, or name one in NATS_SERVER")
}

struct Server {
    child: Child,
    store: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let store = tempfile::tempdir().unwrap();
        let child = Self::spawn(store.path(), -1);
        let file = store.path().join(format!("nats-server_{}.ports", child.id()));
        let end = Instant::now() + Duration::from_secs(90);
        let port = loop {
            let ports = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(ports) = ports {
                let ports: serde_json::Value = ports;
                break ports["nats"][0].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
            }
            assert!(Instant::now() < end, "nats-server says no port");
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { child, store, port }
    }

    fn spawn(store: &Path, port: i32) -> Child {
        let mut command = Command::new(nats_server());
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(store);
        command.arg("--ports_file_dir").arg(store).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = Self::spawn(self.store.path(), i32::from(self.port));
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A JetStream request that no service of ours makes.
    async fn raw(&self, subject: &str) {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let text = format!("CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer 0\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains("MSG answer") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(!seen.contains("error"), "{seen}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A metrics service in this process.
struct Metrics {
    registry: Registry,
    context: Context,
    task: tokio::task::JoinHandle<Result<(), orfeas_stage::ServiceError>>,
}

impl Metrics {
    async fn start(server: &Server, checkpoint_interval: Duration) -> Self {
        let mut config = MetricsConfig::load(&Sources::default().with("nats_url", server.url())).unwrap();
        config.poll_interval = Duration::from_millis(100);
        config.checkpoint_interval = checkpoint_interval;
        let off = HttpConfig { listen: None };
        let context = orfeas_service::start(Service::Metrics, off, Tracer::default(), Shutdown::new(), Shutdown::new())
            .await
            .unwrap();
        let registry = context.registry.clone();
        let task = tokio::spawn(orfeas_metrics::run(config, context.clone()));
        Self { registry, context, task }
    }

    /// Ready; until then no count may be shown, because it could be less than what was shown before.
    async fn ready(server: &Server, checkpoint_interval: Duration) -> Self {
        let metrics = Self::start(server, checkpoint_interval).await;
        let end = Instant::now() + Duration::from_secs(90);
        while !metrics.context.readiness.is_ready() {
            assert!(!metrics.task.is_finished() && Instant::now() < end, "{:?}", metrics.context.readiness.reason());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        metrics
    }

    fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    fn counts(&self) -> String {
        let names = ["orfeas_events_total", "orfeas_job", "orfeas_stage_"];
        let text = self.text();
        let lines = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.map(|line| format!("{line}\n")).collect()
    }

    async fn until(&self, line: &str) {
        let end = Instant::now() + Duration::from_secs(90);
        while !self.text().lines().any(|there| there == line) {
            assert!(Instant::now() < end, "{line} does not come:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_without(&self, name: &str) {
        let end = Instant::now() + Duration::from_secs(90);
        while self.text().contains(name) {
            assert!(Instant::now() < end, "{name} stays:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// As a `kill -9`: nothing is stored any more.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn end(self) {
        self.context.shutdown.request();
        self.task.await.unwrap().unwrap();
    }
}

async fn fail(bus: &Bus, number: u32) {
    let event = serde_json::json!({
        "kind": "failed", "job": "x", "time": "2026-01-02T03:04:05Z", "stage": "ingest", "code": "no_subject",
        "message": "Nothing stands out.", "attempts": 1,
        "timings": { "ingest": { "queued": 0.1 / f64::from(number), "worked": 0.7 / f64::from(number) } }
    });
    let mut event: Event = serde_json::from_value(event).unwrap();
    event.job = JobId::parse(&format!("job-{number}")).unwrap();
    events::publish_once(bus, &event, None).await.unwrap();
}

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(3600);

fn failed(count: u32) -> String {
    format!("orfeas_jobs_total{{state=\"failed\"}} {count}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_survive_everything_and_nothing_counts_twice() {
    let mut server = Server::start();
    let bus = Bus::connect(&Connection::plain(&server.url(), "test")).await.unwrap();
    let defaults = ClientConfig::load(&Sources::default()).unwrap();
    let topology = Topology::new(orfeas_stage::limits(&defaults.topology, &defaults.work));
    topology.apply(&bus).await.unwrap();

    let first = Metrics::ready(&server, SOON).await;
    first.until(&failed(0)).await;
    for number in 1..=20 {
        fail(&bus, number).await;
    }
    first.until("orfeas_events_checkpoint_sequence 20").await;
    first.until(&failed(20)).await;
    first.until("orfeas_events_lag 0").await;
    first.until("orfeas_stream_messages{stream=\"EVENTS\"} 20").await;
    first.until("orfeas_consumer_pending{consumer=\"infer\",stream=\"WORK\"} 0").await;
    first.until("orfeas_bucket_bytes{bucket=\"orfeas-meshes\"} 0").await;
    first.until("orfeas_dead_letters 0").await;
    let shown = first.counts();
    first.kill().await;

    // Restarted at the checkpoint: nothing moved.
    let second = Metrics::ready(&server, NEVER).await;
    assert_eq!(second.counts(), shown);
    for number in 21..=25 {
        fail(&bus, number).await;
    }
    second.until(&failed(25)).await;
    let shown = second.counts();
    assert!(second.text().contains("orfeas_events_checkpoint_sequence 20"));
    second.kill().await;

    // Killed before it stored anything: the last five come from the stream again, once.
    let third = Metrics::ready(&server, NEVER).await;
    assert_eq!(third.counts(), shown);
    third.end().await;

    // Ended in order: stored at the end.
    let fourth = Metrics::ready(&server, SOON).await;
    assert_eq!(fourth.counts(), shown);
    fourth.until("orfeas_events_checkpoint_sequence 25").await;

    // The server goes: what is not known is not shown, what was counted is.
    server.kill();
    fourth.until_without("orfeas_stream_messages").await;
    fourth.until_without("orfeas_events_lag").await;
    fourth.until_without("orfeas_consumer_pending").await;
    fourth.until_without("orfeas_dead_letters").await;
    assert_eq!(fourth.counts(), shown);
    server.restart();
    fail(&bus, 26).await;
    fourth.until(&failed(26)).await;
    fourth.until("orfeas_events_lag 0").await;

    // The stream is made anew while the service runs: it goes on from its first event.
    server.raw("$JS.API.STREAM.DELETE.EVENTS").await;
    topology.apply(&bus).await.unwrap();
    fail(&bus, 1).await;
    fourth.until(&failed(27)).await;
    fourth.until("orfeas_events_checkpoint_sequence 1").await;

    // And while it does not.
    fourth.kill().await;
    server.raw("$JS.API.STREAM.DELETE.EVENTS").await;
    topology.apply(&bus).await.unwrap();
    for number in 1..=3 {
        fail(&bus, number).await;
    }
    let fifth = Metrics::ready(&server, SOON).await;
    assert!(fifth.counts().contains(&failed(30)), "{}", fifth.counts());

    // A purged stream keeps its last sequence; nobody waits for it.
    fifth.end().await;
    fail(&bus, 4).await;
    server.raw("$JS.API.STREAM.PURGE.EVENTS").await;
    let sixth = Metrics::ready(&server, SOON).await;
    sixth.until(&failed(30)).await;

    // Two at once: both count, and the store holds the newest.
    let seventh = Metrics::ready(&server, SOON).await;
    for number in 10..=30 {
        fail(&bus, number).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    sixth.until(&failed(51)).await;
    seventh.until(&failed(51)).await;
    sixth.end().await;
    seventh.end().await;
    let eighth = Metrics::ready(&server, NEVER).await;
    eighth.until(&failed(51)).await;
    eighth.end().await;
}
