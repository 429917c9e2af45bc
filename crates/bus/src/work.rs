//! The work loop: one message at a time from a queue, kept alive while it is worked on, settled once by its outcome.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::{self, AckKind};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use orfeas_contract::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Bus, BusError, BusErrorKind};

/// How long a pull waits for a message at the server before it is made anew.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says during a pull that it is still there.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// A message as a handler sees it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
    /// How often it was delivered, this time included: from 1.
    pub attempt: u64,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub stored: Timestamp,
}

impl Delivery {
    /// A header's text, the last where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get_last(name).map(async_nats::HeaderValue::as_str)
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it asked for is stored: acknowledge it.
    Done,
    /// Deliver it again.
    Retry {
        /// Not before this much time.
        after: Duration,
        /// For the log.
        why: String,
    },
}

/// What a stage does with its messages.
pub trait Handler: Send + Sync + 'static {
    /// Works on one message. Dropped when the service must stop before it is done; the message is then given back.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Outcome> + Send;

    /// Waits until the stage can take work; a stage whose model loads takes none.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A queue and how to work on it.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The stream.
    pub stream: String,
    /// The durable consumer.
    pub consumer: String,
    /// Messages in hand at most.
    pub concurrency: usize,
    /// How long work in hand may go on after a stop was asked for.
    pub grace: Duration,
}

/// From this attempt on a message is worked on alone. Those before may have died of it, and whatever was in hand beside it lost an attempt
/// each time; so nothing else is lost to it any more, nor can it be lost to something else.
const ALONE_FROM: u64 = 3;

/// The delay before a message is tried again: 1 s, 2 s, 4 s, … at most 30 s.
#[must_use]
pub fn retry_delay(attempt: u64) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(5)).min(Duration::from_secs(30))
}

/// Works on a queue until `stop`, then lets what is in hand end within the grace time, and gives back the rest.
///
/// A stream error is never the end of the loop: a server that went away comes back, and a consumer that was deleted is
/// looked for again.
pub async fn run<H: Handler>(bus: Bus, queue: Queue, handler: Arc<H>, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(queue.concurrency));
    let tasks = TaskTracker::new();
    let abandon = CancellationToken::new();
    let mut puller = Puller { bus: &bus, queue: &queue, consumer: None };
    // Kept by a message that is worked on alone: no other is taken until it is done with.
    let gate = Arc::new(Semaphore::new(1));
    loop {
        let next = async {
            handler.ready().await;
            // The semaphores are never closed. The gate first: whoever keeps it waits for every slot.
            let gate = gate.clone().acquire_owned().await.ok()?;
            let slot = slots.clone().acquire_owned().await.ok()?;
            Some((gate, slot, puller.next().await))
        };
        let Some(Some((gate, slot, (message, ack_wait)))) = stop.run_until_cancelled(next).await else { break };
        let delivery = match describe(&message) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::error!(consumer = queue.consumer, %error, "a message without delivery facts");
                continue;
            }
        };
        let alone = (delivery.attempt >= ALONE_FROM).then(|| (gate, slots.clone(), queue.concurrency - 1));
        let (bus, handler, abandon) = (bus.clone(), handler.clone(), abandon.clone());
        tasks.spawn(async move {
            let _slot = slot;
            let attempt = async {
                let alone = match alone {
                    // Those in hand end first; the message is kept alive meanwhile.
                    Some((gate, slots, others)) => Some((gate, slots.acquire_many_owned(others as u32).await)),
                    None => None,
                };
                let outcome = handler.handle(delivery.clone()).await;
                drop(alone);
                outcome
            };
            settle(&bus, &message, &delivery, ack_wait / 3, attempt, &abandon).await;
        });
    }
    tasks.close();
    if tokio::time::timeout(queue.grace, tasks.wait()).await.is_err() {
        tracing::warn!(consumer = queue.consumer, jobs = tasks.len(), "grace time is over; giving the work back");
        abandon.cancel();
        tasks.wait().await;
    }
    bus.finish_chores().await;
    bus.flush().await;
}

/// Takes messages from a queue, one at a time.
struct Puller<'a> {
    bus: &'a Bus,
    queue: &'a Queue,
    /// Looked up once, and again after every trouble: a look-up for each message would cost a call to the server.
    consumer: Option<jetstream::consumer::Consumer<pull::Config>>,
}

impl Puller<'_> {
    /// Waits for exactly one message, however long, and through every kind of trouble. With it comes how long its consumer lets a worker be
    /// silent, as the server has it: the service's own setting may be another until the topology is applied.
    async fn next(&mut self) -> (jetstream::Message, Duration) {
        let mut troubles = 0u32;
        loop {
            match self.pull_one().await {
                Ok(Some(message)) => return message,
                Ok(None) => troubles = 0,
                Err(error) => {
                    self.consumer = None;
                    // Said once when it begins and then now and again, not five times a second.
                    if troubles.is_multiple_of(50) {
                        tracing::warn!(consumer = self.queue.consumer, %error, "no work can be taken; still trying");
                    }
                    troubles += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// One pull for one message; none when the pull ran out. The pull's stream is dropped at once: kept open it would
    /// ask for the next message while this one is worked on, and hold it.
    async fn pull_one(&mut self) -> Result<Option<(jetstream::Message, Duration)>, BusError> {
        let consumer = match &self.consumer {
            Some(consumer) => consumer,
            None => {
                let stream = self.bus.context.get_stream_no_info(&self.queue.stream).await;
                let stream = stream.map_err(|error| trouble(self.queue, error))?;
                let consumer =
                    stream.get_consumer(&self.queue.consumer).await.map_err(|error| trouble(self.queue, error))?;
                self.consumer.insert(consumer)
            }
        };
        let ack_wait = consumer.cached_info().config.ack_wait;
        let pull = consumer.stream().max_messages_per_batch(1).expires(PULL_EXPIRES).heartbeat(PULL_HEARTBEAT);
        let mut messages = pull.messages().await.map_err(|error| trouble(self.queue, error))?;
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => return Ok(Some((message, ack_wait))),
                // The server may be restarting: the stream finds it again.
                Err(error) if error.kind() == MessagesErrorKind::MissingHeartbeat => {}
                Err(error) => return Err(trouble(self.queue, error)),
            }
        }
        Ok(None)
    }
}

fn trouble(queue: &Queue, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::caused(BusErrorKind::Unreachable, format!("{}/{}", queue.stream, queue.consumer), error)
}

/// Keeps a message alive while it is worked on, and settles it by what became of it.
async fn settle(
    bus: &Bus,
    message: &jetstream::Message,
    delivery: &Delivery,
    keep_alive_every: Duration,
    work: impl Future<Output = Outcome>,
    abandon: &CancellationToken,
) {
    let Delivery { subject, sequence, attempt, .. } = delivery;
    let outcome = tokio::select! {
        outcome = AssertUnwindSafe(work).catch_unwind() => outcome.unwrap_or_else(|_| Outcome::Retry {
            after: retry_delay(*attempt),
            why: "the worker panicked".into(),
        }),
        outcome = keep_alive(message, keep_alive_every) => outcome,
        () = abandon.cancelled() => Outcome::Retry { after: Duration::ZERO, why: "the service stops".into() },
    };
    let acknowledged = match &outcome {
        Outcome::Done => message.ack().await,
        Outcome::Retry { after, why } => {
            tracing::warn!(subject, sequence, attempt, why, "to be tried again");
            message.ack_with(AckKind::Nak((!after.is_zero()).then_some(*after))).await
        }
    };
    if let Err(error) = acknowledged {
        // Harmless: it will be delivered again, and every stage finds what it did before.
        tracing::warn!(subject, sequence, %error, "not acknowledged");
    }
    if outcome != Outcome::Done {
        bus.flush().await;
    }
}

/// Tells the server again and again that the message is being worked on; never returns.
async fn keep_alive(message: &jetstream::Message, every: Duration) -> Outcome {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = message.ack_with(AckKind::Progress).await {
            tracing::debug!(%error, "keep-alive");
        }
    }
}

fn describe(message: &jetstream::Message) -> Result<Delivery, BusError> {
    let info = message.info().map_err(|error| BusError::caused(BusErrorKind::Damaged, "delivery facts", error))?;
    Ok(Delivery {
        subject: message.subject.to_string(),
        headers: message.headers.clone().unwrap_or_default(),
        payload: message.payload.clone(),
        attempt: u64::try_from(info.delivered).unwrap_or(1).max(1),
        sequence: info.stream_sequence,
        stored: info.published,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_longer_and_never_too_long() {
        let delays: Vec<u64> = (1..9).map(|attempt| retry_delay(attempt).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(retry_delay(0).as_secs(), 1);
    }
}
