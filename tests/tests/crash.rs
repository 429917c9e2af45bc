//! kill -9, of any process at any moment: the job still ends, once, with the same files.

#![allow(clippy::expect_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::{FutureExt, StreamExt};
use orfeas_contract::{EventKind, JobId, Stage, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{PATIENCE, Pipeline, Setup, job, pictures};

/// The moments of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Submitted,
    Accepted,
    Prepared,
    Inferring,
    Generated,
    Exporting,
}

const MOMENTS: [Moment; 6] =
    [Moment::Submitted, Moment::Accepted, Moment::Prepared, Moment::Inferring, Moment::Generated, Moment::Exporting];

impl Moment {
    async fn wait(self, pipeline: &Pipeline, job: &JobId) {
        let events = &pipeline.events;
        match self {
            Self::Submitted => {}
            Self::Accepted => drop(events.event(job, EventKind::Accepted).await),
            Self::Prepared => drop(events.event(job, EventKind::Prepared).await),
            Self::Inferring => drop(events.progress(job, Stage::Infer).await),
            Self::Generated => drop(events.event(job, EventKind::Generated).await),
            Self::Exporting => drop(events.progress(job, Stage::Export).await),
        }
    }
}

/// The name goes into some of the files, so that it must be the same for all.
const OPTIONS: &str = r#"{"file_name":"thing","formats":["stl","3mf","glb"],"resolution":160}"#;

fn picture() -> bytes::Bytes {
    // Without alpha, so that ingest has something to do too.
    pictures::photo(320)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_service_may_be_killed_at_any_moment() {
    let mut pipeline = Setup { services: &Service::SERVICES, ..Setup::default() }.impatient().start().await;
    let expected = pipeline.meshes(&pipeline.complete(&job("undisturbed"), OPTIONS, picture()).await).await;
    for service in Service::SERVICES {
        for moment in MOMENTS {
            let name = job(&format!("{service}-{moment:?}"));
            pipeline.submit(&name, OPTIONS, picture()).await;
            moment.wait(&pipeline, &name).await;
            pipeline.process(service).kill();
            pipeline.process(service).start();
            let completed = pipeline.only_completed(&name).await;
            assert_eq!(pipeline.meshes(&completed).await, expected, "{name}");
            for file in &completed.files {
                pipeline.fetch(&file.artifact).await;
            }
            pipeline.process(service).ready().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_may_be_killed_at_any_moment() {
    let mut pipeline = Setup::default().impatient().start().await;
    let expected = pipeline.meshes(&pipeline.complete(&job("undisturbed"), OPTIONS, picture()).await).await;
    for moment in MOMENTS {
        let name = job(&format!("server-{moment:?}"));
        pipeline.submit(&name, OPTIONS, picture()).await;
        moment.wait(&pipeline, &name).await;
        pipeline.server.kill();
        pipeline.server.start_again();
        assert_eq!(pipeline.meshes(&pipeline.only_completed(&name).await).await, expected, "{name}");
    }
}

/// Numbers that look random and are the same at every run (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_survives_a_storm() {
    const JOBS: u32 = 12;
    const KILLS: usize = 24;
    // A stage that is killed again and again must not run out of attempts: that is another test's matter.
    let mut pipeline = Setup { max_attempts: 90, ..Setup::default() }.impatient().start().await;
    let options = r#"{"file_name":"thing","resolution":96}"#;
    let mut expected = Vec::new();
    for number in 0..3 {
        let name = job(&format!("calm-{number}"));
        let completed = pipeline.complete(&name, options, pictures::ring(128, number)).await;
        expected.push(pipeline.meshes(&completed).await);
    }
    let names: Vec<JobId> = (0..JOBS).map(|number| job(&format!("storm-{number}"))).collect();
    for (number, name) in (0..).zip(&names) {
        pipeline.submit(name, options, pictures::ring(128, number % 3)).await;
    }
    let mut dice = Dice(7);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(20 + dice.below(400))).await;
        match dice.below(7) {
            0 => {
                pipeline.server.kill();
                pipeline.server.start_again();
            }
            number => {
                let service = [Service::Ingest, Service::Infer, Service::Export][number as usize % 3];
                pipeline.process(service).kill();
                pipeline.process(service).start();
            }
        }
        let ended = names.iter().all(|name| pipeline.events.outcome(name).now_or_never().is_some());
        if ended {
            break;
        }
    }
    for (number, name) in names.iter().enumerate() {
        let completed = pipeline.only_completed(name).await;
        assert_eq!(pipeline.meshes(&completed).await, expected[number % 3], "{name}");
    }
    let ends: usize = {
        let mut ends = 0;
        for kind in EventKind::ALL.into_iter().filter(|kind| kind.terminal_state().is_some()) {
            ends += pipeline.history(&format!("orfeas.events.{kind}.*")).await.len();
        }
        ends
    };
    assert_eq!(ends, JOBS as usize + expected.len());
}

/// Takes a stage's next message as often as wanted, settling none: what a killed worker does, without the luck of killing it in time.
async fn take(pipeline: &Pipeline, stage: Stage, times: u64) {
    let work = pipeline.nats.get_stream(subjects::STREAM_WORK).await.expect("a stream");
    let consumer: PullConsumer = work.get_consumer(stage.name()).await.expect("a consumer");
    for _ in 0..times {
        let mut deliveries = consumer.stream().max_messages_per_batch(1).messages().await.expect("deliveries");
        let held = deliveries.next().await.expect("a delivery").expect("a message");
        drop((held, deliveries));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_every_time_fails_in_the_end() {
    let mut pipeline = Setup { max_attempts: 2, ..Setup::default() }.impatient().start().await;
    pipeline.process(Service::Infer).kill();
    let deadly = job("deadly");
    pipeline.submit(&deadly, "{}", pictures::disc(128)).await;
    pipeline.events.event(&deadly, EventKind::Prepared).await;
    take(&pipeline, Stage::Infer, 2).await;
    pipeline.process(Service::Infer).start();
    let ended = tokio::time::timeout(PATIENCE, pipeline.only_outcome(&deadly)).await.unwrap();
    let orfeas_contract::EventBody::Failed(failed) = ended.body else { panic!("{ended:?}") };
    assert_eq!((failed.code, failed.attempts), (orfeas_contract::Code::AttemptsExhausted, 2));
    let dead = pipeline.nats.get_stream(subjects::STREAM_DEAD).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 1, "a dead letter tells of it");
    pipeline.complete(&job("after"), r#"{"resolution":32}"#, pictures::disc(64)).await;
}

/// The server gives up on a message after some deliveries, says so once and keeps it: nobody would hear of its job again.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_server_gave_up_on_fails_too() {
    let setup = Setup { max_attempts: 1, services: &Service::SERVICES, ..Setup::default() };
    let mut pipeline = setup.impatient().start().await;
    pipeline.process(Service::Infer).kill();
    let deadly = job("deadly");
    pipeline.submit(&deadly, "{}", pictures::disc(128)).await;
    pipeline.events.event(&deadly, EventKind::Prepared).await;
    take(&pipeline, Stage::Infer, 6).await;
    // It is the next pull that finds the deliveries spent.
    pipeline.process(Service::Infer).start();
    let orfeas_contract::EventBody::Failed(failed) = pipeline.only_outcome(&deadly).await.body else { panic!() };
    assert_eq!((failed.code, failed.stage), (orfeas_contract::Code::AttemptsExhausted, Stage::Infer));
    pipeline.settled().await;
    let dead = pipeline.nats.get_stream(subjects::STREAM_DEAD).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 2, "the server's word and the letter");
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let metrics = pipeline.process(Service::Metrics).get("/metrics").await.body;
        match orfeas_tests::http::series(&metrics, "orfeas_dead_letters", &[]) {
            Some(1.0) => break,
            letters => assert!(std::time::Instant::now() < end, "{letters:?} letters"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
