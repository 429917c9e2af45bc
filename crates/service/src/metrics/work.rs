//! The metrics that every service has of its own work.

use std::time::Duration;

use orfeas_contract::Stage;
use prometheus::{Error, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::Metric;
use crate::config::Service;

/// How an attempt at a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its result is stored and passed on.
    Done,
    /// It will be tried again.
    Retry,
    /// The job failed.
    Failed,
    /// There was nothing to do: cancelled, ended elsewhere, or a copy.
    Dropped,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Done, Self::Retry, Self::Failed, Self::Dropped];

    /// The label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// The metrics of a stage's work loop. Every series exists from the start, at zero, so that a rate has a beginning.
#[derive(Clone, Debug)]
pub struct StageMetrics {
    stage: Stage,
    in_hand: IntGaugeVec,
    attempts: IntCounterVec,
    work: HistogramVec,
}

impl StageMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(stage: Stage, registry: &Registry) -> Result<Self, Error> {
        let metrics = Self {
            stage,
            in_hand: Metric::JobsInHand.int_gauge_vec(registry)?,
            attempts: Metric::StageAttempts.counter_vec(registry)?,
            work: Metric::StageWorkSeconds.histogram_vec(registry)?,
        };
        metrics.in_hand.with_label_values(&[stage.name()]);
        metrics.work.with_label_values(&[stage.name()]);
        for outcome in Outcome::ALL {
            metrics.attempts.with_label_values(&[stage.name(), outcome.name()]);
        }
        Ok(metrics)
    }

    /// Counts a job as in hand until the guard is dropped.
    #[must_use]
    pub fn in_hand(&self) -> InHand {
        let gauge = self.in_hand.with_label_values(&[self.stage.name()]);
        gauge.inc();
        InHand(gauge)
    }

    /// Counts an ended attempt.
    pub fn attempt(&self, outcome: Outcome, worked: Duration) {
        self.attempts.with_label_values(&[self.stage.name(), outcome.name()]).inc();
        self.work.with_label_values(&[self.stage.name()]).observe(worked.as_secs_f64());
    }
}

/// A job in hand; see [`StageMetrics::in_hand`].
#[derive(Debug)]
pub struct InHand(IntGauge);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers [`Metric::BuildInfo`].
///
/// # Errors
/// Where the registry has it already.
pub fn build_info(service: Service, registry: &Registry) -> Result<(), Error> {
    let info = Metric::BuildInfo.int_gauge_vec(registry)?;
    info.with_label_values(&[service.name(), env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}
