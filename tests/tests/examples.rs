//! The client examples of docs/examples, each as a reader would run it: against the deployment's own server
//! configuration, as its user `client`, and against a server without users.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]
#![allow(clippy::print_stdout, reason = "a test that could not run must say so")]

use std::path::{Path, PathBuf};
use std::process::Output;

use orfeas_contract::Format;
use orfeas_tests::{Pipeline, Secured, Setup, paths, pictures};
use tokio::process::Command;

/// A program on `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn example(name: &str) -> PathBuf {
    paths::repository().join("docs/examples").join(name)
}

/// Whether it ended well, and wrote a mesh that it told the triangles of.
fn made(output: &Output, mesh: &Path) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mesh = orfeas_surface::read(&std::fs::read(mesh).unwrap(), Some(Format::Stl)).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["triangles"], mesh.triangles.len());
}

/// Runs an example with and without a user.
async fn tried(command: impl Fn() -> Command) {
    let secured = Secured::start().await;
    let folder = secured.server.folder();
    let (picture, mesh) = (folder.join("duck.png"), folder.join("duck.stl"));
    std::fs::write(&picture, pictures::disc(96)).unwrap();
    let (url, password) = (secured.server.url(), &secured.passwords["client"]);
    let output = command().arg(url).args([&picture, &mesh]).arg("client").arg(password).output().await.unwrap();
    made(&output, &mesh);
    assert!(!secured.server.log_text().contains("Violation"), "{}", secured.server.log_text());

    let pipeline: Pipeline = Setup::default().start().await;
    let mesh = pipeline.server.folder().join("duck.stl");
    let output = command().arg(pipeline.server.url()).args([&picture, &mesh]).output().await.unwrap();
    made(&output, &mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    let interpreter = paths::python();
    tried(|| {
        let mut command = Command::new(&interpreter);
        command.arg(example("client.py"));
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript() {
    let modules = paths::repository().join(".tools/node/node_modules");
    let (Some(node), true) = (program("node"), modules.is_dir()) else {
        println!("SKIPPED: there is no node, or no .tools/node/node_modules (make .tools/node/ready)");
        return;
    };
    // A module is looked for beside the file that imports it.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let script = folder.path().join("client.mjs");
    std::fs::copy(example("client.mjs"), &script).unwrap();
    tried(|| {
        let mut command = Command::new(&node);
        command.arg(&script);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell() {
    if program("nats").is_none() || program("jq").is_none() {
        println!("SKIPPED: there is no `nats` command (github.com/nats-io/natscli) or no jq here");
        return;
    }
    let pipeline = Setup::default().start().await;
    let folder = pipeline.server.folder();
    let (picture, mesh) = (folder.join("duck.png"), folder.join("duck.stl"));
    std::fs::write(&picture, pictures::disc(96)).unwrap();
    let mut command = Command::new(example("client.sh"));
    let output = command.env("NATS_URL", pipeline.server.url()).args([&picture, &mesh]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    orfeas_surface::read(&std::fs::read(&mesh).unwrap(), Some(Format::Stl)).unwrap();
}
