//! A service as a process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use orfeas_service::config::Service;

use crate::{PATIENCE, http, paths};

/// A service process that can be killed and started again; killed when dropped.
#[derive(Debug)]
pub struct Process {
    /// Which service.
    pub service: Service,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    name: String,
    starts: usize,
    child: Option<Child>,
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIGTERM cannot be sent");
}

/// The surroundings of the tests are not our programs' configuration.
pub fn without_settings(command: &mut Command) {
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("ORFEAS_") {
            command.env_remove(key);
        }
    }
}

impl Process {
    /// A service with these flags, not yet started. `name` names its logs in `folder`.
    #[must_use]
    pub fn new(service: Service, name: &str, flags: Vec<String>, folder: &Path) -> Self {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        Self { service, flags, environment: Vec::new(), folder, name, starts: 0, child: None }
    }

    /// The same with these variables set: what is secret is no flag.
    #[must_use]
    pub fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// Starts it, and does not wait until it is ready.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} is running", self.name);
        self.starts += 1;
        let log = File::create(self.log()).expect("a log file");
        let mut command = Command::new(paths::service(self.service));
        without_settings(&mut command);
        let child = command
            .args(&self.flags)
            .args(["--http-listen", "127.0.0.1:0"])
            .envs(self.environment.clone())
            .current_dir(&self.folder)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("the service can be started"));
    }

    /// Whether it runs.
    pub fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the service runs").id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// SIGTERM; it goes on with what it has in hand.
    pub fn terminate(&self) {
        terminate(self.child.as_ref().expect("the service runs"));
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let child = self.child.as_mut().expect("the service runs");
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < end, "{} does not end", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where it serves `/readyz` and `/metrics`; it says so in its log.
    pub async fn address(&mut self) -> SocketAddr {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            if let Some(address) = log.lines().find_map(served_at) {
                return address;
            }
            assert!(self.running(), "{} ended:\n{log}", self.name);
            assert!(Instant::now() < end, "{} serves nothing:\n{log}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a path of its health server says.
    pub async fn get(&mut self, path: &str) -> http::Answer {
        let address = self.address().await;
        http::get(address, path).await.unwrap_or_else(|error| panic!("{} {path}: {error}", self.name))
    }

    /// Waits until it takes work.
    pub async fn ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let address = self.address().await;
            let answer = http::get(address, "/readyz").await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(self.running(), "{} ended:\n{}", self.name, self.log_text());
            assert!(Instant::now() < end, "{} does not get ready: {answer:?}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.{}.log", self.name, self.starts))
    }

    /// What its last start logged.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Waits until its last start has logged a text so many times.
    pub async fn logged(&self, text: &str, times: usize) {
        let end = Instant::now() + PATIENCE;
        while self.log_text().matches(text).count() < times {
            assert!(Instant::now() < end, "{} did not log {text:?} {times} times:\n{}", self.name, self.log_text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The logs of all its starts, each with a heading.
    #[must_use]
    pub fn all_logs(&self) -> String {
        let mut text = String::new();
        for start in 1..=self.starts {
            let path = self.folder.join(format!("{}.{start}.log", self.name));
            text += &format!("---- {} {start}\n{}", self.name, fs::read_to_string(path).unwrap_or_default());
        }
        text
    }
}

fn served_at(line: &str) -> Option<SocketAddr> {
    if let Ok(line) = serde_json::from_str::<serde_json::Value>(line) {
        return line["address"].as_str()?.parse().ok();
    }
    let rest = line.contains("health and metrics are served").then(|| line.split_once("address="))??.1;
    rest.split_whitespace().next()?.trim_matches('"').parse().ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
