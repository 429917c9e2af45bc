//! An engine that does nothing with the picture.

use orfeas_field::{BlockState, Bounds, Field, HALO_EDGE, SparseGrid};

use crate::engine::{step, without_weights};
use crate::{Engine, EngineError, Observer, Picture, Request};

pub(crate) const NAME: &str = "noop";
const RESOLUTION: u32 = 16;
const RADIUS: f32 = 0.75;
const BOUND: f32 = 1.01;

/// For measuring the pipeline around an engine: whatever the picture and the request, the field is a ball of radius
/// 0.75 at a resolution of 16 cells, which costs next to nothing to make, store and mesh. Its results are no answer
/// to a picture; provenance and events say `noop`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl Engine for Noop {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> String {
        "none".to_owned()
    }

    fn generate(
        &mut self,
        picture: &Picture,
        _request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Field, EngineError> {
        picture.check()?;
        step(observer, "volume", 0, 1)?;
        let at = |index: usize| (2.0 * index as f32 - RESOLUTION as f32) * (BOUND / RESOLUTION as f32);
        // The halo begins one sample before the block; its first row at the grid's edge is not read.
        let before = |origin: usize, offset: usize| at((origin + offset).saturating_sub(1));
        let grid = SparseGrid::from_blocks([RESOLUTION as usize + 1; 3], |origin, halo| {
            for (index, value) in halo.iter_mut().enumerate() {
                let x = before(origin[0], index / (HALO_EDGE * HALO_EDGE));
                let y = before(origin[1], index / HALO_EDGE % HALO_EDGE);
                let z = before(origin[2], index % HALO_EDGE);
                *value = RADIUS - (x * x + y * y + z * z).sqrt();
            }
            BlockState::Dense
        });
        step(observer, "volume", 1, 1)?;
        let provenance = without_weights(NAME, RESOLUTION);
        Ok(Field { grid, bounds: Bounds::cube(BOUND), provenance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn the_ball_is_a_ball_whatever_the_picture() {
        let dark = Picture::new(2, 2, vec![0; 16]).unwrap();
        let light = Picture::new(3, 3, vec![255; 36]).unwrap();
        let field = Noop.generate(&dark, &Request::default(), &mut Silent).unwrap();
        assert_eq!(field, Noop.generate(&light, &Request::default(), &mut Silent).unwrap());
        assert!(field.grid.sample([8, 8, 8]) > 0.0);
        let cells = field.grid.samples().map(|n| n - 1);
        assert_eq!(cells, [16; 3]);
        // 0.75 / 1.01 * 8 = 5.94 cells.
        for axis in 0..3 {
            let mut at = [8; 3];
            at[axis] = 8 + 5;
            assert!(field.grid.sample(at) > 0.0);
            at[axis] = 8 - 6;
            assert!(field.grid.sample(at) < 0.0);
        }
        assert_eq!((field.provenance.engine.as_str(), field.provenance.resolution), ("noop", 16));
    }
}
