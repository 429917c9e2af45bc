//! What files say beside their triangles, and that they are written in pieces.
// Helpers outside the test functions may fail the test that calls them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Cursor, Read, Write};

use common::torus;
use orfeas_contract::{Format, GlbCompression, PrintReport};
use orfeas_surface::{FileOptions, Mesh, Origin, extract, place, read, report, write, write_to};

fn mesh(samples: usize) -> Mesh {
    place(extract(&torus(samples)).unwrap(), 80.0).unwrap()
}

fn origin() -> Origin {
    Origin { job: "duck-1".into(), engine: "hunyuan3d".into(), model: "mini <turbo>".into(), seed: u64::MAX }
}

fn full(mesh: &Mesh, format: Format, compression: GlbCompression, report: &PrintReport) -> Vec<u8> {
    let origin = origin();
    let options = FileOptions {
        name: "a & b\n\"c\"",
        origin: Some(&origin),
        report: Some(report),
        thumbnail: Some(b"\x89PNG"),
        glb_compression: compression,
    };
    let mut out = Vec::new();
    write_to(mesh, format, &options, &mut out).unwrap();
    out
}

/// The JSON of a GLB.
fn document(glb: &[u8]) -> serde_json::Value {
    let length = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    serde_json::from_slice(&glb[20..20 + length]).unwrap()
}

#[test]
fn every_format_names_the_job_and_its_seed() {
    let (mesh, none) = (mesh(24), GlbCompression::None);
    let found = report(&mesh, 0);
    for format in Format::ALL {
        let bytes = full(&mesh, format, none, &found);
        assert_eq!(read(&bytes, None).unwrap().triangles.len(), mesh.triangles.len(), "{format}");
        let text = String::from_utf8_lossy(&bytes);
        match format {
            Format::Stl => assert!(text.starts_with("ORFEAS duck-1 seed 18446744073709551615")),
            Format::Obj | Format::Ply => {
                let line = "job duck-1, engine hunyuan3d, model mini <turbo>, seed 18446744073709551615\n";
                assert!(text.contains(line), "{format}");
            }
            Format::Glb | Format::Gltf => {
                let json =
                    if format == Format::Glb { document(&bytes) } else { serde_json::from_slice(&bytes).unwrap() };
                let extras = &json["asset"]["extras"];
                assert_eq!(extras["job"], "duck-1");
                assert_eq!(extras["engine"], "hunyuan3d");
                assert_eq!(extras["model"], "mini <turbo>");
                assert_eq!(extras["seed"], u64::MAX);
                assert_eq!(extras["report"]["printable"], true);
                assert_eq!(extras["report"]["volume_cm3"], found.volume_cm3);
                assert_eq!(json["nodes"][0]["name"], "a & b\n\"c\"");
            }
            Format::ThreeMf => {
                let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
                let mut part = |name: &str| {
                    let mut bytes = Vec::new();
                    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
                    String::from_utf8_lossy(&bytes).into_owned()
                };
                assert!(part("[Content_Types].xml").contains("Extension=\"png\" ContentType=\"image/png\""));
                assert!(part("_rels/.rels").contains("Target=\"/Metadata/preview.png\""));
                assert_eq!(part("Metadata/preview.png"), "\u{fffd}PNG");
                let model = part("3D/3dmodel.model");
                for wanted in [
                    "unit=\"millimeter\"",
                    "<metadata name=\"Title\">a &amp; b &quot;c&quot;</metadata>",
                    "<metadata name=\"orfeas:model\">mini &lt;turbo&gt;</metadata>",
                    "<metadata name=\"orfeas:job\">duck-1</metadata>",
                    "<metadata name=\"orfeas:seed\">18446744073709551615</metadata>",
                ] {
                    assert!(model.contains(wanted), "{wanted}");
                }
            }
        }
    }
}

#[test]
fn a_name_cannot_pass_for_the_buffer() {
    let mesh = mesh(16);
    let name = "\"uri\":\"data:application/octet-stream;base64,\"";
    let bytes = write(&mesh, Format::Gltf, name).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["nodes"][0]["name"], name);
    assert_eq!(read(&bytes, None).unwrap().triangles, mesh.triangles);
}

#[test]
fn a_compressed_glb_is_the_same_mesh_in_less() {
    for samples in [24, 150] {
        let mesh = mesh(samples);
        let found = report(&mesh, 0);
        let plain = full(&mesh, Format::Glb, GlbCompression::None, &found);
        let packed = full(&mesh, Format::Glb, GlbCompression::Meshopt, &found);
        assert!(packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());
        assert_eq!(document(&packed)["extensionsRequired"][0], "EXT_meshopt_compression");
        let (plain, packed) = (read(&plain, None).unwrap(), read(&packed, None).unwrap());
        assert_eq!(plain.vertices, packed.vertices);
        // Only the corner that a triangle begins with may differ.
        for (a, b) in plain.triangles.iter().zip(&packed.triangles) {
            assert!((0..3).any(|turn| [a[turn], a[(turn + 1) % 3], a[(turn + 2) % 3]] == *b), "{a:?} {b:?}");
        }
        assert!((report(&packed, 0).volume_cm3 / report(&plain, 0).volume_cm3 - 1.0).abs() < 1e-12);
    }
}

#[test]
fn quantized_positions_are_read() {
    // A tetrahedron of shorts, normalized, scaled back by its node.
    let corners: [[i16; 4]; 4] = [[0, 0, 0, 0], [32767, 0, 0, 0], [0, 32767, 0, 0], [0, 0, 32767, 0]];
    let mut buffer: Vec<u8> = corners.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect();
    buffer.extend([0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2]);
    let mut json = document(&write(&mesh(16), Format::Glb, "x").unwrap());
    json["nodes"] = serde_json::json!([{ "mesh": 0, "scale": [0.01, 0.01, 0.01] }]);
    json["extensionsRequired"] = serde_json::json!(["KHR_mesh_quantization"]);
    json["accessors"] = serde_json::json!([
        { "bufferView": 0, "componentType": 5122, "normalized": true, "count": 4, "type": "VEC3" }, {},
        { "bufferView": 1, "componentType": 5121, "count": 12, "type": "SCALAR" }
    ]);
    json["bufferViews"] = serde_json::json!([
        { "buffer": 0, "byteLength": 32, "byteStride": 8 }, { "buffer": 0, "byteOffset": 32, "byteLength": 12 }
    ]);
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &buffer);
    json["buffers"] = serde_json::json!([{ "uri": format!("data:;base64,{text}"), "byteLength": buffer.len() }]);
    let found = report(&read(json.to_string().as_bytes(), Some(Format::Gltf)).unwrap(), 0);
    assert!(found.printable, "{found:?}");
    assert!((found.volume_cm3 - 1.0 / 6.0).abs() < 1e-6, "{found:?}");
}

/// Counts what it is given, and keeps nothing.
#[derive(Default)]
struct Measure {
    total: usize,
    largest: usize,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.total += bytes.len();
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_are_written_in_pieces_that_do_not_grow_with_them() {
    let mesh = mesh(240);
    assert!(mesh.triangles.len() > 200_000);
    for format in Format::ALL {
        let mut measure = Measure::default();
        write_to(&mesh, format, &FileOptions::named("x"), &mut measure).unwrap();
        assert_eq!(measure.total, write(&mesh, format, "x").unwrap().len(), "{format}");
        assert!(measure.largest < 2 << 20 && measure.total > 3 << 20, "{format}: {} bytes at once", measure.largest);
    }
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.0 {
            return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, "the disk is full"));
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let mesh = mesh(40);
    for format in Format::ALL {
        for room in [0, 100, 10_000] {
            let error = write_to(&mesh, format, &FileOptions::named("x"), &mut Full(room)).unwrap_err();
            assert_eq!(error.kind(), orfeas_surface::SurfaceErrorKind::Io, "{format} {room}");
            assert!(error.to_string().contains("the disk is full"), "{error}");
        }
    }
}

/// Takes a few bytes at a time, as a writer may.
struct Sip(Vec<u8>);

impl Write for Sip {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(1000);
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_may_take_less_than_it_is_given() {
    let mesh = mesh(40);
    for format in Format::ALL {
        let (mut whole, mut sip) = (Vec::new(), Sip(Vec::new()));
        let options = FileOptions::default();
        write_to(&mesh, format, &options, &mut whole).unwrap();
        write_to(&mesh, format, &options, &mut sip).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert!(whole.len() > 20_000 && sip.0 == whole, "{format}");
    }
}
