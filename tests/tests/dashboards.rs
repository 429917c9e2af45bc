//! A real Prometheus watches a real pipeline, and every query of every panel of every dashboard finds data.
//!
//! Prometheus is Debian's package `prometheus`; `PROMETHEUS` may name another. Where there is none, the test says so and
//! passes. Queries of a GPU's own figures must run without an error, and find data where there is a GPU.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]
#![allow(clippy::print_stdout, reason = "a test that could not run must say so")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orfeas_service::config::Service;
use orfeas_service::http::{self, HttpUrl};
use orfeas_tests::{PATIENCE, Pipeline, Setup, job, paths, pictures};
use serde_json::Value;

fn prometheus() -> Option<PathBuf> {
    let own = paths::repository().join(".tools/prometheus/usr/bin/prometheus");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::var_os("PROMETHEUS").map(PathBuf::from);
    let places = named.into_iter().chain([own]);
    places.chain(std::env::split_paths(&on_path).map(|folder| folder.join("prometheus"))).find(|path| path.is_file())
}

/// Ends with the test.
struct Prometheus {
    child: Child,
    url: HttpUrl,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Prometheus {
    /// Starts one with the repository's own rules, scraping these services as its own configuration would by DNS.
    async fn start(program: &Path, pipeline: &mut Pipeline) -> Self {
        let folder = pipeline.server.folder().join("prometheus");
        std::fs::create_dir(&folder).unwrap();
        let rules = paths::repository().join("deploy/prometheus/rules/*.yml");
        let mut config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 1s}}\nrule_files: [{:?}]\nscrape_configs:\n",
            rules.display().to_string()
        );
        for process in &mut pipeline.processes {
            let (service, address) = (process.service, process.address().await);
            config += &format!("- {{job_name: {service}, static_configs: [{{targets: ['{address}']}}]}}\n");
        }
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        // It takes port 0 and logs the port that it got.
        let log = folder.join("log");
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut started = Self { child, url: "http://127.0.0.1:1".parse().unwrap() };
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let listening = |line: &Value| line["msg"].as_str().is_some_and(|said| said.starts_with("Listening on"));
            if let Some(line) = lines.into_iter().find(listening) {
                started.url = format!("http://{}", line["address"].as_str().unwrap()).parse().unwrap();
                break;
            }
            assert!(Instant::now() < end, "prometheus does not listen:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // It listens before its store is open.
        let ready = started.url.at("/-/ready");
        while !http::get(&ready).await.is_ok_and(|answer| answer.status == 200) {
            assert!(Instant::now() < end, "prometheus does not become ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started
    }

    async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = http::get(&self.url.at(&format!("/api/v1/query?query={encoded}"))).await.unwrap();
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

/// Every query of every dashboard, with its panel.
fn queries() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(paths::repository().join("deploy/grafana/dashboards")).unwrap() {
        let dashboard: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let name = format!("{}: {}", dashboard["title"], panel["title"]);
                // Grafana computes the interval from the scrape interval and the width of the panel.
                let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
                found.push((name, expression));
            }
        }
    }
    assert!(found.len() > 40, "{}", found.len());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_every_dashboard_shows_data() {
    let Some(program) = prometheus() else {
        println!("SKIPPED: there is no prometheus here; apt-get install prometheus, or name one in PROMETHEUS");
        return;
    };
    let mut pipeline = Setup { services: &Service::SERVICES, ..Setup::default() }.start().await;
    let prometheus = Prometheus::start(&program, &mut pipeline).await;
    // A rate needs two samples of a series, so jobs end until every panel has seen some.
    let mut missing = queries();
    let end = Instant::now() + PATIENCE;
    for round in 0.. {
        pipeline.complete(&job(&format!("good-{round}")), "{}", pictures::disc(64)).await;
        pipeline.submit(&job(&format!("bad-{round}")), "{}", pictures::flat(64)).await;
        pipeline.events.outcome(&job(&format!("bad-{round}"))).await;
        let no_gpu =
            prometheus.query("max(orfeas_gpu_available)").await.first().is_some_and(|one| one["value"][1] == "0");
        let mut still = Vec::new();
        for (panel, expression) in missing {
            let of_gpu = expression.contains("orfeas_gpu_") || expression.contains("gpu:");
            let excused = no_gpu && of_gpu && !expression.contains("orfeas_gpu_available");
            // A panel full of NaN shows nothing either.
            let data = prometheus.query(&expression).await.iter().any(|series| series["value"][1] != "NaN");
            if !data && !excused {
                still.push((panel, expression));
            }
        }
        if still.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "these panels show nothing: {still:#?}");
        missing = still;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    // Prometheus' own label `job` is the service it asked; the one that the table of jobs links by is a job.
    let table = std::fs::read_to_string(paths::repository().join("deploy/grafana/dashboards/jobs.json")).unwrap();
    assert!(table.contains("/jobs/${__data.fields.exported_job}"), "{table}");
    for series in prometheus.query("orfeas_recent_job_seconds").await {
        let named = series["metric"]["exported_job"].as_str().unwrap_or_default();
        assert!(named.starts_with("good-") || named.starts_with("bad-"), "{series}");
    }

    // No alert fires over a healthy pipeline; what a GPU's alerts ask can be asked.
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await;
    assert!(firing.is_empty(), "{firing:?}");
}
