//! Every metric is emitted by a real run, counts what happened, and counts nothing twice.

use std::time::{Duration, Instant};

use orfeas_bus::client;
use orfeas_contract::{EventKind, Stage};
use orfeas_service::config::Service;
use orfeas_service::metrics::{Metric, MetricKind};
use orfeas_tests::http::series;
use orfeas_tests::{PATIENCE, Pipeline, Setup, job, pictures};

/// What the metrics service says once it has counted `jobs` ended jobs and looked at the queues.
async fn counted(pipeline: &mut Pipeline, jobs: f64) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = pipeline.process(Service::Metrics).get("/metrics").await.body;
        // What is polled comes a little after what is counted.
        let polled = |metric: Metric, label: &str| series(&text, metric.name(), &[label]).unwrap_or_default();
        let seen = series(&text, Metric::Jobs.name(), &[]) == Some(jobs)
            && polled(Metric::BucketBytes, r#"bucket="orfeas-meshes""#) > 0.0
            && polled(Metric::StreamMessages, r#"stream="EVENTS""#) > 10.0
            && series(&text, Metric::EventsLag.name(), &[]) == Some(0.0)
            && series(&text, Metric::ConsumerPending.name(), &[]) == Some(0.0);
        if seen {
            return text;
        }
        assert!(Instant::now() < end, "{jobs} jobs are never counted:\n{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The series that a restart must not change.
fn lasting(text: &str) -> Vec<&str> {
    // What NATS counts goes on growing meanwhile.
    let of_nats = |metric: &Metric| metric.name().starts_with("orfeas_nats_");
    let counts = |metric: &Metric| metric.kind() != MetricKind::Gauge && !of_nats(metric);
    let own = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        Metric::of_series(name).is_some_and(|metric| counts(&metric))
    };
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).filter(own).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_emitted_and_right() {
    let mut pipeline = Setup { services: &Service::SERVICES, resolution: 384, ..Setup::default() }.start().await;
    let small = r#"{"resolution":32}"#;
    pipeline.complete(&job("good"), small, pictures::disc(64)).await;
    pipeline.complete(&job("good-2"), small, pictures::disc(64)).await;
    pipeline.submit(&job("bad"), small, pictures::flat(64)).await;
    pipeline.only_outcome(&job("bad")).await;
    let unwanted = job("unwanted");
    pipeline.submit(&unwanted, r#"{"resolution":512}"#, pictures::ring(256, 1)).await;
    pipeline.events.progress(&unwanted, Stage::Infer).await;
    client::cancel(&pipeline.bus, &unwanted).await.unwrap();
    assert_eq!(pipeline.only_outcome(&unwanted).await.kind(), EventKind::Cancelled);

    let metrics = counted(&mut pipeline, 4.0).await;
    let mut all = metrics.clone();
    for process in &mut pipeline.processes {
        all += &process.get("/metrics").await.body;
    }
    let no_gpu = series(&metrics, Metric::GpuAvailable.name(), &[]) == Some(0.0);
    for metric in Metric::ALL {
        let of_gpu = metric.name().starts_with("orfeas_gpu_") && *metric != Metric::GpuAvailable;
        let name = match metric.kind() {
            MetricKind::Histogram => format!("{}_count", metric.name()),
            _ => metric.name().to_owned(),
        };
        let found = series(&all, &name, &[]);
        if of_gpu && no_gpu {
            assert_eq!(found, None, "{name} is made up: there is no GPU");
        } else {
            assert!(found.is_some(), "{name} is never emitted:\n{all}");
        }
    }

    let value = |metric: Metric, labels: &[&str]| series(&metrics, metric.name(), labels);
    assert_eq!(value(Metric::Jobs, &[r#"state="completed""#]), Some(2.0));
    assert_eq!(value(Metric::Jobs, &[r#"state="failed""#]), Some(1.0));
    assert_eq!(value(Metric::Jobs, &[r#"state="cancelled""#]), Some(1.0));
    assert_eq!(value(Metric::JobFailures, &[r#"stage="ingest""#, r#"code="no_subject""#]), Some(1.0));
    assert_eq!(value(Metric::Events, &[r#"kind="accepted""#]), Some(4.0));
    assert_eq!(value(Metric::Events, &[r#"kind="completed""#]), Some(2.0));
    assert_eq!(series(&metrics, "orfeas_job_seconds_count", &[]), Some(2.0));
    for stage in Stage::ALL {
        let label = format!("stage=\"{stage}\"");
        let seconds = series(&metrics, "orfeas_stage_seconds_count", &[&label]);
        assert!(seconds >= Some(2.0), "{stage}: {seconds:?}");
    }
    assert_eq!(value(Metric::DeadLetters, &[]), Some(0.0));
    assert!(value(Metric::BucketBytes, &[r#"bucket="orfeas-meshes""#]) > Some(0.0));
    assert!(value(Metric::StreamMessages, &[r#"stream="EVENTS""#]) > Some(10.0));
    for consumer in pipeline.wired().consumers() {
        let labels = [format!("stream=\"{}\"", consumer.stream), format!("consumer=\"{}\"", consumer.name)];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        for metric in [Metric::ConsumerPending, Metric::ConsumerAckPending, Metric::ConsumerRedelivered] {
            assert!(value(metric, &labels).is_some(), "{} of {labels:?}", metric.name());
        }
    }

    // Counts outlive the process, whether its last checkpoint was in time or not.
    for round in 0..2 {
        let before = counted(&mut pipeline, 4.0 + f64::from(round)).await;
        pipeline.process(Service::Metrics).kill();
        pipeline.process(Service::Metrics).start();
        pipeline.process(Service::Metrics).ready().await;
        let after = counted(&mut pipeline, 4.0 + f64::from(round)).await;
        assert_eq!(lasting(&before), lasting(&after), "a restart changed the counts");
        // While it is away, things go on.
        pipeline.process(Service::Metrics).kill();
        pipeline.complete(&job(&format!("meanwhile-{round}")), small, pictures::disc(64)).await;
        pipeline.process(Service::Metrics).start();
        counted(&mut pipeline, 5.0 + f64::from(round)).await;
    }
}
