//! The neural engine in the pipeline, on a tiny checkpoint: the real one would differ only in the folder.
#![allow(clippy::expect_used)] // Helpers of tests fail as tests do.

use std::path::PathBuf;
use std::process::Command;

use orfeas_contract::{EventBody, EventKind, JobId, Progress};
use orfeas_service::config::Service;
use orfeas_tests::{Pipeline, Setup, job, paths, pictures};

fn checkpoint() -> PathBuf {
    paths::repository().join("crates/hunyuan3d/tests/fixtures/parity/base")
}

fn setup(every: u32) -> Setup {
    let infer = vec![
        ("--model-dir", checkpoint().display().to_string()),
        ("--device", "cpu".to_owned()),
        ("--checkpoint-every", every.to_string()),
    ];
    Setup { engine: "hunyuan3d", resolution: 48, infer, ..Setup::default() }
}

/// Waits until the sampler says that it has done a step.
async fn step(pipeline: &Pipeline, name: &JobId, wanted: u32) -> Progress {
    let reached = |progress: &Progress| progress.phase == "sample" && progress.step >= wanted;
    let found = |event: &orfeas_contract::Event| match &event.body {
        EventBody::Progress(progress) if event.job == *name && reached(progress) => Some(progress.clone()),
        _ => None,
    };
    pipeline.events.wait(&format!("step {wanted} of {name}"), |events| events.iter().find_map(found)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_makes_the_same_mesh_of_the_same_seed() {
    let pipeline = setup(0).start().await;
    let options = r#"{"engine":"hunyuan3d","seed":7,"steps":5,"guidance":5,"file_name":"thing.stl"}"#;
    let first = pipeline.complete(&job("first"), options, pictures::disc(200)).await;
    let provenance = &first.provenance;
    assert_eq!((provenance.engine.as_str(), provenance.seed, provenance.steps), ("hunyuan3d", 7, 5));
    assert!(provenance.model.starts_with("base"), "{}", provenance.model);
    assert_eq!(provenance.weights_sha256.as_deref().map(str::len), Some(64));
    assert!(first.report.watertight && first.report.manifold && first.report.volume_cm3 > 0.0);
    let again = pipeline.complete(&job("again"), options, pictures::disc(200)).await;
    assert_eq!(pipeline.meshes(&again).await, pipeline.meshes(&first).await, "the same seed, bit for bit");
    let other = options.replace("\"seed\":7", "\"seed\":8");
    let other = pipeline.complete(&job("other"), &other, pictures::disc(200)).await;
    assert_ne!(pipeline.meshes(&other).await, pipeline.meshes(&first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_says_which_crumbs_are_left_out_and_a_job_may_say_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(checkpoint()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let config = folder.path().join("config.yaml");
    let own = std::fs::read_to_string(&config).unwrap() + "\norfeas:\n  floaters: 1.0\n";
    std::fs::write(&config, own).unwrap();
    let mut setup = setup(0);
    setup.infer[0].1 = folder.path().display().to_string();
    let pipeline = setup.start().await;
    let made =
        async |name: &str, options: &str| pipeline.complete(&job(name), options, pictures::disc(200)).await.report;
    let usual = made("usual", r#"{"seed":7,"steps":5}"#).await;
    let all = made("all", r#"{"seed":7,"steps":5,"floaters":0}"#).await;
    assert!(usual.components < all.components, "{} of {} pieces", usual.components, all.components);
    assert_eq!(all.removed_components, 0);
    assert_eq!(usual.removed_components, all.components - usual.components);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_s_job_goes_on_from_its_latents() {
    let mut pipeline = setup(2).impatient().start().await;
    // Decoding takes long enough that the job is not over before its worker is killed.
    let options = r#"{"seed":3,"steps":120,"resolution":128,"file_name":"thing.stl"}"#;
    let expected = pipeline.complete(&job("undisturbed"), options, pictures::disc(200)).await;
    let name = job("killed");
    pipeline.submit(&name, options, pictures::disc(200)).await;
    let progress = step(&pipeline, &name, 20).await;
    assert!(progress.seconds_left.is_some_and(|seconds| seconds > 0.0), "{progress:?}");
    pipeline.process(Service::Infer).kill();
    pipeline.process(Service::Infer).start();
    let completed = pipeline.only_completed(&name).await;
    assert_eq!(pipeline.meshes(&completed).await, pipeline.meshes(&expected).await, "as if nothing had happened");
    let log = pipeline.process(Service::Infer).all_logs();
    assert!(log.contains("going on from an earlier attempt's latents"), "{log}");
    // What was kept is gone once it is of no more use.
    assert_eq!(pipeline.record(&name).await.and_then(|record| record.checkpoint), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_between_its_steps() {
    let pipeline = setup(0).start().await;
    let name = job("cancelled");
    pipeline.submit(&name, r#"{"steps":200,"resolution":384}"#, pictures::disc(200)).await;
    step(&pipeline, &name, 2).await;
    pipeline
        .nats
        .publish(orfeas_contract::subjects::cancel(&name), "".into())
        .await
        .expect("a wish")
        .await
        .expect("kept");
    let outcome = pipeline.only_outcome(&name).await;
    assert_eq!(outcome.kind(), EventKind::Cancelled);
    // The device is free for the next one.
    pipeline.complete(&job("next"), r#"{"steps":2}"#, pictures::disc(200)).await;
}

/// A pipeline whose jobs may advance together.
async fn batching(every: u32) -> Pipeline {
    let usual = if every > 0 { setup(every).impatient() } else { setup(every) };
    let more = [("--hunyuan3d-batch", "on".to_owned()), ("--max-concurrent-jobs", "5".to_owned())];
    let infer = usual.infer.iter().cloned().chain(more).collect();
    Setup { infer, log: "info,orfeas_infer=debug", ..usual }.start().await
}

async fn cancel(pipeline: &Pipeline, name: &JobId) {
    let subject = orfeas_contract::subjects::cancel(name);
    pipeline.nats.publish(subject, "".into()).await.expect("a wish").await.expect("kept");
}

/// Submits jobs with these options so that the device finds all of them waiting: one whose settings nobody shares has it until
/// then.
async fn submit_together(pipeline: &mut Pipeline, jobs: &[(JobId, String)]) {
    let holding = job("holding");
    // Its decoding would take long; it is cancelled before or in it.
    pipeline.submit(&holding, r#"{"steps":200,"resolution":512}"#, pictures::disc(200)).await;
    step(pipeline, &holding, 1).await;
    for (number, (name, options)) in jobs.iter().enumerate() {
        pipeline.submit(name, options, pictures::ring(200, number as u32)).await;
    }
    pipeline.process(Service::Infer).logged("waits for the device", 1 + jobs.len()).await;
    cancel(pipeline, &holding).await;
    assert_eq!(pipeline.events.outcome(&holding).await.kind(), EventKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_jobs_of_equal_settings_advance_together_and_one_of_them_is_cancelled() {
    let mut pipeline = batching(0).await;
    let options = |seed: u32| format!(r#"{{"seed":{seed},"steps":199,"resolution":{}}}"#, 32 + seed);
    let jobs: Vec<_> =
        ["one", "two", "three"].into_iter().zip(0..).map(|(name, seed)| (job(name), options(seed))).collect();
    submit_together(&mut pipeline, &jobs).await;
    for (name, _) in &jobs {
        step(&pipeline, name, 1).await;
    }
    cancel(&pipeline, &jobs[1].0).await;
    for (name, _) in &jobs {
        pipeline.events.outcome(name).await;
    }
    assert_eq!(pipeline.only_outcome(&jobs[1].0).await.kind(), EventKind::Cancelled);
    let together = [pipeline.only_completed(&jobs[0].0).await, pipeline.only_completed(&jobs[2].0).await];
    let log = pipeline.process(Service::Infer).all_logs();
    assert_eq!(log.matches("jobs advance together").count(), 1, "{log}");
    assert!(log.contains("jobs=3"), "{log}");

    // The same by themselves, one at a time.
    for (completed, seed) in together.iter().zip([0, 2]) {
        step(&pipeline, &jobs[seed as usize].0, 199).await;
        let name = job(&format!("alone-{seed}"));
        let alone = pipeline.complete(&name, &options(seed), pictures::ring(200, seed)).await;
        assert_eq!(completed.provenance, alone.provenance);
        let (one, other) = (completed.report.volume_cm3, alone.report.volume_cm3);
        assert!(one > 0.0 && (one - other).abs() <= 1e-3 * other, "{one} and {other} cm³ of seed {seed}");
    }
    assert_eq!(pipeline.process(Service::Infer).all_logs().matches("jobs advance together").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_worker_dies_comes_back_job_by_job() {
    let mut pipeline = batching(2).await;
    let jobs = ["left", "right"].map(|name| (job(name), r#"{"seed":4,"steps":150,"resolution":128}"#.to_owned()));
    submit_together(&mut pipeline, &jobs).await;
    step(&pipeline, &jobs[0].0, 20).await;
    let infer = pipeline.process(Service::Infer);
    assert!(infer.log_text().contains("jobs=2"), "{}", infer.log_text());
    infer.kill();
    infer.start();
    for (name, _) in &jobs {
        assert_eq!(pipeline.only_completed(name).await.provenance.steps, 150);
        assert_eq!(pipeline.record(name).await.and_then(|record| record.checkpoint), None);
    }
    let log = pipeline.process(Service::Infer).log_text();
    assert!(log.contains("going on from an earlier attempt's latents"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_ends_the_service_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.yaml", "model.safetensors"] {
        std::fs::copy(checkpoint().join(file), folder.path().join(file)).expect("a copy");
    }
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).expect("weights");
    std::fs::write(&weights, &bytes[..bytes.len() - 1000]).expect("cut off");
    let mut pipeline = Setup {
        infer: vec![("--model-dir", folder.path().display().to_string()), ("--device", "cpu".to_owned())],
        ..setup(0)
    }
    .start_unready()
    .await;
    let infer = pipeline.process(Service::Infer);
    assert!(!infer.ended().await.success());
    assert!(infer.all_logs().contains("is no valid safetensors file"), "{}", infer.all_logs());
}

#[test]
fn generate_runs_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("thing.png");
    std::fs::write(&picture, pictures::disc(200)).expect("a picture");
    let mut command = Command::new(paths::orfeas());
    orfeas_tests::without_settings(&mut command);
    let output = command
        .args(["generate", "--engine", "hunyuan3d", "--device", "cpu", "--steps", "3", "--resolution", "48", "--quiet"])
        .arg("--model")
        .arg(checkpoint())
        .arg("-o")
        .arg(folder.path().join("thing.stl"))
        .arg(&picture)
        .output()
        .expect("orfeas runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::metadata(folder.path().join("thing.stl")).is_ok_and(|metadata| metadata.len() > 84));
}
