//! The counts of all events, and the sequence up to which they hold.

use std::sync::{Mutex, MutexGuard, PoisonError};

use orfeas_contract::{Code, Event, EventBody, EventKind, Stage, State, Timings};
use orfeas_service::metrics::{Ledger, LedgerState, Metric};
use orfeas_service::prometheus::{Error, Registry};
use serde::{Deserialize, Serialize};

/// A place in an event stream. A stream that was made later compares as further on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// When the stream was made, in nanoseconds since 1970; 0 while no stream was seen.
    pub created: i64,
    /// The last counted sequence.
    pub sequence: u64,
}

/// What [`Tally::align`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aligned {
    /// The stream goes on where the counts end.
    GoesOn,
    /// The first stream ever.
    First,
    /// Another stream under the same name; its events are counted from the first one on.
    Recreated,
    /// The same stream, but the server has lost its newest events (put back from a backup).
    RolledBack,
}

/// Counts events, each sequence once.
pub struct Tally {
    ledger: Ledger,
    /// Held while an event is counted and while the counts are taken out, so that both always fit each other.
    position: Mutex<Position>,
}

const METRICS: [Metric; 6] = [
    Metric::Jobs,
    Metric::JobFailures,
    Metric::Events,
    Metric::StageQueueSeconds,
    Metric::StageSeconds,
    Metric::JobSeconds,
];

impl Tally {
    /// Nothing counted yet, and nothing shown: see [`Tally::expose`].
    ///
    /// # Errors
    /// Never in practice: the metrics are known to be counters and histograms.
    pub fn new() -> Result<Self, Error> {
        // A registry of its own, which nobody scrapes: half of the past must not be seen, or counters would fall.
        let tally = Self { ledger: Ledger::new(&METRICS, &Registry::new())?, position: Mutex::default() };
        tally.announce();
        Ok(tally)
    }

    /// Shows the counts from now on.
    ///
    /// # Errors
    /// Where the registry has such metrics already.
    pub fn expose(&self, registry: &Registry) -> Result<(), Error> {
        registry.register(Box::new(self.ledger.clone()))
    }

    /// Series with known labels exist from the start: a series that begins with its first failure begins at 1, and a
    /// rate over it never sees that one.
    fn announce(&self) {
        for kind in EventKind::ALL {
            self.ledger.add(Metric::Events, &[kind.name()], 0);
            if let Some(state) = kind.terminal_state() {
                self.ledger.add(Metric::Jobs, &[label(state)], 0);
            }
        }
        for stage in Stage::ALL {
            self.ledger.announce(Metric::StageQueueSeconds, &[stage.name()]);
            self.ledger.announce(Metric::StageSeconds, &[stage.name()]);
            for code in Code::ALL {
                self.ledger.add(Metric::JobFailures, &[stage.name(), code.name()], 0);
            }
        }
        self.ledger.announce(Metric::JobSeconds, &[]);
    }

    /// Up to where the counts hold.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.lock()
    }

    /// Counts and position of one moment.
    #[must_use]
    pub fn snapshot(&self) -> (Position, LedgerState) {
        let position = self.lock();
        (*position, self.ledger.snapshot())
    }

    /// Goes on from stored counts.
    pub fn restore(&self, stored: Position, counts: LedgerState) {
        let mut position = self.lock();
        self.ledger.restore(counts);
        self.announce();
        *position = stored;
    }

    /// Fits the position to the stream that is there now. The counts stay, because counters must not fall.
    pub fn align(&self, created: i64, last_sequence: u64) -> Aligned {
        let mut position = self.lock();
        if position.created != created {
            let found = if position.created == 0 { Aligned::First } else { Aligned::Recreated };
            *position = Position { created, sequence: 0 };
            return found;
        }
        if position.sequence > last_sequence {
            // New events will get sequences that were counted before; they are not those events.
            position.sequence = last_sequence;
            return Aligned::RolledBack;
        }
        Aligned::GoesOn
    }

    /// Counts an event unless its sequence was counted before; an event that nobody can read only moves the position.
    pub fn count(&self, sequence: u64, event: Option<&Event>) {
        let mut position = self.lock();
        if sequence <= position.sequence {
            return;
        }
        let expected = position.sequence + 1;
        if expected > 1 && sequence > expected {
            // Progress mostly, of which the stream keeps a job's last.
            tracing::debug!(from = expected, to = sequence - 1, "events left the stream before they were counted");
        }
        match event {
            Some(event) => self.add(event),
            None => tracing::warn!(sequence, "an event cannot be read and is not counted"),
        }
        position.sequence = sequence;
    }

    fn add(&self, event: &Event) {
        self.ledger.add(Metric::Events, &[event.kind().name()], 1);
        if let Some(state) = event.kind().terminal_state() {
            self.ledger.add(Metric::Jobs, &[label(state)], 1);
        }
        match &event.body {
            EventBody::Completed(completed) => {
                self.time(&completed.timings);
                self.ledger.observe(Metric::JobSeconds, &[], completed.total_seconds.max(0.0));
            }
            EventBody::Failed(failed) => {
                self.ledger.add(Metric::JobFailures, &[failed.stage.name(), failed.code.name()], 1);
                self.time(&failed.timings);
            }
            EventBody::Accepted(_)
            | EventBody::Prepared(_)
            | EventBody::Progress(_)
            | EventBody::Generated(_)
            | EventBody::Cancelled(_) => {}
        }
    }

    /// Negative times (a clock that stepped back) count as none: a histogram's sum must not fall.
    fn time(&self, timings: &Timings) {
        for stage in Stage::ALL {
            if let Some(timing) = timings.of(stage) {
                self.ledger.observe(Metric::StageQueueSeconds, &[stage.name()], timing.queued.max(0.0));
                self.ledger.observe(Metric::StageSeconds, &[stage.name()], timing.worked.max(0.0));
            }
        }
    }

    /// No code panics while it holds the lock, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label(state: State) -> &'static str {
    match state {
        State::Accepted => "accepted",
        State::Inferring => "inferring",
        State::Exporting => "exporting",
        State::Completed => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
