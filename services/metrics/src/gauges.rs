//! Gauges that vanish when nobody knows their value, instead of showing the last one for ever.

use std::collections::BTreeSet;

use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, GaugeVec, IntGauge, Registry};

/// A gauge with labels.
pub struct Family {
    gauge: GaugeVec,
    shown: BTreeSet<Vec<String>>,
}

impl Family {
    /// Registers it, without series.
    ///
    /// # Errors
    /// Where the registry has it already.
    pub fn new(metric: Metric, registry: &Registry) -> Result<Self, Error> {
        Ok(Self { gauge: metric.gauge_vec(registry)?, shown: BTreeSet::new() })
    }

    /// Shows exactly these series. Those that stay are never away for a moment, however a scrape falls.
    pub fn show<L: Into<Vec<String>>>(&mut self, series: impl IntoIterator<Item = (L, f64)>) {
        let mut now = BTreeSet::new();
        for (labels, value) in series {
            let labels = labels.into();
            match self.gauge.get_metric_with_label_values(&labels) {
                Ok(gauge) => gauge.set(value),
                Err(error) => tracing::error!(%error, ?labels, "a gauge was given labels that are not its own"),
            }
            now.insert(labels);
        }
        for gone in self.shown.difference(&now) {
            // A series that is not there is what is wanted.
            let _ = self.gauge.remove_label_values(gone);
        }
        self.shown = now;
    }
}

/// A gauge without labels, registered only while it has a value.
pub struct Single {
    metric: Metric,
    registry: Registry,
    gauge: Option<IntGauge>,
}

impl Single {
    /// Not shown yet.
    #[must_use]
    pub fn new(metric: Metric, registry: &Registry) -> Self {
        Self { metric, registry: registry.clone(), gauge: None }
    }

    /// Shows a value.
    pub fn show(&mut self, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if let Some(gauge) = &self.gauge {
            gauge.set(value);
            return;
        }
        match self.metric.int_gauge(&self.registry) {
            Ok(gauge) => {
                gauge.set(value);
                self.gauge = Some(gauge);
            }
            Err(error) => tracing::error!(%error, metric = self.metric.name(), "a gauge cannot be shown"),
        }
    }

    /// Shows nothing.
    pub fn hide(&mut self) {
        if let Some(gauge) = self.gauge.take()
            && let Err(error) = self.registry.unregister(Box::new(gauge))
        {
            tracing::error!(%error, metric = self.metric.name(), "a gauge cannot be taken away");
        }
    }
}
