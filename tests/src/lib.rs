//! What the integration tests stand on: a real nats-server, the real service processes, and eyes on the event stream.
//!
//! Nothing here waits for luck. Every wait is for a condition and has a bound; whoever runs into the bound is told what
//! was waited for, and a pipeline whose test failed prints the logs of its processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "its failure is the test's")]

pub mod diagram;
mod events;
pub mod http;
pub mod paths;
pub mod pictures;
mod pipeline;
mod process;
pub mod secured;
mod server;
mod steady;

pub use events::EventLog;
pub use pipeline::{Pipeline, Said, Setup, default_limits, job, job_of_sequence, options};
pub use process::{Process, without_settings};
pub use secured::Secured;
pub use server::TestServer;
pub use steady::steady;

/// What a process that is a little slow is given; a machine under load needs it, a healthy run does not.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);
