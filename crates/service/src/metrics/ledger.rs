//! Counters and histograms that outlive their process: the metrics service stores them with the sequence of the last
//! event they hold, and counts on from there.
//!
//! The `prometheus` crate's own histograms cannot be set to a stored state, so these keep their counts themselves.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::{
    Error, Registry,
    core::{Collector, Desc},
    proto,
};
use serde::{Deserialize, Serialize};

use super::{BUCKETS, Metric, MetricKind};

/// The stored state. A name or a number of buckets that this version does not know is left out when it is restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerState {
    /// Counters.
    pub counters: Vec<StoredCounter>,
    /// Histograms.
    pub histograms: Vec<StoredHistogram>,
}

/// One series of a counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCounter {
    /// The metric's name.
    pub name: String,
    /// Values of its labels.
    pub labels: Vec<String>,
    /// The count.
    pub value: u64,
}

/// One series of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredHistogram {
    /// The metric's name.
    pub name: String,
    /// Values of its labels.
    pub labels: Vec<String>,
    /// Observations in each bucket, not added up; the last one is above every bound.
    pub buckets: Vec<u64>,
    /// Sum of the observations.
    pub sum: f64,
}

/// Counters and histograms whose whole state can be taken out and put back. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    metrics: Arc<[(Metric, Desc)]>,
    series: Arc<Mutex<Series>>,
}

#[derive(Default)]
struct Series {
    counters: BTreeMap<(Metric, Vec<String>), u64>,
    histograms: BTreeMap<(Metric, Vec<String>), Tally>,
}

#[derive(Clone, Default)]
struct Tally {
    buckets: [u64; BUCKETS.len() + 1],
    sum: f64,
}

impl Ledger {
    /// Makes a ledger of these counters and histograms and registers it.
    ///
    /// # Errors
    /// Where a metric is a gauge, or the registry has one already.
    pub fn new(metrics: &[Metric], registry: &Registry) -> Result<Self, Error> {
        let described = metrics
            .iter()
            .map(|metric| {
                if metric.kind() == MetricKind::Gauge {
                    return Err(Error::Msg(format!("{} is a gauge; a ledger keeps none", metric.name())));
                }
                let labels = metric.labels().iter().map(|label| (*label).to_owned()).collect();
                let desc = Desc::new(metric.name().to_owned(), metric.help().to_owned(), labels, HashMap::new())?;
                Ok((*metric, desc))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let ledger = Self { metrics: described.into(), series: Arc::default() };
        registry.register(Box::new(ledger.clone()))?;
        Ok(ledger)
    }

    /// Adds to a counter; 0 makes the series appear. A metric that the ledger does not hold, or a wrong number of
    /// labels, is a fault that shows in the log.
    pub fn add(&self, metric: Metric, labels: &[&str], count: u64) {
        if let Some(key) = self.key(metric, MetricKind::Counter, labels) {
            *self.series().counters.entry(key).or_default() += count;
        }
    }

    /// Adds an observation in seconds to a histogram. What is no finite number is left out.
    pub fn observe(&self, metric: Metric, labels: &[&str], seconds: f64) {
        if let Some(key) = self.key(metric, MetricKind::Histogram, labels).filter(|_| seconds.is_finite()) {
            let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
            let mut series = self.series();
            let tally = series.histograms.entry(key).or_default();
            tally.buckets[bucket] += 1;
            tally.sum += seconds;
        }
    }

    /// Makes a histogram's series appear without an observation.
    pub fn announce(&self, metric: Metric, labels: &[&str]) {
        if let Some(key) = self.key(metric, MetricKind::Histogram, labels) {
            self.series().histograms.entry(key).or_default();
        }
    }

    /// The state of this moment.
    #[must_use]
    pub fn snapshot(&self) -> LedgerState {
        let series = self.series();
        LedgerState {
            counters: series
                .counters
                .iter()
                .map(|((metric, labels), value)| StoredCounter {
                    name: metric.name().to_owned(),
                    labels: labels.clone(),
                    value: *value,
                })
                .collect(),
            histograms: series
                .histograms
                .iter()
                .map(|((metric, labels), tally)| StoredHistogram {
                    name: metric.name().to_owned(),
                    labels: labels.clone(),
                    buckets: tally.buckets.to_vec(),
                    sum: tally.sum,
                })
                .collect(),
        }
    }

    /// Replaces the state by a stored one.
    pub fn restore(&self, state: LedgerState) {
        let mut series = Series::default();
        for StoredCounter { name, labels, value } in state.counters {
            if let Some(metric) = self.named(&name, MetricKind::Counter, labels.len()) {
                series.counters.insert((metric, labels), value);
            }
        }
        for StoredHistogram { name, labels, buckets, sum } in state.histograms {
            if let Some(metric) = self.named(&name, MetricKind::Histogram, labels.len())
                && let Some(buckets) = of_any_version(&buckets)
            {
                series.histograms.insert((metric, labels), Tally { buckets, sum });
            }
        }
        *self.series() = series;
    }

    fn named(&self, name: &str, kind: MetricKind, labels: usize) -> Option<Metric> {
        self.metrics
            .iter()
            .map(|(metric, _)| *metric)
            .find(|metric| metric.name() == name && metric.kind() == kind && metric.labels().len() == labels)
    }

    fn key(&self, metric: Metric, kind: MetricKind, labels: &[&str]) -> Option<(Metric, Vec<String>)> {
        if self.named(metric.name(), kind, labels.len()).is_none() {
            tracing::error!(metric = metric.name(), ?labels, "this ledger does not keep such a series");
            return None;
        }
        Some((metric, labels.iter().map(|label| (*label).to_owned()).collect()))
    }

    /// No code panics while it holds the lock, and the counts are whole at every moment, so poison means nothing.
    fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as this version keeps them, of one that had as many bounds or fewer: what lay beyond its last one still lies beyond all.
fn of_any_version(stored: &[u64]) -> Option<[u64; BUCKETS.len() + 1]> {
    let (beyond, within) = stored.split_last()?;
    let mut buckets = [0; BUCKETS.len() + 1];
    buckets.get_mut(..within.len())?.copy_from_slice(within);
    buckets[BUCKETS.len()] += beyond;
    Some(buckets)
}

impl Tally {
    fn proto(&self) -> proto::Histogram {
        let mut cumulative = 0;
        let buckets = BUCKETS
            .iter()
            .zip(self.buckets)
            .map(|(bound, count)| {
                cumulative += count;
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(cumulative);
                bucket
            })
            .collect();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(self.buckets.iter().sum());
        histogram.set_sample_sum(self.sum);
        histogram
    }
}

fn series_of(metric: Metric, labels: &[String]) -> proto::Metric {
    let pairs = metric
        .labels()
        .iter()
        .zip(labels)
        .map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.clone());
            pair
        })
        .collect();
    proto::Metric::from_label(pairs)
}

impl Collector for Ledger {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics.iter().map(|(_, desc)| desc).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
    fn collect(&self) -> Vec<proto::MetricFamily> {
        let series = self.series();
        self.metrics
            .iter()
            .map(|(metric, _)| {
                let mut family = proto::MetricFamily::default();
                family.set_name(metric.name().to_owned());
                family.set_help(metric.help().to_owned());
                let counters =
                    series.counters.iter().filter(|((of, _), _)| of == metric).map(|((_, labels), value)| {
                        let mut counter = proto::Counter::default();
                        counter.set_value(*value as f64);
                        let mut one = series_of(*metric, labels);
                        one.set_counter(counter);
                        one
                    });
                let histograms =
                    series.histograms.iter().filter(|((of, _), _)| of == metric).map(|((_, labels), tally)| {
                        let mut one = series_of(*metric, labels);
                        one.set_histogram(tally.proto());
                        one
                    });
                family.set_metric(counters.chain(histograms).collect());
                family.set_field_type(match metric.kind() {
                    MetricKind::Histogram => proto::MetricType::HISTOGRAM,
                    MetricKind::Counter | MetricKind::Gauge => proto::MetricType::COUNTER,
                });
                family
            })
            .collect()
    }
}
