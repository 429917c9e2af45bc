//! NumPy's `.npy` (format versions 1 to 3): a field that another program has sampled.

use half::f16;

use crate::error::SurfaceError;

/// Samples along one axis that are taken.
const MAX_AXIS: usize = 1025;

/// Reads a grid of samples as `([x, y, z], values)`, z fastest.
///
/// Little-endian `f2`, `f4` or `f8`, C or Fortran order, three axes, or four of which the first has one entry. Values
/// are not judged: NaN is the reference's "not evaluated", to which [`orfeas_field::SparseGrid::from_dense`]
/// gives the side of what is around it.
///
/// # Errors
/// [`SurfaceErrorKind::Damaged`](crate::SurfaceErrorKind::Damaged),
/// [`SurfaceErrorKind::Unsupported`](crate::SurfaceErrorKind::Unsupported) for another type, and
/// [`SurfaceErrorKind::Limit`](crate::SurfaceErrorKind::Limit) beyond 1025 samples an axis.
pub fn read(bytes: &[u8]) -> Result<([usize; 3], Vec<f32>), SurfaceError> {
    let cut = || SurfaceError::damaged("an .npy file that is cut off");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| SurfaceError::damaged("no .npy file"))?;
    let ([major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk::<2>().map(|(word, rest)| (usize::from(u16::from_le_bytes(*word)), rest)),
        2 | 3 => rest.split_first_chunk::<4>().map(|(word, rest)| (u32::from_le_bytes(*word) as usize, rest)),
        other => return Err(SurfaceError::unsupported(format!("version {other} of .npy"))),
    }
    .ok_or_else(cut)?;
    let (header, body) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| SurfaceError::damaged("an .npy header that is no text"))?;
    let (shape, fortran) = (shape(header)?, flag(header)?);
    let count: usize = shape.iter().product();
    let kind = quoted(header, "descr")?;
    let mut values: Vec<f32> = match kind {
        "<f2" => exactly::<2>(body, count)?.map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        "<f4" => exactly::<4>(body, count)?.map(f32::from_le_bytes).collect(),
        "<f8" => exactly::<8>(body, count)?.map(|b| f64::from_le_bytes(b) as f32).collect(),
        other => {
            return Err(SurfaceError::unsupported(format!("samples of type {other:?}; <f2, <f4 and <f8 are read")));
        }
    };
    if fortran {
        let [nx, ny, nz] = shape;
        let mut turned = Vec::with_capacity(count);
        for x in 0..nx {
            for y in 0..ny {
                turned.extend((0..nz).map(|z| values[(z * ny + y) * nx + x]));
            }
        }
        values = turned;
    }
    Ok((shape, values))
}

/// The body as `count` items of `N` bytes, if that is what it is.
fn exactly<const N: usize>(body: &[u8], count: usize) -> Result<impl Iterator<Item = [u8; N]>, SurfaceError> {
    let (items, rest) = body.as_chunks::<N>();
    if items.len() != count || !rest.is_empty() {
        return Err(SurfaceError::damaged(format!("{} bytes for {count} samples of {N}", body.len())));
    }
    Ok(items.iter().copied())
}

/// What follows a key of the header, a Python dictionary literal.
fn after<'a>(header: &'a str, key: &str) -> Result<&'a str, SurfaceError> {
    [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|quoted| header.split_once(quoted.as_str()))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| SurfaceError::damaged(format!("an .npy header without {key}")))
}

fn quoted<'a>(header: &'a str, key: &str) -> Result<&'a str, SurfaceError> {
    let mut parts = after(header, key)?.split(['\'', '"']);
    match (parts.next(), parts.next()) {
        (Some(""), Some(text)) => Ok(text),
        _ => Err(SurfaceError::unsupported(format!("an .npy {key} that is no string"))),
    }
}

fn flag(header: &str) -> Result<bool, SurfaceError> {
    let rest = after(header, "fortran_order")?;
    match (rest.starts_with("True"), rest.starts_with("False")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(SurfaceError::damaged("an .npy order that is neither True nor False")),
    }
}

fn shape(header: &str) -> Result<[usize; 3], SurfaceError> {
    let damaged = || SurfaceError::damaged("an .npy shape that is not three axes, or four with a first of one");
    let rest = after(header, "shape")?.strip_prefix('(').ok_or_else(damaged)?;
    let inner = rest.split_once(')').ok_or_else(damaged)?.0;
    let words = inner.split(',').map(str::trim).filter(|word| !word.is_empty());
    let axes: Vec<usize> = words.map(str::parse).collect::<Result<_, _>>().map_err(|_| damaged())?;
    let shape = match axes.as_slice() {
        [x, y, z] | [1, x, y, z] => [*x, *y, *z],
        _ => return Err(damaged()),
    };
    if shape.iter().any(|n| *n > MAX_AXIS) {
        return Err(SurfaceError::limit(format!("{shape:?} samples, at most {MAX_AXIS} an axis")));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, kind: &str, fortran: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = header.len() as u32;
        let length = if version == 1 { (length as u16).to_le_bytes().to_vec() } else { length.to_le_bytes().to_vec() };
        [b"\x93NUMPY".as_slice(), &[version, 0], &length, header.as_bytes(), body].concat()
    }

    #[test]
    fn all_types_and_orders_give_the_same_grid() {
        let shape = [2, 3, 4];
        let expected: Vec<f32> = (0..24).map(|i| i as f32 - 7.5).collect();
        let by_column: Vec<f32> = (0..24).map(|i| expected[(i % 2) * 12 + (i / 2 % 3) * 4 + i / 6]).collect();
        for version in [1, 2, 3] {
            for (fortran, values) in [("False", &expected), ("True", &by_column)] {
                let half: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
                let single: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let double: Vec<u8> = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
                for (kind, body) in [("<f2", half), ("<f4", single), ("<f8", double)] {
                    let text = if version == 2 && fortran == "False" { "(1, 2, 3, 4)" } else { "(2, 3, 4)" };
                    assert_eq!(read(&file(version, kind, fortran, text, &body)).unwrap(), (shape, expected.clone()));
                }
            }
        }
    }

    #[test]
    fn what_is_no_grid_is_an_error() {
        use crate::SurfaceErrorKind::{Damaged, Limit, Unsupported};
        let kind = |bytes: &[u8]| read(bytes).unwrap_err().kind();
        assert_eq!(kind(&file(1, ">f4", "False", "(1, 1, 1)", &[0; 4])), Unsupported);
        assert_eq!(kind(&file(1, "<f4", "False", "(1, 1, 2)", &[0; 4])), Damaged);
        assert_eq!(kind(&file(1, "<f4", "False", "(1, 2)", &[0; 8])), Damaged);
        assert_eq!(kind(&file(1, "<f4", "False", "(99999999, 99999999, 99999999)", &[])), Limit);
        let whole = file(1, "<f4", "False", "(1, 1, 1)", &[0; 4]);
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
    }
}
