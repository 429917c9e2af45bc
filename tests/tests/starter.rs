//! The starter model: what runs where nobody has configured anything.
#![allow(clippy::expect_used)] // Helpers of tests fail as tests do.

use std::path::Path;
use std::process::{Command, Output};

use orfeas_tests::{paths, pictures, without_settings};

/// `orfeas generate`, by a program of one's own choice, and with nothing else said.
fn generate(program: &Path, picture: &Path, stl: &Path) -> Output {
    let mut command = Command::new(program);
    without_settings(&mut command);
    command
        .args(["generate", "--resolution", "64", "--quiet", "--json"])
        .arg(picture)
        .arg("-o")
        .arg(stl)
        .env("PATH", paths::path_to_nats_server())
        .output()
        .expect("the command runs")
}

#[test]
fn a_fresh_installation_makes_learned_solids() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["assets/demo/elephant.jpg", "assets/pictures/clip_teapot.png"] {
        let stl = folder.path().join("thing.stl");
        let output = generate(&paths::orfeas(), &paths::repository().join(name), &stl);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["engine"], "hunyuan3d", "{said}");
        assert!(said["model"].as_str().unwrap().starts_with("starter "), "{said}");
        let report = &said["report"];
        assert_eq!((&report["watertight"], &report["manifold"]), (&true.into(), &true.into()), "{name}: {said}");
        assert_eq!(report["components"], 1, "{name}: {said}");
        let sizes: Vec<f64> =
            report["bounds_mm"].as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect();
        // A volume, and no relief: what is behind the picture is there too.
        assert!(sizes.iter().all(|side| *side > 15.0), "{name}: {sizes:?}");
        assert!(std::fs::metadata(&stl).unwrap().len() > 84);
    }
}

#[test]
fn without_its_model_nothing_else_runs_instead() {
    let folder = tempfile::tempdir().unwrap();
    // Where there is nothing beside the program.
    let program = folder.path().join("orfeas");
    // By another process: a program that this one holds open for writing while a neighbouring test starts its own cannot be run.
    assert!(Command::new("cp").arg(paths::orfeas()).arg(&program).status().unwrap().success());
    let picture = folder.path().join("disc.png");
    std::fs::write(&picture, pictures::disc(96)).unwrap();
    let stl = folder.path().join("disc.stl");
    let output = generate(&program, &picture, &stl);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !stl.exists(), "{said}");
    assert!(said.contains("model_dir is not set") && said.contains("share/orfeas/models/starter"), "{said}");
}
