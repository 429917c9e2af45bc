//! Binary STL: the header is ours, the records are `stl_io`'s.

use std::io::Write;

use super::stream::pieces;
use super::{FileOptions, Origin};
use crate::Mesh;
use crate::error::SurfaceError;
use crate::mesh::{area_normal, dot};

const HEADER: usize = 80;

pub(super) fn stl(mesh: &Mesh, options: &FileOptions<'_>, out: &mut impl Write) -> Result<(), SurfaceError> {
    let count = u32::try_from(mesh.triangles.len())
        .map_err(|_| SurfaceError::limit("the mesh has too many triangles for an STL file"))?;
    let mut head = header(options.origin).to_vec();
    head.extend_from_slice(&count.to_le_bytes());
    out.write_all(&head)
        .and_then(|()| {
            pieces(&mesh.triangles, |piece| out.write_all(piece), |chunk, bytes| records(mesh, chunk, bytes))
        })
        .map_err(|error| SurfaceError::io(&error))
}

/// Appends the records of triangles, with their unit normals.
fn records(mesh: &Mesh, chunk: &[[u32; 3]], bytes: &mut Vec<u8>) {
    let triangles = chunk.iter().map(|triangle| {
        let corners = mesh.corners(*triangle);
        let normal = area_normal(corners);
        let length = dot(normal, normal).sqrt();
        let unit = if length > 0.0 { normal.map(|n| (n / length) as f32) } else { [0.0; 3] };
        stl_io::Triangle { normal: stl_io::Normal::new(unit), vertices: corners.map(stl_io::Vertex::new) }
    });
    let begin = bytes.len();
    // Writing into memory does not fail. Every piece comes with a head of its own, which goes.
    let _ = stl_io::write_stl(&mut *bytes, triangles);
    bytes.drain(begin..begin + HEADER + size_of::<u32>());
}

/// `ORFEAS <job> seed <seed>`: never beginning with `solid`, which is how text files begin. A job id that does not fit
/// is cut.
fn header(origin: Option<&Origin>) -> [u8; HEADER] {
    let text = match origin {
        None => "ORFEAS".to_owned(),
        Some(Origin { job, seed, .. }) => {
            let tail = format!(" seed {seed}");
            let room = HEADER - "ORFEAS ".len() - tail.len();
            let job: String = job.chars().filter(char::is_ascii_graphic).take(room).collect();
            format!("ORFEAS {job}{tail}")
        }
    };
    let mut header = [b' '; HEADER];
    header.iter_mut().zip(text.bytes()).for_each(|(slot, byte)| *slot = byte);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_job_and_seed_in_eighty_bytes() {
        let origin = |job: &str, seed| Origin { job: job.into(), engine: "e".into(), model: "m".into(), seed };
        let text = |origin: &Origin| String::from_utf8(header(Some(origin)).to_vec()).unwrap();
        assert_eq!(text(&origin("duck", 7)).trim_end(), "ORFEAS duck seed 7");
        let long = text(&origin(&"j".repeat(64), u64::MAX));
        assert!(long.starts_with("ORFEAS jjjj") && long.ends_with("j seed 18446744073709551615"), "{long}");
        assert!(!text(&origin("solid", 1)).starts_with("solid"));
    }
}
