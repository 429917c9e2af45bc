//! Fields that are known, in the network's place: for benchmarks with random weights, whose own field has no surface to speak of, and
//! for tests.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::ModelError;
use crate::device::{arrived, put};
use crate::kernels::Kernels;

/// What is refined and returned instead of the network's answers, after the network was run in full.
#[derive(Clone, Copy, Debug)]
pub enum Score {
    /// Of a point, computed on the host.
    Function(fn([f32; 3]) -> f32),
    /// A torus with a ball through its hole, about the share of surface that a photographed object has, and as steep as trained logits are
    /// near a surface. Computed where the points are.
    TorusAndBall,
}

impl Score {
    /// At points on the host, x, y and z behind one another.
    pub(super) fn of_points(self, points: &[f32]) -> Vec<f32> {
        let at = match self {
            Self::Function(at) => at,
            Self::TorusAndBall => torus_and_ball,
        };
        points.par_chunks_exact(3).map(|p| at([p[0], p[1], p[2]])).collect()
    }

    /// At points on a device, `[1, points, 3]` → `[points]`.
    pub(super) fn on_device<B: Kernels>(self, points: Tensor<B, 3>) -> Result<Tensor<B, 1>, ModelError> {
        let count = points.dims()[1];
        match self {
            Self::Function(_) => {
                let device = points.device();
                let scored = self.of_points(&arrived(B::fetch(points))?);
                Ok(put(TensorData::new(scored, [count]), [count], &device))
            }
            Self::TorusAndBall => {
                let squares = points.powi_scalar(2);
                let [x, y, z] = [0, 1, 2].map(|axis| squares.clone().narrow(2, axis, 1).reshape([count]));
                let around = x + z;
                let ball = (around.clone() + y.clone()).sqrt().neg() + 0.45;
                let torus = ((around.sqrt() - 0.62).powi_scalar(2) + y).sqrt().neg() + 0.24;
                Ok(torus.max_pair(ball) * 100.0)
            }
        }
    }
}

fn torus_and_ball([x, y, z]: [f32; 3]) -> f32 {
    let ring = (x * x + z * z).sqrt() - 0.62;
    let torus = 0.24 - (ring * ring + y * y).sqrt();
    let ball = 0.45 - (x * x + y * y + z * z).sqrt();
    100.0 * torus.max(ball)
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;
    use crate::kernels::SetKernels as _;
    use crate::noise::normal;

    #[test]
    fn on_the_device_a_field_is_the_same() {
        let points = normal(1, 3 * 1000);
        let tensor = || put::<Flex, 3>(TensorData::new(points.clone(), [1, 1000, 3]), [1, 1000, 3], &FlexDevice);
        for score in [Score::TorusAndBall, Score::Function(|[x, y, z]| x - y * z)] {
            let there = arrived(Flex::fetch(score.on_device::<Flex>(tensor()).unwrap())).unwrap();
            let here = score.of_points(&points);
            assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-3), "{score:?}");
            assert!(here.iter().any(|a| *a > 0.0) && here.iter().any(|a| *a < 0.0), "{score:?}");
        }
    }
}
