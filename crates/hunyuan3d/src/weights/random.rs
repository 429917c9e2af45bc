//! Parameters out of a seed, for benchmarks at full size and for training's first step.

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use rayon::prelude::*;

use super::Source;
use crate::ModelError;

/// Draws every parameter from its name: the same seed gives the same network, in whatever order it is built.
#[derive(Clone, Copy, Debug)]
pub struct RandomWeights {
    /// The seed.
    pub seed: u64,
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014), which is a bijection and so never repeats within a tensor.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl RandomWeights {
    /// Centre and half width of the uniform distribution of a parameter: matrices by their fan-in, so that signals
    /// keep their size; gains around 1; the rest small.
    fn range(name: &str, shape: &[usize]) -> (f32, f32) {
        let gain = name.ends_with(".scale") || name.contains("norm") && name.ends_with(".weight");
        let gain = gain || name.contains("ln_") && name.ends_with(".weight");
        if gain {
            (1.0, 0.1)
        } else if name.ends_with("lambda1") {
            (0.5, 0.1)
        } else if shape.len() >= 2 && name.ends_with(".weight") {
            let fan_in: usize = shape[1..].iter().product();
            (0.0, (3.0 / fan_in as f32).sqrt())
        } else {
            (0.0, 0.05)
        }
    }
}

impl Source for RandomWeights {
    fn tensor(&self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        const GRAIN: usize = 1 << 16;
        let count: usize = shape.iter().product();
        let (centre, half_width) = Self::range(name, shape);
        let stream = name.bytes().fold(mix(self.seed), |state, byte| mix(state ^ u64::from(byte)));
        let value = |index: usize| {
            let unit = (mix(stream.wrapping_add(index as u64)) >> 40) as f32 / (1u64 << 24) as f32;
            centre + half_width * (2.0 * unit - 1.0)
        };
        let fill = |width: usize, write: &(dyn Fn(f32, &mut [u8]) + Sync)| {
            let mut bytes = vec![0u8; count * width];
            bytes.par_chunks_mut(GRAIN * width).enumerate().for_each(|(part, out)| {
                for (offset, out) in out.chunks_exact_mut(width).enumerate() {
                    write(value(part * GRAIN + offset), out);
                }
            });
            bytes
        };
        let bytes = match dtype {
            DType::F32 => fill(4, &|value, out| out.copy_from_slice(&value.to_ne_bytes())),
            DType::F16 => fill(2, &|value, out| out.copy_from_slice(&f16::from_f32(value).to_ne_bytes())),
            DType::BF16 => fill(2, &|value, out| out.copy_from_slice(&bf16::from_f32(value).to_ne_bytes())),
            other => return Err(ModelError::weights(format!("no random weights of type {other:?}"))),
        };
        Ok(TensorData::from_bytes_vec(bytes, shape.to_vec(), dtype))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn stored_bytes(&self, _name: &str) -> u64 {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }
}
