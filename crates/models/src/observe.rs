//! What a pull or a check says while it works, and the one question it asks.

use crate::error::ModelError;
use crate::licence::LicenceText;

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It comes over the network.
    Download,
    /// It is copied from a folder.
    Copy,
    /// It is read back and hashed.
    Hash,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// What lies ahead.
    Plan {
        /// Files of the checkpoint.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Bytes that are not here yet.
        missing: u64,
    },
    /// Work on a file begins.
    Begin {
        /// The file's name.
        file: &'a str,
        /// What is done with it.
        phase: Phase,
        /// Its bytes.
        size: u64,
        /// Bytes of them that are there already.
        have: u64,
    },
    /// So many bytes more of the file that was begun last.
    Advance(u64),
    /// The transfer broke off and is taken up again.
    Retry {
        /// The file's name.
        file: &'a str,
        /// Why it broke off.
        error: &'a ModelError,
    },
    /// A file is here and its digest is right.
    Done {
        /// The file's name.
        file: &'a str,
        /// Its bytes.
        size: u64,
        /// Its SHA-256 in hexadecimal.
        sha256: &'a str,
    },
}

/// Who watches.
pub trait Observer {
    /// Hears what happens.
    fn event(&mut self, _event: Event<'_>) {}

    /// Whether the licence is accepted. Asked once for each text and folder of models, before anything large is fetched.
    fn accepts(&mut self, _licence: &LicenceText) -> bool {
        false
    }
}

/// Nobody watches, and nothing is accepted.
impl Observer for () {}
