use std::sync::Arc;

use nvml_wrapper::Nvml;
use orfeas_bus::observe::{ConsumerNumbers, StreamNumbers};
use orfeas_contract::{Code, Event, Stage};
use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Registry, TextEncoder};
use serde_json::json;

use crate::checkpoint::{Checkpoint, Found};
use crate::gauges::Single;
use crate::gpu::{Device, Gpus, sample};
use crate::queues::Gauges;
use crate::tally::{Aligned, Position, Tally};

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[track_caller]
fn has(registry: &Registry, line: &str) {
    let text = text(registry);
    assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
}

fn event(kind: &str, body: serde_json::Value) -> Event {
    let mut value = json!({ "kind": kind, "job": "duck", "time": "2026-01-02T03:04:05Z" });
    value.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn progress() -> Event {
    event("progress", json!({ "stage": "infer", "phase": "steps", "step": 1, "steps": 9, "attempt": 1 }))
}

fn failed(queued: f64) -> Event {
    let body = json!({
        "stage": "infer", "code": "no_subject", "message": "Nothing stands out.", "attempts": 1,
        "timings": { "ingest": { "queued": queued, "worked": 0.2 } }
    });
    event("failed", body)
}

fn completed() -> Event {
    let timing = json!({ "queued": 0.002, "worked": 0.3 });
    let object = json!({ "bucket": "b", "object": "o", "bytes": 1, "sha256": "00" });
    let report = json!({
        "triangles": 4, "vertices": 4, "watertight": true, "manifold": true, "oriented": true, "components": 1,
        "volume_cm3": 1.0, "area_cm2": 1.0, "bounds_mm": [1.0, 1.0, 1.0], "boundary_edges": 0,
        "non_manifold_edges": 0, "non_manifold_vertices": 0, "degenerate_triangles": 0
    });
    let body = json!({
        "engine": "inflate", "model": "none", "seed": 0, "steps": 1, "guidance": 1.0, "resolution": 8,
        "files": [], "report": report, "report_file": object, "total_seconds": 0.7, "attempts": 1,
        "timings": { "ingest": timing, "infer": timing, "export": timing }
    });
    event("completed", body)
}

fn shown() -> (Tally, Registry) {
    let (tally, registry) = (Tally::new().unwrap(), Registry::new());
    tally.expose(&registry).unwrap();
    (tally, registry)
}

#[test]
fn series_of_known_labels_begin_at_zero() {
    let (_tally, registry) = shown();
    for state in ["completed", "failed", "cancelled"] {
        has(&registry, &format!("orfeas_jobs_total{{state=\"{state}\"}} 0"));
    }
    for kind in ["accepted", "prepared", "progress", "generated", "completed", "failed", "cancelled"] {
        has(&registry, &format!("orfeas_events_total{{kind=\"{kind}\"}} 0"));
    }
    for stage in ["ingest", "infer", "export"] {
        has(&registry, &format!("orfeas_stage_seconds_count{{stage=\"{stage}\"}} 0"));
        has(&registry, &format!("orfeas_stage_queue_seconds_count{{stage=\"{stage}\"}} 0"));
    }
    has(&registry, "orfeas_job_seconds_count 0");
    for code in Code::ALL {
        for stage in Stage::ALL {
            has(&registry, &format!("orfeas_job_failures_total{{stage=\"{stage}\",code=\"{code}\"}} 0"));
        }
    }
}

#[test]
fn terminal_events_feed_their_metrics_and_nothing_else() {
    let (tally, registry) = shown();
    tally.align(7, 4);
    tally.count(1, Some(&progress()));
    has(&registry, "orfeas_events_total{kind=\"progress\"} 1");
    has(&registry, "orfeas_stage_seconds_count{stage=\"infer\"} 0");
    tally.count(2, Some(&completed()));
    tally.count(3, Some(&failed(-5.0)));
    tally.count(4, Some(&event("cancelled", json!({ "state": "inferring" }))));
    for line in [
        "orfeas_jobs_total{state=\"completed\"} 1",
        "orfeas_jobs_total{state=\"failed\"} 1",
        "orfeas_jobs_total{state=\"cancelled\"} 1",
        "orfeas_job_failures_total{stage=\"infer\",code=\"no_subject\"} 1",
        "orfeas_job_seconds_count 1",
        "orfeas_job_seconds_sum 0.7",
        "orfeas_stage_seconds_count{stage=\"ingest\"} 2",
        "orfeas_stage_seconds_sum{stage=\"ingest\"} 0.5",
        "orfeas_stage_seconds_count{stage=\"export\"} 1",
        // The negative time counts as none.
        "orfeas_stage_queue_seconds_sum{stage=\"ingest\"} 0.002",
        "orfeas_stage_queue_seconds_count{stage=\"ingest\"} 2",
    ] {
        has(&registry, line);
    }
}

#[test]
fn a_sequence_counts_once_and_an_unreadable_event_is_passed() {
    let (tally, registry) = shown();
    assert_eq!(tally.align(7, 9), Aligned::First);
    tally.count(4, Some(&progress()));
    tally.count(4, Some(&progress()));
    tally.count(3, Some(&progress()));
    tally.count(5, None);
    tally.count(5, Some(&progress()));
    has(&registry, "orfeas_events_total{kind=\"progress\"} 1");
    assert_eq!(tally.position(), Position { created: 7, sequence: 5 });
}

#[test]
fn another_stream_is_counted_from_its_beginning_and_counters_stay() {
    let (tally, registry) = shown();
    tally.align(7, 3);
    tally.count(3, Some(&progress()));
    assert_eq!(tally.align(7, 3), Aligned::GoesOn);
    assert_eq!(tally.align(8, 1), Aligned::Recreated);
    tally.count(1, Some(&progress()));
    has(&registry, "orfeas_events_total{kind=\"progress\"} 2");
    // A server put back from a backup gives sequences a second time.
    assert_eq!(tally.align(8, 0), Aligned::RolledBack);
    tally.count(1, Some(&progress()));
    has(&registry, "orfeas_events_total{kind=\"progress\"} 3");
}

#[test]
fn a_checkpoint_brings_everything_back_to_the_last_bit() {
    let (before, registry) = shown();
    before.align(7, 1000);
    for sequence in 1..=1000 {
        let queued = f64::from(u32::try_from(sequence).unwrap()).sqrt() / 3.0;
        before.count(sequence, Some(&failed(queued)));
        let (position, counts) = before.snapshot();
        let stored = Checkpoint { position, writer: "me".into(), counts };
        // By way of `Value`, as the keeper reads it.
        let bytes = serde_json::to_vec(&stored).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json::from_value::<Checkpoint>(value).unwrap(), stored, "after {sequence} events");
    }
    let (after, restored) = shown();
    let (position, counts) = before.snapshot();
    after.restore(position, counts);
    assert_eq!(text(&restored), text(&registry));
    // What the checkpoint holds is not counted again.
    assert_eq!(after.align(7, 1000), Aligned::GoesOn);
    after.count(1000, Some(&failed(1.0)));
    assert_eq!(text(&restored), text(&registry));
}

#[test]
fn the_newer_checkpoint_of_two_services_stays() {
    let at = |writer: &str, created, sequence| Checkpoint {
        position: Position { created, sequence },
        writer: writer.into(),
        counts: Default::default(),
    };
    let ours = at("me", 7, 10);
    assert_eq!(ours.find(&at("me", 7, 9)), Found::Ours);
    assert_eq!(ours.find(&at("other", 7, 9)), Found::Older);
    assert_eq!(ours.find(&at("other", 7, 10)), Found::Newer);
    assert_eq!(ours.find(&at("other", 6, 99)), Found::Older);
    assert_eq!(ours.find(&at("other", 8, 1)), Found::Newer);
}

#[test]
fn numbers_vanish_when_nobody_knows_them() {
    let registry = Registry::new();
    let mut gauges = Gauges::new(&registry).unwrap();
    let consumer =
        ConsumerNumbers { stream: "WORK".into(), consumer: "infer".into(), pending: 3, ack_pending: 2, redelivered: 1 };
    gauges.consumers(Some(&[consumer]));
    let stream = |name: &str, bytes| StreamNumbers {
        stream: name.into(),
        messages: 4,
        advisories: u64::from(name == "DEAD"),
        bytes,
        max_bytes: 90,
        oldest_seconds: 2.5,
        last_sequence: 9,
    };
    gauges.streams(Some(&[stream("OBJ_orfeas-meshes", 1 << 40), stream("DEAD", 5)]));
    for line in [
        "orfeas_consumer_pending{consumer=\"infer\",stream=\"WORK\"} 3",
        "orfeas_consumer_ack_pending{consumer=\"infer\",stream=\"WORK\"} 2",
        "orfeas_consumer_redelivered{consumer=\"infer\",stream=\"WORK\"} 1",
        "orfeas_stream_messages{stream=\"DEAD\"} 4",
        "orfeas_stream_bytes{stream=\"DEAD\"} 5",
        "orfeas_bucket_bytes{bucket=\"orfeas-meshes\"} 1099511627776",
        "orfeas_dead_letters 3",
    ] {
        has(&registry, line);
    }
    assert!(!text(&registry).contains("bucket=\"DEAD\""));
    gauges.consumers(None);
    gauges.streams(None);
    assert_eq!(text(&registry), "");
    gauges.streams(Some(&[stream("DEAD", 5)]));
    has(&registry, "orfeas_dead_letters 3");
}

#[test]
fn a_single_gauge_comes_back() {
    let registry = Registry::new();
    let mut lag = Single::new(Metric::EventsLag, &registry);
    lag.show(1);
    lag.hide();
    assert_eq!(text(&registry), "");
    lag.show(2);
    has(&registry, "orfeas_events_lag 2");
}

#[test]
fn a_device_shows_what_it_says_and_no_more() {
    let registry = Registry::new();
    let mut gpus = Gpus::new(&registry).unwrap();
    let device = Device {
        index: 1,
        identity: Some(["H100".into(), "GPU-1".into(), "575".into()]),
        memory: Some((1 << 30, 80 << 30)),
        utilisation: Some(0.5),
        temperature: Some(41),
    };
    gpus.show(&Ok(vec![device.clone()]));
    for line in [
        "orfeas_gpu_available{reason=\"\"} 1",
        "orfeas_gpu_info{driver=\"575\",index=\"1\",name=\"H100\",uuid=\"GPU-1\"} 1",
        "orfeas_gpu_memory_used_bytes{index=\"1\"} 1073741824",
        "orfeas_gpu_memory_total_bytes{index=\"1\"} 85899345920",
        "orfeas_gpu_utilisation_ratio{index=\"1\"} 0.5",
        "orfeas_gpu_temperature_celsius{index=\"1\"} 41",
    ] {
        has(&registry, line);
    }
    gpus.show(&Ok(vec![Device { utilisation: None, ..device }]));
    assert!(!text(&registry).contains("orfeas_gpu_utilisation_ratio"));
    has(&registry, "orfeas_gpu_temperature_celsius{index=\"1\"} 41");
    gpus.show(&Err("the NVIDIA driver is not loaded".into()));
    let text = text(&registry);
    assert!(text.contains("orfeas_gpu_available{reason=\"the NVIDIA driver is not loaded\"} 0"), "{text}");
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "{text}");
}

/// The machine's own GPUs, or their absence.
#[test]
fn this_machine_is_told_as_it_is() {
    let registry = Registry::new();
    let mut gpus = Gpus::new(&registry).unwrap();
    let mut opened = None;
    gpus.show(&sample(&mut opened));
    let text = text(&registry);
    println!("{text}");
    if Nvml::init().is_ok_and(|nvml| nvml.device_count().is_ok_and(|count| count > 0)) {
        assert!(text.contains("orfeas_gpu_available{reason=\"\"} 1"), "{text}");
        assert!(text.contains("orfeas_gpu_memory_total_bytes{index=\"0\"} "), "{text}");
    } else {
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "{text}");
        assert!(text.contains("orfeas_gpu_available{reason=\"") && text.contains("\"} 0"), "{text}");
        assert!(!text.contains("memory"), "{text}");
    }
}

#[test]
fn two_threads_deliver_the_same_events_once() {
    let (tally, registry) = shown();
    tally.align(7, 500);
    let tally = Arc::new(tally);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (1..=500).for_each(|sequence| tally.count(sequence, Some(&progress()))));
        }
    });
    has(&registry, "orfeas_events_total{kind=\"progress\"} 500");
}
