//! STL, binary and text.

use super::{MAX_TRIANGLES, position};
use crate::Mesh;
use crate::error::SurfaceError;

const HEADER: usize = 84;
const RECORD: usize = 50;

/// Whether the length fits the count of a binary file. Many binary files begin with `solid`, so that word says little.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    count(bytes).is_some_and(|count| count > 0 && bytes.len() == HEADER + RECORD * count)
}

/// Whether it is a binary file of no triangles.
pub(super) fn is_empty(bytes: &[u8]) -> bool {
    bytes.len() == HEADER && count(bytes) == Some(0)
}

/// Whether it begins as a file of text does, after a byte order mark and white space.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"solid"))
}

fn count(bytes: &[u8]) -> Option<usize> {
    let word = bytes.get(80..84)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word) as usize)
}

pub(super) fn stl(bytes: &[u8]) -> Result<Mesh, SurfaceError> {
    let corners = if !is_binary(bytes) && is_text(bytes) { text(bytes)? } else { binary(bytes)? };
    let triangles = (0..corners.len() as u32 / 3).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
    Ok(Mesh { vertices: corners, triangles }.welded())
}

fn binary(bytes: &[u8]) -> Result<Vec<[f32; 3]>, SurfaceError> {
    let count = count(bytes).ok_or_else(|| SurfaceError::damaged("an STL file of fewer than 84 bytes"))?;
    let records = bytes[HEADER..].chunks_exact(RECORD);
    if count > records.len() {
        // Of a web page, say, whose letters are no count.
        if bytes[..HEADER].iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
            return Err(SurfaceError::damaged(
                "it is neither a binary STL file nor one of text, which begins with `solid`",
            ));
        }
        return Err(SurfaceError::damaged(format!("{count} triangles are promised, {} are there", records.len())));
    }
    if count > MAX_TRIANGLES {
        return Err(SurfaceError::limit(format!("{count} triangles, at most {MAX_TRIANGLES}")));
    }
    let mut corners = Vec::with_capacity(3 * count);
    for record in records.take(count) {
        // Twelve bytes of normal, which follows from the corners anyway.
        corners.extend(record[12..48].chunks_exact(12).map(|corner| {
            std::array::from_fn(|k| {
                f32::from_le_bytes([corner[4 * k], corner[4 * k + 1], corner[4 * k + 2], corner[4 * k + 3]])
            })
        }));
    }
    Ok(corners)
}

fn text(bytes: &[u8]) -> Result<Vec<[f32; 3]>, SurfaceError> {
    let mut corners = Vec::new();
    let mut facet = 0;
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let damaged = |what: &str| SurfaceError::damaged(format!("line {}: {what}", number + 1));
        let line = line.trim_ascii();
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        if word.eq_ignore_ascii_case(b"vertex") {
            let text = std::str::from_utf8(line).map_err(|_| damaged("not text"))?;
            let corner = position(&mut text.split_ascii_whitespace().skip(1)).ok_or_else(|| damaged("no position"))?;
            corners.push(corner);
            facet += 1;
        } else if word.eq_ignore_ascii_case(b"endfacet") {
            if facet != 3 {
                return Err(damaged("a facet that has not three corners"));
            }
            facet = 0;
        }
        if corners.len() > 3 * MAX_TRIANGLES {
            return Err(SurfaceError::limit(format!("more than {MAX_TRIANGLES} triangles")));
        }
    }
    if facet != 0 {
        return Err(SurfaceError::damaged("cut off within a facet"));
    }
    Ok(corners)
}
