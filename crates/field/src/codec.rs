//! The field's file form: a JSON header, then one zstd frame of block states and half-precision samples.
//!
//! Layout: `ORFIELD1`, header length (u32, little-endian), header JSON, zstd frame. Inside the frame one byte per
//! block, then the dense blocks' samples with all low bytes before all high bytes, which compresses better because
//! the high bytes (sign, exponent) hardly change.

use half::f16;
use serde::{Deserialize, Serialize};

use crate::grid::{BLOCK_SAMPLES, BlockState, SparseGrid};
use crate::{BLOCK_EDGE, Bounds, Field, Provenance};

const MAGIC: &[u8; 8] = b"ORFIELD1";
const AXES: &str = "x_right_y_up_z_front";

/// What a reader is willing to take.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Samples along one axis.
    pub max_samples: usize,
    /// Bytes after decompression.
    pub max_bytes: usize,
}

impl Default for DecodeLimits {
    /// Enough for a resolution of 1024 with a rugged surface.
    fn default() -> Self {
        Self { max_samples: 1025, max_bytes: 1 << 30 }
    }
}

/// Why bytes are no field.
#[derive(Debug, thiserror::Error)]
#[error("the field cannot be read: {detail}")]
pub struct FieldError {
    kind: FieldErrorKind,
    detail: String,
}

/// The kinds of [`FieldError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Not in this format at all.
    Format,
    /// Larger than the limits allow.
    Limit,
    /// In this format, but damaged.
    Damaged,
}

impl FieldError {
    fn new(kind: FieldErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> FieldErrorKind {
        self.kind
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    samples: [usize; 3],
    bounds: Bounds,
    axes: String,
    dense_blocks: usize,
    provenance: Provenance,
}

/// Writes a field.
///
/// # Errors
/// [`FieldErrorKind::Damaged`] if the compressor fails, which it does only when memory is short.
pub fn encode(field: &Field) -> Result<Vec<u8>, FieldError> {
    let grid = &field.grid;
    let header = Header {
        samples: grid.samples(),
        bounds: field.bounds,
        axes: AXES.to_owned(),
        dense_blocks: grid.dense_values().len(),
        provenance: field.provenance.clone(),
    };
    let damaged = |error: &dyn std::fmt::Display| FieldError::new(FieldErrorKind::Damaged, error.to_string());
    let header = serde_json::to_vec(&header).map_err(|error| damaged(&error))?;
    let mut body: Vec<u8> = grid.states().map(|state| state as u8).collect();
    let samples: &[f16] = grid.dense_values().as_flattened();
    body.reserve(samples.len() * 2);
    body.extend(samples.iter().map(|value| value.to_bits() as u8));
    body.extend(samples.iter().map(|value| (value.to_bits() >> 8) as u8));
    let body = zstd::bulk::compress(&body, 1).map_err(|error| damaged(&error))?;
    let length = u32::try_from(header.len()).map_err(|error| damaged(&error))?;
    Ok([MAGIC.as_slice(), &length.to_le_bytes(), &header, &body].concat())
}

/// Reads a field; limits are checked before anything is allocated for its contents.
///
/// # Errors
/// [`FieldError`] with its kind; nothing in the bytes is trusted.
pub fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<Field, FieldError> {
    let format = |detail: &str| FieldError::new(FieldErrorKind::Format, detail);
    let damaged = |detail: String| FieldError::new(FieldErrorKind::Damaged, detail);
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(|| format("it does not begin with ORFIELD1"))?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("cut off in its header".into()))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > 64 * 1024 {
        return Err(FieldError::new(FieldErrorKind::Limit, format!("a header of {length} bytes")));
    }
    let (header, body) = rest.split_at_checked(length).ok_or_else(|| damaged("cut off in its header".into()))?;
    let header: Header = serde_json::from_slice(header).map_err(|error| damaged(error.to_string()))?;
    if header.axes != AXES {
        return Err(format(&format!("axes {:?} instead of {AXES}", header.axes)));
    }
    if header.samples.iter().any(|n| !(2..=limits.max_samples).contains(n)) {
        let detail = format!("{:?} samples, at most {} an axis", header.samples, limits.max_samples);
        return Err(FieldError::new(FieldErrorKind::Limit, detail));
    }
    let blocks: usize = header.samples.iter().map(|n| n.div_ceil(BLOCK_EDGE)).product();
    if header.dense_blocks > blocks {
        return Err(damaged(format!("{} dense blocks of {blocks}", header.dense_blocks)));
    }
    let finite = header.bounds.min.iter().chain(&header.bounds.max).all(|v| v.is_finite());
    if !finite || (0..3).any(|axis| header.bounds.min[axis] >= header.bounds.max[axis]) {
        return Err(damaged("its bounds are empty".into()));
    }
    let expected = blocks + header.dense_blocks * BLOCK_SAMPLES * 2;
    if expected > limits.max_bytes {
        return Err(FieldError::new(FieldErrorKind::Limit, format!("{expected} bytes, at most {}", limits.max_bytes)));
    }
    let body = zstd::bulk::decompress(body, expected).map_err(|error| damaged(error.to_string()))?;
    if body.len() != expected {
        return Err(damaged(format!("{} bytes instead of {expected}", body.len())));
    }
    let (states, samples) = body.split_at(blocks);
    let states = states
        .iter()
        .map(|state| match state {
            0 => Ok(BlockState::Outside),
            1 => Ok(BlockState::Inside),
            2 => Ok(BlockState::Dense),
            other => Err(damaged(format!("block state {other}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (low, high) = samples.split_at(samples.len() / 2);
    let values: Vec<[f16; BLOCK_SAMPLES]> = low
        .chunks_exact(BLOCK_SAMPLES)
        .zip(high.chunks_exact(BLOCK_SAMPLES))
        .map(|(low, high)| {
            std::array::from_fn(|i| {
                let value = f16::from_bits(u16::from(low[i]) | u16::from(high[i]) << 8);
                // A sample that is no number would poison a vertex; the encoder never writes one.
                if value.is_finite() { value } else { f16::NEG_ONE }
            })
        })
        .collect();
    let grid = SparseGrid::from_parts(header.samples, &states, values)
        .ok_or_else(|| damaged("its block states do not fit its samples".into()))?;
    Ok(Field { grid, bounds: header.bounds, provenance: header.provenance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field() -> Field {
        let samples = [33, 40, 21];
        let mut values = Vec::new();
        for x in 0..33i32 {
            for y in 0..40i32 {
                for z in 0..21i32 {
                    values.push(7.5 - f64::from((x - 16).pow(2) + (y - 20).pow(2) + (z - 10).pow(2)).sqrt() as f32);
                }
            }
        }
        let provenance = Provenance {
            engine: "test".into(),
            model: "none".into(),
            weights_sha256: None,
            seed: 3,
            steps: 1,
            guidance: 5.5,
            resolution: 39,
        };
        Field { grid: SparseGrid::from_dense(samples, &values, 0.0).unwrap(), bounds: Bounds::cube(1.01), provenance }
    }

    #[test]
    fn a_field_comes_back_as_it_was() {
        let field = field();
        let bytes = encode(&field).unwrap();
        assert_eq!(decode(&bytes, DecodeLimits::default()).unwrap(), field);
        assert_eq!(encode(&field).unwrap(), bytes, "the same field must give the same bytes");
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let bytes = encode(&field()).unwrap();
        for cut in [0, 4, 8, 10, 12, 40, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..cut], DecodeLimits::default()).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            let _ = decode(&damaged, DecodeLimits::default());
        }
        assert_eq!(decode(b"solid", DecodeLimits::default()).unwrap_err().kind(), FieldErrorKind::Format);
    }

    #[test]
    fn limits_come_before_allocation() {
        let bytes = encode(&field()).unwrap();
        let small = DecodeLimits { max_samples: 39, max_bytes: 1 << 30 };
        assert_eq!(decode(&bytes, small).unwrap_err().kind(), FieldErrorKind::Limit);
        let small = DecodeLimits { max_samples: 1025, max_bytes: 1000 };
        assert_eq!(decode(&bytes, small).unwrap_err().kind(), FieldErrorKind::Limit);
    }
}
