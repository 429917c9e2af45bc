//! The one place that makes metrics: every collector comes from a [`Metric`] and is registered where it is made.

use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, core::Collector,
};

use super::{BUCKETS, Metric, MetricKind};

/// A constructor of one collector type.
macro_rules! constructor {
    ($(#[$doc:meta])* $name:ident -> $type:ident, $kind:ident, labels: $labelled:literal, |$metric:ident| $make:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// Where the metric is of another kind or shape, or the registry has it already.
        pub fn $name(self, registry: &Registry) -> Result<$type, Error> {
            self.expect(MetricKind::$kind, $labelled)?;
            let $metric = self;
            registered(registry, $make?)
        }
    };
}

impl Metric {
    constructor! {
        /// A gauge of whole numbers without labels.
        int_gauge -> IntGauge, Gauge, labels: false, |metric| IntGauge::with_opts(metric.opts())
    }
    constructor! {
        /// A gauge of whole numbers with labels.
        int_gauge_vec -> IntGaugeVec, Gauge, labels: true, |metric| IntGaugeVec::new(metric.opts(), metric.labels())
    }
    constructor! {
        /// A gauge without labels.
        gauge -> Gauge, Gauge, labels: false, |metric| Gauge::with_opts(metric.opts())
    }
    constructor! {
        /// A gauge with labels.
        gauge_vec -> GaugeVec, Gauge, labels: true, |metric| GaugeVec::new(metric.opts(), metric.labels())
    }
    constructor! {
        /// A counter without labels.
        counter -> IntCounter, Counter, labels: false, |metric| IntCounter::with_opts(metric.opts())
    }
    constructor! {
        /// A counter with labels.
        counter_vec -> IntCounterVec, Counter, labels: true, |metric| IntCounterVec::new(metric.opts(), metric.labels())
    }
    constructor! {
        /// A histogram without labels.
        histogram -> Histogram, Histogram, labels: false, |metric| Histogram::with_opts(metric.histogram_opts())
    }
    constructor! {
        /// A histogram with labels.
        histogram_vec -> HistogramVec, Histogram, labels: true,
        |metric| HistogramVec::new(metric.histogram_opts(), metric.labels())
    }

    fn opts(self) -> Opts {
        Opts::new(self.name(), self.help())
    }

    fn histogram_opts(self) -> HistogramOpts {
        HistogramOpts::new(self.name(), self.help()).buckets(BUCKETS.to_vec())
    }

    /// A metric made as another kind would be exposed under a wrong type; that is refused here.
    pub(super) fn expect(self, kind: MetricKind, labelled: bool) -> Result<(), Error> {
        if self.kind() == kind && self.labels().is_empty() != labelled {
            return Ok(());
        }
        let labels = self.labels();
        Err(Error::Msg(format!("{} is a {:?} with the labels {labels:?}", self.name(), self.kind())))
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
