//! A pipeline with the repository's own server configuration: a user for each service, and a password file for each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use orfeas_bus::{Connection, Credentials};
use orfeas_service::config::Service;

use crate::{Process, TestServer, paths, without_settings};

/// The server, its users' password files, and every service as its own user.
#[derive(Debug)]
pub struct Secured {
    /// The service processes.
    pub processes: Vec<Process>,
    /// The users' password files.
    pub passwords: BTreeMap<String, PathBuf>,
    /// The server.
    pub server: TestServer,
}

/// Runs the `orfeas` command with these variables and none of the surroundings'.
#[must_use]
pub fn orfeas(arguments: &[&str], environment: &[(String, String)]) -> Output {
    command(arguments, environment).output().expect("orfeas can be run")
}

/// The same, not yet run.
#[must_use]
pub fn command(arguments: &[&str], environment: &[(String, String)]) -> Command {
    let mut command = Command::new(paths::orfeas());
    without_settings(&mut command);
    command.args(arguments).envs(environment.iter().cloned()).stdin(Stdio::null());
    command
}

/// What a container of a user has in its environment.
#[must_use]
pub fn environment(passwords: &BTreeMap<String, PathBuf>, user: &str) -> Vec<(String, String)> {
    vec![
        ("ORFEAS_NATS_USER".to_owned(), user.to_owned()),
        ("ORFEAS_NATS_PASSWORD_FILE".to_owned(), passwords[user].display().to_string()),
    ]
}

impl Secured {
    /// Starts the server, makes the topology as `admin`, and starts every service; all are ready.
    pub async fn start() -> Self {
        let (server, passwords) = TestServer::with_users();
        let applied = orfeas(&["topology", "apply", "--nats", &server.url()], &environment(&passwords, "admin"));
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let mut processes = Vec::new();
        for service in Service::SERVICES {
            let mut flags = vec!["--nats-url".to_owned(), server.url()];
            let more: &[&str] = match service {
                Service::Infer => &["--resolution", "32"],
                Service::Metrics => &["--poll-interval", "1s", "--checkpoint-interval", "1s"],
                _ => &[],
            };
            flags.extend(more.iter().map(|flag| (*flag).to_owned()));
            let process = Process::new(service, service.name(), flags, server.folder());
            let mut process = process.with_environment(environment(&passwords, service.name()));
            process.start();
            processes.push(process);
        }
        for process in &mut processes {
            process.ready().await;
        }
        Self { processes, passwords, server }
    }

    /// A user's password.
    #[must_use]
    pub fn password(&self, user: &str) -> String {
        std::fs::read_to_string(&self.passwords[user]).expect("a password file")
    }

    /// A user's connection.
    #[must_use]
    pub fn connection(&self, user: &str) -> Connection {
        let credentials = Credentials::Password { user: user.to_owned(), password: self.password(user) };
        Connection { credentials, ..Connection::plain(&self.server.url(), user) }
    }

    /// What everybody logged.
    #[must_use]
    pub fn logs(&self) -> String {
        self.processes.iter().map(Process::all_logs).collect::<String>() + &self.server.log_text()
    }
}
