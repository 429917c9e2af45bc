//! Streams, consumers and buckets: made by one function, asked for by every service, shown in ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use orfeas_bus::topology::{Limits, Topology};
use orfeas_contract::{Stage, subjects};
use orfeas_service::config::{ClientConfig, Service, Sources};
use orfeas_tests::{PATIENCE, Pipeline, Setup, diagram, job, paths, pictures};

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
    pipeline.wired().apply(&pipeline.bus).await.unwrap();
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
    let wider = Limits { images_max_bytes: 3 << 30, ack_wait: Duration::from_secs(7), ..Limits::default() };
    Topology::new(wider).apply(&pipeline.bus).await.unwrap();
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
    pipeline.wired().apply(&pipeline.bus).await.unwrap();
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
    pipeline.wired().apply(&pipeline.bus).await.unwrap();
    pipeline.only_completed(&job("patient")).await;
}

/// The topology as `orfeas topology apply` makes it where nothing is configured.
fn by_default() -> Topology {
    let config = ClientConfig::load(&Sources::default()).unwrap();
    Topology::new(orfeas_stage::limits(&config.topology, &config.work))
}

#[test]
fn the_architecture_shows_the_topology() {
    let path = paths::repository().join("ARCHITECTURE.md");
    let document = std::fs::read_to_string(&path).expect("ARCHITECTURE.md stands in the repository");
    let topology = by_default();
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
