//! A rolling restart, as docs/OPERATIONS.md tells it: every process ends by SIGTERM and begins again, one after another,
//! while jobs come without a pause. None fails, none is lost.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::time::Duration;

use orfeas_contract::EventKind;
use orfeas_service::config::Service;
use orfeas_tests::{Setup, steady};
use tokio_util::sync::CancellationToken;

async fn a_rolling_restart(replicas: usize) {
    let mut pipeline = Setup { services: &Service::SERVICES, replicas, ..Setup::default() }.start().await;
    let stop = CancellationToken::new();
    let stream = steady(pipeline.bus.clone(), r#"{"resolution":48}"#, Duration::from_millis(60), stop.clone());
    let stream = tokio::spawn(stream);
    for index in 0..pipeline.processes.len() {
        // Under load: this process has had its share before it goes.
        let before = index + 1;
        let begun = |events: &[orfeas_contract::Event]| {
            (events.iter().filter(|event| event.kind() == EventKind::Completed).count() >= before * 3).then_some(())
        };
        pipeline.events.wait("jobs in between", begun).await;
        let process = &mut pipeline.processes[index];
        process.terminate();
        let status = process.ended().await;
        assert!(status.success(), "{status}:\n{}", process.log_text());
        process.start();
        process.ready().await;
    }
    stop.cancel();
    let jobs = stream.await.unwrap();
    for name in &jobs {
        let event = pipeline.events.outcome(name).await;
        assert_eq!(event.kind(), EventKind::Completed, "{event:?}");
    }
    pipeline.settled().await;
    let ended = |kind: &str| format!("orfeas.events.{kind}.*");
    assert_eq!(pipeline.history(&ended("completed")).await.len(), jobs.len());
    assert_eq!(pipeline.history(&ended("failed")).await.len(), 0);
    let dead = pipeline.nats.get_stream(orfeas_contract::subjects::STREAM_DEAD).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 0, "there are dead letters");
    assert!(jobs.len() > 10, "{} jobs are no stream of them", jobs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_process_for_each_service() {
    a_rolling_restart(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_for_each_stage() {
    a_rolling_restart(2).await;
}
