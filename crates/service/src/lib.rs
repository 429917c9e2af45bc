//! What the service binaries and the `orfeas` command share: configuration, log, health, metric names, shutdown, and
//! the frame that a service's `main` hangs in.

pub mod config;
pub mod health;
pub mod http;
pub mod metrics;
mod pages;
mod readiness;
mod run;
mod shutdown;
pub mod telemetry;
pub mod trace;

pub use pages::Pages;
/// The crate whose types metrics are handed out in, so that nobody else needs to depend on it.
pub use prometheus;
pub use readiness::Readiness;
pub use run::{Context, run_from, run_service, runtime, start};
pub use shutdown::Shutdown;
