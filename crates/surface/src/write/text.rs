//! Numbers as text, and Wavefront OBJ.

use rayon::prelude::*;

use crate::Mesh;

/// Lines formatted at a time.
const CHUNK: usize = 8192;

/// Wavefront OBJ, millimetres, z up.
pub(super) fn obj(mesh: &Mesh, name: &str) -> Vec<u8> {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut parts = vec![format!("# ORFEAS, millimetres, z up\no {}\n", name.trim()).into_bytes()];
    parts.extend(chunks(&mesh.vertices, |out, position| {
        out.push(b'v');
        for value in position {
            out.push(b' ');
            push_float(out, *value);
        }
        out.push(b'\n');
    }));
    parts.extend(chunks(&mesh.triangles, |out, triangle| {
        out.push(b'f');
        for vertex in triangle {
            out.push(b' ');
            push_integer(out, u64::from(*vertex) + 1);
        }
        out.push(b'\n');
    }));
    parts.concat()
}

/// Formats items in parallel; the parts are in order.
pub(super) fn chunks<T: Sync>(items: &[T], each: impl Fn(&mut Vec<u8>, &T) + Sync) -> Vec<Vec<u8>> {
    items
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut out = Vec::with_capacity(chunk.len() * 40);
            chunk.iter().for_each(|item| each(&mut out, item));
            out
        })
        .collect()
}

/// A number that reads back as the same f32 (for finite ones; others, which no mesh of ours has, become 0).
pub(super) fn push_float(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() || value == 0.0 {
        out.push(b'0');
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// A whole number in decimal.
pub(super) fn push_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were() {
        let mut bits = 0x1234_5678u32;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            let mut out = Vec::new();
            push_float(&mut out, value);
            let back: f32 = String::from_utf8(out).unwrap().parse().unwrap();
            assert_eq!(back, if value.is_finite() { value } else { 0.0 });
        }
        let mut out = Vec::new();
        [0, 9, 10, 4_294_967_296].into_iter().for_each(|v| push_integer(&mut out, v));
        assert_eq!(out, b"09104294967296");
    }
}
