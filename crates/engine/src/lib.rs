//! Engines: what turns a prepared picture into a [`Field`](orfeas_field::Field).
//!
//! The trait is synchronous and knows neither a runtime nor a transport; a service runs an engine on a thread of its
//! own. Two engines live here, neither of which needs weights: [`Inflate`] makes a solid of the picture's silhouette,
//! [`Noop`] ignores the picture and is for measuring what lies around an engine.

mod engine;
mod error;
pub mod inflate;
mod noop;
mod registry;

pub use engine::{Engine, Observer, Picture, Request, Silent};
pub use error::{EngineError, EngineErrorKind};
pub use inflate::Inflate;
pub use noop::Noop;
pub use registry::{ENGINES, create};
