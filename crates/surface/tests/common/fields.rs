//! Fields to test, time and draw with.

use orfeas_contract::Provenance;
use orfeas_field::{Bounds, Field, SparseGrid};

/// A field of values over the cube of `half` around the origin.
pub fn field(samples: [usize; 3], half: f32, values: &[f32]) -> Field {
    let provenance = Provenance {
        engine: "test".into(),
        model: "none".into(),
        weights_sha256: None,
        seed: 0,
        steps: 1,
        guidance: 1.0,
        resolution: samples[0] as u32 - 1,
    };
    Field { grid: SparseGrid::from_dense(samples, values, 0.0).unwrap(), bounds: Bounds::cube(half), provenance }
}

/// A field from a function of the position.
pub fn sampled(samples: usize, half: f32, value: impl Fn([f32; 3]) -> f32) -> Field {
    let at = |i: usize| (i as f32 / (samples - 1) as f32 * 2.0 - 1.0) * half;
    let mut values = Vec::with_capacity(samples.pow(3));
    for x in 0..samples {
        for y in 0..samples {
            for z in 0..samples {
                values.push(value([at(x), at(y), at(z)]));
            }
        }
    }
    field([samples; 3], half, &values)
}
