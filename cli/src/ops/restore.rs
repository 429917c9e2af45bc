//! `orfeas restore`: the streams of an empty server from a backup.

use std::path::PathBuf;

use clap::Args;
use orfeas_bus::snapshot;
use orfeas_bus::topology::Needs;

use super::backup::{Manifest, cannot, stream_file};
use crate::connect::{Server, block_on, topology};
use crate::exit::{Ended, Exit, say};

/// Make the streams of an empty server from a backup
#[derive(Args)]
pub struct Restore {
    /// The folder that `orfeas backup` made
    folder: PathBuf,
    #[command(flatten)]
    server: Server,
}

impl Restore {
    pub fn run(self) -> Ended {
        block_on(async move {
            let manifest = Manifest::read(&self.folder).await?;
            let (bus, config) = self.server.connect().await?;
            let topology = topology(&config);
            for stream in &manifest.streams {
                let alone = Needs { streams: vec![stream.stream.clone()], consumers: Vec::new() };
                if topology.missing(&bus, &alone).await?.is_none() {
                    let name = &stream.stream;
                    return Err(Exit::other(format!(
                        "the server has a stream {name} already; restore into an empty one"
                    )));
                }
            }
            // Services that are up take work as soon as all they need is there. The queues come last, so that what
            // their messages name is there before them.
            let queue = |stream: &str| ["WORK", "IMAGES"].contains(&stream);
            let (queues, others): (Vec<_>, Vec<_>) = manifest.streams.iter().partition(|stream| queue(&stream.stream));
            for stream in others.into_iter().chain(queues) {
                let path = stream_file(&self.folder, stream);
                let mut file = tokio::fs::File::open(&path).await.map_err(|error| cannot(&path, &error))?;
                snapshot::load(&bus, stream, &mut file).await?;
                say(format!("{}: {} messages", stream.stream, stream.messages()));
            }
            // The limits and copies that are configured here, and an end to the pause that the backup was made in.
            topology.apply(&bus).await?;
            snapshot::resume(&bus, &topology).await?;
            say("restored; services that wait for their streams go on by themselves");
            Ok(())
        })
    }
}
