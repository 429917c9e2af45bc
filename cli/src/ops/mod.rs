//! What an operator does with a running deployment.

mod backup;
mod credentials;
mod gc;
mod http;
mod restore;

use clap::Subcommand;

use crate::exit::Ended;

/// The operator's commands, beside the client's.
#[derive(Subcommand)]
pub enum Ops {
    /// Ask a service whether it takes work: what a container's health check runs
    Healthcheck(http::Healthcheck),
    /// Show or change what a running service logs
    LogLevel(http::LogLevel),
    /// Copy every stream, record and mesh into a folder, while the pipeline runs
    Backup(backup::Backup),
    /// Make the streams of an empty server from a backup
    Restore(restore::Restore),
    /// Remove from the object buckets what nobody needs
    Gc(gc::Gc),
    /// Make what the NATS server's users need
    #[command(subcommand)]
    Nats(Nats),
}

#[derive(Subcommand)]
pub enum Nats {
    /// Make a random password for every user: hashes for the server, a file for each service
    Credentials(credentials::Credentials),
}

impl Ops {
    pub fn run(self) -> Ended {
        match self {
            Self::Healthcheck(command) => command.run(),
            Self::LogLevel(command) => command.run(),
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
            Self::Gc(command) => command.run(),
            Self::Nats(Nats::Credentials(command)) => command.run(),
        }
    }
}
