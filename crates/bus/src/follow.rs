//! Following the event stream: every event from a sequence on, in its order and once, through reconnects and restarts
//! of the server.
//!
//! async-nats' ordered consumer promises the same, but after a restart it was seen to go on only after some 15 s: its
//! heartbeat and the pauses of its retries cannot be set. Here a new connection is enough to begin anew, and a server
//! that keeps its connections and yet forgets the consumer is found out by a heartbeat of a second.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use orfeas_contract::{Timestamp, subjects};
use tokio::sync::watch;

use crate::{Bus, BusError, BusErrorKind};

/// How often the server says during a pull that it is still there; twice this long a silence ends the pull.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a pull waits for messages at the server before it is made anew.
const EXPIRES: Duration = Duration::from_secs(30);
/// Messages that one pull asks for.
const BATCH: usize = 200;
/// How long the server keeps a consumer that nobody pulls from: those of followers that are gone, and of those that
/// began anew.
const ABANDONED: Duration = Duration::from_secs(10);
/// The pause before a consumer is asked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// Where to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// With the first message after now.
    Now,
    /// With this sequence, or the first one after it that is there.
    At(u64),
}

/// What to do where the event stream is no longer the one that was followed: it was made anew, or has lost its newest
/// messages (a power loss, a backup), so that sequences come again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anew {
    /// Follow the stream that is there now, from where it differs.
    GoOn,
    /// End: the caller keeps sequences and must look for itself.
    End,
}

/// A message of the event stream.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub sequence: u64,
    pub subject: String,
    pub payload: Bytes,
}

/// Follows the event stream; trouble with the server is waited out.
///
/// # Errors
/// [`BusErrorKind::Missing`] where there is no event stream to begin with.
pub(crate) async fn follow(
    bus: &Bus,
    filter: String,
    begin: Begin,
    anew: Anew,
) -> Result<impl Stream<Item = Followed> + Unpin + use<>, BusError> {
    let follower = Follower::begin(bus.clone(), filter, begin, anew).await?;
    Ok(Box::pin(stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((message, follower))
    })))
}

struct Follower {
    bus: Bus,
    filter: String,
    anew: Anew,
    /// When the stream was made: what tells it from another one of its name.
    created: Timestamp,
    /// The sequence that is waited for. It is what survives a restart of the server; consumers do not.
    next: u64,
    connects: watch::Receiver<u64>,
    pull: Option<Pull>,
}

/// A consumer and the pull on it.
struct Pull {
    messages: pull::Stream,
    /// Messages it has delivered. A gap in its own count is a message that was lost on the way.
    delivered: u64,
}

enum Opened {
    Follows,
    OtherStream,
}

impl Follower {
    async fn begin(bus: Bus, filter: String, begin: Begin, anew: Anew) -> Result<Self, BusError> {
        let stream = bus.context.get_stream(subjects::STREAM_EVENTS).await.map_err(missing)?;
        let info = stream.cached_info();
        let next = match begin {
            Begin::Now => info.state.last_sequence + 1,
            // A sequence that is not there yet is no sign of a stream that lost messages.
            Begin::At(sequence) => sequence.clamp(1, info.state.last_sequence + 1),
        };
        let (created, connects) = (info.created, bus.connects.subscribe());
        let mut this = Self { bus, filter, anew, created, next, connects, pull: None };
        // So that what is followed from now on is not missed, whatever the caller does before the first look.
        this.open().await?;
        Ok(this)
    }

    /// The next message; none where the stream is another one and the caller wants to know.
    async fn next(&mut self) -> Option<Followed> {
        let mut troubles = 0u32;
        loop {
            let Some(pull) = &mut self.pull else {
                match self.open().await {
                    Ok(Opened::Follows) => troubles = 0,
                    Ok(Opened::OtherStream) => return None,
                    Err(error) => {
                        // Said once when it begins and then now and again, not five times a second.
                        if troubles.is_multiple_of(50) {
                            tracing::warn!(%error, "events cannot be followed; still trying");
                        }
                        troubles += 1;
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                continue;
            };
            let message = tokio::select! {
                biased;
                // Whatever the old connection's pull still held is asked for again.
                changed = self.connects.changed() => match changed {
                    Ok(()) => None,
                    // The bus lives as long as this does.
                    Err(_) => return None,
                },
                message = pull.messages.next() => match message {
                    Some(Ok(message)) => pull.take(message),
                    Some(Err(error)) => {
                        tracing::debug!(%error, sequence = self.next, "following events anew");
                        None
                    }
                    None => None,
                },
            };
            match message {
                Some(message) if message.sequence >= self.next => {
                    self.next = message.sequence + 1;
                    return Some(message);
                }
                Some(_) => {}
                None => self.pull = None,
            }
        }
    }

    /// Makes a consumer from the awaited sequence on and begins to pull.
    async fn open(&mut self) -> Result<Opened, BusError> {
        // Before anything else: a connection that is lost from here on counts as a new one.
        self.connects.borrow_and_update();
        let stream = self.bus.context.get_stream(subjects::STREAM_EVENTS).await.map_err(missing)?;
        let info = stream.cached_info();
        let end = info.state.last_sequence + 1;
        if info.created != self.created || end < self.next {
            match self.anew {
                Anew::End => return Ok(Opened::OtherStream),
                Anew::GoOn => {
                    self.next = if info.created == self.created { end } else { 1 };
                    self.created = info.created;
                }
            }
        }
        // Named, so that its creation is asked for on a subject of the filter's, which is all that permissions allow.
        let nuid = self.bus.client.new_inbox();
        let nuid = nuid.rsplit('.').next().unwrap_or_default();
        let config = pull::Config {
            name: Some(format!("follow-{nuid}")),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.next },
            filter_subject: self.filter.clone(),
            ack_policy: AckPolicy::None,
            // It is worth nothing after a restart: the awaited sequence is ours.
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: ABANDONED,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(missing)?;
        let pull = consumer.stream().max_messages_per_batch(BATCH).expires(EXPIRES).heartbeat(HEARTBEAT);
        let messages = pull.messages().await.map_err(missing)?;
        self.pull = Some(Pull { messages, delivered: 0 });
        Ok(Opened::Follows)
    }
}

impl Pull {
    /// The message, unless one before it is missing.
    fn take(&mut self, message: jetstream::Message) -> Option<Followed> {
        let info = match message.info() {
            Ok(info) => info,
            Err(error) => {
                tracing::warn!(%error, "an event without delivery facts");
                return None;
            }
        };
        if info.consumer_sequence != self.delivered + 1 {
            tracing::debug!(lost = self.delivered + 1, found = info.consumer_sequence, "an event was lost on the way");
            return None;
        }
        let sequence = info.stream_sequence;
        self.delivered += 1;
        Some(Followed { sequence, subject: message.subject.to_string(), payload: message.payload.clone() })
    }
}

fn missing(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::caused(BusErrorKind::Missing, "events cannot be followed", error)
}
