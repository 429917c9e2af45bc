//! Mode 0, attributes: bytes of elements, as differences from the element before.

use rayon::prelude::*;

use super::{damaged, take_byte};
use crate::error::SurfaceError;

const HEADER: u8 = 0xa0;
const GROUP: usize = 16;
/// The baseline stands at the end of this many bytes, or of as many as an element has.
const TAIL: usize = 32;

/// Elements of a block.
fn block_elements(stride: usize) -> usize {
    ((8192 / stride) & !(GROUP - 1)).min(256)
}

fn zigzag(delta: u8) -> u8 {
    (delta << 1) ^ (delta as i8 >> 7) as u8
}

fn unzigzag(code: u8) -> u8 {
    (code >> 1) ^ 0u8.wrapping_sub(code & 1)
}

/// Encodes elements of `stride` bytes, which must be a multiple of 4 up to 256.
pub(crate) fn encode_vertices(bytes: &[u8], stride: usize) -> Vec<u8> {
    let block = block_elements(stride) * stride;
    // A block needs to know the last element before it and nothing more, so that all are encoded at once.
    let blocks: Vec<Vec<u8>> = bytes
        .par_chunks(block)
        .enumerate()
        .map(|(number, elements)| {
            let before = if number == 0 { &bytes[..stride] } else { &bytes[number * block - stride..number * block] };
            encode_block(elements, before, stride)
        })
        .collect();
    let mut out = vec![HEADER];
    blocks.iter().for_each(|block| out.extend_from_slice(block));
    out.resize(out.len() + TAIL.saturating_sub(stride), 0);
    match bytes.get(..stride) {
        Some(baseline) => out.extend_from_slice(baseline),
        None => out.resize(out.len() + stride, 0),
    }
    out
}

fn encode_block(elements: &[u8], before: &[u8], stride: usize) -> Vec<u8> {
    let count = elements.len() / stride;
    let groups = count.div_ceil(GROUP);
    let mut out = Vec::with_capacity(elements.len());
    for byte in 0..stride {
        let mut deltas = [0u8; 256];
        let mut last = before[byte];
        for (delta, element) in deltas.iter_mut().zip(elements.chunks_exact(stride)) {
            *delta = zigzag(element[byte].wrapping_sub(last));
            last = element[byte];
        }
        let header = out.len();
        out.resize(header + groups.div_ceil(4), 0);
        for (number, group) in deltas.chunks_exact(GROUP).take(groups).enumerate() {
            let mode = encode_group(group, &mut out);
            out[header + number / 4] |= mode << (2 * (number % 4));
        }
    }
    out
}

/// Appends sixteen differences in the shortest way and says which it was.
fn encode_group(group: &[u8], out: &mut Vec<u8>) -> u8 {
    if group.iter().all(|delta| *delta == 0) {
        return 0;
    }
    let beyond = |sentinel: u8| group.iter().filter(|delta| **delta >= sentinel).count();
    let (two, four) = (4 + beyond(3), 8 + beyond(15));
    if two.min(four) >= GROUP {
        out.extend_from_slice(group);
        return 3;
    }
    let bits = if two <= four { 2 } else { 4 };
    let sentinel = (1u8 << bits) - 1;
    for packed in group.chunks_exact(8 / bits) {
        out.push(packed.iter().fold(0, |byte, delta| byte << bits | (*delta).min(sentinel)));
    }
    out.extend(group.iter().filter(|delta| **delta >= sentinel));
    bits as u8 / 2
}

/// Decodes `count` elements of `stride` bytes.
///
/// # Errors
/// Where the stream is not one of these.
pub(crate) fn decode_vertices(stream: &[u8], count: usize, stride: usize) -> Result<Vec<u8>, SurfaceError> {
    if stride == 0 || !stride.is_multiple_of(4) || stride > 256 || stream.first() != Some(&HEADER) {
        return Err(damaged());
    }
    let tail = stride.max(TAIL);
    let mut data = stream.get(1..stream.len().wrapping_sub(tail)).ok_or_else(damaged)?;
    // A group of sixteen elements takes two bits of every byte of the stride at least.
    if count.div_ceil(GROUP).div_ceil(4) > data.len() {
        return Err(damaged());
    }
    let mut last = stream[stream.len() - stride..].to_vec();
    let mut out = vec![0; count.checked_mul(stride).ok_or_else(damaged)?];
    for elements in out.chunks_mut(block_elements(stride) * stride) {
        let groups = (elements.len() / stride).div_ceil(GROUP);
        for byte in 0..stride {
            let header = data.get(..groups.div_ceil(4)).ok_or_else(damaged)?;
            data = &data[header.len()..];
            let mut column = elements[byte..].iter_mut().step_by(stride);
            for number in 0..groups {
                let group = decode_group(&mut data, header[number / 4] >> (2 * (number % 4)) & 3)?;
                for (slot, code) in column.by_ref().take(GROUP).zip(group) {
                    last[byte] = last[byte].wrapping_add(unzigzag(code));
                    *slot = last[byte];
                }
            }
        }
    }
    if data.is_empty() { Ok(out) } else { Err(damaged()) }
}

fn decode_group(data: &mut &[u8], mode: u8) -> Result<[u8; GROUP], SurfaceError> {
    let mut group = [0; GROUP];
    if mode == 0 {
        return Ok(group);
    }
    if mode == 3 {
        let (bytes, rest) = data.split_first_chunk().ok_or_else(damaged)?;
        *data = rest;
        return Ok(*bytes);
    }
    let bits = 2 * mode;
    let sentinel = (1u8 << bits) - 1;
    for packed in group.chunks_exact_mut(usize::from(8 / bits)) {
        let byte = take_byte(data)?;
        let count = packed.len() as u8;
        for (slot, place) in packed.iter_mut().zip(1..) {
            *slot = byte >> (bits * (count - place)) & sentinel;
        }
    }
    for slot in group.iter_mut().filter(|slot| **slot == sentinel) {
        *slot = take_byte(data)?;
    }
    Ok(group)
}
