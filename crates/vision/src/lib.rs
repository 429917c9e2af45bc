//! From the bytes that a client sent to the prepared picture that the model wants: decode with limits, cut the
//! subject out of its background, recentre it on a square.
//!
//! ```text
//! bytes ──decode──▶ upright RGBA ──cut_out──▶ RGBA whose alpha is the subject ──recentre──▶ square RGBA PNG
//! ```
//!
//! [`prepare`] runs the whole way. This crate knows neither tokio nor NATS nor tensors; everything it is given is
//! untrusted, so limits come before parsing and a decoder's panic never gets out.

mod container;
mod cut_out;
mod decode;
mod error;
mod jpeg;
mod jpeg_scan;
mod matting;
mod prepare;
mod recentre;
mod resize;

pub use cut_out::{CutOut, cut_out};
pub use decode::{Decoded, Limits, decode};
pub use error::VisionError;
pub use matting::{GraphCutMatting, Matting};
pub use prepare::{MAX_WORKING_SIDE, Prepared, prepare};
pub use recentre::{BORDER_RATIO, Recentred, model_input, recentre};
pub use resize::{Raster, resize_area, resize_cubic, resize_nearest};
