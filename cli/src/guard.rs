//! The guard of a private nats-server: it starts the server, and ends it when whoever started the guard is gone.
//!
//! `orfeas` cannot do that itself, because after a kill -9 it does nothing any more. The guard waits for the end of its
//! standard input, a pipe whose other end only its parent holds: the system closes it, however the parent ends.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use orfeas_service::Shutdown;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::exit::{Ended, Exit};

/// How long the server may take to close its files.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Run a nats-server until standard input ends (for `up` and `generate`)
#[derive(Args)]
pub struct GuardServer {
    /// The nats-server
    #[arg(long)]
    binary: PathBuf,
    /// Its configuration
    #[arg(long)]
    config: PathBuf,
    /// A folder that nobody needs once the server has ended
    #[arg(long)]
    remove: Option<PathBuf>,
}

impl GuardServer {
    pub fn run(self) -> Ended {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.guard());
        if let Some(folder) = &self.remove {
            // The parent that is still alive removes it too; which of the two comes first is of no matter.
            let _ = std::fs::remove_dir_all(folder);
        }
        ended
    }

    async fn guard(&self) -> Ended {
        // Who ends the guard by a signal means the server.
        let signals = Shutdown::on_signals()?;
        let mut server = Command::new(&self.binary)
            .arg("-c")
            .arg(&self.config)
            .env("GOMEMLIMIT", "300MiB")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Exit::other(format!("{} cannot be started: {error}", self.binary.display())))?;
        let (closed, parent_gone) = oneshot::channel();
        // A thread of its own: nobody waits for it where the server ends first.
        std::thread::spawn(move || {
            let mut pipe = std::io::stdin().lock();
            let mut nothing = [0; 64];
            while !matches!(pipe.read(&mut nothing), Ok(0) | Err(_)) {}
            let _ = closed.send(());
        });
        tokio::select! {
            status = server.wait() => return Err(Exit::other(format!("nats-server ended by itself: {}", status?))),
            _ = parent_gone => {}
            () = signals.requested() => {}
        }
        stop(&mut server).await;
        Ok(())
    }
}

/// Ends the server in order, so that it closes its files; at once where it does not.
async fn stop(server: &mut Child) {
    if let Some(id) = server.id() {
        // The shell's kill: sending a signal by hand would take an unsafe call or one more dependency.
        let asked = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
        if asked.is_ok_and(|status| status.success()) && tokio::time::timeout(PATIENCE, server.wait()).await.is_ok() {
            return;
        }
    }
    let _ = server.kill().await;
}
