//! However often it is said, it is one job.

use bytes::Bytes;
use orfeas_contract::{EventKind, subjects};
use orfeas_tests::{Pipeline, Setup, job, job_of_sequence, pictures};

/// Everything of a kind that was ever said.
async fn count(pipeline: &Pipeline, kind: EventKind) -> usize {
    pipeline.history(&format!("orfeas.events.{kind}.*")).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_id_is_one_job_also_after_a_restart_of_the_server() {
    let mut pipeline = Setup::default().engine("noop").start().await;
    let headers = [(subjects::HEADER_MESSAGE_ID, "order-66")];
    let sequence = pipeline.publish(&headers, pictures::disc(64)).await;
    assert_eq!(pipeline.publish(&headers, pictures::disc(64)).await, sequence);
    let first = pipeline.events.wait("the job", |events| job_of_sequence(events, sequence)).await;
    let completed = pipeline.only_completed(&first).await;

    // A work queue forgets the ids of what was taken from it when its server ends in an orderly way.
    pipeline.server.stop();
    pipeline.server.start_again();
    pipeline.publish(&headers, pictures::disc(64)).await;
    // The same id with another job's name is no other job either.
    let renamed = [(subjects::HEADER_MESSAGE_ID, "order-66"), (subjects::HEADER_JOB, "renamed")];
    pipeline.publish(&renamed, pictures::disc(64)).await;
    // What comes after it shows that it was looked at.
    pipeline.complete(&job("next"), "{}", pictures::disc(64)).await;
    pipeline.settled().await;
    assert_eq!(count(&pipeline, EventKind::Accepted).await, 2);
    assert_eq!(count(&pipeline, EventKind::Completed).await, 2);
    assert_eq!(pipeline.only_completed(&first).await, completed);
    assert!(pipeline.record(&job("renamed")).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_twice_is_the_first_one() {
    let pipeline = Setup::default().start().await;
    let twice = job("twice");
    let first = pipeline.submit(&twice, "{}", pictures::disc(64)).await;
    // Of two that are in hand at the same time, which is the first is nobody's promise; that they are one, the next test sees.
    assert_eq!(pipeline.events.wait("the job", |events| job_of_sequence(events, first)).await, twice);
    let second = pipeline.submit(&twice, r#"{"formats":["obj"]}"#, pictures::ring(64, 3)).await;
    assert_ne!(first, second);
    let completed = pipeline.only_completed(&twice).await;
    // Also long after its end.
    pipeline.submit(&twice, "{}", Bytes::from_static(b"no picture")).await;
    assert_eq!(pipeline.only_completed(&twice).await, completed);
    let alone = pipeline.complete(&job("alone"), r#"{"file_name":"twice.stl"}"#, pictures::disc(64)).await;
    assert_eq!(pipeline.meshes(&completed).await, pipeline.meshes(&alone).await, "the first picture is the job");
    assert_eq!(count(&pipeline, EventKind::Failed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_are_one() {
    let pipeline = Setup { replicas: 2, ..Setup::default() }.engine("noop").start().await;
    let crowd = job("crowd");
    let picture = pictures::disc(64);
    let sent = (0..20).map(|_| pipeline.submit(&crowd, "{}", picture.clone()));
    let sequences = futures_util::future::join_all(sent).await;
    assert_eq!(sequences.len(), 20);
    pipeline.only_completed(&crowd).await;
    for kind in [EventKind::Accepted, EventKind::Prepared, EventKind::Generated, EventKind::Completed] {
        assert_eq!(count(&pipeline, kind).await, 1, "{kind}");
    }
}
