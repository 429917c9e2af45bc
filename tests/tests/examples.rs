//! The client examples of docs/examples, each as a reader would run it: against the deployment's own server
//! configuration, as its user `client`, and against a server without users.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]
#![allow(clippy::print_stdout, reason = "a test that could not run must say so")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

use orfeas_contract::Format;
use orfeas_tests::{Pipeline, Secured, Setup, TestServer, paths, pictures};
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
    if program("jq").is_none() {
        println!("SKIPPED: there is no jq here");
        return;
    }
    // The real `nats` where it is; in no registry that the tests can count on, so else a stand-in with the same flags.
    let folder = tempfile::tempdir().unwrap();
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if program("nats").is_none() {
        println!("there is no `nats` command (github.com/nats-io/natscli) here; a stand-in takes its place");
        let stand_in = folder.path().join("nats");
        let script = paths::repository().join("tests/plain_client/nats_cli.py");
        let text = format!("#!/bin/sh\nexec {:?} {:?} \"$@\"\n", paths::python(), script);
        std::fs::write(&stand_in, text).unwrap();
        std::fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let folders = std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&path));
        path = std::env::join_paths(folders).unwrap();
    }
    let secured = Secured::start().await;
    let password = secured.password("client");
    shell_makes(&secured.server, &[("NATS_USER", "client"), ("NATS_PASSWORD", password.trim())], &path).await;
    assert!(!secured.server.log_text().contains("Violation"), "{}", secured.server.log_text());
    let pipeline = Setup::default().start().await;
    shell_makes(&pipeline.server, &[], &path).await;
}

/// Runs the shell's example on a picture that becomes a mesh, and on one that does not.
async fn shell_makes(server: &TestServer, login: &[(&str, &str)], path: &OsStr) {
    let (picture, mesh) = (server.folder().join("duck.png"), server.folder().join("duck.stl"));
    let run = async |bytes: &[u8]| {
        std::fs::write(&picture, bytes).unwrap();
        let mut command = Command::new(example("client.sh"));
        command.env("PATH", path).env("NATS_URL", server.url()).envs(login.iter().copied());
        command.args([&picture, &mesh]).output().await.unwrap()
    };
    // What a template would be made of must come through as it is.
    made(&run(&[&pictures::disc(96)[..], b"{{ Count }}"].concat()).await, &mesh);
    let failed = run(&pictures::flat(64)).await;
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("picture"), "{said}");
}
