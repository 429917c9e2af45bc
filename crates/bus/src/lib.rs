//! The bus: everything of ORFEAS that speaks NATS JetStream, and the only crate that imports its client.
//!
//! [`topology`] declares streams, consumers and buckets in one place; [`work`] is the loop that takes one message at a
//! time and settles it by its outcome; [`jobs`] holds the job records whose compare-and-swap makes every job end
//! exactly once; [`objects`] moves bytes in and out of buckets; [`events`] says what happened.

mod connection;
mod error;
mod follow;
mod publish;
mod upload;

pub mod cancel;
pub mod client;
pub mod dead;
pub mod events;
pub mod jobs;
pub mod kv;
pub mod litter;
pub mod objects;
pub mod observe;
pub mod snapshot;
pub mod topology;
pub mod work;

pub use connection::{Bus, Connection, Credentials, Tls};
pub use error::{BusError, BusErrorKind};
pub use upload::Upload;

/// Re-exported so that callers can look at a message's headers without importing the client.
pub use async_nats::HeaderMap;
