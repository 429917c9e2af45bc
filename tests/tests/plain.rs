//! A client without a line of ORFEAS in it gets its mesh.

use orfeas_contract::Format;
use orfeas_tests::{Setup, paths, pictures};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_nats_client_gets_its_file() {
    let python = paths::python();
    let pipeline = Setup::default().start().await;
    let folder = pipeline.server.folder();
    let (picture, mesh) = (folder.join("duck.png"), folder.join("duck.stl"));
    std::fs::write(&picture, pictures::disc(96)).unwrap();
    let mut command = tokio::process::Command::new(python);
    command.arg(paths::repository().join("tests/plain_client/fetch.py")).arg(pipeline.server.url());
    command.args([&picture, &mesh]);
    if let Some(passwords) = &pipeline.passwords {
        command.arg("client").arg(&passwords["client"]);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&mesh).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["sha256"], orfeas_bus::objects::sha256_hex(&bytes));
    let mesh = orfeas_surface::read(&bytes, Some(Format::Stl)).unwrap();
    let completed = pipeline.only_completed(&orfeas_tests::job(said["job"].as_str().unwrap())).await;
    assert_eq!(mesh.triangles.len() as u64, completed.report.triangles);
}
