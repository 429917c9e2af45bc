//! Durations, byte sizes and shares as people write them.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// Reads `500ms`, `30s`, `10m`, `24h`, `7d`, or several of them together (`1h30m`).
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let part = match unit.trim() {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" | "min" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3_600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// Writes a duration in the way [`duration`] reads it.
pub(super) fn duration_text(value: Duration) -> String {
    let milliseconds = value.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds >= size && milliseconds.is_multiple_of(size) {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    format!("{milliseconds}ms")
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `64MiB`, `24GB`, `1.5 GiB`, `1048576` (bytes). Powers of 1000 and of 1024 keep their own names.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    for (unit, size) in UNITS {
        if let Some(number) = lower.strip_suffix(&unit.to_ascii_lowercase()) {
            return scaled(number.trim_end(), size);
        }
    }
    text.parse().ok()
}

/// A decimal number times a unit, in integers, so that 0.1 GiB is no victim of rounding twice.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| (1..=15).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let power = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let tenths = whole.parse::<u128>().ok()? * power + fraction.parse::<u128>().ok()?;
    u64::try_from(tenths * u128::from(unit) / power).ok()
}

/// Writes a size in the way [`bytes`] reads it, exactly, in the unit that makes it shortest.
pub(super) fn bytes_text(value: u64) -> String {
    UNITS
        .iter()
        .filter(|(_, size)| value.is_multiple_of(*size))
        .map(|(unit, size)| format!("{}{unit}", value / size))
        .min_by_key(String::len)
        .unwrap_or_else(|| format!("{value}B"))
}

/// How much of the GPU's memory the engine may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// This share of the device's memory, above 0 and at most 1.
    Share(f64),
}

impl MemoryLimit {
    /// The limit in bytes on a device with this much memory; never more than the device has.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a device's memory needs no exact bytes"
    )]
    pub fn of_device(self, total_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.min(total_bytes),
            Self::Share(share) => (total_bytes as f64 * share) as u64,
        }
    }

    /// Reads `24GB`, `80%`, `0.8`, or a number of bytes. A bare small integer could mean bytes, megabytes or gigabytes
    /// and is refused.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let share = |value: f64| (value > 0.0 && value <= 1.0).then_some(Self::Share(value));
        if let Some(percent) = text.strip_suffix('%') {
            return share(percent.trim_end().parse::<f64>().ok()? / 100.0);
        }
        if text.contains('.')
            && let Ok(value) = text.parse::<f64>()
        {
            return share(value);
        }
        bytes(text).filter(|bytes| *bytes >= 1 << 20).map(Self::Bytes)
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&bytes_text(*bytes)),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl Serialize for MemoryLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Serialises a duration as people write it.
pub(super) fn serialize_duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration_text(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5s", "soon", "1y", "99999999999999999999s", "999999999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["500ms", "30s", "10m", "24h", "7d"] {
            let value = duration(text).unwrap();
            assert_eq!(duration(&duration_text(value)), Some(value));
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, value) in [
            ("64MiB", 64 << 20),
            ("24GB", 24_000_000_000),
            ("24 gb", 24_000_000_000),
            ("1.5GiB", 3 << 29),
            ("123", 123),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for text in ["", "GB", "-1MB", "1e3", ".5GB", "5.GB", "99999999TiB", "64 MiBs", "1.2"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        for text in ["64MiB", "24GB", "123B", "1536MiB", "8KiB", "0B"] {
            assert_eq!(bytes_text(bytes(text).unwrap()), text);
        }
    }

    #[test]
    fn a_memory_limit_is_a_size_or_a_share() {
        assert_eq!(MemoryLimit::parse("24GB"), Some(MemoryLimit::Bytes(24_000_000_000)));
        assert_eq!(MemoryLimit::parse("80%"), Some(MemoryLimit::Share(0.8)));
        assert_eq!(MemoryLimit::parse("0.8"), Some(MemoryLimit::Share(0.8)));
        assert_eq!(MemoryLimit::parse("25769803776"), Some(MemoryLimit::Bytes(24 << 30)));
        for text in ["24", "0", "0%", "120%", "1.5", "much", "", "nan%"] {
            assert_eq!(MemoryLimit::parse(text), None, "{text}");
        }
        assert_eq!(MemoryLimit::Share(0.5).of_device(80), 40);
        assert_eq!(MemoryLimit::Bytes(100).of_device(80), 80);
    }
}
