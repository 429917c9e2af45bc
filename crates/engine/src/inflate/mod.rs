//! The engine `inflate`: a solid of the picture's silhouette, without weights and without a GPU.
//!
//! The silhouette is the alpha at one half. Inside it ∇²f = -c is solved with f = 0 on the outline, and the solid is
//! where z² <= f: front and back are mirror images, cross-sections are rounded, thickness follows the local width,
//! and front and back meet at the outline at a right angle to the picture. (Poisson inflation, as in Repoussé, Joshi &
//! Carr 2008, and Sýkora et al., "Ink-and-Ray", 2014, with the square root for roundness.)
//!
//! How deep is a matter of c. A long strip of half width w has f = c/2 (w² - x²), a circular tube at c = 2; a disc of
//! radius r has f = c/4 (r² - x² - y²), a ball at c = 4. With c = 2√2 a limb is 1.19 times as deep as wide and a disc
//! 0.84 times: equally far from round on either side.
//!
//! What is narrower than the grid can carry is widened to 2.6 cells rather than lost, and holes that are too narrow
//! are opened to about 2 cells; see `silhouette` for the limits. Hard pixel edges are made smooth first (`edges`).
//!
//! ```text
//! picture -> coverage (widened alpha) -> level (signed distance) -> f -> profile -> volume
//! ```

mod distance;
mod edges;
mod normal;
mod poisson;
mod profile;
mod silhouette;
mod thin;
mod volume;

use orfeas_field::{Bounds, Field};

use crate::engine::{step, without_weights};
use crate::{Engine, EngineError, EngineErrorKind, Observer, Picture, Request};

pub(crate) const NAME: &str = "inflate";

/// The engine; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Inflate {
    resolution: u32,
}

impl Inflate {
    /// The resolution that suits most pictures, in cells.
    pub const DEFAULT_RESOLUTION: u32 = 256;
    /// The least and the greatest resolution, in cells.
    pub const RESOLUTIONS: std::ops::RangeInclusive<u32> = 16..=512;
    /// The source c of Poisson's equation.
    pub const SOURCE: f64 = 2.0 * std::f64::consts::SQRT_2;

    /// The engine with the resolution for requests that name none.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unsupported`] beyond [`Self::RESOLUTIONS`].
    pub fn new(default_resolution: u32) -> Result<Self, EngineError> {
        Ok(Self { resolution: supported(default_resolution)? })
    }
}

impl Default for Inflate {
    fn default() -> Self {
        Self { resolution: Self::DEFAULT_RESOLUTION }
    }
}

fn supported(resolution: u32) -> Result<u32, EngineError> {
    if Inflate::RESOLUTIONS.contains(&resolution) {
        return Ok(resolution);
    }
    let (least, most) = (Inflate::RESOLUTIONS.start(), Inflate::RESOLUTIONS.end());
    let sentence = format!("engine inflate supports resolutions from {least} to {most}, not {resolution}");
    Err(EngineError::new(EngineErrorKind::Unsupported, sentence))
}

impl Engine for Inflate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> String {
        "none".to_owned()
    }

    /// Phases are `silhouette`, `poisson` (a step for each decimal that the residual gained) and `volume`. The
    /// volume is sampled in one go, a fraction of a second, without a look at the observer. The result's bits depend
    /// on the picture and the resolution only.
    fn generate(
        &mut self,
        picture: &Picture,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Field, EngineError> {
        picture.check()?;
        let resolution = supported(request.resolution.unwrap_or(self.resolution))?;
        let cells = resolution as usize;

        step(observer, "silhouette", 0, 2)?;
        let coverage = silhouette::coverage(picture, cells)?;
        step(observer, "silhouette", 1, 2)?;
        let level = silhouette::level(&coverage, cells);
        if !level.values.iter().any(|value| *value > 0.0) {
            let sentence = "the subject is too small for the resolution";
            return Err(EngineError::new(EngineErrorKind::NoSubject, sentence));
        }
        step(observer, "silhouette", 2, 2)?;

        let decimals = -poisson::TOLERANCE.log10();
        let steps = decimals.round() as u32;
        step(observer, "poisson", 0, steps)?;
        let solution = poisson::solve(&level, Self::SOURCE, |left| {
            step(observer, "poisson", (-left.log10()).floor().clamp(0.0, decimals) as u32, steps)
        })?;

        step(observer, "volume", 0, 2)?;
        let profile = profile::profile(&level, &solution);
        step(observer, "volume", 1, 2)?;
        let grid = volume::volume(&profile);
        step(observer, "volume", 2, 2)?;
        let provenance = without_weights(NAME, resolution);
        Ok(Field { grid, bounds: Bounds::cube(silhouette::BOUND), provenance })
    }
}
