//! The job id: the one name under which a picture travels through every subject, key and object.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A job id: 1 to 64 characters of `[A-Za-z0-9_-]`.
///
/// The alphabet leaves out everything with a meaning in a subject, a key or a path (`.`, `*`, `>`, `/`, blanks), so
/// that an id can be put into any of them as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// Why a text is no job id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJobId {
    /// The header was there, but empty.
    #[error("the job id is empty; it needs 1 to 64 letters, digits, '_' or '-'")]
    Empty,
    /// Longer than a subject token of ours may be.
    #[error("the job id has {0} characters; at most {max} are allowed", max = JobId::MAX_LENGTH)]
    TooLong(usize),
    /// A character outside the alphabet.
    #[error("the job id contains {0:?}; only letters, digits, '_' and '-' are allowed")]
    Character(char),
}

impl JobId {
    /// The longest id, in characters (all of them ASCII).
    pub const MAX_LENGTH: usize = 64;

    /// Checks a client's text.
    ///
    /// # Errors
    /// [`InvalidJobId`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidJobId> {
        if text.is_empty() {
            return Err(InvalidJobId::Empty);
        }
        if let Some(stray) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-')) {
            return Err(InvalidJobId::Character(stray));
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidJobId::TooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id of a message whose client gave none: its stream sequence, and the nanosecond at which the stream stored
    /// it. Both come with every delivery, so a redelivery is the same job; a recreated stream counts its sequences
    /// anew but cannot turn back the clock, so it gives no old id again.
    #[must_use]
    pub fn derive(stream_sequence: u64, stored: Timestamp) -> Self {
        Self(format!("{stream_sequence}-{}", base36(stored.unix_timestamp_nanos().unsigned_abs())))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn base36(mut number: u128) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl std::str::FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_a_meaning_elsewhere_are_refused() {
        for bad in ["", "..", "a.b", "a b", "a/b", "*", ">", "ä", "a\n", "\u{0}"] {
            assert!(JobId::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(JobId::parse(&"x".repeat(65)), Err(InvalidJobId::TooLong(65)));
        assert!(JobId::parse(&"x".repeat(64)).is_ok());
        assert!(JobId::parse("Duck_7-b").is_ok());
    }

    #[test]
    fn a_derived_id_is_stable_and_differs_between_streams_and_sequences() {
        let stored = time::macros::datetime!(2026-11-23 10:00:00.123456789 UTC);
        let id = JobId::derive(8, stored);
        assert_eq!(id, JobId::derive(8, stored));
        assert_ne!(id, JobId::derive(9, stored));
        assert_ne!(id, JobId::derive(8, stored + time::Duration::nanoseconds(1)));
        assert!(JobId::parse(id.as_str()).is_ok());
        assert!(
            JobId::parse(JobId::derive(u64::MAX, Timestamp::from_unix_timestamp(4_000_000_000).unwrap()).as_str())
                .is_ok()
        );
    }

    #[test]
    fn the_wire_form_is_checked_too() {
        assert!(serde_json::from_str::<JobId>("\"a.b\"").is_err());
        assert_eq!(serde_json::from_str::<JobId>("\"ok\"").unwrap().as_str(), "ok");
    }
}
