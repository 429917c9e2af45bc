//! The work loop: how long a message is kept, and what a message that killed its workers does to others.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt;
use orfeas_bus::client;
use orfeas_bus::work::{self, Delivery, Handler, Outcome, Queue};
use orfeas_contract::{Stage, subjects};
use orfeas_tests::{Pipeline, Setup, job};
use tokio_util::sync::CancellationToken;

/// Notes what it is given, and how much it has in hand then; takes its time.
struct Notes {
    time: Duration,
    in_hand: AtomicUsize,
    seen: Mutex<Vec<(String, u64, usize)>>,
    enough: usize,
    stop: CancellationToken,
}

impl Handler for Notes {
    async fn handle(&self, delivery: Delivery) -> Outcome {
        let before = self.in_hand.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.time).await;
        let after = self.in_hand.fetch_sub(1, Ordering::SeqCst);
        let mut seen = self.seen.lock().unwrap();
        let name = subjects::job_of(&delivery.subject).unwrap().to_string();
        seen.push((name, delivery.attempt, after.max(before + 1)));
        if seen.len() == self.enough {
            self.stop.cancel();
        }
        Outcome::Done
    }
}

/// Works on the queue of infer until so many messages were handled; gives what was seen.
async fn worked(pipeline: &Pipeline, concurrency: usize, time: Duration, enough: usize) -> Vec<(String, u64, usize)> {
    let stop = CancellationToken::new();
    let notes = Notes { time, in_hand: AtomicUsize::new(0), seen: Mutex::default(), enough, stop: stop.clone() };
    let notes = Arc::new(notes);
    let queue = Queue {
        stream: subjects::STREAM_WORK.to_owned(),
        consumer: Stage::Infer.name().to_owned(),
        concurrency,
        grace: Duration::from_secs(30),
    };
    work::run(pipeline.admin.clone(), queue, notes.clone(), stop).await;
    notes.seen.lock().unwrap().clone()
}

async fn queued(pipeline: &Pipeline, names: &[&str]) {
    for name in names {
        client::queue(&pipeline.admin, Stage::Infer, &job(name), &serde_json::json!({})).await.unwrap();
    }
}

/// However long it takes, and whatever the service's own setting says: the consumer's is what the server goes by.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_worked_on_for_long_is_given_to_nobody_else() {
    let ack_wait = Duration::from_secs(1);
    let pipeline = Setup { services: &[], ack_wait, ..Setup::default() }.start().await;
    queued(&pipeline, &["long"]).await;
    let seen = worked(&pipeline, 2, 4 * ack_wait, 1).await;
    assert_eq!(seen, [("long".to_owned(), 1, 1)]);
    pipeline.settled().await;
}

/// A job that kills its worker takes what is in hand beside it along. From the third delivery on nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_several_times_is_worked_on_alone() {
    let pipeline = Setup { services: &[], ..Setup::default() }.impatient().start().await;
    queued(&pipeline, &["deadly", "neighbour", "other"]).await;
    let stream = pipeline.nats.get_stream(subjects::STREAM_WORK).await.unwrap();
    let consumer: PullConsumer = stream.get_consumer(Stage::Infer.name()).await.unwrap();
    for delivery in 1..=2 {
        let mut taken = consumer.stream().max_messages_per_batch(3).messages().await.unwrap();
        for _ in 0..3 {
            let message = taken.next().await.unwrap().unwrap();
            assert_eq!(message.info().unwrap().delivered, delivery);
        }
    }
    queued(&pipeline, &["fresh", "fresh-too"]).await;
    let seen = worked(&pipeline, 3, Duration::from_millis(300), 5).await;
    let mut names: Vec<&str> = seen.iter().map(|(name, ..)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["deadly", "fresh", "fresh-too", "neighbour", "other"]);
    for (name, attempt, in_hand) in &seen {
        let old = !name.starts_with("fresh");
        assert_eq!(*attempt, if old { 3 } else { 1 }, "{name}: waiting spends no delivery");
        assert!(!old || *in_hand == 1, "{name} was not alone: {seen:?}");
    }
    pipeline.settled().await;
}
