//! The compression of glTF's extension `EXT_meshopt_compression`, after the bitstream that its specification describes
//! (appendices A and B), in both directions.

mod filters;
mod indices;
mod triangles;
mod vertices;

pub(crate) use filters::{exponential, octahedral};
pub(crate) use indices::decode_indices;
pub(crate) use triangles::{decode_triangles, encode_triangles};
pub(crate) use vertices::{decode_vertices, encode_vertices};

use crate::error::SurfaceError;

fn damaged() -> SurfaceError {
    SurfaceError::damaged("a meshopt stream that is damaged")
}

/// Appends an unsigned LEB128 number.
fn push_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes an unsigned LEB128 number of at most 32 bits from the front.
fn take_varint(data: &mut &[u8]) -> Result<u32, SurfaceError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let byte = take_byte(data)?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged())
}

fn take_byte(data: &mut &[u8]) -> Result<u8, SurfaceError> {
    let (byte, rest) = data.split_first().ok_or_else(damaged)?;
    *data = rest;
    Ok(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Xorshift.
    fn random(state: &mut u64) -> u32 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 16) as u32
    }

    #[test]
    fn vertices_come_back_as_they_were() {
        let mut state = 7;
        for stride in [4, 8, 12, 16, 24, 64, 256] {
            for count in [0, 1, 15, 16, 17, 255, 256, 257, 700, 3000] {
                // Bytes that stand, that creep and that jump.
                let bytes: Vec<u8> = (0..count * stride)
                    .map(|at| match at % stride % 4 {
                        0 => (at / stride / 7) as u8,
                        1 => (random(&mut state) % 3) as u8,
                        2 => (at / stride) as u8 ^ (random(&mut state) % 20) as u8,
                        _ => random(&mut state) as u8,
                    })
                    .collect();
                let encoded = encode_vertices(&bytes, stride);
                assert_eq!(decode_vertices(&encoded, count, stride).unwrap(), bytes, "{count} of {stride}");
                assert!(decode_vertices(&encoded[..encoded.len() - 1], count, stride).is_err() || count == 0);
            }
        }
        assert!(decode_vertices(&[0xa0; 40], 5, 6).is_err());
        assert!(decode_vertices(&[0xa0; 40], usize::MAX / 2, 4).is_err());
    }

    #[test]
    fn the_example_of_the_specification_decodes() {
        let group = [0x17, 0x5f, 0xf0, 0xbc, 0x77, 0xa9, 0x21, 0x00, 0x34, 0xb5];
        // Header, a block of one data block of 4-bit deltas and three of zeros, and a tail whose baseline is zero.
        let mut stream = vec![0xa0, 2];
        stream.extend(group);
        stream.extend([0, 0, 0]);
        stream.extend([0; 32]);
        let decoded = decode_vertices(&stream, 16, 4).unwrap();
        let deltas = [-1i8, -4, -3, 26, -91, 0, -6, 6, -4, -4, 5, -5, 1, -1, 0, 0];
        let mut value = 0i8;
        for (element, delta) in decoded.chunks(4).zip(deltas) {
            value = value.wrapping_add(delta);
            assert_eq!(element, [value as u8, 0, 0, 0]);
        }
    }

    #[test]
    fn triangles_come_back_but_for_their_first_corner() {
        let mut state = 3;
        for round in 0..200 {
            let vertices = 3 + random(&mut state) % 300;
            let mut triangles: Vec<[u32; 3]> = Vec::new();
            for n in 0..random(&mut state) % 400 {
                // Strips, fans, and triangles from anywhere.
                triangles.push(match random(&mut state) % 3 {
                    0 => [n % vertices, (n + 1) % vertices, (n + 2) % vertices],
                    1 => [0, n % vertices, (n + 1) % vertices],
                    _ => std::array::from_fn(|_| random(&mut state) % vertices),
                });
            }
            if round % 10 == 0 {
                triangles.push([u32::MAX - 1, 0, 0x8000_0000]);
            }
            let encoded = encode_triangles(&triangles);
            let back = decode_triangles(&encoded, triangles.len()).unwrap();
            assert_eq!(back.len(), triangles.len());
            for (found, expected) in back.iter().zip(&triangles) {
                let [a, b, c] = *expected;
                assert!([[a, b, c], [b, c, a], [c, a, b]].contains(found), "round {round}: {found:?} {expected:?}");
            }
            let _ = decode_triangles(&encoded[..encoded.len() / 2], triangles.len());
            let mut broken = encoded.clone();
            let at = random(&mut state) as usize % broken.len();
            broken[at] ^= 1 << (random(&mut state) % 8);
            let _ = decode_triangles(&broken, triangles.len());
        }
        assert!(decode_triangles(&[0xe1; 20], usize::MAX / 8).is_err());
    }

    #[test]
    fn index_sequences_are_read() {
        // Two baselines: 5 and 100, then 6 and 99.
        let mut stream = vec![0xd1];
        for (baseline, delta) in [(0u32, 5i32), (1, 100), (0, 1), (1, -1)] {
            let zigzag = ((delta << 1) ^ (delta >> 31)) as u32;
            push_varint(&mut stream, zigzag << 1 | baseline);
        }
        stream.extend([0; 4]);
        assert_eq!(decode_indices(&stream, 4).unwrap(), [5, 100, 6, 99]);
        assert!(decode_indices(&stream, 5).is_err());
    }
}
