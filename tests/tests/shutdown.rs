//! SIGTERM: what is in hand is finished or given back, and the service ends well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orfeas_bus::work::{self, Delivery, Handler, Outcome, Queue};
use orfeas_bus::{client, objects};
use orfeas_contract::{ArtifactRef, EventKind, Stage, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{Setup, job, pictures};
use tokio_util::sync::CancellationToken;

const OPTIONS: &str = r#"{"file_name":"thing","resolution":192}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_finishes_what_it_has_in_hand_and_ends_well() {
    let mut pipeline = Setup { services: &Service::SERVICES, ..Setup::default() }.start().await;
    let expected = pipeline.meshes(&pipeline.complete(&job("undisturbed"), OPTIONS, pictures::photo(256)).await).await;
    for service in Service::SERVICES {
        let name = job(&format!("term-{service}"));
        pipeline.submit(&name, OPTIONS, pictures::photo(256)).await;
        match service {
            Service::Ingest => drop(pipeline.events.event(&name, EventKind::Accepted).await),
            Service::Export => drop(pipeline.events.progress(&name, Stage::Export).await),
            _ => drop(pipeline.events.progress(&name, Stage::Infer).await),
        }
        pipeline.process(service).terminate();
        let status = pipeline.process(service).ended().await;
        assert!(status.success(), "{service} ended with {status}:\n{}", pipeline.process(service).log_text());
        // It had the job in hand: nobody else had to try again, and it goes on without a restart of this service.
        let completed = pipeline.only_completed(&name).await;
        assert_eq!((pipeline.meshes(&completed).await, completed.attempts), (expected.clone(), 1), "{name}");
        pipeline.process(service).start();
        pipeline.process(service).ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_grace_the_work_is_given_back() {
    // No silence ever ends in this test: whoever gets the job after the restart got it from the service that ended.
    let setup =
        Setup { grace: Duration::ZERO, ack_wait: Duration::from_secs(600), resolution: 320, ..Setup::default() };
    let mut pipeline = setup.start().await;
    let name = job("given-back");
    pipeline.submit(&name, "{}", pictures::ring(256, 2)).await;
    pipeline.events.progress(&name, Stage::Infer).await;
    pipeline.process(Service::Infer).terminate();
    let status = pipeline.process(Service::Infer).ended().await;
    assert!(status.success(), "{status}:\n{}", pipeline.process(Service::Infer).log_text());
    pipeline.process(Service::Infer).start();
    pipeline.only_completed(&name).await;
}

/// Removes its object and asks for the end, so that both happen before its message is acknowledged.
struct Tidy {
    bus: orfeas_bus::Bus,
    object: ArtifactRef,
    stop: CancellationToken,
}

impl Handler for Tidy {
    async fn handle(&self, _: Delivery) -> Outcome {
        objects::discard(&self.bus, &self.object);
        self.stop.cancel();
        Outcome::Done
    }
}

// One thread: what is begun in the background goes on only where somebody waits, so nothing is done by luck.
#[tokio::test]
async fn what_is_removed_in_the_background_is_removed_before_the_end() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let bus = pipeline.admin.clone();
    // Two chunks and a description.
    let bytes = Bytes::from(vec![7; 600 << 10]);
    let object = objects::put(&bus, subjects::BUCKET_PREPARED, "thing", bytes).await.unwrap();
    client::queue(&bus, Stage::Infer, &job("tidy"), &serde_json::json!({})).await.unwrap();
    let stop = CancellationToken::new();
    let queue = Queue {
        stream: subjects::STREAM_WORK.to_owned(),
        consumer: Stage::Infer.name().to_owned(),
        concurrency: 1,
        grace: Duration::from_secs(30),
    };
    let handler = Tidy { bus: bus.clone(), object: object.clone(), stop: stop.clone() };
    work::run(bus.clone(), queue, Arc::new(handler), stop).await;
    let stream = pipeline.nats.get_stream(format!("OBJ_{}", subjects::BUCKET_PREPARED)).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 0, "the end did not wait");
    pipeline.settled().await;
}
