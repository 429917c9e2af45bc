//! What the pipeline itself costs: jobs through an engine that does nothing.
//!
//! `cargo run --release -p orfeas-tests --bin orfeas-bench [JOBS]` prints the tables of BENCHMARKS.md.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a tool for the developer")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use orfeas_bus::client;
use orfeas_contract::{EventBody, EventKind, Stage, Timings};
use orfeas_service::config::Service;
use orfeas_tests::{Pipeline, Setup, job, pictures};

const IN_FLIGHT: usize = 64;

#[tokio::main]
async fn main() {
    let jobs: usize = std::env::args().nth(1).map_or(300, |text| text.parse().expect("a number of jobs"));
    // Everything here shares the cores with whatever else runs: beside other load p99 grows first.
    println!("load average before: {}\n", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!("| replicas | in flight | jobs | p50 ms | p99 ms | jobs/s |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let mut rest = String::new();
    for replicas in [1, 4] {
        let setup = Setup {
            replicas,
            ack_wait: Duration::from_secs(30),
            services: &Service::SERVICES,
            log: "warn,orfeas_service=info",
            ..Setup::default()
        };
        let pipeline = setup.engine("noop").start().await;
        if replicas == 1 {
            rest += &memory(&pipeline);
        }
        run(&pipeline, "warm", 20, 4).await;
        for (name, count, in_flight) in [("one", jobs, 1), ("many", jobs * 4, IN_FLIGHT)] {
            let begun = Instant::now();
            let mut latencies = run(&pipeline, name, count, in_flight).await;
            let rate = count as f64 / begun.elapsed().as_secs_f64();
            latencies.sort_unstable();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
            let (half, most) = (at(0.5), at(0.99));
            println!("| {replicas} | {in_flight} | {count} | {half:.1} | {most:.1} | {rate:.0} |");
            if in_flight == 1 {
                rest += &stages(&pipeline, name, replicas).await;
            }
        }
    }
    println!("{rest}");
}

/// Sends `count` jobs, `in_flight` at once; gives each one's time from publish to its completed event.
async fn run(pipeline: &Pipeline, name: &str, count: usize, in_flight: usize) -> Vec<Duration> {
    let picture = pictures::disc(32);
    let filter = format!("orfeas.events.{}.*", EventKind::Completed);
    let mut completed = client::follow(&pipeline.bus, filter, false).await.expect("events");
    let (arrive, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn(async move {
        while let Some(Ok(event)) = completed.next().await {
            if arrive.send((event.job, Instant::now())).is_err() {
                return;
            }
        }
    });
    let mut sent = HashMap::new();
    let mut latencies = Vec::with_capacity(count);
    let names: Vec<_> = (0..count).map(|number| job(&format!("{name}-{number}"))).collect();
    let mut waiting = names.iter();
    while latencies.len() < count {
        let room = in_flight - sent.len();
        let batch: Vec<_> = waiting.by_ref().take(room).collect();
        for job in &batch {
            sent.insert((*job).clone(), Instant::now());
        }
        let publish = |job| pipeline.submit(job, "{}", picture.clone());
        stream::iter(batch).map(publish).buffer_unordered(IN_FLIGHT).for_each(|_| async {}).await;
        let (job, at) = tokio::time::timeout(Duration::from_secs(60), arrivals.recv()).await.expect("in time").unwrap();
        if let Some(begun) = sent.remove(&job) {
            latencies.push(at.duration_since(begun));
        }
    }
    watch.abort();
    latencies
}

/// Where the time of a job went, from the events' own timings.
async fn stages(pipeline: &Pipeline, name: &str, replicas: usize) -> String {
    let said = pipeline.history(&format!("orfeas.events.{}.*", EventKind::Completed)).await;
    let timings: Vec<Timings> = said
        .into_iter()
        .filter(|said| said.event.job.as_str().starts_with(name))
        .filter_map(|said| match said.event.body {
            EventBody::Completed(completed) => Some(completed.timings),
            _ => None,
        })
        .collect();
    let median = |of: &dyn Fn(&Timings) -> f64| {
        let mut values: Vec<f64> = timings.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2] * 1e3
    };
    let mut text = format!("\n| stage, {replicas} of each, one in flight | queued ms | worked ms |\n|---|---:|---:|\n");
    for stage in Stage::ALL {
        let of = |timings: &Timings| timings.of(stage).unwrap_or_default();
        let (queued, worked) = (median(&|timings| of(timings).queued), median(&|timings| of(timings).worked));
        text += &format!("| {stage} | {queued:.1} | {worked:.1} |\n");
    }
    text
}

/// What each process holds when it has nothing to do.
fn memory(pipeline: &Pipeline) -> String {
    let mut text = "\n| idle service | resident MB |\n|---|---:|\n".to_owned();
    for process in &pipeline.processes {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN);
        text += &format!("| {} | {:.1} |\n", process.service, kib * 1024.0 / 1e6);
    }
    text
}
