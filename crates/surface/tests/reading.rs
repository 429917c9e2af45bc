//! Files from anywhere: what is wrong with each is said in a sentence.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

use orfeas_contract::Format;
use orfeas_surface::{SurfaceErrorKind as Kind, read, sniff};

fn refused(bytes: &[u8], format: Option<Format>) -> (Kind, String) {
    let error = read(bytes, format).unwrap_err();
    (error.kind(), error.to_string())
}

fn stl(count: u32, triangles: &[[[f32; 3]; 3]]) -> Vec<u8> {
    let mut bytes = vec![b' '; 80];
    bytes.extend(count.to_le_bytes());
    for triangle in triangles {
        bytes.extend([0; 12]);
        triangle.as_flattened().iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes.extend([0; 2]);
    }
    bytes
}

const CORNERS: [[f32; 3]; 3] = [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];

fn three_mf(model: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("3D/3dmodel.model", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(model.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_lying_triangle_count() {
    let (kind, text) = refused(&stl(1000, &[CORNERS]), Some(Format::Stl));
    assert_eq!((kind, text.as_str()), (Kind::Damaged, "1000 triangles are promised, 1 are there"));
    let (kind, _) = refused(&stl(u32::MAX, &[CORNERS]), Some(Format::Stl));
    assert_eq!(kind, Kind::Damaged);
    // One that promises too few is read as far as it promises.
    assert_eq!(read(&stl(1, &[CORNERS; 3]), Some(Format::Stl)).unwrap().triangles.len(), 1);
}

#[test]
fn coordinates_that_are_no_numbers() {
    let mut broken = CORNERS;
    for value in [f32::NAN, f32::INFINITY] {
        broken[1][2] = value;
        let (kind, text) = refused(&stl(1, &[broken]), None);
        assert_eq!((kind, text.as_str()), (Kind::Damaged, "a position is not finite"));
    }
    let obj = b"v 0 0 0\nv 1 0 nan\nv 0 1 0\nf 1 2 3\n";
    assert_eq!(refused(obj, None).0, Kind::Damaged);
    // A number that single precision cannot hold.
    let ascii = b"solid x\nfacet\nvertex 0 0 0\nvertex 1e99 0 0\nvertex 0 1 0\nendfacet\nendsolid";
    assert_eq!(refused(ascii, None).1, "a position is not finite");
}

#[test]
fn text_where_bytes_are_usual() {
    let text = "solid duck\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 0\n   vertex 0 1 0\n  \
        endloop\n endfacet\nendsolid duck\n";
    assert_eq!(read(text.as_bytes(), None).unwrap().triangles, [[0, 1, 2]]);
    assert_eq!(read(text.replace('\n', "\r\n").as_bytes(), Some(Format::Stl)).unwrap().vertices.len(), 3);
    let cut = &text.as_bytes()[..text.find("vertex 0 1 0").unwrap()];
    assert_eq!(refused(cut, None), (Kind::Damaged, "cut off within a facet".into()));
    let four = text.replace("  endloop", "vertex 1 1 1\n  endloop");
    assert!(refused(four.as_bytes(), None).1.contains("has not three corners"));
    // A binary file that begins like a text one.
    let mut bytes = stl(1, &[CORNERS]);
    bytes[..5].copy_from_slice(b"solid");
    assert_eq!(read(&bytes, None).unwrap().triangles.len(), 1);
}

#[test]
fn no_triangles() {
    let ply =
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nelement \
        face 0\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n";
    let gltf = br#"{"asset":{"version":"2.0"}}"#;
    let empty = three_mf("<model><resources/><build/></model>");
    let files: [&[u8]; 6] = [&stl(0, &[]), b"solid x\nendsolid x\n", b"v 0 0 0\nv 1 1 1\n", ply, gltf, &empty];
    for bytes in files {
        assert!(sniff(bytes).is_some());
        assert_eq!(refused(bytes, None), (Kind::Empty, "the file has no triangles".into()));
    }
    assert_eq!(refused(b"", None).1, "this is no STL, OBJ, PLY, GLB, glTF or 3MF file");
    assert_eq!(refused(b"hello", None).0, Kind::Damaged);
}

#[test]
fn an_index_out_of_range() {
    let sentence = "a triangle names a vertex that is not there";
    assert_eq!(refused(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", None), (Kind::Damaged, sentence.into()));
    assert_eq!(refused(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", None).1, "line 4: no such vertex");
    let ply =
        b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement \
        face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n";
    assert_eq!(refused(ply, None).1, sentence);
    let model = "<model><resources><object id='1'><mesh><vertices><vertex x='0' y='0' z='0'/></vertices><triangles>\
        <triangle v1='0' v2='1' v3='2'/></triangles></mesh></object></resources><build><item objectid='1'/></build></model>";
    assert_eq!(refused(&three_mf(model), None).1, sentence);
}

#[test]
fn a_zip_bomb() {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("3D/3dmodel.model", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(b"<model><resources>").unwrap();
    for _ in 0..200 {
        archive.write_all(&[b'\n'; 1 << 20]).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let (kind, text) = refused(&bytes, None);
    assert_eq!(kind, Kind::Limit);
    assert!(text.starts_with("a part of more than"), "{text}");
    // One word as long as the bomb is the same.
    let word = three_mf(&format!("<model name='{}'/>", "x".repeat(200 << 20)));
    assert_eq!(refused(&word, None).0, Kind::Limit);
}

#[test]
fn a_compressed_view_that_promises_too_much() {
    let json = |count: u64, length: u64| {
        format!(
            r#"{{"buffers":[{{"byteLength":4,"uri":"data:;base64,oAAAAA=="}}],"bufferViews":[{{"buffer":0,"byteLength":4,
            "extensions":{{"EXT_meshopt_compression":{{"buffer":0,"byteLength":{length},"byteStride":12,"count":{count},
            "mode":"ATTRIBUTES"}}}}}}]}}"#
        )
    };
    assert_eq!(refused(json(u64::MAX / 13, 4).as_bytes(), None).0, Kind::Limit);
    assert_eq!(refused(json(100_000_000, 4).as_bytes(), None).0, Kind::Limit);
    assert_eq!(refused(json(1000, 4).as_bytes(), None).0, Kind::Damaged);
    assert_eq!(refused(json(1, 400).as_bytes(), None).0, Kind::Damaged);
}
