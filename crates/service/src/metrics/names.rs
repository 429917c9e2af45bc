//! Every metric name of ORFEAS, in one enum.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; starts again from zero, or from a checkpoint, with its process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in the buckets of [`BUCKETS`].
    Histogram,
}

/// Upper bounds of every histogram, in seconds: 1 ms to 10 minutes.
pub const BUCKETS: [f64; 18] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

macro_rules! metrics {
    ($($variant:ident => $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// A metric that some service exposes. Dashboards, alert rules and tests know metrics by these names only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it tells, in one sentence.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// How it behaves.
            #[must_use]
            pub fn kind(self) -> MetricKind {
                match self { $(Self::$variant => MetricKind::$kind,)* }
            }

            /// The names of its labels, in the order in which their values are given.
            #[must_use]
            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)* }
            }
        }
    };
}

metrics! {
    BuildInfo => Gauge "orfeas_build_info" ["service", "version"] "Always 1; the labels tell what runs.";
    Ready => Gauge "orfeas_ready" [] "Whether the service takes work: 1 or 0.";
    JobsInHand => Gauge "orfeas_jobs_in_hand" ["stage"] "Jobs that this process has taken and not yet ended.";
    StageAttempts => Counter "orfeas_stage_attempts_total" ["stage", "outcome"] "Attempts that this process ended: done, retry, failed or dropped.";
    StageWorkSeconds => Histogram "orfeas_stage_work_seconds" ["stage"] "Time from taking a job to ending the attempt, in this process.";
    EngineLoaded => Gauge "orfeas_engine_loaded_ratio" ["engine"] "How much of the engine is loaded, 0 to 1; at 1 it can work.";
    Jobs => Counter "orfeas_jobs_total" ["state"] "Ended jobs: completed, failed or cancelled.";
    JobFailures => Counter "orfeas_job_failures_total" ["stage", "code"] "Failed jobs by stage and code.";
    Events => Counter "orfeas_events_total" ["kind"] "Events seen in the stream.";
    StageQueueSeconds => Histogram "orfeas_stage_queue_seconds" ["stage"] "Time that ended jobs lay in a stage's queue.";
    StageSeconds => Histogram "orfeas_stage_seconds" ["stage"] "Time that a stage worked on ended jobs.";
    JobSeconds => Histogram "orfeas_job_seconds" [] "Time from the client's publish to the completed event.";
    ConsumerPending => Gauge "orfeas_consumer_pending" ["stream", "consumer"] "Messages that no worker has taken yet.";
    ConsumerAckPending => Gauge "orfeas_consumer_ack_pending" ["stream", "consumer"] "Messages that a worker has taken and not yet ended.";
    ConsumerRedelivered => Gauge "orfeas_consumer_redelivered" ["stream", "consumer"] "Messages in hand that were delivered more than once.";
    StreamMessages => Gauge "orfeas_stream_messages" ["stream"] "Messages in a stream.";
    StreamBytes => Gauge "orfeas_stream_bytes" ["stream"] "Bytes in a stream.";
    BucketBytes => Gauge "orfeas_bucket_bytes" ["bucket"] "Bytes in an object bucket.";
    DeadLetters => Gauge "orfeas_dead_letters" [] "Messages in the stream of dead letters.";
    GpuInfo => Gauge "orfeas_gpu_info" ["index", "name", "uuid", "driver"] "Always 1; the labels tell which GPU there is.";
    GpuAvailable => Gauge "orfeas_gpu_available" ["reason"] "Whether GPUs can be watched: 1, or 0 and the reason.";
    GpuMemoryUsed => Gauge "orfeas_gpu_memory_used_bytes" ["index"] "Memory of a GPU in use.";
    GpuMemoryTotal => Gauge "orfeas_gpu_memory_total_bytes" ["index"] "Memory of a GPU.";
    GpuUtilisation => Gauge "orfeas_gpu_utilisation_ratio" ["index"] "Share of the last sample period in which a GPU computed, 0 to 1.";
    GpuTemperature => Gauge "orfeas_gpu_temperature_celsius" ["index"] "Temperature of a GPU.";
    EventsCheckpoint => Gauge "orfeas_events_checkpoint_sequence" [] "Sequence of the last event in the stored counts.";
    EventsLag => Gauge "orfeas_events_lag" [] "Events in the stream that are not counted yet.";
}

impl Metric {
    /// The metric of a name as Prometheus exposes it: the suffixes of a histogram's series are allowed.
    #[must_use]
    pub fn of_series(name: &str) -> Option<Self> {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        Self::ALL.iter().copied().find(|metric| {
            metric.name() == name || (metric.kind() == MetricKind::Histogram && Some(metric.name()) == histogram)
        })
    }
}
