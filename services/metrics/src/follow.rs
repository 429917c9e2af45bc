//! Follows the event stream without end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use orfeas_bus::{Bus, BusError, observe};
use orfeas_service::Readiness;
use orfeas_service::prometheus::Registry;
use tokio::sync::Notify;

use crate::recent::Recent;
use crate::tally::{Aligned, Tally};

/// The readiness condition.
const CONDITION: &str = "events";

/// How long to wait before the stream is followed again.
const PAUSE: Duration = Duration::from_secs(1);

/// With no event for so long, and a connection, there are no more to come: the newest ones were purged or have aged.
const QUIET: Duration = Duration::from_secs(5);

/// Feeds the tally.
pub struct Follower {
    bus: Bus,
    tally: Arc<Tally>,
    recent: Recent,
    /// The poller's wish to look at the stream anew: it was made anew, or nothing arrives.
    again: Arc<Notify>,
    registry: Registry,
    readiness: Readiness,
    /// Whether the counts are shown.
    caught_up: bool,
    /// Whether the present outage was logged.
    troubled: bool,
}

impl Follower {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(
        bus: Bus,
        tally: Arc<Tally>,
        recent: Recent,
        again: Arc<Notify>,
        registry: Registry,
        readiness: Readiness,
    ) -> Self {
        Self { bus, tally, recent, again, registry, readiness, caught_up: false, troubled: false }
    }

    /// Follows for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            match self.follow().await {
                Ok(()) => tracing::debug!("looking at the event stream anew"),
                Err(error) => {
                    self.readiness.not_ready(CONDITION, error.to_string());
                    if !self.troubled {
                        self.troubled = true;
                        let sequence = self.tally.position().sequence;
                        tracing::warn!(%error, sequence, "events cannot be followed; trying on from the last one");
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows until the event stream is another one, or the poller asks for a new look.
    async fn follow(&mut self) -> Result<(), BusError> {
        // A wish from before this look is granted by it; left over, it would end the new consumer before its first event.
        let _ = self.again.notified().now_or_never();
        let (created, last) = observe::events_identity(&self.bus).await?;
        match self.tally.align(created, last) {
            Aligned::GoesOn | Aligned::First => {}
            Aligned::Recreated => {
                tracing::warn!(
                    "the event stream was made anew: the counts stay, its events are added from the first on"
                );
            }
            Aligned::RolledBack => {
                tracing::warn!(sequence = last, "the event stream has lost its newest events: the counts stay");
            }
        }
        let mut events = observe::events_from(&self.bus, self.tally.position().sequence + 1).await?;
        if self.troubled {
            self.troubled = false;
            tracing::info!("events are followed again");
        }
        if self.caught_up {
            self.readiness.ready(CONDITION);
        }
        loop {
            if !self.caught_up && self.tally.position().sequence >= last {
                self.show();
            }
            tokio::select! {
                () = self.again.notified() => return Ok(()),
                event = events.next() => match event {
                    None => return Ok(()),
                    Some((sequence, event)) => {
                        self.tally.count(sequence, event.as_ref());
                        if let Some(event) = &event {
                            self.recent.note(event);
                        }
                    }
                },
                () = tokio::time::sleep(QUIET), if !self.caught_up => {
                    if self.bus.connected() {
                        self.show();
                    }
                }
            }
        }
    }

    /// Prometheus may see the counts from now on: they are at least what it saw before a restart.
    fn show(&mut self) {
        self.caught_up = true;
        tracing::info!(sequence = self.tally.position().sequence, "caught up with the events");
        match self.tally.expose(&self.registry) {
            Ok(()) => self.readiness.ready(CONDITION),
            Err(error) => {
                tracing::error!(%error, "the counts cannot be shown");
                self.readiness.not_ready(CONDITION, format!("the counts cannot be shown: {error}"));
            }
        }
    }
}
