//! A nats-server of a test's own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{PATIENCE, paths};

/// A real nats-server with JetStream on a port that it chose itself and a store of its own; gone when dropped.
#[derive(Debug)]
pub struct TestServer {
    child: Option<Child>,
    folder: TempDir,
    config: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
}

impl TestServer {
    /// Starts one that everybody may do everything on.
    #[must_use]
    pub fn start() -> Self {
        let folder = temporary();
        let config = folder.path().join("nats.conf");
        let store = folder.path().join("store");
        let text = format!(
            "max_payload: 32MB\nwrite_deadline: 10s\nhttp: \"127.0.0.1:-1\"\njetstream {{ store_dir: {:?} }}\n",
            store.display().to_string()
        );
        fs::write(&config, text).expect("the server's configuration");
        Self::begin(folder, config, Vec::new())
    }

    /// Starts one with the repository's own nats/server.conf, so with a user for each service; gives the files with their
    /// passwords, as `orfeas nats credentials` made them, by user.
    #[must_use]
    pub fn with_users() -> (Self, BTreeMap<String, PathBuf>) {
        Self::with_config("server.conf", &[])
    }

    /// The same with another file of nats/ and the variables that it wants.
    #[must_use]
    pub fn with_config(name: &str, more: &[(&str, String)]) -> (Self, BTreeMap<String, PathBuf>) {
        let folder = temporary();
        let nats = folder.path().join("nats");
        fs::create_dir(&nats).expect("a folder for the configuration");
        for name in ["limits.conf", "users.conf", name] {
            fs::copy(paths::repository().join("nats").join(name), nats.join(name)).expect("the repository's nats/");
        }
        let secrets = folder.path().join("secrets");
        let mut make = Command::new(paths::orfeas());
        let make =
            make.args(["nats", "credentials", "--out"]).arg(&secrets).arg("--hashes").arg(nats.join("hashes.conf"));
        let made = make.output().expect("orfeas can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let passwords = fs::read_dir(&secrets).expect("the passwords").flatten().filter_map(|entry| {
            let user = entry.file_name().to_string_lossy().strip_prefix("nats-")?.to_owned();
            Some((user, entry.path()))
        });
        let passwords = passwords.collect();
        let mut environment: Vec<(String, String)> =
            more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let store = folder.path().join("store").display().to_string();
        // Where it listens is said by flags; the file wants the variable all the same.
        let places = [("NATS_LISTEN", "127.0.0.1:-1"), ("NATS_HTTP", "127.0.0.1:-1"), ("NATS_STORE_DIR", &store)];
        environment.extend(places.map(|(key, value)| (key.to_owned(), value.to_owned())));
        (Self::begin(folder, nats.join(name), environment), passwords)
    }

    fn begin(folder: TempDir, config: PathBuf, environment: Vec<(String, String)>) -> Self {
        fs::create_dir(folder.path().join("ports")).expect("a folder for the port");
        let mut server = Self { child: None, folder, config, environment, port: 0 };
        server.child = Some(server.spawn("-1"));
        server.port = server.chosen_port();
        server.wait_up();
        server
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its monitoring port's address. Another one after every start.
    #[must_use]
    pub fn monitor(&self) -> String {
        let ports = ports_in(&self.folder.path().join("ports")).expect("the server says its ports");
        ports["monitoring"][0].as_str().expect("a monitoring port").to_owned()
    }

    /// Its folder, where the processes of its pipeline log too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("nats.log")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Ends it in an orderly way.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            crate::process::terminate(&child);
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts it again on the same store and the same port.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let end = Instant::now() + PATIENCE;
        loop {
            self.child = Some(self.spawn(&self.port.to_string()));
            if self.came_up() {
                return;
            }
            // Another program may hold the port for a moment: a port that nobody listens on is anybody's.
            self.kill();
            assert!(Instant::now() < end, "the nats-server does not come up again:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn spawn(&self, port: &str) -> Child {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log file");
        Command::new(paths::nats_server())
            .arg("-c")
            .arg(&self.config)
            .args(["-a", "127.0.0.1", "-p", port])
            .arg("--ports_file_dir")
            .arg(self.folder.path().join("ports"))
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("nats-server can be started")
    }

    fn chosen_port(&mut self) -> u16 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(port) = port_in(&self.folder.path().join("ports")) {
                return port;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none() && Instant::now() < end, "nats-server says no port:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_up(&mut self) {
        assert!(self.came_up(), "the nats-server does not come up:\n{}", self.log_text());
    }

    /// Whether it greets before it ends.
    fn came_up(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                return false;
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// What it logged.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("orfeas-test-").tempdir().expect("a temporary folder")
}

fn port_in(folder: &Path) -> Option<u16> {
    ports_in(folder)?["nats"][0].as_str()?.rsplit(':').next()?.trim_matches('/').parse().ok()
}

/// The file that a nats-server writes into its `ports_file_dir`.
fn ports_in(folder: &Path) -> Option<serde_json::Value> {
    let file =
        fs::read_dir(folder).ok()?.flatten().find(|entry| entry.path().extension().is_some_and(|e| e == "ports"))?;
    serde_json::from_slice(&fs::read(file.path()).ok()?).ok()
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
    }
}
