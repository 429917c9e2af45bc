//! What somebody takes away behind the pipeline's back: bytes of an object in the making, and records of jobs.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use bytes::Bytes;
use futures_util::TryStreamExt;
use orfeas_bus::{BusErrorKind, Upload, jobs, objects};
use orfeas_contract::{EventKind, JobId, State, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{Pipeline, Setup, job, pictures};

/// A chunk's worth and a bit.
fn bytes() -> Bytes {
    Bytes::from(vec![7; 600 << 10])
}

async fn chunks(pipeline: &Pipeline) -> async_nats::jetstream::stream::Stream {
    pipeline.nats.get_stream(format!("OBJ_{}", subjects::BUCKET_MESHES)).await.unwrap()
}

/// `orfeas gc` takes bytes without a description for litter once they are old, and those of a put that waits for room grow old.
#[tokio::test(flavor = "multi_thread")]
async fn no_object_is_described_whose_bytes_were_taken_away() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let begun = |name: &str| Upload::begin(&pipeline.admin, subjects::BUCKET_MESHES, name);
    let purged = async || chunks(&pipeline).await.purge().await.unwrap();

    let mut between = begun("between");
    between.write(bytes()).await.unwrap();
    purged().await;
    assert_eq!(between.write(bytes()).await.unwrap_err().kind(), BusErrorKind::Damaged);

    let mut before_the_rest = begun("before-the-rest");
    before_the_rest.write(bytes()).await.unwrap();
    purged().await;
    assert_eq!(before_the_rest.finish().await.unwrap_err().kind(), BusErrorKind::Damaged);

    let mut before_the_description = begun("before-the-description");
    before_the_description.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    purged().await;
    let error = before_the_description.finish().await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Damaged);
    assert!(error.to_string().contains("taken away while it was stored"), "{error}");

    for name in ["between", "before-the-rest", "before-the-description"] {
        let read = objects::get_named(&pipeline.admin, subjects::BUCKET_MESHES, name, 1 << 30).await;
        assert_eq!(read.unwrap_err().kind(), BusErrorKind::NotFound, "{name}");
    }
    for size in [0, 1, 600 << 10, 1 << 20] {
        let whole =
            objects::put(&pipeline.admin, subjects::BUCKET_MESHES, "whole", vec![3; size].into()).await.unwrap();
        assert_eq!(objects::get(&pipeline.bus, &whole).await.unwrap(), vec![3; size]);
    }
}

/// A chunk whose answer was lost is sent again, and finds itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_was_stored_before_is_stored_once() {
    let pipeline = Setup { services: &[], ..Setup::default() }.start().await;
    let mut upload = Upload::begin(&pipeline.admin, subjects::BUCKET_MESHES, "twice");
    upload.write(bytes()).await.unwrap();
    let stream = chunks(&pipeline).await;
    let subjects: Vec<(String, usize)> = stream
        .info_with_subjects(format!("$O.{}.C.>", subjects::BUCKET_MESHES))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    // The rest, as the upload will send it.
    let rest = bytes().split_off(512 << 10);
    pipeline.nats.publish(subjects[0].0.clone(), rest).await.unwrap().await.unwrap();
    let stored = upload.finish().await.unwrap();
    assert_eq!(objects::get(&pipeline.bus, &stored).await.unwrap(), bytes());
    assert_eq!(chunks(&pipeline).await.cached_info().state.messages, 3, "two chunks and a description");
}

async fn deleted(pipeline: &Pipeline, job: &JobId) {
    let records = pipeline.nats.get_key_value(subjects::BUCKET_JOBS).await.unwrap();
    records.delete(job.as_str()).await.unwrap();
}

/// Records age, and where there are too many the oldest are pushed out; a job may have waited for longer than that.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_record_goes_on_and_ends() {
    let mut pipeline = Setup::default().start().await;
    for service in [Service::Infer, Service::Export] {
        pipeline.process(service).kill();
        let patient = job(&format!("patient-{service}"));
        pipeline.submit(&patient, r#"{"seed":5}"#, pictures::disc(64)).await;
        let last = if service == Service::Infer { EventKind::Prepared } else { EventKind::Generated };
        pipeline.events.event(&patient, last).await;
        let records = pipeline.nats.get_stream(format!("KV_{}", subjects::BUCKET_JOBS)).await.unwrap();
        let record = format!("$KV.{}.{patient}", subjects::BUCKET_JOBS);
        // The stage before writes it no more, so that it stays away.
        records.purge().filter(record).await.unwrap();
        pipeline.process(service).start();
        pipeline.only_completed(&patient).await;
        let record = jobs::get(&pipeline.bus, &patient).await.unwrap().unwrap().value;
        assert_eq!((record.state, record.options.seed), (State::Completed, Some(5)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_record_holds_up_nobody() {
    let pipeline = Setup::default().start().await;
    let done = job("done");
    pipeline.complete(&done, "{}", pictures::disc(64)).await;
    deleted(&pipeline, &done).await;
    // As many as ingest takes in at once, and more: an id is spent with its job's end, and its repetition adds nothing.
    for _ in 0..4 {
        pipeline.submit(&done, "{}", pictures::disc(64)).await;
    }
    // One whose record was deleted though nothing had become of it.
    let early = job("early");
    let records = pipeline.nats.get_key_value(subjects::BUCKET_JOBS).await.unwrap();
    records.put(early.as_str(), "{}".into()).await.unwrap();
    deleted(&pipeline, &early).await;
    pipeline.complete(&early, "{}", pictures::disc(64)).await;
    pipeline.settled().await;
    assert_eq!(pipeline.history("orfeas.events.completed.done").await.len(), 1);
    let record = jobs::get(&pipeline.bus, &done).await.unwrap();
    assert!(record.is_none(), "a job that has ended was begun again: {record:?}");
    assert_eq!(pipeline.history("orfeas.events.failed.*").await.len(), 0);
}
