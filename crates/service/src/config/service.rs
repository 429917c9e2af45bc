//! The programs that read a configuration.

use std::fmt;

/// A program of ORFEAS. The four services, and the client that the `orfeas` command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Decode, cut out, recentre; cancel wishes and dead letters.
    Ingest,
    /// Picture to field.
    Infer,
    /// Field to mesh to files.
    Export,
    /// Queues, events and the GPU, for Prometheus.
    Metrics,
    /// The `orfeas` command when it talks to a running pipeline.
    Client,
}

impl Service {
    /// Every program.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Infer, Self::Export, Self::Metrics, Self::Client];
    /// The programs that run on and on.
    pub const SERVICES: [Self; 4] = [Self::Ingest, Self::Infer, Self::Export, Self::Metrics];

    /// The name in logs, metrics, NATS users and inbox prefixes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Infer => "infer",
            Self::Export => "export",
            Self::Metrics => "metrics",
            Self::Client => "client",
        }
    }

    /// What it does, in one line for `--help`.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Ingest => "Takes pictures in: decodes, cuts out, recentres",
            Self::Infer => "Turns prepared pictures into fields",
            Self::Export => "Turns fields into printable mesh files",
            Self::Metrics => "Watches queues, events and the GPU for Prometheus",
            Self::Client => "Talks to a running pipeline",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
