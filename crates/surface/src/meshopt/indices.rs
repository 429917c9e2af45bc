//! Mode 2, indices: differences from one of two baselines.

use super::{damaged, take_varint};
use crate::error::SurfaceError;

const HEADER: u8 = 0xd1;

/// Decodes `count` indices.
///
/// # Errors
/// Where the stream is not one of these.
pub(crate) fn decode_indices(stream: &[u8], count: usize) -> Result<Vec<u32>, SurfaceError> {
    let (header, rest) = stream.split_first().ok_or_else(damaged)?;
    let (mut data, _) = rest.split_last_chunk::<4>().ok_or_else(damaged)?;
    if *header != HEADER || count > data.len() {
        return Err(damaged());
    }
    let mut last = [0u32; 2];
    let mut indices = Vec::with_capacity(count);
    for _ in 0..count {
        let code = take_varint(&mut data)?;
        let last = &mut last[(code & 1) as usize];
        *last = last.wrapping_add((code >> 2) ^ 0u32.wrapping_sub(code >> 1 & 1));
        indices.push(*last);
    }
    if data.is_empty() { Ok(indices) } else { Err(damaged()) }
}
