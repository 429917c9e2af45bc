//! The stored counts: what makes a restart count on and count nothing twice.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use orfeas_bus::topology::BUCKET_METRICS;
use orfeas_bus::{Bus, BusError, BusErrorKind, kv};
use orfeas_service::metrics::{LedgerState, Metric};
use orfeas_service::prometheus::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gauges::Single;
use crate::tally::{Position, Tally};

/// The checkpoint's key in its bucket.
pub const KEY: &str = "checkpoint";

/// How long to wait before the stored counts are asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// The stored counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Up to where they hold.
    #[serde(flatten)]
    pub position: Position,
    /// Which process stored them; tells a write of our own whose answer was lost from that of a second service.
    pub writer: String,
    /// The counts.
    pub counts: LedgerState,
}

/// Whose checkpoint lies where ours was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Our own, by a write whose answer was lost.
    Ours,
    /// Another service's, as far as ours or further.
    Newer,
    /// Another service's, not as far as ours.
    Older,
}

impl Checkpoint {
    /// How a checkpoint that was found in the way compares to this one.
    #[must_use]
    pub fn find(&self, found: &Self) -> Found {
        if found.writer == self.writer {
            Found::Ours
        } else if found.position >= self.position {
            Found::Newer
        } else {
            Found::Older
        }
    }
}

/// Stores the tally's counts.
pub struct Keeper {
    bus: Bus,
    tally: Arc<Tally>,
    writer: String,
    /// What the next compare-and-swap expects.
    revision: u64,
    /// The position of the counts in the bucket, as far as this process knows.
    stored: Option<Position>,
    /// The second service that was complained about already.
    rival: Option<String>,
    shown: Single,
}

impl Keeper {
    /// Puts the stored counts, where there are any, into the tally. Waits while the bucket cannot be read.
    pub async fn load(bus: Bus, tally: Arc<Tally>, registry: &Registry) -> Self {
        let started = orfeas_contract::now().unix_timestamp_nanos();
        let mut keeper = Self {
            bus,
            tally,
            writer: format!("{}-{started}", std::process::id()),
            revision: 0,
            stored: None,
            rival: None,
            shown: Single::new(Metric::EventsCheckpoint, registry),
        };
        let mut said = false;
        loop {
            match keeper.read().await {
                Ok(found) => {
                    keeper.begin(found);
                    return keeper;
                }
                Err(error) if error.kind() == BusErrorKind::Damaged => {
                    tracing::error!(%error, "the stored counts are damaged: counting from the first event that is there");
                    keeper.begin(None);
                    return keeper;
                }
                Err(error) if !said => tracing::warn!(%error, "the stored counts cannot be read; trying on"),
                Err(_) => {}
            }
            said = true;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn begin(&mut self, found: Option<Checkpoint>) {
        let sequence = found.as_ref().map_or(0, |found| found.position.sequence);
        if let Some(Checkpoint { position, counts, .. }) = found {
            tracing::info!(sequence, "counting on from the stored counts");
            self.tally.restore(position, counts);
            self.stored = Some(position);
        } else {
            tracing::info!("no stored counts: counting from the first event that is there");
        }
        self.shown.show(sequence);
    }

    /// The checkpoint in the bucket; its revision is kept even where its content is of no use.
    async fn read(&mut self) -> Result<Option<Checkpoint>, BusError> {
        let entry = kv::get::<Value>(&self.bus, BUCKET_METRICS, KEY).await?;
        self.revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let Some(entry) = entry else { return Ok(None) };
        match serde_json::from_value(entry.value) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => {
                tracing::warn!(%error, "the stored counts have a form that this version does not know; not used");
                Ok(None)
            }
        }
    }

    /// Stores the counts whenever they have changed, for ever.
    pub async fn run(&mut self, every: Duration) -> Infallible {
        let mut failing = false;
        loop {
            tokio::time::sleep(every).await;
            match self.store().await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the counts are stored again");
                }
                Ok(()) => {}
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the counts cannot be stored; trying on");
                }
                Err(error) => tracing::debug!(%error, "the counts cannot be stored"),
            }
        }
    }

    /// Stores the counts if they have changed.
    ///
    /// # Errors
    /// [`BusError`] when the server stayed away for longer than the publisher's patience.
    pub async fn store(&mut self) -> Result<(), BusError> {
        let (position, counts) = self.tally.snapshot();
        if position.created == 0 || self.stored == Some(position) {
            return Ok(());
        }
        let ours = Checkpoint { position, writer: self.writer.clone(), counts };
        match self.put(&ours).await {
            Err(error) if error.kind() == BusErrorKind::Conflict => {}
            stored => return stored,
        }
        let Some(found) = self.read().await? else { return self.put(&ours).await };
        let place = ours.find(&found);
        if place == Found::Ours {
            // Perhaps an older one of ours: a write that was given up and arrived all the same.
            if found.position == position {
                self.put_done(position);
                return Ok(());
            }
            return self.put(&ours).await;
        }
        if self.rival.as_ref() != Some(&found.writer) {
            tracing::warn!(
                other = found.writer,
                other_sequence = found.position.sequence,
                our_sequence = position.sequence,
                "another metrics service stores its counts on this server; run one only. The newer counts are kept"
            );
            self.rival = Some(found.writer);
        }
        if place == Found::Older {
            return self.put(&ours).await;
        }
        self.put_done(found.position);
        Ok(())
    }

    async fn put(&mut self, checkpoint: &Checkpoint) -> Result<(), BusError> {
        self.revision = match self.revision {
            0 => kv::create(&self.bus, BUCKET_METRICS, KEY, checkpoint).await?,
            revision => kv::update(&self.bus, BUCKET_METRICS, KEY, checkpoint, revision).await?,
        };
        self.put_done(checkpoint.position);
        Ok(())
    }

    fn put_done(&mut self, position: Position) {
        self.stored = Some(position);
        self.shown.show(position.sequence);
    }
}
