//! Engines: what turns a prepared picture into a [`Field`](orfeas_field::Field).
//!
//! The trait is synchronous and knows neither a runtime nor a transport; a service runs an engine on a thread of its
//! own. [`Hunyuan3d`] runs a checkpoint of the neural model. Two more need no weights: [`Inflate`] makes a solid of the
//! picture's silhouette, [`Noop`] ignores the picture and is for measuring what lies around an engine.

mod engine;
mod error;
mod fit;
mod hunyuan3d;
pub mod inflate;
mod noop;
mod registry;
mod sparse;
mod starter;

pub use engine::{Ended, Engine, Observer, Picture, Request, Resume, Silent, Task};
pub use error::{EngineError, EngineErrorKind};
pub use fit::{Batching, LowVram};
pub use hunyuan3d::{Hunyuan3d, ModelSpec};
pub use inflate::Inflate;
pub use noop::Noop;
pub use orfeas_hunyuan3d::memory::Budget;
pub use orfeas_hunyuan3d::volume::Method as Decoder;
pub use orfeas_hunyuan3d::{DeviceName, Precision, device_memory};
pub use registry::{ENGINES, EngineSpec, LoadProgress, create};
pub use starter::starter_model;
