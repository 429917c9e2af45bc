//! Every format holds the same mesh, and no bytes make a reader panic.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Random, check, torus};
use orfeas_contract::{Format, GlbCompression};
use orfeas_surface::{
    FileOptions, Mesh, SurfaceErrorKind, extract, place, read, report, simplify, sniff, write, write_to,
};

fn small() -> Mesh {
    place(simplify(extract(&torus(24)).unwrap(), 700).unwrap(), 80.0).unwrap()
}

#[test]
fn every_format_reads_back_as_the_same_mesh() {
    for mesh in [small(), place(extract(&torus(140)).unwrap(), 120.0).unwrap()] {
        let expected = report(&mesh, 0);
        assert!(expected.printable());
        for format in Format::ALL {
            let bytes = write(&mesh, format, "a <ring> & \"co\"\n").unwrap();
            assert_eq!(bytes, write(&mesh, format, "a <ring> & \"co\"\n").unwrap(), "{format}: not the same bytes");
            assert_eq!(sniff(&bytes), Some(format));
            let back = read(&bytes, None).unwrap();
            let found = report(&back, 0);
            check(&back, format.name());
            assert_eq!(found.triangles, expected.triangles, "{format}");
            assert_eq!(found.vertices, expected.vertices, "{format}");
            assert!((found.volume_cm3 / expected.volume_cm3 - 1.0).abs() < 1e-6, "{format}");
            for k in 0..3 {
                assert!((found.bounds_mm[k] - expected.bounds_mm[k]).abs() < 1e-4, "{format}");
            }
            if matches!(format, Format::Obj | Format::Ply | Format::ThreeMf) {
                assert_eq!(back, mesh, "{format} must keep every bit");
            }
        }
    }
}

#[test]
fn large_meshes_have_wide_indices() {
    // More than 65 535 vertices, so that the indices do not fit two bytes.
    let mesh = place(extract(&torus(180)).unwrap(), 120.0).unwrap();
    assert!(mesh.vertices.len() > 65_535);
    assert_eq!(read(&write(&mesh, Format::Glb, "x").unwrap(), None).unwrap().triangles, mesh.triangles);
}

#[test]
fn text_forms_are_read() {
    let stl =
        b"solid x\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n VERTEX 1 0 0\nvertex 0 1e0 0\nendloop\nendfacet\n\
        endsolid x\n";
    let ply = b"ply\nformat ascii 1.0\ncomment hi\nelement vertex 4\nproperty float x\nproperty uchar red\nproperty \
        double y\nproperty float z\nelement face 1\nproperty list uchar int vertex_index\nend_header\n0 9 0 0\n1 9 0 0\n1 \
        9 1 0\n0 9 1 0\n4 0 1 2 3\n";
    let obj = b"# x\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0 1.0\nvn 0 0 1\nf 1//1 2//1 -2//1 -1//1\n";
    assert_eq!(read(stl, None).unwrap().triangles, [[0, 1, 2]]);
    for bytes in [ply.as_slice(), obj] {
        let mesh = read(bytes, None).unwrap();
        assert_eq!(mesh.triangles, [[0, 1, 2], [0, 2, 3]]);
        assert_eq!(mesh.vertices[2], [1.0, 1.0, 0.0]);
    }
}

#[test]
fn big_endian_ply_is_read() {
    let mesh = small();
    let mut bytes = format!(
        "ply\nformat binary_big_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float \
         z\nelement face {}\nproperty list uchar uint vertex_indices\nend_header\n",
        mesh.vertices.len(),
        mesh.triangles.len()
    )
    .into_bytes();
    mesh.vertices.as_flattened().iter().for_each(|v| bytes.extend(v.to_be_bytes()));
    for triangle in &mesh.triangles {
        bytes.push(3);
        triangle.iter().for_each(|v| bytes.extend(v.to_be_bytes()));
    }
    assert_eq!(read(&bytes, None).unwrap(), mesh);
}

#[test]
fn gltf_nodes_are_turned_and_mirrored() {
    let bytes = write(&small(), Format::Gltf, "x").unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    json["nodes"] = serde_json::json!([
        { "children": [1], "translation": [1.0, 0.0, 0.0] },
        { "mesh": 0, "scale": [-2.0, 2.0, 2.0] }
    ]);
    let mesh = read(&serde_json::to_vec(&json).unwrap(), None).unwrap();
    check(&mesh, "mirrored");
    let (expected, found) = (report(&small(), 0), report(&mesh, 0));
    assert!((found.volume_cm3 / expected.volume_cm3 - 8.0).abs() < 1e-4);
    let (low, high) = mesh.bounds().unwrap();
    assert!(((low[0] + high[0]) / 2.0 - 1000.0).abs() < 0.1);
    json["nodes"][1]["children"] = serde_json::json!([0]);
    assert_eq!(read(&serde_json::to_vec(&json).unwrap(), None).unwrap_err().kind(), SurfaceErrorKind::Limit);
}

fn package(model: &str) -> Vec<u8> {
    package_deflated(&format!("<?xml version='1.0'?>{model}"))
}

fn package_deflated(model: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file("3D/3dmodel.model", zip::write::SimpleFileOptions::default().compression_level(Some(1)))
        .unwrap();
    archive.write_all(model.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn three_mf_components_and_units_are_applied() {
    let tetrahedron = "<mesh><vertices><vertex x='0' y='0' z='0'/><vertex x='1' y='0' z='0'/><vertex x='0' y='1' \
        z='0'/><vertex x='0' y='0' z='1'/></vertices><triangles><triangle v1='0' v2='2' v3='1'/><triangle v1='0' v2='1' \
        v3='3'/><triangle v1='1' v2='2' v3='3'/><triangle v1='0' v2='3' v3='2'/></triangles></mesh>";
    let model = |inner: &str| {
        package(&format!(
            "<model unit='centimeter' xmlns='x'><resources><object id='1'>{tetrahedron}</object><object id='2'>\
             <components>{inner}</components></object></resources><build><item objectid='2' transform='1 0 0 0 1 0 0 0 1 5 \
             0 0'/></build></model>"
        ))
    };
    let twice = "<component objectid='1'/><component objectid='1' transform='-1 0 0 0 1 0 0 0 1 0 -3 0'/>";
    let mesh = read(&model(twice), None).unwrap();
    check(&mesh, "3mf");
    let found = report(&mesh, 0);
    assert_eq!((found.triangles, found.components), (8, 2));
    assert!((found.volume_cm3 - 2.0 / 6.0).abs() < 1e-6);
    let (low, high) = mesh.bounds().unwrap();
    assert_eq!((low, high), ([40.0, -30.0, 0.0], [60.0, 10.0, 10.0]));
    let circle = read(&model("<component objectid='2'/>"), None).unwrap_err();
    assert_eq!(circle.kind(), SurfaceErrorKind::Limit);
    let missing = read(&model("<component objectid='7'/>"), None).unwrap_err();
    assert_eq!(missing.kind(), SurfaceErrorKind::Damaged);
}

#[test]
fn a_promise_of_billions_is_refused_before_memory_is_taken() {
    let mut stl = vec![0; 84];
    stl[80..84].copy_from_slice(&u32::MAX.to_le_bytes());
    let ply = b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\nproperty float x\nproperty float \
        y\nproperty float z\nend_header\n";
    let list = b"ply\nformat binary_little_endian 1.0\nelement face 1\nproperty list uint int \
        vertex_index\nend_header\n\xff\xff\xff\x7f";
    for (bytes, format) in [(stl.as_slice(), Format::Stl), (ply, Format::Ply), (list, Format::Ply)] {
        assert_eq!(read(bytes, Some(format)).unwrap_err().kind(), SurfaceErrorKind::Damaged);
    }
    // A hundred kilobytes that become a hundred megabytes.
    let bomb = package_deflated(&" ".repeat(100 << 20));
    assert!(bomb.len() < 1 << 20);
    assert_eq!(read(&bomb, None).unwrap_err().kind(), SurfaceErrorKind::Limit);
    // 10 000 instances of 10 000 triangles each.
    let triangles = "<triangle v1='0' v2='1' v3='2'/>".repeat(10_000);
    let items = "<item objectid='1'/>".repeat(10_000);
    let bomb = package(&format!(
        "<model><resources><object id='1'><mesh><vertices>{}</vertices><triangles>{triangles}</triangles></mesh>\
         </object></resources><build>{items}</build></model>",
        "<vertex x='0' y='0' z='0'/>".repeat(3)
    ));
    assert_eq!(read(&bomb, None).unwrap_err().kind(), SurfaceErrorKind::Limit);
}

#[test]
fn damaged_bytes_never_panic() {
    let mesh = place(simplify(extract(&torus(16)).unwrap(), 120).unwrap(), 80.0).unwrap();
    let mut random = Random::new(5);
    let mut wholes: Vec<(Format, Vec<u8>)> =
        Format::ALL.into_iter().map(|format| (format, write(&mesh, format, "x").unwrap())).collect();
    let mut packed = Vec::new();
    let options = FileOptions { glb_compression: GlbCompression::Meshopt, ..FileOptions::named("x") };
    write_to(&mesh, Format::Glb, &options, &mut packed).unwrap();
    wholes.push((Format::Glb, packed));
    for (format, whole) in wholes {
        let (mut errors, mut fine) = (0, 0);
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                // Mostly the beginning, where the structure is.
                let span = if random.below(3) == 0 { bytes.len() } else { bytes.len().min(400) };
                let at = random.below(span.max(1)).min(bytes.len().saturating_sub(1));
                match random.below(5) {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = random.next() as u8,
                    2 => bytes[at] ^= 1 << random.below(8),
                    3 => drop(bytes.splice(
                        at..at,
                        (0..random.below(9)).map(|_| b"0-9ef{}[]\"<>\n\xff"[random.below(14)]).collect::<Vec<_>>(),
                    )),
                    _ => bytes[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            // Once as what it was, once as what it looks like.
            match read(&bytes, Some(format)) {
                Ok(found) => {
                    fine += 1;
                    let _ = report(&found, 0);
                }
                Err(error) => {
                    errors += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
            let _ = read(&bytes, None);
        }
        assert!(errors > 300, "{format}: {errors} errors, {fine} read");
    }
}
