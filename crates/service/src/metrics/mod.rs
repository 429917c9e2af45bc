//! Metric names and the only constructors of metrics in the workspace.

mod ledger;
mod make;
mod names;
#[cfg(test)]
mod tests;
mod work;

pub use ledger::{Ledger, LedgerState, StoredCounter, StoredHistogram};
pub use names::{BUCKETS, Metric, MetricKind};
pub use work::{InHand, Outcome, StageMetrics, build_info};
