//! Backup of a pipeline under load into an empty server, and what `orfeas gc` takes away.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use orfeas_bus::{jobs, objects};
use orfeas_contract::{EventBody, EventKind, JobId, JobRecord, State, subjects};
use orfeas_service::config::Service;
use orfeas_tests::secured::orfeas;
use orfeas_tests::{Pipeline, Setup, TestServer, job, pictures, steady};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Runs `orfeas` on this pipeline's server as its operator, which must succeed; gives what it says.
async fn succeeds(pipeline: &Pipeline, arguments: &[&str]) -> String {
    said(arguments, pipeline.operator(arguments).await)
}

fn said(arguments: &[&str], output: std::process::Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every job's record.
async fn records(pipeline: &Pipeline) -> BTreeMap<JobId, JobRecord> {
    let stream = pipeline.nats.get_stream(format!("KV_{}", subjects::BUCKET_JOBS)).await.unwrap();
    let listed = stream.info_with_subjects(format!("$KV.{}.>", subjects::BUCKET_JOBS)).await.unwrap();
    let keys: Vec<(String, usize)> = listed.try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for (subject, _) in keys {
        let id = subjects::job_of(&subject).unwrap();
        let record = jobs::get(&pipeline.bus, &id).await.unwrap().unwrap().value;
        found.insert(id, record);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_whole_and_its_jobs_go_on_elsewhere() {
    let pipeline = Setup { services: &Service::SERVICES, ..Setup::default() }.start().await;
    let stop = CancellationToken::new();
    let stream = steady(pipeline.bus.clone(), r#"{"resolution":96}"#, Duration::from_millis(25), stop.clone());
    let stream = tokio::spawn(stream);
    let ended = |many: usize| {
        move |events: &[orfeas_contract::Event]| {
            let completed = events.iter().filter(|event| event.kind() == EventKind::Completed);
            let last = completed.clone().nth(many.checked_sub(1)?);
            last.map(|_| completed.count())
        }
    };
    let before = pipeline.events.wait("the first jobs", ended(10)).await;
    let folder = pipeline.server.folder().join("backup");
    let folder = folder.display().to_string();
    let manifest: Value = serde_json::from_str(&succeeds(&pipeline, &["backup", &folder, "--json"]).await).unwrap();
    assert_eq!(manifest["streams"].as_array().unwrap().len(), pipeline.wired().streams().len());
    // It goes on at once, and its clients have noticed nothing.
    let during = pipeline.events.wait("jobs after the backup", ended(before + 20)).await;
    assert!(during >= before + 20);
    stop.cancel();
    let submitted = stream.await.unwrap().len();
    pipeline.events.wait("all jobs", ended(submitted)).await;
    assert_eq!(pipeline.history("orfeas.events.failed.*").await.len(), 0);

    // A second one does not overwrite the first, and a full server is not restored into.
    assert!(!pipeline.operator(&["backup", &folder]).await.status.success());
    let full = pipeline.operator(&["restore", &folder]).await;
    assert!(String::from_utf8_lossy(&full.stderr).contains("restore into an empty one"), "{full:?}");

    // Into an empty server, with services that are up and wait.
    let setup = Setup { services: &Service::SERVICES, topology: false, ..Setup::default() };
    let empty = setup.start_unready().await;
    let still = Setup { services: &[], topology: false, ..Setup::default() }.start_unready().await;
    succeeds(&still, &["restore", &folder]).await;
    let restored = records(&still).await;
    let waiting = still.nats.get_stream(subjects::STREAM_IMAGES).await.unwrap().cached_info().state.messages;
    assert!(restored.len() + usize::try_from(waiting).unwrap() >= before, "jobs are missing in the backup");
    let done = restored.values().filter(|record| record.state == State::Completed).count();
    assert!(done >= before, "{done} of {before} completed jobs are in the backup");
    for record in restored.values() {
        if let Some(EventBody::Completed(completed)) = record.outcome.as_ref().map(|event| &event.body) {
            for file in &completed.files {
                still.fetch(&file.artifact).await;
            }
        }
    }

    succeeds(&empty, &["restore", &folder]).await;
    empty.settled().await;
    let all = records(&empty).await;
    assert!(all.len() >= restored.len());
    for (id, record) in &all {
        assert_eq!(record.state, State::Completed, "{id}: {record:?}");
        // Those of the backup have the very same end.
        if let Some(outcome) = restored.get(id).and_then(|record| record.outcome.as_ref()) {
            assert_eq!(record.outcome.as_ref(), Some(outcome));
        }
        let Some(EventBody::Completed(completed)) = record.outcome.as_ref().map(|event| &event.body) else { panic!() };
        for file in &completed.files {
            empty.fetch(&file.artifact).await;
        }
    }
    assert_eq!(empty.history("orfeas.events.failed.*").await.len(), 0);
    // New jobs have ids that no old one has.
    empty.complete(&job("after"), r#"{"resolution":32}"#, pictures::disc(64)).await;

    // Damage is found before anything is restored.
    let file = format!("{folder}/EVENTS.snapshot");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let server = TestServer::start();
    let damaged = orfeas(&["restore", &folder, "--nats", &server.url()], &[]);
    assert!(String::from_utf8_lossy(&damaged.stderr).contains("EVENTS.snapshot is damaged"), "{damaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_takes_what_nobody_needs_and_nothing_else() {
    let pipeline = Setup::default().start().await;
    let duck = job("duck");
    let completed = pipeline.complete(&duck, r#"{"resolution":32}"#, pictures::disc(64)).await;
    for bucket in [subjects::BUCKET_PREPARED, subjects::BUCKET_FIELDS] {
        pipeline.emptied(bucket).await;
    }
    let put = async |bucket: &str, name: &str| {
        objects::put(&pipeline.admin, bucket, name, Bytes::from_static(b"bytes")).await.unwrap()
    };
    // Of an ended job: a leftover on the way, and a mesh of an attempt that came second.
    put(subjects::BUCKET_FIELDS, "duck/2-0.field").await;
    put(subjects::BUCKET_MESHES, "duck/2-0/duck.stl").await;
    put(subjects::BUCKET_IMAGES, "duck/2").await;
    // Bytes of a put that broke off.
    let chunk = format!("$O.{}.C.lost", subjects::BUCKET_PREPARED);
    pipeline.nats.publish(chunk, Bytes::from_static(b"half")).await.unwrap().await.unwrap();
    // Somebody's, as far as anyone knows.
    put(subjects::BUCKET_FIELDS, "unknown/1-0.field").await;
    for name in ["holiday.png", "duck", "unknown/1"] {
        put(subjects::BUCKET_IMAGES, name).await;
    }

    let names = |text: &str| -> Vec<String> {
        let found: Vec<Value> = serde_json::from_str(text).unwrap();
        found.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&succeeds(&pipeline, &["gc", "--json"]).await).is_empty(), "what is young is left alone");
    let all = ["gc", "--json", "--older-than", "0"];
    let expected = ["duck/2", "lost", "duck/2-0.field", "duck/2-0/duck.stl"];
    let dry: Vec<&str> = all.into_iter().chain(["--dry-run"]).collect();
    assert_eq!(names(&succeeds(&pipeline, &dry).await), expected);
    assert_eq!(names(&succeeds(&pipeline, &all).await), expected, "a dry run takes nothing away");
    assert!(names(&succeeds(&pipeline, &all).await).is_empty());
    for artifact in [&completed.report_file, completed.thumbnail.as_ref().unwrap()] {
        pipeline.fetch(artifact).await;
    }
    for file in completed.files.iter().chain(&completed.mesh) {
        pipeline.fetch(&file.artifact).await;
    }
    pipeline.fetch(&completed.report_file).await;
    let images = ["holiday.png", "duck", "unknown/1"].map(|name| (subjects::BUCKET_IMAGES, name));
    for (bucket, name) in images.into_iter().chain([(subjects::BUCKET_FIELDS, "unknown/1-0.field")]) {
        objects::get_named(&pipeline.admin, bucket, name, 100).await.unwrap();
    }
}

/// An upload in its job's folder is the job's; one under another name is its client's, for other jobs too.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_with_its_job_and_no_other_does() {
    let pipeline = Setup::default().start().await;
    let uploaded = async |name: &str, picture: Bytes, job: &str| {
        objects::put(&pipeline.bus, subjects::BUCKET_IMAGES, name, picture).await.unwrap();
        pipeline.publish(&[(subjects::HEADER_JOB, job), (subjects::HEADER_OBJECT, name)], Bytes::new()).await;
    };
    uploaded("good/1", pictures::disc(64), "good").await;
    uploaded("bad/1", pictures::flat(64), "bad").await;
    uploaded("other/1", pictures::disc(64), "shared").await;
    uploaded("shared", pictures::disc(64), "shared-too").await;
    for name in ["good", "shared", "shared-too"] {
        pipeline.only_completed(&job(name)).await;
    }
    assert_eq!(pipeline.only_outcome(&job("bad")).await.kind(), EventKind::Failed);
    pipeline.settled().await;
    let stream = pipeline.nats.get_stream(format!("OBJ_{}", subjects::BUCKET_IMAGES)).await.unwrap();
    let end = std::time::Instant::now() + orfeas_tests::PATIENCE;
    // They are removed in the background, after the acknowledgement.
    while stream.get_info().await.unwrap().state.messages > 4 {
        assert!(std::time::Instant::now() < end, "uploads of jobs that were taken in are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for name in ["other/1", "shared"] {
        objects::get_named(&pipeline.admin, subjects::BUCKET_IMAGES, name, 1 << 20).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_asked_whether_it_works_and_told_what_to_log() {
    let mut pipeline = Setup { services: &[Service::Export], ..Setup::default() }.start().await;
    let address = pipeline.process(Service::Export).address().await;
    let listener = format!("http://{address}");
    let run = |arguments: &[&str]| said(arguments, orfeas(arguments, &[]));
    assert_eq!(run(&["healthcheck", &format!("{listener}/readyz")]), "ok\n");
    assert_eq!(run(&["log-level", &listener]), "info\n");
    assert!(run(&["log-level", &listener, "orfeas_bus=debug,info"]).contains("orfeas_bus=debug"));
    let refused = orfeas(&["log-level", &listener, "loud"], &[]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("is no log level"));
    pipeline.process(Service::Export).kill();
    let gone = orfeas(&["healthcheck", &format!("{listener}/readyz")], &[]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("does not answer"), "{gone:?}");
}
