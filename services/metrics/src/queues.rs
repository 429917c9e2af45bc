//! Queues, streams and buckets as gauges, and how far the counts are behind the events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use orfeas_bus::observe::{self, ConsumerNumbers, StreamNumbers};
use orfeas_bus::topology::Topology;
use orfeas_bus::{Bus, BusError};
use orfeas_contract::subjects;
use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, Registry};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::gauges::{Family, Single};
use crate::tally::{Position, Tally};

/// How long one round of questions to the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// With events in the stream, and none of them arriving for so long, the follower is asked to begin anew.
const STUCK: Duration = Duration::from_secs(5);

/// Looks at the server.
pub struct Queues {
    bus: Bus,
    topology: Topology,
    tally: Arc<Tally>,
    /// Tells the follower to look at its stream anew.
    again: Arc<Notify>,
    gauges: Gauges,
    outages: [Outage; 3],
    /// Where the tally stands behind the stream, and since when.
    behind: Option<(Position, Instant)>,
}

/// The gauges, apart from the server so that they can be tested without one.
pub struct Gauges {
    pending: Family,
    ack_pending: Family,
    redelivered: Family,
    messages: Family,
    bytes: Family,
    limit: Family,
    oldest: Family,
    bucket_bytes: Family,
    dead: Single,
    lag: Single,
}

/// One kind of question that the server does not answer at present; logged once.
struct Outage {
    what: &'static str,
    on: bool,
}

impl Queues {
    /// Registers the gauges, without series.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(
        bus: Bus,
        topology: Topology,
        tally: Arc<Tally>,
        again: Arc<Notify>,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let outages = ["consumers", "streams", "the event stream"].map(|what| Outage { what, on: false });
        Ok(Self { bus, topology, tally, again, gauges: Gauges::new(registry)?, outages, behind: None })
    }

    /// Looks again and again, for ever.
    pub async fn run(mut self, every: Duration) -> Infallible {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look().await;
        }
    }

    /// Each question stands alone: a missing consumer must not hide the sizes of the buckets.
    async fn look(&mut self) {
        let Self { bus, topology, .. } = self;
        let consumers = ask(bus, observe::consumers(bus, topology)).await;
        let consumers = self.outages[0].note(consumers);
        self.gauges.consumers(consumers.as_deref());

        let Self { bus, topology, .. } = self;
        let streams = ask(bus, observe::streams(bus, topology)).await;
        let streams = self.outages[1].note(streams);
        self.gauges.streams(streams.as_deref());

        // Read before the server is asked: events that are counted meanwhile must not look like a lost tail.
        let before = self.tally.position();
        let identity = ask(&self.bus, observe::events_identity(&self.bus)).await;
        let Some((created, last)) = self.outages[2].note(identity) else {
            self.gauges.lag.hide();
            return;
        };
        if before.created != 0 && (before.created != created || before.sequence > last) {
            self.again.notify_one();
        }
        self.lag(created, last, streams.as_deref());
    }

    fn lag(&mut self, created: i64, last: u64, streams: Option<&[StreamNumbers]>) {
        let now = self.tally.position();
        let empty = streams.is_some_and(|streams| {
            // A purged stream keeps its last sequence, and nothing of it will ever come.
            streams.iter().any(|numbers| {
                numbers.stream == subjects::STREAM_EVENTS && numbers.messages == 0 && numbers.last_sequence == last
            })
        });
        let counted = if now.created == created { now.sequence } else { 0 };
        let lag = if empty { 0 } else { last.saturating_sub(counted) };
        self.gauges.lag.show(lag);
        match self.behind {
            _ if lag == 0 => self.behind = None,
            Some((position, since)) if position == now => {
                if since.elapsed() >= STUCK {
                    // Whatever became of the consumer: a new one does no harm.
                    self.behind = None;
                    self.again.notify_one();
                }
            }
            _ => self.behind = Some((now, Instant::now())),
        }
    }
}

/// A question to a server that is away waits for its timeout, and the old numbers would look fresh meanwhile.
async fn ask<T>(bus: &Bus, question: impl Future<Output = Result<T, BusError>>) -> Result<T, String> {
    if !bus.connected() {
        return Err("not connected to NATS".to_owned());
    }
    match timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

impl Outage {
    fn note<T>(&mut self, answer: Result<T, String>) -> Option<T> {
        match answer {
            Ok(answer) => {
                if std::mem::take(&mut self.on) {
                    tracing::info!("the numbers of {} are there again", self.what);
                }
                Some(answer)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.on, true) {
                    tracing::warn!(error, "the numbers of {} cannot be read; their gauges are taken away", self.what);
                }
                None
            }
        }
    }
}

impl Gauges {
    /// Registers them, without series.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            pending: Family::new(Metric::ConsumerPending, registry)?,
            ack_pending: Family::new(Metric::ConsumerAckPending, registry)?,
            redelivered: Family::new(Metric::ConsumerRedelivered, registry)?,
            messages: Family::new(Metric::StreamMessages, registry)?,
            bytes: Family::new(Metric::StreamBytes, registry)?,
            limit: Family::new(Metric::StreamLimitBytes, registry)?,
            oldest: Family::new(Metric::StreamOldestSeconds, registry)?,
            bucket_bytes: Family::new(Metric::BucketBytes, registry)?,
            dead: Single::new(Metric::DeadLetters, registry),
            lag: Single::new(Metric::EventsLag, registry),
        })
    }

    /// Shows the consumers' numbers, or nothing.
    pub fn consumers(&mut self, numbers: Option<&[ConsumerNumbers]>) {
        let numbers = numbers.unwrap_or_default();
        let series = |value: fn(&ConsumerNumbers) -> u64| {
            numbers.iter().map(move |one| ([one.stream.clone(), one.consumer.clone()], count(value(one))))
        };
        self.pending.show(series(|one| one.pending));
        self.ack_pending.show(series(|one| one.ack_pending));
        self.redelivered.show(series(|one| one.redelivered));
    }

    /// Shows the streams' numbers, or nothing.
    pub fn streams(&mut self, numbers: Option<&[StreamNumbers]>) {
        let numbers = numbers.unwrap_or_default();
        self.messages.show(numbers.iter().map(|one| ([one.stream.clone()], count(one.messages))));
        self.bytes.show(numbers.iter().map(|one| ([one.stream.clone()], count(one.bytes))));
        self.limit.show(numbers.iter().map(|one| ([one.stream.clone()], count(one.max_bytes))));
        self.oldest.show(numbers.iter().map(|one| ([one.stream.clone()], one.oldest_seconds)));
        self.bucket_bytes.show(
            numbers.iter().filter_map(|one| Some(([one.stream.strip_prefix("OBJ_")?.to_owned()], count(one.bytes)))),
        );
        match numbers.iter().find(|one| one.stream == subjects::STREAM_DEAD) {
            Some(dead) => self.dead.show(dead.messages.saturating_sub(dead.advisories)),
            None => self.dead.hide(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
fn count(number: u64) -> f64 {
    number as f64
}
