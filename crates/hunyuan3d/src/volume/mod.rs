//! From a shape's tokens to samples of its field on a grid (`volume_decoders.py`).
//!
//! Dense asks at every sample. Hierarchical begins coarse and asks finer only near the surface. FlashVDM does the same
//! and lets neighbouring queries look at the few keys that matter to them. A narrow band is hierarchical without the reference's
//! margins. What was not asked is on the side that the coarser
//! level says.

mod ask;
mod axes;
mod bricks;
mod close;
mod decode;
mod grid;
mod on_device;
mod refine;
mod score;
mod surface;

pub(crate) use ask::to_device;
pub use bricks::{BRICK_EDGE, Brick};
pub use decode::{Method, SearchOn, VolumeOptions, VolumeWatch, decode};
pub use grid::Volume;
pub use on_device::{SETS, WIDEST_ON_DEVICE};
pub use refine::flash_key_count;
pub use score::Score;
