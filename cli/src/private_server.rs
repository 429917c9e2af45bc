//! A nats-server of our own, for a pipeline that brings its own bus.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::exit::Exit;
use crate::guard;

/// The first recent nats-server: beside this program, on the PATH, or in the `.tools` of a folder above.
pub fn find() -> Option<PathBuf> {
    let project = |folder: &Path| folder.join(".tools/nats/bin/nats-server");
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(folder) = &beside {
        places.push(folder.join("nats-server"));
    }
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).map(|folder| folder.join("nats-server")));
    }
    if let Ok(here) = std::env::current_dir() {
        places.extend(here.ancestors().map(project));
    }
    if let Some(folder) = &beside {
        places.extend(folder.ancestors().map(project));
    }
    places.into_iter().find(|place| place.is_file() && recent(place))
}

/// The version that a nats-server prints, as `2.15.1`.
pub fn version(server: &Path) -> Option<String> {
    let output = std::process::Command::new(server).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.trim().rsplit('v').next()?.to_owned())
}

/// Direct batched reads and the last sequence of another subject, which the object store here needs, came with 2.11.
fn recent(server: &Path) -> bool {
    let Some(version) = version(server) else { return false };
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2, 11)
}

/// A running private server; it ends with this value, and with this process however that ends.
pub struct PrivateServer {
    guard: Child,
    pub url: String,
}

impl PrivateServer {
    /// Starts a server on 127.0.0.1 (`port` 0: any free one) that keeps its data in `folder`; a `temporary` folder is
    /// removed when the server has ended.
    pub async fn start(folder: &Path, port: u16, temporary: bool) -> Result<Self, Exit> {
        let binary = find().ok_or_else(|| {
            Exit::missing(
                "there is no nats-server 2.11 or newer; `make setup` installs one, or name a running one by --nats",
            )
        })?;
        let failed = |error| Exit::other(format!("{} cannot be used: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Absolute: the server is told paths, and must not care where it was started.
        let folder = folder.canonicalize()?;
        let lock = locked(&folder).await?;
        for old in port_files(&folder)? {
            std::fs::remove_file(old)?;
        }
        let config = folder.join("server.conf");
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nserver_name: orfeas-private\nmax_payload: 32MB\nmax_pending: 128MB\n\
             ports_file_dir: {}\njetstream {{ store_dir: {}, max_file_store: 64GB, max_memory_store: 256MB }}\n",
            if port == 0 { -1 } else { i32::from(port) },
            quoted(&folder),
            quoted(&folder.join("store")),
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(folder.join("server.log"))?;
        let mut guard = Command::new(std::env::current_exe()?);
        guard.arg("guard-server").arg("--binary").arg(binary).arg("--config").arg(config);
        if temporary {
            guard.arg("--remove").arg(&folder);
        }
        let guard = guard
            // The guard ends the server when this pipe closes; it must not be killed before it has.
            .stdin(Stdio::piped())
            // The lock is held by whoever has this open: the guard, and the server that it starts, which says what it has to on the other
            // one. So it is free when the last of them has ended, however that came about.
            .stdout(lock)
            .stderr(log)
            // Ctrl-C in a terminal reaches the whole process group; the server must outlive the draining services.
            .process_group(0)
            .spawn()
            .map_err(|error| Exit::other(format!("the private nats-server cannot be started: {error}")))?;
        let mut server = Self { guard, url: String::new() };
        server.url = server.wait(&folder).await?;
        Ok(server)
    }

    /// The server writes a file with its ports once it listens.
    async fn wait(&mut self, folder: &Path) -> Result<String, Exit> {
        for _ in 0..6000 {
            if let Some(file) = port_files(folder)?.pop()
                && let Ok(text) = std::fs::read_to_string(file)
                && let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text)
                && let Some(url) = ports["nats"][0].as_str()
            {
                return Ok(url.to_owned());
            }
            if self.guard.try_wait()?.is_some() {
                let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
                let last =
                    log.lines().rfind(|line| line.contains("[FTL]") || line.contains("[ERR]")).unwrap_or("no word");
                let mend = match last.contains("address already in use") {
                    true => "; name another --port, or a server that runs already by --nats",
                    false => "",
                };
                return Err(Exit::new(3, format!("the private nats-server ended at once: {last}{mend}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Exit::new(3, "the private nats-server did not come up within a minute"))
    }

    /// Ends the server in order, so that it closes its files, and waits for it.
    pub async fn stop(mut self) {
        drop(self.guard.stdin.take());
        let _ = tokio::time::timeout(guard::PATIENCE + Duration::from_secs(1), self.guard.wait()).await;
    }
}

/// Locks a server's folder: two servers in one would each write over what the other stored. One whose command was killed just now is let
/// go first.
async fn locked(folder: &Path) -> Result<std::fs::File, Exit> {
    const GOING: (u32, Duration) = (60, Duration::from_millis(50));
    let lock = std::fs::File::options().create(true).append(true).open(folder.join("lock"))?;
    for _ in 0..GOING.0 {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(GOING.1).await,
            Err(TryLockError::Error(error)) => {
                return Err(Exit::other(format!("{} cannot be locked: {error}", folder.display())));
            }
        }
    }
    Err(Exit::new(
        3,
        format!(
            "{} is in use by another `orfeas up`; stop that one, use its server by --nats, or name another folder by --data",
            folder.display()
        ),
    ))
}

fn port_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_one = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "ports");
    Ok(std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(is_one).collect())
}
