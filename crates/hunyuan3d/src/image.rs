//! From pictures to the views that the encoder takes (`preprocessors.py`).

use image::RgbaImage;
use orfeas_vision::{BORDER_RATIO, Recentred, VisionError, model_input, recentre};

use crate::conditioner::ProcessedView;
use crate::config::ImageProcessorConfig;
use crate::{ModelError, ModelErrorKind};

/// The names of views, in the order in which the model takes them.
pub const VIEWS: [&str; 4] = ["front", "left", "back", "right"];

/// Recentres and scales a picture whose alpha is the subject, as `ImageProcessorV2` does.
///
/// Returns the view and its mask, `[size, size]`, -1 to 1.
///
/// # Errors
/// [`ModelErrorKind::NoSubject`] where nothing is opaque.
pub fn process(
    config: &ImageProcessorConfig,
    picture: &RgbaImage,
    index: usize,
) -> Result<(ProcessedView, Vec<f32>), ModelError> {
    let ratio = config.border_ratio.unwrap_or(BORDER_RATIO);
    let recentred = recentre(picture, ratio).map_err(|error| no_subject(&error))?;
    Ok(scale(config, &recentred, index))
}

/// Scales a picture that was recentred before: what the service's first stage hands on. A model that wants another
/// border than it was given gets it.
///
/// # Errors
/// As [`process`].
pub fn process_prepared(
    config: &ImageProcessorConfig,
    prepared: &RgbaImage,
    index: usize,
) -> Result<ProcessedView, ModelError> {
    match config.border_ratio {
        Some(ratio) if (ratio - BORDER_RATIO).abs() > 1e-9 => Ok(process(config, prepared, index)?.0),
        _ => Ok(scale(config, &Recentred::from(prepared), index).0),
    }
}

/// The place of a view by its name.
///
/// # Errors
/// [`ModelErrorKind::Request`] for another name.
pub fn view_index(name: &str) -> Result<usize, ModelError> {
    let unknown = || ModelError::request(format!("the view {name:?} is not known; {} are", VIEWS.join(", ")));
    VIEWS.iter().position(|view| *view == name).ok_or_else(unknown)
}

fn scale(config: &ImageProcessorConfig, recentred: &Recentred, index: usize) -> (ProcessedView, Vec<f32>) {
    let (image, mask) = model_input(recentred, config.size);
    (ProcessedView { image, size: config.size as usize, index }, mask)
}

fn no_subject(error: &VisionError) -> ModelError {
    ModelError::new(ModelErrorKind::NoSubject, error.to_string())
}
