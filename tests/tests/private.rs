//! The private nats-server of `up` and `generate` ends with the command, however the command ends.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orfeas_tests::{PATIENCE, paths, pictures, without_settings};
use tempfile::TempDir;

/// Tries until there is something, within the patience of the tests.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An `orfeas` command and the private server under it.
struct Orfeas {
    child: Child,
    server: Option<(String, SocketAddr)>,
    folder: TempDir,
}

impl Orfeas {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("orfeas-test-").tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(paths::orfeas());
        without_settings(&mut command);
        let child = command
            .args(args)
            .current_dir(folder.path())
            .env("PATH", paths::path_to_nats_server())
            // Where `generate` makes the folder of its server.
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, server: None, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> Option<PathBuf> {
        fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.path()).find(|path| {
            path.file_name().is_some_and(|name| name == "data" || name.to_string_lossy().starts_with("orfeas-"))
        })
    }

    /// Waits until the server listens; gives its folder.
    fn listening(&mut self) -> PathBuf {
        let (data, server) = until("the private server comes up", || {
            let data = self.data()?;
            Some((data.clone(), port_file(&data)?))
        });
        assert!(TcpStream::connect(server.1).is_ok());
        self.server = Some(server);
        data
    }

    /// Waits until nobody listens any more and the process is gone.
    fn gone(&self) {
        let (process, address) = self.server.clone().unwrap();
        until("the private server outlives its command", || TcpStream::connect(address).is_err().then_some(()));
        until("the private server does not end", || {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok();
            // Nobody may have waited for it yet: a zombie runs no more.
            status.is_none_or(|status| status.contains("State:\tZ")).then_some(())
        });
    }
}

impl Drop for Orfeas {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A failed test leaves no server behind.
        if std::thread::panicking()
            && let Some((process, _)) = &self.server
        {
            eprintln!("{}", self.log());
            let _ = Command::new("kill").args(["-9", process]).status();
        }
    }
}

/// Process and address of the server that keeps its data there.
fn port_file(data: &Path) -> Option<(String, SocketAddr)> {
    let file = fs::read_dir(data)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "ports"))?;
    let ports: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
    let address = ports["nats"][0].as_str()?.trim_start_matches("nats://").parse().ok()?;
    let process = file.file_stem()?.to_str()?.trim_start_matches("nats-server_").to_owned();
    Some((process, address))
}

#[test]
fn the_server_of_up_does_not_outlive_a_kill() {
    let mut up = Orfeas::start(&["up", "--port", "0", "--data", "data", "--no-http"]);
    let data = up.listening();
    until("the pipeline runs", || up.log().contains("the pipeline runs").then_some(()));
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    up.gone();
    let log = fs::read_to_string(data.join("server.log")).unwrap();
    assert!(log.contains("Server Exiting"), "it must close its files in order:\n{log}");
    assert!(data.join("store").is_dir(), "what `up` stores is kept");
}

#[test]
fn a_second_up_does_not_write_into_the_first_ones_folder() {
    let mut up = Orfeas::start(&["up", "--port", "0", "--data", "data", "--no-http"]);
    let data = up.listening();
    until("the pipeline runs", || up.log().contains("the pipeline runs").then_some(()));
    let log = fs::read_to_string(data.join("server.log")).unwrap();
    let mut second = Command::new(paths::orfeas());
    without_settings(&mut second);
    second.env("PATH", paths::path_to_nats_server());
    let second = second.args(["up", "--port", "0", "--no-http", "--data"]).arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(3) && said.contains("is in use by another `orfeas up`"), "{said}");
    assert_eq!(port_file(&data), up.server, "the first one's ports are still told");
    assert!(fs::read_to_string(data.join("server.log")).unwrap().starts_with(&log));
    // Once the first has ended, however that came about, the folder is free.
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let mut next = Orfeas::start(&["up", "--port", "0", "--data", data.to_str().unwrap(), "--no-http"]);
    until("the next pipeline runs", || next.log().contains("the pipeline runs").then_some(()));
    next.server = port_file(&data);
    assert_ne!(next.server, up.server);
    next.child.kill().unwrap();
    next.child.wait().unwrap();
    next.gone();
}

#[test]
fn the_server_of_up_ends_in_order_with_it() {
    let mut up = Orfeas::start(&["up", "--port", "0", "--data", "data", "--no-http"]);
    up.listening();
    until("the pipeline runs", || up.log().contains("the pipeline runs").then_some(()));
    assert!(Command::new("kill").args(["-TERM", &up.child.id().to_string()]).status().unwrap().success());
    let status = up.child.wait().unwrap();
    assert!(status.success(), "{status}: {}", up.log());
    // It waited for its server.
    let (process, address) = up.server.clone().unwrap();
    assert!(TcpStream::connect(address).is_err());
    assert!(!Path::new("/proc").join(process).exists());
}

#[test]
fn the_server_of_generate_does_not_outlive_a_kill_and_leaves_nothing_behind() {
    let picture = tempfile::NamedTempFile::with_suffix(".png").unwrap();
    fs::write(picture.path(), pictures::ring(256, 1)).unwrap();
    let mut generate = Orfeas::start(&["generate", picture.path().to_str().unwrap(), "-o", "ring.stl", "--quiet"]);
    let data = generate.listening();
    generate.child.kill().unwrap();
    generate.child.wait().unwrap();
    generate.gone();
    until("the server's folder stays behind", || (!data.exists()).then_some(()));
}
