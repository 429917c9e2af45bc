//! Room on the disks of watched folders.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, Registry};
use tokio::time::MissedTickBehavior;

use crate::gauges::Family;

/// Watches them.
pub struct Disks {
    folders: Vec<PathBuf>,
    size: Family,
    free: Family,
}

impl Disks {
    /// Registers the gauges, without series.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(folders: Vec<PathBuf>, registry: &Registry) -> Result<Self, Error> {
        let (size, free) = (Family::new(Metric::DiskSize, registry)?, Family::new(Metric::DiskFree, registry)?);
        Ok(Self { folders, size, free })
    }

    /// Looks again and again, for ever.
    pub async fn run(mut self, every: Duration) -> Infallible {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look();
        }
    }

    /// A folder that is gone shows nothing.
    fn look(&mut self) {
        let room: Vec<_> = self
            .folders
            .iter()
            .filter_map(|folder| {
                let disk = rustix::fs::statvfs(folder).ok()?;
                // What a program without privileges can still write: the root's reserve is not ours.
                Some((folder.display().to_string(), disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bavail))
            })
            .collect();
        self.size.show(room.iter().map(|(path, size, _)| ([path.clone()], bytes(*size))));
        self.free.show(room.iter().map(|(path, _, free)| ([path.clone()], bytes(*free))));
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
fn bytes(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use orfeas_service::prometheus::TextEncoder;

    use super::*;

    #[test]
    fn a_folder_that_is_gone_shows_nothing() {
        let registry = Registry::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mut disks = Disks::new(vec![path.clone()], &registry).unwrap();
        let mut shown = || {
            disks.look();
            TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
        };
        let text = shown();
        assert!(text.contains("orfeas_disk_free_bytes{") && text.contains(&path.display().to_string()), "{text}");
        drop(folder);
        assert!(!shown().contains("orfeas_disk_free_bytes{"));
    }
}
