//! `orfeas gc`: what lies in the object buckets and nobody needs.

use std::time::Duration;

use clap::Args;
use orfeas_bus::litter;

use crate::connect::{Server, block_on};
use crate::exit::{Ended, say, say_json};

/// Remove from the object buckets what nobody needs
#[derive(Args)]
pub struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Leave alone what is younger than so many minutes: somebody may be at it
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    older_than: u64,
    #[command(flatten)]
    server: Server,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Gc {
    pub fn run(self) -> Ended {
        block_on(async move {
            let (bus, _) = self.server.connect().await?;
            let found = litter::find(&bus, Duration::from_secs(self.older_than * 60)).await?;
            if !self.dry_run {
                for litter in &found {
                    litter::remove(&bus, litter).await?;
                }
            }
            if self.json {
                return say_json(&found);
            }
            for litter in &found {
                say(format!("{}/{}: {} bytes, {}", litter.bucket, litter.name, litter.bytes, litter.why));
            }
            let bytes: u64 = found.iter().map(|litter| litter.bytes).sum();
            let done = if self.dry_run { "would be removed" } else { "removed" };
            say(format!("{} objects, {bytes} bytes {done}", found.len()));
            Ok(())
        })
    }
}
