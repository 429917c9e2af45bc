use std::time::Duration;

use orfeas_contract::Stage;
use prometheus::{Registry, TextEncoder};

use super::*;

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn names_follow_prometheus_customs() {
    let mut seen = std::collections::BTreeSet::new();
    for metric in Metric::ALL {
        let name = metric.name();
        assert!(seen.insert(name) && name.starts_with("orfeas_") && metric.help().ends_with('.'), "{name}");
        assert_eq!(metric.kind() == MetricKind::Counter, name.ends_with("_total"), "{name}");
        // The unit is a part of the name; every histogram here is one of times.
        assert!(metric.kind() != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
    }
    assert_eq!(Metric::of_series("orfeas_job_seconds_bucket"), Some(Metric::JobSeconds));
    assert_eq!(Metric::of_series("orfeas_jobs_total"), Some(Metric::Jobs));
    assert_eq!(Metric::of_series("orfeas_ready_sum"), None);
}

#[test]
fn a_collector_must_be_of_the_metrics_kind_and_made_once() {
    let registry = Registry::new();
    assert!(Metric::Ready.counter(&registry).is_err());
    assert!(Metric::Ready.int_gauge_vec(&registry).is_err());
    assert!(Metric::JobsInHand.int_gauge(&registry).is_err());
    Metric::Ready.int_gauge(&registry).unwrap().set(1);
    assert!(Metric::Ready.int_gauge(&registry).is_err());
    assert!(text(&registry).contains("orfeas_ready 1"));
}

#[test]
fn a_stage_counts_what_it_has_in_hand_and_how_it_ended() {
    let registry = Registry::new();
    let metrics = StageMetrics::new(Stage::Export, &registry).unwrap();
    assert!(text(&registry).contains("orfeas_stage_attempts_total{outcome=\"retry\",stage=\"export\"} 0"));
    let hand = metrics.in_hand();
    assert!(text(&registry).contains("orfeas_jobs_in_hand{stage=\"export\"} 1"));
    drop(hand);
    metrics.attempt(Outcome::Done, Duration::from_millis(3));
    let text = text(&registry);
    assert!(text.contains("orfeas_jobs_in_hand{stage=\"export\"} 0"));
    assert!(text.contains("orfeas_stage_attempts_total{outcome=\"done\",stage=\"export\"} 1"));
    assert!(text.contains("orfeas_stage_work_seconds_bucket{stage=\"export\",le=\"0.005\"} 1"), "{text}");
}

#[test]
fn a_ledger_survives_being_stored_and_counts_on() {
    let kept = [Metric::Jobs, Metric::JobSeconds, Metric::StageSeconds];
    let registry = Registry::new();
    let ledger = Ledger::new(&kept, &registry).unwrap();
    ledger.add(Metric::Jobs, &["completed"], 2);
    ledger.observe(Metric::JobSeconds, &[], 0.02);
    ledger.observe(Metric::JobSeconds, &[], 9_999.0);
    ledger.observe(Metric::JobSeconds, &[], f64::NAN);
    ledger.announce(Metric::StageSeconds, &["infer"]);
    ledger.add(Metric::Events, &["failed"], 1);
    ledger.add(Metric::Jobs, &[], 1);
    let stored = serde_json::to_string(&ledger.snapshot()).unwrap();

    let after = Registry::new();
    let again = Ledger::new(&kept, &after).unwrap();
    again.restore(serde_json::from_str(&stored).unwrap());
    assert_eq!(text(&after), text(&registry));
    again.add(Metric::Jobs, &["completed"], 1);
    let text = text(&after);
    for line in [
        "orfeas_jobs_total{state=\"completed\"} 3",
        "orfeas_job_seconds_bucket{le=\"0.025\"} 1",
        "orfeas_job_seconds_bucket{le=\"600\"} 1",
        "orfeas_job_seconds_bucket{le=\"21600\"} 2",
        "orfeas_job_seconds_bucket{le=\"+Inf\"} 2",
        "orfeas_job_seconds_count 2",
        "orfeas_stage_seconds_count{stage=\"infer\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert!(Ledger::new(&[Metric::Ready], &Registry::new()).is_err());
}

#[test]
fn a_ledger_goes_on_from_counts_with_fewer_buckets() {
    let restored = |buckets: &[u64]| {
        let registry = Registry::new();
        let ledger = Ledger::new(&[Metric::JobSeconds], &registry).unwrap();
        let stored = serde_json::json!({"name": "orfeas_job_seconds", "labels": [], "buckets": buckets, "sum": 7.0});
        ledger.restore(serde_json::from_value(serde_json::json!({"counters": [], "histograms": [stored]})).unwrap());
        text(&registry)
    };
    // As a version kept them whose last bound was 600 s.
    let mut old = [0; 19];
    (old[0], old[17], old[18]) = (3, 2, 1);
    let text = restored(&old);
    for line in [
        "orfeas_job_seconds_bucket{le=\"0.001\"} 3",
        "orfeas_job_seconds_bucket{le=\"600\"} 5",
        "orfeas_job_seconds_bucket{le=\"86400\"} 5",
        "orfeas_job_seconds_bucket{le=\"+Inf\"} 6",
        "orfeas_job_seconds_count 6",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert!(!restored(&[1; 40]).contains("orfeas_job_seconds_count"), "a newer version's are not guessed at");
    assert!(!restored(&[]).contains("orfeas_job_seconds_count"));
}
