//! From a checkpoint's bytes to the wanted precision, refusing what is no finite number.

use burn::tensor::DType;
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;

/// Elements that one thread looks at in a row.
const GRAIN: usize = 1 << 16;

/// Whether elements are in the wanted half precision as they lie in the file.
pub fn is_kept(from: Dtype, to: DType) -> bool {
    cfg!(target_endian = "little") && matches!((from, to), (Dtype::F16, DType::F16) | (Dtype::BF16, DType::BF16))
}

/// Whether every element in half precision is a finite number.
pub fn is_finite(bytes: &[u8], from: Dtype) -> bool {
    let exponent = if from == Dtype::F16 { 0x7c00u16 } else { 0x7f80 };
    let finite = |pair: &[u8; 2]| u16::from_le_bytes(*pair) & exponent != exponent;
    // Counting rather than stopping at the first keeps the loop vectorised.
    let bad = |part: &[u8]| part.as_chunks().0.iter().filter(|pair| !finite(pair)).count();
    bytes.par_chunks(GRAIN).map(bad).sum::<usize>() == 0
}

/// Little-endian elements of a checkpoint in `to`'s native bytes.
///
/// Returns `None` for an infinite or undefined element, also one that only becomes so by narrowing.
pub fn convert(bytes: &[u8], from: Dtype, to: DType) -> Option<Vec<u8>> {
    match (from, to) {
        _ if is_kept(from, to) => is_finite(bytes, from).then(|| bytes.to_vec()),
        (Dtype::F32, _) => narrow(bytes, to, |word: [u8; 4]| f32::from_le_bytes(word)),
        (Dtype::F16, _) => narrow(bytes, to, |pair: [u8; 2]| f16::from_le_bytes(pair).to_f32()),
        (Dtype::BF16, _) => narrow(bytes, to, |pair: [u8; 2]| bf16::from_le_bytes(pair).to_f32()),
        _ => None,
    }
}

/// Bytes of an element; `None` for a type that no checkpoint of ours has.
pub fn width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

fn narrow<const N: usize>(bytes: &[u8], to: DType, read: impl Fn([u8; N]) -> f32 + Sync) -> Option<Vec<u8>> {
    match to {
        // Each with the first magnitude that narrowing rounds to infinity; what is written is what must be finite.
        DType::F32 => each(bytes, f32::INFINITY, read, |value| value.to_ne_bytes()),
        DType::F16 => each(bytes, 65_520.0, read, |value| f16::from_f32(value).to_ne_bytes()),
        DType::BF16 => each(bytes, f32::from_bits(0x7f7f_8000), read, |value| bf16::from_f32(value).to_ne_bytes()),
        _ => None,
    }
}

fn each<const N: usize, const M: usize>(
    bytes: &[u8],
    limit: f32,
    read: impl Fn([u8; N]) -> f32 + Sync,
    write: impl Fn(f32) -> [u8; M] + Sync,
) -> Option<Vec<u8>> {
    let mut out = vec![0u8; bytes.len() / N * M];
    let bad: usize = out
        .par_chunks_mut(GRAIN * M)
        .zip(bytes.par_chunks(GRAIN * N))
        .map(|(out, bytes)| {
            let mut bad = 0;
            for (to, from) in out.as_chunks_mut::<M>().0.iter_mut().zip(bytes.as_chunks::<N>().0) {
                let value = read(*from);
                bad += usize::from(value.is_nan() || value.abs() >= limit);
                *to = write(value);
            }
            bad
        })
        .sum();
    (bad == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_precisions_keeps_what_it_can() {
        let values = [0.0f32, -1.5, 3.140625, 1024.0];
        let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        for (from, bytes) in [(Dtype::F32, &f32s), (Dtype::F16, &f16s), (Dtype::BF16, &bf16s)] {
            for (to, expected) in [(DType::F32, &f32s), (DType::F16, &f16s), (DType::BF16, &bf16s)] {
                let got = convert(bytes, from, to).unwrap();
                assert_eq!(got.len(), expected.len());
                if from != Dtype::BF16 && to != DType::BF16 {
                    assert_eq!(&got, expected, "{from:?} to {to:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused_in_every_precision() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for to in [DType::F32, DType::F16, DType::BF16] {
                let mut wide = vec![0u8; 4 * 100_000];
                wide[4 * 77_777..4 * 77_778].copy_from_slice(&bad.to_le_bytes());
                assert!(convert(&wide, Dtype::F32, to).is_none());
                let mut half = vec![0u8; 2 * 100_000];
                half[2 * 77_777..2 * 77_778].copy_from_slice(&f16::from_f32(bad).to_le_bytes());
                assert!(convert(&half, Dtype::F16, to).is_none());
            }
        }
        // Too large for half precision, though finite where it is stored.
        assert!(convert(&1e6f32.to_le_bytes(), Dtype::F32, DType::F16).is_none());
        assert!(convert(&1e6f32.to_le_bytes(), Dtype::F32, DType::F32).is_some());
    }
}
