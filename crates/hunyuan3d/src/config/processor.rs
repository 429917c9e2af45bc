//! The image processor's parameters (`preprocessors.py`).

use serde::Deserialize;

use super::section::Section;
use crate::ModelError;

/// How a picture becomes the encoder's input.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessorConfig {
    /// Side of the processed picture, in pixels.
    pub size: u32,
    /// The share of that side that stays free around the subject; `None`: the caller's, 0.15 in the reference.
    pub border_ratio: Option<f64>,
    /// Whether it takes several views.
    pub multi_view: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(default = "side")]
    size: u32,
    border_ratio: Option<f64>,
}

fn side() -> u32 {
    512
}

impl ImageProcessorConfig {
    const SINGLE: &str = "hy3dgen.shapegen.preprocessors.ImageProcessorV2";
    const SEVERAL: &str = "hy3dgen.shapegen.preprocessors.MVImageProcessorV2";

    pub(super) fn from_section(section: Section) -> Result<Self, ModelError> {
        let multi_view = match section.target.as_str() {
            Self::SINGLE => false,
            Self::SEVERAL => true,
            _ => return Err(section.unknown_class(&[Self::SINGLE, Self::SEVERAL])),
        };
        let Params { size, border_ratio } = section.params()?;
        if size == 0 || size > 4096 {
            return Err(section.wrong(&format!("size is {size}; it must be from 1 to 4096")));
        }
        if border_ratio.is_some_and(|ratio| !(0.0..1.0).contains(&ratio)) {
            return Err(section.wrong(&format!("border_ratio is {border_ratio:?}; it must be from 0 to below 1")));
        }
        Ok(Self { size, border_ratio, multi_view })
    }
}
