//! Telling the subject from its background in a picture that has no alpha.

mod backdrop;
mod graph_cut;
mod lab;
mod mask;
mod maxflow;
mod mixture;
mod model;
mod refine;

use image::{GrayImage, RgbImage};

use crate::VisionError;

pub use graph_cut::GraphCutMatting;

/// A way to find the subject of a picture; a neural one may take the place of [`GraphCutMatting`].
pub trait Matting: Send + Sync {
    /// The name that events and logs give it.
    fn name(&self) -> &'static str;

    /// The subject's alpha, of the picture's own size: 255 is subject, 0 is background.
    ///
    /// # Errors
    /// [`VisionError::NoSubject`] where nothing stands out from the background.
    fn alpha(&self, picture: &RgbImage) -> Result<GrayImage, VisionError>;
}
