//! Whether jobs leave memory behind.

use serde::Serialize;

/// Memory that is held between jobs, after the first ones and after the last ones.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Growth {
    /// Jobs before the first look.
    pub warm_up: usize,
    /// Jobs between the two looks.
    pub jobs: usize,
    /// Bytes of this process that are resident: first and last. Linux alone tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_bytes: Option<[u64; 2]>,
    /// Bytes that the device's allocator holds: first and last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<[u64; 2]>,
}

impl Growth {
    /// Of looks after each round, host and device. What comes and goes is not gone at every look, so that the least of some at
    /// either end is taken. None where they are too few to tell one end from the other.
    pub(super) fn of(held: &[(Option<u64>, Option<u64>)], warm_up: usize, jobs: usize) -> Option<Self> {
        let some = (held.len() / 4).min(20);
        let least = |looks: &[(Option<u64>, Option<u64>)]| {
            (looks.iter().filter_map(|look| look.0).min(), looks.iter().filter_map(|look| look.1).min())
        };
        if some == 0 {
            return None;
        }
        let (first, last) = (least(&held[..some]), least(&held[held.len() - some..]));
        let both = |first: Option<u64>, last: Option<u64>| first.zip(last).map(|(first, last)| [first, last]);
        Some(Self { warm_up, jobs, host_bytes: both(first.0, last.0), device_bytes: both(first.1, last.1) })
    }
}

/// Bytes of this process that are resident, as Linux counts them; none elsewhere.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// The most that were ever resident; none where Linux does not count them.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_what_comes_and_goes() {
        let looks = |bytes: &[u64]| bytes.iter().map(|bytes| (Some(*bytes), None)).collect::<Vec<_>>();
        let growth = Growth::of(&looks(&[9, 5, 9, 9, 9, 9, 6, 9]), 3, 8).unwrap();
        assert_eq!((growth.host_bytes, growth.device_bytes), (Some([5, 6]), None));
        assert_eq!((growth.warm_up, growth.jobs), (3, 8));
        assert!(Growth::of(&looks(&[9, 5, 9]), 1, 2).is_none(), "too few to tell");
    }
}
