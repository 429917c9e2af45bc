//! One typed configuration for each program, from a file, the environment and flags.
//!
//! [`SETTINGS`] is the one table; everything else derives from it. A program calls
//! [`IngestConfig::load`] (or its sister) once, gets every mistake at once or a configuration that is right, and passes
//! it on whole.

mod deployment;
mod env_example;
mod error;
mod kind;
mod load;
mod reader;
mod secret;
mod service;
mod settings;
mod sources;
mod structs;
#[cfg(test)]
mod tests;
mod units;

pub use env_example::env_example;
pub use error::{ConfigErrors, Mistake};
pub use kind::{Kind, is_log_filter};
pub use secret::{Secret, ServerUrl};
pub use service::Service;
pub use settings::{CONFIG_ENV, Fallback, MODELS_ENV, SETTINGS, Setting};
pub use sources::{Invocation, Sources, command, with_flags};
pub use structs::{
    Batch, ClientConfig, CommonConfig, DecoderName, EngineName, ExportConfig, HttpConfig, ImageLimits, InferConfig,
    IngestConfig, Kernels, LogConfig, LogFormat, LowVram, MetricsConfig, NatsConfig, Precision, ServiceConfig,
    TopologyConfig, WorkConfig,
};
pub use units::MemoryLimit;
