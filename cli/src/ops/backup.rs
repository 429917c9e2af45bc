//! `orfeas backup`: every stream of a running pipeline into a folder.
//!
//! Streams are copied one after another, so nothing may move between them meanwhile: the queues are paused, which
//! publishers do not notice, and what is in hand is waited for. The pause ends by itself should this command die.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use orfeas_bus::snapshot::{self, Snapshot};
use orfeas_bus::topology::Topology;
use orfeas_bus::{Bus, observe};
use orfeas_contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::connect::{Server, block_on, topology};
use crate::exit::{Ended, Exit, say, say_json};

/// The manifest's name in the folder.
pub const MANIFEST: &str = "manifest.json";
/// What this version writes and reads.
pub const VERSION: u32 = 1;
/// The queues are paused for this long beyond the wait for what is in hand.
const PAUSE: Duration = Duration::from_secs(3600);

/// Copy every stream, record and mesh into a folder, while the pipeline runs
#[derive(Args)]
pub struct Backup {
    /// The folder to make; it must not be there yet
    folder: PathBuf,
    /// How long to wait for the jobs in hand, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    drain: u64,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// The version of `orfeas` that made it.
    pub made_by: String,
    /// The server's version.
    pub server: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: Timestamp,
    /// One file `<stream>.snapshot` each.
    pub streams: Vec<Snapshot>,
}

impl Backup {
    pub fn run(self) -> Ended {
        block_on(async move {
            if self.folder.exists() {
                return Err(Exit::usage(format!("{} is there already; name a new folder", self.folder.display())));
            }
            let (bus, config) = self.server.connect().await?;
            let topology = topology(&config);
            // Not under its own name until it is whole.
            let partial = self.folder.with_extension("partial");
            let _ = std::fs::remove_dir_all(&partial);
            std::fs::create_dir_all(&partial).map_err(|error| cannot(&partial, &error))?;
            let drain = Duration::from_secs(self.drain);
            snapshot::pause(&bus, &topology, drain + PAUSE).await?;
            let copied = tokio::select! {
                copied = copy(&bus, &topology, &partial, drain) => copied,
                _ = tokio::signal::ctrl_c() => Err(Exit::other("interrupted; there is no backup")),
            };
            // Whatever became of the copy, the pipeline goes on.
            let resumed = snapshot::resume(&bus, &topology).await;
            let manifest = copied.inspect_err(|_| drop(std::fs::remove_dir_all(&partial)))?;
            resumed?;
            let text = serde_json::to_vec_pretty(&manifest).map_err(Exit::other)?;
            std::fs::write(partial.join(MANIFEST), text).map_err(|error| cannot(&partial, &error))?;
            std::fs::rename(&partial, &self.folder).map_err(|error| cannot(&self.folder, &error))?;
            if self.json {
                return say_json(&manifest);
            }
            let bytes: u64 = manifest.streams.iter().map(|stream| stream.bytes).sum();
            say(format!("{} streams, {bytes} bytes, in {}", manifest.streams.len(), self.folder.display()));
            Ok(())
        })
    }
}

/// Waits until nothing is in hand, then copies.
async fn copy(bus: &Bus, topology: &Topology, folder: &Path, drain: Duration) -> Result<Manifest, Exit> {
    drained(bus, topology, drain).await?;
    let mut streams = Vec::new();
    for stream in topology.streams() {
        let path = folder.join(format!("{}.snapshot", stream.name));
        let mut file = tokio::fs::File::create(&path).await.map_err(|error| cannot(&path, &error))?;
        streams.push(snapshot::save(bus, &stream.name, &mut file).await?);
        file.sync_all().await.map_err(|error| cannot(&path, &error))?;
    }
    Ok(Manifest {
        version: VERSION,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        server: bus.server_version(),
        made_at: orfeas_contract::now(),
        streams,
    })
}

/// A message that waits for a retry counts as in hand and stays so while its queue is paused; it is not at work, though,
/// so a number that has not changed for longer than the longest retry is as good as none.
async fn drained(bus: &Bus, topology: &Topology, most: Duration) -> Result<(), Exit> {
    const QUIET: Duration = Duration::from_secs(35);
    let end = Instant::now() + most;
    let mut last = (u64::MAX, Instant::now());
    loop {
        let in_hand: u64 = observe::consumers(bus, topology).await?.iter().map(|consumer| consumer.ack_pending).sum();
        if in_hand == 0 {
            return Ok(());
        }
        if in_hand != last.0 {
            last = (in_hand, Instant::now());
        }
        let retrying = observe::consumers(bus, topology).await?.iter().all(|one| one.ack_pending == one.redelivered);
        if retrying && last.1.elapsed() > QUIET {
            return Ok(());
        }
        if Instant::now() > end {
            let (sentence, seconds) = ("jobs are still in hand after", most.as_secs());
            return Err(Exit::other(format!("{in_hand} {sentence} {seconds} s; wait longer with --drain")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub fn cannot(path: &Path, error: &std::io::Error) -> Exit {
    Exit::other(format!("{}: {error}", path.display()))
}

impl Manifest {
    /// Reads it and checks every file's bytes, before anything is done with them.
    pub async fn read(folder: &Path) -> Result<Self, Exit> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|error| {
            Exit::usage(format!("{} is no backup: {} cannot be read: {error}", folder.display(), path.display()))
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| Exit::other(format!("{} is no manifest of a backup: {error}", path.display())))?;
        if manifest.version != VERSION {
            let found = manifest.version;
            return Err(Exit::other(format!("the backup has version {found}; this program reads version {VERSION}")));
        }
        for stream in &manifest.streams {
            let path = stream_file(folder, stream);
            let mut file = tokio::fs::File::open(&path).await.map_err(|error| cannot(&path, &error))?;
            if !snapshot::matches(stream, &mut file).await.map_err(|error| cannot(&path, &error))? {
                return Err(Exit::other(format!(
                    "{} is damaged: its bytes are not those of the manifest",
                    path.display()
                )));
            }
        }
        Ok(manifest)
    }
}

pub fn stream_file(folder: &Path, stream: &Snapshot) -> PathBuf {
    folder.join(format!("{}.snapshot", stream.stream))
}
