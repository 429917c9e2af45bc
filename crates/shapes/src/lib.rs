//! Objects that we generate: what the starter model learns from, and what it is judged by.
//!
//! ```text
//! family, seed ─families─▶ Shape ─sdf─▶ Solid ─┬─render─▶ picture ─vision─▶ prepared picture ─┐
//!                                              └─sample─▶ points, distances, surface ─────────┴─▶ Sample ─shard─▶ file
//! ```
//!
//! Everything is a function of family, seed and view: the same bytes on any number of threads. Axes are the model's: x
//! right, y up, z to the front; the longest side goes from -0.95 to 0.95.

mod error;
pub mod families;
pub mod math;
pub mod metric;
pub mod random;
pub mod render;
pub mod sample;
pub mod sdf;
pub mod shard;

pub use error::ShapeError;
pub use families::{FAMILIES, Family, HELD_OUT_SEEDS};
