//! Streams, consumers and buckets: made by one function, asked for by every service, shown in ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use orfeas_bus::topology::{Limits, Topology};
use orfeas_contract::{Event, EventBody, Progress, Stage, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{PATIENCE, Pipeline, Setup, default_limits, diagram, job, paths, pictures};

/// Every stream and consumer of the server as its configuration, by name.
async fn everything(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut streams = pipeline.nats.streams();
    while let Some(info) = streams.try_next().await.unwrap() {
        let name = info.config.name.clone();
        let stream = pipeline.nats.get_stream(&name).await.unwrap();
        let mut consumers = stream.consumers();
        while let Some(info) = consumers.try_next().await.unwrap() {
            // The ephemeral one is this test's own watch on the events.
            if info.config.durable_name.is_some() {
                all.insert(format!("{name}/{}", info.name), format!("{:?} {:?}", info.config, info.created));
            }
        }
        all.insert(name, format!("{:?} {:?}", info.config, info.created));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_twice_is_applying_once() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let once = everything(&pipeline).await;
    pipeline.wired().apply(&pipeline.admin).await.unwrap();
    assert_eq!(everything(&pipeline).await, once);
    let wired = pipeline.wired();
    assert_eq!(once.len(), wired.streams().len() + wired.consumers().len());
    for name in wired.streams().into_iter().map(|stream| stream.name) {
        assert!(once.contains_key(&name), "{name}");
    }
    for consumer in wired.consumers() {
        assert!(once.contains_key(&format!("{}/{}", consumer.stream, consumer.name)), "{consumer:?}");
    }
    // A deployment may change its mind.
    let wider = Limits { images_max_bytes: 3 << 30, ack_wait: Duration::from_secs(7), ..default_limits() };
    Topology::new(wider).apply(&pipeline.admin).await.unwrap();
    let changed = everything(&pipeline).await;
    assert_ne!(changed[subjects::STREAM_IMAGES], once[subjects::STREAM_IMAGES]);
    assert_ne!(changed["WORK/infer"], once["WORK/infer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_what_is_missing_and_goes_on_when_it_is_there() {
    let setup = Setup { topology: false, services: &Service::SERVICES, ..Setup::default() };
    let mut pipeline = setup.start_unready().await;
    for process in &mut pipeline.processes {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = process.get("/readyz").await;
            assert_eq!(answer.status, 503, "{}", answer.body);
            if answer.body.contains("orfeas topology apply") {
                assert_eq!(answer.body.trim_end().lines().count(), 1, "one sentence: {}", answer.body);
                assert!(answer.body.contains("stream EVENTS"), "{}", answer.body);
                break;
            }
            assert!(Instant::now() < end, "{} does not say what is missing: {}", process.service, answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(process.get("/livez").await.status, 200);
    }
    pipeline.wired().apply(&pipeline.admin).await.unwrap();
    for process in &mut pipeline.processes {
        process.ready().await;
    }
    pipeline.complete(&job("at-last"), "{}", pictures::disc(64)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_deleted_is_taken_up_again() {
    let pipeline = Setup::default().engine("noop").start().await;
    let work = pipeline.nats.get_stream(subjects::STREAM_WORK).await.unwrap();
    work.delete_consumer(Stage::Infer.name()).await.unwrap();
    pipeline.submit(&job("patient"), "{}", pictures::disc(64)).await;
    pipeline.wired().apply(&pipeline.admin).await.unwrap();
    pipeline.only_completed(&job("patient")).await;
}

/// Fills a stream with messages of 60 kB, each on a subject of its own, until it was full more than once. Whoever
/// follows the events finds one of the contract in each.
async fn overfill(pipeline: &Pipeline, subject: &str) {
    let progress =
        Progress { stage: Stage::Infer, phase: "steps".to_owned(), step: 1, steps: 9, seconds_left: None, attempt: 1 };
    let event = Event::new(job("filler"), orfeas_contract::now(), EventBody::Progress(progress));
    let mut payload = serde_json::to_vec(&event).unwrap();
    payload.resize(60_000, b' ');
    for number in 0..40 {
        let sent = pipeline.nats.publish(format!("{subject}{number}"), payload.clone().into()).await.unwrap();
        sent.await.unwrap_or_else(|error| panic!("{subject}{number}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_remembers_drops_its_oldest_and_never_stops_a_job() {
    let pipeline = Setup::default().engine("noop").start().await;
    const MIB: u64 = 1 << 20;
    let small = Limits {
        events_max_bytes: MIB,
        jobs_max_bytes: MIB,
        requests_max_bytes: MIB,
        ..pipeline.wired().limits().clone()
    };
    Topology::new(small).apply(&pipeline.admin).await.unwrap();
    for (stream, subject) in [
        (subjects::STREAM_EVENTS, "orfeas.events.progress.filler-"),
        ("KV_orfeas-jobs", "$KV.orfeas-jobs.filler-"),
        ("KV_orfeas-requests", "$KV.orfeas-requests.filler-"),
    ] {
        overfill(&pipeline, subject).await;
        let state = pipeline.nats.get_stream(stream).await.unwrap().cached_info().state.clone();
        assert!(state.bytes <= MIB && state.bytes > MIB / 2, "{stream}: {state:?}");
    }
    let headers = [(subjects::HEADER_JOB, "late"), (subjects::HEADER_MESSAGE_ID, "late-1")];
    pipeline.publish(&headers, pictures::disc(64)).await;
    pipeline.only_completed(&job("late")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_before_the_byte_bounds_takes_them() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    for name in [subjects::STREAM_EVENTS, "KV_orfeas-jobs", "KV_orfeas-requests", "KV_orfeas-metrics"] {
        let mut config = pipeline.nats.get_stream(name).await.unwrap().cached_info().config.clone();
        config.max_bytes = -1;
        if name.starts_with("KV_") {
            config.discard = async_nats::jetstream::stream::DiscardPolicy::New;
        }
        pipeline.nats.update_stream(config).await.unwrap();
    }
    pipeline.wired().apply(&pipeline.admin).await.unwrap();
    for stream in pipeline.wired().streams() {
        assert!(stream.max_bytes > 0 || stream.max_messages > 0, "{} has no bound", stream.name);
        let info = pipeline.nats.get_stream(&stream.name).await.unwrap().cached_info().clone();
        assert_eq!(u64::try_from(info.config.max_bytes).unwrap_or_default(), stream.max_bytes, "{}", stream.name);
    }
}

#[test]
fn the_architecture_shows_the_topology() {
    let path = paths::repository().join("ARCHITECTURE.md");
    let document = std::fs::read_to_string(&path).expect("ARCHITECTURE.md stands in the repository");
    // As `orfeas topology apply` makes it where nothing is configured.
    let topology = Topology::new(default_limits());
    let tables = diagram::tables(&topology);
    if std::env::var_os("UPDATE_ARCHITECTURE").is_some() {
        let updated = diagram::with_marked(&document, &tables).expect("ARCHITECTURE.md has the topology's marks");
        std::fs::write(&path, updated).expect("ARCHITECTURE.md can be written");
        return;
    }
    let shown = diagram::marked(&document)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md lacks {} and {}", diagram::BEGIN, diagram::END));
    assert_eq!(
        shown.trim(),
        tables.trim(),
        "ARCHITECTURE.md shows another topology; UPDATE_ARCHITECTURE=1 cargo test --release -p orfeas-tests --test \
         topology mends it"
    );
    // The diagram drawn by hand, outside the tables, names them all too.
    let drawn = document.replace(shown, "");
    for stream in topology.streams() {
        let name = stream.name.trim_start_matches("OBJ_").trim_start_matches("KV_").to_owned();
        assert!(drawn.contains(&name), "the diagram of ARCHITECTURE.md lacks {name}");
    }
    for stage in Stage::ALL {
        let filter = subjects::work_filter(stage);
        let subject = filter.trim_end_matches(".*");
        assert!(drawn.contains(subject), "the diagram of ARCHITECTURE.md lacks {subject}");
    }
}
