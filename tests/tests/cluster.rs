//! Three servers of nats/cluster/node.conf with replicas 3: jobs go on while one is away, and while two are, the metrics
//! service says that there is no leader.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orfeas_bus::{Bus, Connection, Credentials, client};
use orfeas_contract::{EventKind, Options};
use orfeas_service::config::Service;
use orfeas_service::metrics::Metric;
use orfeas_tests::http::series;
use orfeas_tests::secured::{environment, orfeas};
use orfeas_tests::{EventLog, PATIENCE, Process, job, paths, pictures};

struct Node {
    name: String,
    client: u16,
    route: u16,
    monitor: u16,
    child: Option<Child>,
}

/// Ends with the test.
struct Cluster {
    nodes: Vec<Node>,
    folder: tempfile::TempDir,
    passwords: BTreeMap<String, PathBuf>,
}

/// Ports that were free a moment ago: each server must know the others' before it begins, so none can choose its own.
fn ports<const N: usize>() -> [u16; N] {
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|at| listeners[at].local_addr().unwrap().port())
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nats = folder.path().join("nats");
        fs::create_dir_all(nats.join("cluster")).unwrap();
        for file in ["limits.conf", "users.conf", "cluster/node.conf"] {
            fs::copy(paths::repository().join("nats").join(file), nats.join(file)).unwrap();
        }
        let free = ports::<9>();
        let nodes: Vec<Node> = (0..3)
            .map(|at| Node {
                name: format!("n{}", at + 1),
                client: free[3 * at],
                route: free[3 * at + 1],
                monitor: free[3 * at + 2],
                child: None,
            })
            .collect();
        let routes = nodes.iter().map(|node| format!("127.0.0.1:{}", node.route)).collect::<Vec<_>>().join(",");
        let secrets = folder.path().join("secrets");
        let (out, hashes) = (secrets.display().to_string(), nats.join("hashes.conf").display().to_string());
        let made = orfeas(&["nats", "credentials", "--out", &out, "--hashes", &hashes, "--cluster", &routes], &[]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let users = ["admin", "ingest", "infer", "export", "metrics", "client"];
        let passwords = users.map(|user| (user.to_owned(), secrets.join(format!("nats-{user}")))).into();
        let mut cluster = Self { nodes, folder, passwords };
        for at in 0..3 {
            cluster.begin(at);
        }
        cluster
    }

    fn begin(&mut self, at: usize) {
        let folder = self.folder.path().to_owned();
        let node = &mut self.nodes[at];
        let log = File::options().create(true).append(true).open(folder.join(format!("{}.log", node.name))).unwrap();
        let at = |port: u16| format!("127.0.0.1:{port}");
        let child = Command::new(paths::nats_server())
            .arg("-c")
            .arg(folder.join("nats/cluster/node.conf"))
            .env("NATS_SERVER_NAME", &node.name)
            .env("NATS_LISTEN", at(node.client))
            .env("NATS_HTTP", at(node.monitor))
            .env("NATS_CLUSTER_LISTEN", at(node.route))
            .env("NATS_STORE_DIR", folder.join(format!("store-{}", node.name)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        node.child = Some(child.unwrap());
    }

    fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.nodes[at].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn urls(&self) -> String {
        self.nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.client)).collect::<Vec<_>>().join(",")
    }

    fn monitors(&self) -> String {
        self.nodes.iter().map(|node| format!("http://127.0.0.1:{}", node.monitor)).collect::<Vec<_>>().join(",")
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for at in 0..3 {
            self.kill(at);
            if std::thread::panicking() {
                let log = self.folder().join(format!("{}.log", self.nodes[at].name));
                eprintln!("{}", fs::read_to_string(log).unwrap_or_default());
            }
        }
    }
}

/// Waits until the metrics service says this of the quorum, summed over the servers that answer.
async fn quorum(metrics: &mut Process, expected: f64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = metrics.get("/metrics").await.body;
        let found = series(&text, Metric::NatsQuorum.name(), &[]);
        if found == Some(expected) {
            return;
        }
        assert!(Instant::now() < end, "the quorum is {found:?}, not {expected}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_go_on_while_one_of_three_servers_is_away() {
    let mut cluster = Cluster::start();
    let mut variables = environment(&cluster.passwords, "admin");
    variables.push(("ORFEAS_REPLICAS".to_owned(), "3".to_owned()));
    let urls = cluster.urls();
    // Until they have found each other and a leader, nothing can be made.
    let end = Instant::now() + PATIENCE;
    loop {
        let applied = orfeas(&["topology", "apply", "--nats", &urls], &variables);
        if applied.status.success() {
            break;
        }
        assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&applied.stderr));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut processes = Vec::new();
    for service in Service::SERVICES {
        let mut flags = vec!["--nats-url".to_owned(), urls.clone(), "--replicas".to_owned(), "3".to_owned()];
        if service == Service::Metrics {
            flags.extend(["--poll-interval", "1s", "--nats-monitor-urls"].map(str::to_owned));
            flags.push(cluster.monitors());
        }
        let process = Process::new(service, service.name(), flags, cluster.folder());
        let mut process = process.with_environment(environment(&cluster.passwords, service.name()));
        process.start();
        processes.push(process);
    }
    for process in &mut processes {
        process.ready().await;
    }
    let password = fs::read_to_string(&cluster.passwords["client"]).unwrap();
    let connection = Connection {
        urls: urls.split(',').map(str::to_owned).collect(),
        credentials: Credentials::Password { user: "client".to_owned(), password },
        ..Connection::plain("", "client")
    };
    let bus = Bus::connect(&connection).await.unwrap();
    let events = EventLog::start(bus.clone());
    let completes = async |name: &str| {
        client::submit(&bus, &job(name), pictures::disc(64), &Options::default()).await.unwrap();
        assert_eq!(events.outcome(&job(name)).await.kind(), EventKind::Completed);
    };
    completes("all-three").await;
    let metrics = processes.iter_mut().find(|process| process.service == Service::Metrics).unwrap();
    quorum(metrics, 3.0).await;

    cluster.kill(0);
    completes("one-away").await;
    quorum(metrics, 2.0).await;

    // Two away: the last one answers, and knows no leader.
    cluster.kill(1);
    quorum(metrics, 0.0).await;
    cluster.begin(0);
    quorum(metrics, 2.0).await;
    completes("back-again").await;
}
