//! Dashboards, alert rules and scrape settings use metric names of the enum only.

#![allow(clippy::unwrap_used, reason = "a test panics where its ground is not there")]

use std::path::{Path, PathBuf};

use orfeas_service::metrics::Metric;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "json" || suffix == "yml") {
            found.push(path);
        }
    }
}

#[test]
fn deploy_names_only_metrics_that_exist_and_the_dashboard_shows_what_matters() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy"), &mut found);
    assert!(found.len() >= 4, "{found:?}");
    let mut used = std::collections::BTreeSet::new();
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("orfeas_")) {
            let metric = Metric::of_series(word);
            used.insert(metric.unwrap_or_else(|| panic!("{}: there is no metric {word}", path.display())));
        }
    }
    for metric in [
        Metric::ConsumerPending,
        Metric::ConsumerAckPending,
        Metric::ConsumerRedelivered,
        Metric::StageQueueSeconds,
        Metric::StageSeconds,
        Metric::JobSeconds,
        Metric::Jobs,
        Metric::JobFailures,
        Metric::GpuMemoryUsed,
        Metric::GpuUtilisation,
        Metric::BucketBytes,
        Metric::DeadLetters,
    ] {
        assert!(used.contains(&metric), "{} is shown nowhere", metric.name());
    }
}
