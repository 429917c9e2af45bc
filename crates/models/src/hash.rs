//! Digests of files: SHA-256, and git's for the files that the hub keeps in git itself.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::Digest as _;

/// What a file's content must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// SHA-256 of the content, in lower-case hexadecimal.
    Sha256(String),
    /// Git's name for the content: SHA-1 over `blob <size>\0` and the content.
    GitBlob(String),
}

impl Digest {
    /// The digest that a hub's text stands for: 64 hexadecimal digits or 40.
    pub(crate) fn of_hex(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.len() {
            64 if hex => Some(Self::Sha256(text.to_ascii_lowercase())),
            40 if hex => Some(Self::GitBlob(text.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// The digits.
    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// The kind's name.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git blob SHA-1",
        }
    }
}

/// What a file's content hashes to.
pub(crate) struct Hashes {
    pub(crate) size: u64,
    pub(crate) sha256: String,
    git: Option<String>,
}

impl Hashes {
    /// What it hashes to by the algorithm of `expected`.
    pub(crate) fn by(&self, expected: &Digest) -> &str {
        match expected {
            Digest::Sha256(_) => &self.sha256,
            Digest::GitBlob(_) => self.git.as_deref().unwrap_or(""),
        }
    }
}

/// Hashes a file, also as git does where `expected` is git's; `progress` hears of every chunk.
pub(crate) fn file(path: &Path, expected: Option<&Digest>, progress: &mut dyn FnMut(u64)) -> io::Result<Hashes> {
    let mut file = File::open(path)?;
    let mut sha256 = sha2::Sha256::new();
    let mut git = match expected {
        Some(Digest::GitBlob(_)) => {
            let header = format!("blob {}\0", file.metadata()?.len());
            Some(sha1::Sha1::new_with_prefix(header))
        }
        _ => None,
    };
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &buffer[..count];
        sha256.update(chunk);
        if let Some(git) = &mut git {
            git.update(chunk);
        }
        size += count as u64;
        progress(count as u64);
    }
    Ok(Hashes { size, sha256: hex(&sha256.finalize()), git: git.map(|git| hex(&git.finalize())) })
}

/// SHA-256 of bytes in memory, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object` of the same bytes.
        let expected = Digest::of_hex("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        let hashes = file(&path, Some(&expected), &mut |_| {}).unwrap();
        assert_eq!(hashes.by(&expected), expected.hex());
        assert_eq!(hashes.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(hashes.size, 6);
    }

    #[test]
    fn only_digests_are_digests() {
        assert_eq!(Digest::of_hex(&"AB".repeat(32)), Some(Digest::Sha256("ab".repeat(32))));
        for bad in ["", "abc", &"g".repeat(64), &"a".repeat(63)] {
            assert_eq!(Digest::of_hex(bad), None);
        }
    }
}
