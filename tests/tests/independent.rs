//! What other people's tools say of our files. Those from PyPI and npm are set up by `make test`; those from Debian by
//! `.ci/run`. A tool that is not there is skipped with a line that says so, unless `TEST_REQUIRE_TOOLS` names it.
#![allow(clippy::expect_used)] // Helpers of tests fail as tests do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use orfeas_contract::{Format, GlbCompression, PrintReport, Provenance};
use orfeas_field::{Bounds, Field, SparseGrid};
use orfeas_surface::{FileOptions, FinishOptions, Mesh, Origin, finish, thumbnail, write_to};
use orfeas_tests::paths;
use serde_json::Value;

/// A mesh of ours, its report and its files.
struct Sample {
    name: &'static str,
    mesh: Mesh,
    report: PrintReport,
    files: Vec<(Format, PathBuf)>,
}

impl Sample {
    fn files(&self, wanted: &[Format]) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(|(format, _)| wanted.contains(format)).map(|(_, path)| path.as_path())
    }
}

/// Files of shapes with known topology, made once.
fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<(tempfile::TempDir, Vec<Sample>)> = OnceLock::new();
    let (_, samples) = SAMPLES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let gyroid = |[x, y, z]: [f32; 3]| {
            let (u, v, w) = (6.0 * x, 6.0 * y, 6.0 * z);
            let wave = u.sin() * v.cos() + v.sin() * w.cos() + w.sin() * u.cos();
            (0.9 - (x * x + y * y + z * z).sqrt()).min(0.6 - wave.abs())
        };
        let torus = |[x, y, z]: [f32; 3]| 0.25 - (((x * x + z * z).sqrt() - 0.6).powi(2) + y * y).sqrt();
        let cut = |[x, y, z]: [f32; 3]| 1.2 - (x * x + y * y + z * z).sqrt();
        let samples = vec![
            sample(folder.path(), "torus", 96, &torus, None),
            sample(folder.path(), "gyroid", 80, &gyroid, None),
            sample(folder.path(), "gyroid-reduced", 80, &gyroid, Some(6000)),
            sample(folder.path(), "ball-cut-by-the-box", 48, &cut, None),
        ];
        (folder, samples)
    });
    samples
}

fn sample(
    folder: &Path,
    name: &'static str,
    count: usize,
    value: &dyn Fn([f32; 3]) -> f32,
    target_faces: Option<u32>,
) -> Sample {
    let at = |i: usize| (i as f32 / (count - 1) as f32 * 2.0 - 1.0) * 1.01;
    let mut values = Vec::with_capacity(count.pow(3));
    for n in 0..count.pow(3) {
        values.push(value([at(n / count / count), at(n / count % count), at(n % count)]));
    }
    let provenance = Provenance {
        engine: "test".into(),
        model: "none".into(),
        weights_sha256: None,
        seed: 7,
        steps: 1,
        guidance: 1.0,
        resolution: count as u32 - 1,
    };
    let grid = SparseGrid::from_dense([count; 3], &values, 0.0).expect("a grid");
    let field = Field { grid, bounds: Bounds::cube(1.01), provenance };
    let options = FinishOptions { size_mm: 60.0, target_faces, ..FinishOptions::default() };
    let (mesh, report) = finish(&field, &options, &mut |_| {}, &|| false).expect("a mesh");
    assert!(report.printable, "{name}: {report:?}");
    let mesh = mesh.in_order_of_use();
    let origin = Origin { job: "sample".into(), engine: "test".into(), model: "none".into(), seed: 7 };
    let picture = thumbnail(&mesh).expect("a picture");
    let mut files = Vec::new();
    let mut write = |format: Format, suffix: &str, glb_compression: GlbCompression| {
        let options = FileOptions {
            name,
            origin: Some(&origin),
            report: Some(&report),
            thumbnail: Some(&picture),
            glb_compression,
        };
        let path = folder.join(format!("{name}.{suffix}"));
        let mut file = std::fs::File::create(&path).expect("a file");
        write_to(&mesh, format, &options, &mut file).expect("a mesh file");
        files.push((format, path));
    };
    for format in Format::ALL {
        write(format, format.name(), GlbCompression::None);
    }
    write(Format::Glb, "meshopt.glb", GlbCompression::Meshopt);
    Sample { name, mesh, report, files }
}

/// Whether a tool is there; if not, a line says so, and it is a failure where it was promised.
fn there(tool: &str, found: bool, remedy: &str) -> bool {
    let required = std::env::var("TEST_REQUIRE_TOOLS").unwrap_or_default();
    assert!(found || !required.split(',').any(|name| name == tool), "{tool} is required and not there: {remedy}");
    if !found {
        eprintln!("skipped: {tool} is not there; {remedy}");
    }
    found
}

fn debian(tool: &str, package: &str) -> bool {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(tool).is_file());
    there(tool, found, &format!("`apt-get install {package}` brings it (.ci/run does)"))
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).join("\n");
    (output, text)
}

/// One JSON object a line.
fn lines(command: &mut Command) -> Vec<Value> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What the script tells of files with a module; none where that is not there.
fn python(module: &str, files: impl Fn(&Sample) -> Vec<PathBuf>) -> Option<Vec<(&'static Sample, Vec<Value>)>> {
    let python = std::env::var_os("PYTHON").map_or_else(|| paths::repository().join(".venv/bin/python"), PathBuf::from);
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !there(module, found, "`make test` sets up .venv from tests/independent/requirements.txt") {
        return None;
    }
    let script = paths::repository().join("tests/independent/check.py");
    let said = |sample| lines(Command::new(&python).arg(&script).arg(module).args(files(sample)));
    Some(samples().iter().map(|sample| (sample, said(sample))).collect())
}

fn near(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().expect("a number");
    assert!((found / expected - 1.0).abs() < 1e-4, "{what}: {found}, not {expected}");
}

#[test]
fn trimesh_says_watertight_and_the_same_volume() {
    // It does not know compressed GLB, and reads 3MF only with more packages; lib3mf does that.
    let plain = [Format::Stl, Format::Obj, Format::Ply, Format::Glb, Format::Gltf];
    let files = |sample: &Sample| -> Vec<PathBuf> {
        sample.files(&plain).filter(|path| !path.ends_with_meshopt()).map(Path::to_owned).collect()
    };
    let Some(all) = python("trimesh", files) else { return };
    for (sample, said) in all {
        let report = &sample.report;
        assert_eq!(said.len(), plain.len());
        for said in said {
            let path = PathBuf::from(said["file"].as_str().expect("a name"));
            let what = path.display().to_string();
            for key in ["watertight", "winding_consistent", "is_volume"] {
                assert_eq!(said[key], true, "{what}: {said}");
            }
            assert_eq!(said["triangles"], report.triangles, "{what}");
            assert_eq!(said["euler"], report.euler, "{what}");
            let metres = path.extension().is_some_and(|suffix| suffix == "glb" || suffix == "gltf");
            let scale = if metres { 1e-3 } else { 1.0f64 };
            near(&said["volume"], report.volume_cm3 * 1e3 * scale.powi(3), &what);
            near(&said["area"], report.area_cm2 * 1e2 * scale.powi(2), &what);
        }
    }
}

trait Meshopt {
    fn ends_with_meshopt(&self) -> bool;
}

impl Meshopt for Path {
    fn ends_with_meshopt(&self) -> bool {
        self.to_string_lossy().ends_with(".meshopt.glb")
    }
}

#[test]
fn lib3mf_reads_the_3mf_in_strict_mode() {
    let files = |sample: &Sample| sample.files(&[Format::ThreeMf]).map(Path::to_owned).collect();
    let Some(all) = python("lib3mf", files) else { return };
    for (sample, said) in all {
        let said = &said[0];
        assert_eq!(said["warnings"], serde_json::json!([]), "{said}");
        // Its number for millimetres.
        assert_eq!(said["unit"], "1", "{said}");
        assert_eq!(said["thumbnail"], true, "{said}");
        let mesh = &said["meshes"][0];
        assert_eq!(
            (&mesh["triangles"], &mesh["vertices"]),
            (&sample.report.triangles.into(), &sample.report.vertices.into())
        );
        assert_eq!((&mesh["manifold_and_oriented"], &mesh["valid"]), (&true.into(), &true.into()), "{said}");
        assert_eq!(said["metadata"]["Application"], "ORFEAS");
        assert!(said["metadata"].to_string().contains("seed"), "{said}");
    }
}

#[test]
fn the_khronos_validator_and_meshoptimizer_agree() {
    let modules = paths::repository().join(".tools/independent/node_modules");
    let remedy = "`make test` sets up .tools/independent from tests/independent/package-lock.json where npm is there";
    if !there("gltf-validator", modules.join("gltf-validator").is_dir(), remedy) {
        return;
    }
    for sample in samples() {
        let files: Vec<&Path> = sample.files(&[Format::Glb, Format::Gltf]).collect();
        let mut command = Command::new("node");
        command.arg(paths::repository().join("tests/independent/check.mjs")).arg(&modules).args(&files);
        let said = lines(&mut command);
        for said in &said {
            let issues = &said["issues"];
            let file = said["file"].as_str().expect("a name");
            assert_eq!((issues["numErrors"].as_u64(), issues["numWarnings"].as_u64()), (Some(0), Some(0)), "{said}");
            // What it has to say of a compressed file, as information: that it does not look into this extension, and so
            // finds nobody who uses the buffer.
            let messages: Vec<&str> =
                issues["messages"].as_array().expect("a list").iter().filter_map(|m| m["code"].as_str()).collect();
            if file.contains(".meshopt.") {
                assert!(
                    messages.iter().all(|code| ["UNSUPPORTED_EXTENSION", "UNUSED_OBJECT"].contains(code)),
                    "{said}"
                );
            } else {
                assert!(messages.is_empty(), "{said}");
            }
        }
        // Positions: the very bytes; they are what a reader that knows the extension gets.
        let metres = |mm: f32| (f64::from(mm) / 1000.0) as f32;
        let positions = sample.mesh.vertices.iter().flat_map(|[x, y, z]| [metres(*x), metres(*z), metres(-*y)]);
        let bytes: Vec<u8> = positions.flat_map(f32::to_le_bytes).collect();
        let packed = said.iter().find(|said| said["file"].as_str().is_some_and(|file| file.contains(".meshopt.")));
        let views = &packed.expect("a compressed file")["views"];
        assert_eq!(views[0], orfeas_bus::objects::sha256_hex(&bytes), "{}", sample.name);
        assert!(views[1].is_string() && views[2].is_string(), "{views}");
    }
}

#[test]
fn admesh_finds_nothing_to_fix() {
    if !debian("admesh", "admesh") {
        return;
    }
    for sample in samples() {
        for path in sample.files(&[Format::Stl]) {
            let (output, text) = run(Command::new("admesh").arg(path));
            assert!(output.status.success(), "{text}");
            // Its table has a column before and one after: what it would do shows in the counts below.
            for what in [
                "Number of parts",
                "Degenerate facets",
                "Edges fixed",
                "Facets removed",
                "Facets added",
                "Facets reversed",
                "Backwards edges",
                "Normals fixed",
            ] {
                let line = text.lines().find(|line| line.trim_start().starts_with(what));
                let Some(line) = line else { panic!("{what} is not in\n{text}") };
                let numbers: Vec<u64> =
                    line.split(':').skip(1).filter_map(|part| part.split_whitespace().next()?.parse().ok()).collect();
                let expected = if what == "Number of parts" { sample.report.components } else { 0 };
                assert_eq!(numbers.first(), Some(&expected), "{}: {line}\n{text}", sample.name);
            }
        }
    }
}

#[test]
fn assimp_loads_every_format() {
    if !debian("assimp", "assimp-utils") {
        return;
    }
    for sample in samples() {
        for (_, path) in sample.files.iter().filter(|(_, path)| !path.ends_with_meshopt()) {
            let (output, text) = run(Command::new("assimp").arg("info").arg(path));
            assert!(output.status.success(), "{}:\n{text}", path.display());
            let faces = text.lines().find_map(|line| line.strip_prefix("Faces:")).map(str::trim);
            assert_eq!(faces, Some(sample.report.triangles.to_string().as_str()), "{}:\n{text}", path.display());
        }
    }
}

#[test]
fn prusa_slicer_slices_without_a_repair_or_a_warning() {
    if !debian("prusa-slicer", "prusa-slicer") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Slicing takes a while; the others are no harder for it.
    for sample in samples().iter().filter(|sample| ["torus", "gyroid-reduced"].contains(&sample.name)) {
        for path in sample.files(&[Format::Stl, Format::ThreeMf]) {
            let (output, info) = run(Command::new("prusa-slicer").arg("--info").arg(path));
            assert!(output.status.success(), "{info}");
            assert!(info.contains("manifold = yes"), "{}:\n{info}", path.display());
            assert!(!info.lines().any(|line| line.contains("repaired") || line.contains("open_edges")), "{info}");
            let out = folder.path().join("out.gcode");
            // Thick layers, thin walls: it is the mesh that is looked at.
            let (output, text) = run(Command::new("prusa-slicer")
                .args(["--export-gcode", "--support-material", "--layer-height", "0.3", "--perimeters", "1"])
                .args(["--fill-density", "5%", "--loglevel", "2", "-o"])
                .arg(&out)
                .arg(path));
            assert!(output.status.success(), "{}:\n{text}", path.display());
            let lower = text.to_lowercase();
            assert!(
                !["warning", "error", "repair"].iter().any(|word| lower.contains(word)),
                "{}:\n{text}",
                path.display()
            );
            let gcode = std::fs::read_to_string(&out).expect("G-code");
            assert!(gcode.contains("G1 ") && gcode.len() > 10_000, "{} bytes", gcode.len());
        }
    }
}
