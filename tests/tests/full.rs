//! Full queues, full buckets and what is too large: whoever is in front waits, nothing fails of it, and every job ends.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use orfeas_bus::topology::{Limits, Topology};
use orfeas_bus::{client, objects};
use orfeas_contract::{Code, EventBody, EventKind, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{Pipeline, Setup, job, pictures};

async fn limit(pipeline: &Pipeline, change: impl FnOnce(&mut Limits)) {
    let mut limits = pipeline.wired().limits().clone();
    change(&mut limits);
    Topology::new(limits).apply(&pipeline.admin).await.unwrap();
}

/// New jobs must not take the room that those in the queue need to get on.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_queue_carries_many_jobs() {
    let pipeline = Setup { replicas: 2, ..Setup::default() }.engine("noop").start().await;
    limit(&pipeline, |limits| limits.work_max_messages = 8).await;
    let jobs: Vec<_> = (0..40).map(|number| job(&format!("one-of-many-{number}"))).collect();
    for one in &jobs {
        pipeline.submit(one, "{}", pictures::disc(64)).await;
    }
    for one in &jobs {
        let completed = pipeline.only_completed(one).await;
        assert_eq!(completed.attempts, 1, "{one}: what waits for room does not fail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_bucket_is_waited_for() {
    let mut pipeline = Setup::default().engine("noop").start().await;
    limit(&pipeline, |limits| limits.fields_max_bytes = 1 << 20).await;
    let filler = "$O.orfeas-fields.C.filler";
    let stream = pipeline.nats.get_stream("OBJ_orfeas-fields").await.unwrap();
    let mut size = 256 * 1024;
    while size > 16 {
        let sent = pipeline.nats.publish(filler, Bytes::from(vec![0; size])).await.unwrap();
        if sent.await.is_err() {
            size /= 2;
        }
    }
    let patient = job("patient");
    pipeline.submit(&patient, "{}", pictures::disc(64)).await;
    pipeline.process(Service::Infer).logged("waiting for room", 1).await;
    stream.purge().filter(filler).await.unwrap();
    assert_eq!(pipeline.only_completed(&patient).await.attempts, 1);
    let messages = pipeline.history("orfeas.events.generated.patient").await;
    assert_eq!(messages.len(), 1);
}

/// What an attempt has stored when it ends without a result, no event will ever name.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_export_has_stored_goes_with_it() {
    let mut pipeline = Setup::default().start().await;
    let options = r#"{"formats":["stl","obj"],"resolution":48}"#;
    let first = pipeline.complete(&job("first"), options, pictures::disc(64)).await;
    let stream = pipeline.nats.get_stream("OBJ_orfeas-meshes").await.unwrap();
    let before = stream.cached_info().state.clone();
    let [stl, obj] = [0, 1].map(|at| first.files[at].artifact.bytes);
    limit(&pipeline, |limits| limits.meshes_max_bytes = before.bytes + stl + obj / 2).await;
    let unwanted = job("unwanted");
    pipeline.submit(&unwanted, options, pictures::disc(64)).await;
    // The first file is there, and the second waits.
    pipeline.process(Service::Export).logged("waiting for room", 1).await;
    assert!(stream.get_info().await.unwrap().state.messages > before.messages);
    client::cancel(&pipeline.bus, &unwanted).await.unwrap();
    assert_eq!(pipeline.only_outcome(&unwanted).await.kind(), EventKind::Cancelled);
    let end = std::time::Instant::now() + orfeas_tests::PATIENCE;
    while stream.get_info().await.unwrap().state.messages > before.messages {
        assert!(std::time::Instant::now() < end, "files of a cancelled job are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for file in &first.files {
        pipeline.fetch(&file.artifact).await;
    }
}

/// A server ends a batched read at its `max_pending`, 64 MiB where nobody set it.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_may_be_larger_than_what_the_server_sends_at_once() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let bytes: Bytes = (0..70_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let stored = objects::put(&pipeline.admin, subjects::BUCKET_MESHES, "big/mesh.stl", bytes.clone()).await.unwrap();
    let read = objects::get(&pipeline.bus, &stored).await.unwrap();
    assert!(read == bytes, "{} bytes came back", read.len());
}

/// What a client sends comes back in sentences and events, which have limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_however_much_it_quotes() {
    let pipeline = Setup::default().engine("noop").start().await;
    let quoted = format!("{{\"seed\":\"{}\"}}", "\u{7f}".repeat(15_000));
    let id = "\"".repeat(40_000);
    for (name, header, value) in
        [("quoted", subjects::HEADER_OPTIONS, quoted.as_str()), ("named", subjects::HEADER_MESSAGE_ID, id.as_str())]
    {
        let refused = job(name);
        pipeline.publish(&[(subjects::HEADER_JOB, name), (header, value)], pictures::disc(64)).await;
        let ended = pipeline.only_outcome(&refused).await;
        let EventBody::Failed(failed) = ended.body else { panic!("{ended:?}") };
        assert_eq!((failed.code, failed.attempts), (Code::InvalidOptions, 1), "{}", failed.message);
    }
}

/// Headers that tell the server something are the client's message's, not the dead letter's.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_expects_nothing_of_its_stream() {
    let mut pipeline = Setup { max_attempts: 1, ..Setup::default() }.impatient().engine("noop").start().await;
    let deadly = job("deadly");
    let headers = [
        (subjects::HEADER_JOB, "deadly"),
        (subjects::HEADER_MESSAGE_ID, "deadly-1"),
        ("Nats-Expected-Stream", subjects::STREAM_IMAGES),
    ];
    // Killed while it holds the message, the one attempt is spent.
    pipeline.process(Service::Ingest).kill();
    pipeline.publish(&headers, pictures::disc(64)).await;
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        pipeline.nats.get_stream(subjects::STREAM_IMAGES).await.unwrap().get_consumer("ingest").await.unwrap();
    let mut deliveries = consumer.stream().max_messages_per_batch(1).messages().await.unwrap();
    let held = futures_util::StreamExt::next(&mut deliveries).await.unwrap().unwrap();
    drop((held, deliveries));
    pipeline.process(Service::Ingest).start();
    let ended = pipeline.only_outcome(&deadly).await;
    let EventBody::Failed(failed) = ended.body else { panic!("{ended:?}") };
    assert_eq!(failed.code, Code::AttemptsExhausted);
    let dead = pipeline.nats.get_stream(subjects::STREAM_DEAD).await.unwrap();
    let letter = dead.get_last_raw_message_by_subject("orfeas.dead.ingest.deadly").await.unwrap();
    let headers: &HeaderMap = &letter.headers;
    assert_eq!(headers.get("Orfeas-Message-Id").unwrap().as_str(), "deadly-1");
    assert!(headers.get("Nats-Expected-Stream").is_none(), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_counts_for_a_picture_that_waits() {
    let mut pipeline = Setup::default().engine("noop").start().await;
    let images = pipeline.nats.get_stream(subjects::STREAM_IMAGES).await.unwrap();
    let later = orfeas_contract::now() + Duration::from_secs(3600);
    images.pause_consumer("ingest", later).await.unwrap();
    let unwanted = job("unwanted");
    pipeline.submit(&unwanted, "{}", pictures::disc(64)).await;
    client::cancel(&pipeline.bus, &unwanted).await.unwrap();
    pipeline.process(Service::Ingest).logged("pictures wait that came before the wish", 1).await;
    images.resume_consumer("ingest").await.unwrap();
    let ended = pipeline.only_outcome(&unwanted).await;
    // The wish and the picture race now: a job of a few milliseconds may win. What counts is that the wish was heard.
    assert!(matches!(ended.kind(), EventKind::Cancelled | EventKind::Completed), "{ended:?}");
    pipeline.process(Service::Ingest).logged("cancel wish", 1).await;
    assert!(!pipeline.process(Service::Ingest).log_text().contains("a job that does not exist"));
}
