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

/// Upper bounds of every histogram, in seconds: 1 ms to a day, for jobs wait in queues. Longer ones are only ever added to the end:
/// stored counts go on in them.
pub const BUCKETS: [f64; 24] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1200.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
];

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
    ConsumerAckPending => Gauge "orfeas_consumer_ack_pending" ["stream", "consumer"] "Messages that were given out and not acknowledged: in hand, to be tried again later, or of a worker that died, until its ack wait is over.";
    ConsumerRedelivered => Gauge "orfeas_consumer_redelivered" ["stream", "consumer"] "Messages in hand that were delivered more than once.";
    StreamMessages => Gauge "orfeas_stream_messages" ["stream"] "Messages in a stream.";
    StreamBytes => Gauge "orfeas_stream_bytes" ["stream"] "Bytes in a stream.";
    StreamLimitBytes => Gauge "orfeas_stream_limit_bytes" ["stream"] "Bytes that a stream may hold; 0 where it has no limit.";
    StreamOldestSeconds => Gauge "orfeas_stream_oldest_seconds" ["stream"] "Age of the oldest message in a stream; in a work queue, of the job that waits longest. 0 where it is empty.";
    BucketBytes => Gauge "orfeas_bucket_bytes" ["bucket"] "Bytes in an object bucket.";
    DeadLetters => Gauge "orfeas_dead_letters" [] "Messages in the stream of dead letters.";
    RecentJob => Gauge "orfeas_recent_job_seconds" ["job", "state", "engine", "code"] "Seconds from publish to end of each of the last 25 jobs; /jobs/<job> of the metrics service tells the rest.";
    EnginePhaseSeconds => Histogram "orfeas_engine_phase_seconds" ["engine", "phase"] "Time of the engine's phases, in this process.";
    DiskSize => Gauge "orfeas_disk_size_bytes" ["path"] "Size of a watched folder's disk.";
    DiskFree => Gauge "orfeas_disk_free_bytes" ["path"] "Room on a watched folder's disk.";
    NatsUp => Gauge "orfeas_nats_up" ["server"] "Whether a NATS server's monitoring port answers: 1 or 0.";
    NatsHealthy => Gauge "orfeas_nats_healthy" ["server"] "What a NATS server's /healthz says: 1 or 0.";
    NatsQuorum => Gauge "orfeas_nats_quorum" ["server"] "Whether JetStream has a leader, as a NATS server sees it: 1 or 0; 1 for a server alone.";
    NatsConnections => Gauge "orfeas_nats_connections" ["server"] "Clients of a NATS server.";
    NatsMemory => Gauge "orfeas_nats_memory_bytes" ["server"] "Resident memory of a NATS server.";
    NatsCpu => Gauge "orfeas_nats_cpu_ratio" ["server"] "Cores that a NATS server keeps busy.";
    NatsStore => Gauge "orfeas_nats_store_bytes" ["server"] "Bytes in JetStream's file store.";
    NatsStoreLimit => Gauge "orfeas_nats_store_limit_bytes" ["server"] "Bytes that JetStream's file store may hold.";
    NatsStoreReserved => Gauge "orfeas_nats_store_reserved_bytes" ["server"] "Bytes that streams have reserved of the file store.";
    NatsMessages => Counter "orfeas_nats_messages_total" ["server", "direction"] "Messages that a NATS server took (in) and sent (out).";
    NatsBytes => Counter "orfeas_nats_bytes_total" ["server", "direction"] "Bytes that a NATS server took (in) and sent (out).";
    NatsApiErrors => Counter "orfeas_nats_api_errors_total" ["server"] "JetStream calls that a NATS server refused.";
    NatsSlowConsumers => Counter "orfeas_nats_slow_consumers_total" ["server"] "Clients that a NATS server cut off because they read too slowly.";
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
