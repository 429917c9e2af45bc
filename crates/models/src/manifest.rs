//! `orfeas-model.json`: what a checkpoint folder holds, where it came from and that its licence was accepted.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::catalogue::Source;
use crate::error::{ModelError, ModelErrorKind};
use crate::files::SMALL;
use crate::hash::Digest;

/// The manifest's file name.
pub const MANIFEST: &str = "orfeas-model.json";

/// The version of the manifest that is written.
const FORMAT: u32 = 1;

/// What a checkpoint folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The manifest's own version.
    pub format: u32,
    /// The model's name, or `owner/repo:subfolder`.
    pub name: String,
    /// `owner/repo`.
    pub repo: String,
    /// The folder in the repository.
    pub subfolder: String,
    /// The commit on the hub; `None` for a folder that did not say.
    pub revision: Option<String>,
    /// The hub or the folder it came from.
    pub from: String,
    /// The type of most weights: `float16`, `float32`, `bfloat16`.
    pub precision: String,
    /// Parameters.
    pub parameters: u64,
    /// Every file but this one.
    pub files: Vec<FileEntry>,
    /// The licence.
    pub licence: AcceptedLicence,
    /// What the digests were compared with when it was fetched.
    pub checked_against: CheckedAgainst,
    /// When it was fetched (RFC 3339, UTC).
    pub pulled_at: String,
    /// When all digests were last found right; `None` where they were compared with nothing so far.
    pub verified_at: Option<String>,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// A licence that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedLicence {
    /// The licence's file name; `None` where the repository has none.
    pub file: Option<String>,
    /// The licence's SHA-256 in hexadecimal.
    pub sha256: Option<String>,
    /// When it was accepted (RFC 3339, UTC).
    pub accepted_at: String,
}

/// What the digests of a checkpoint were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedAgainst {
    /// What the hub says.
    Hub,
    /// The folder's SHA256SUMS.
    Sha256sums,
    /// The manifest that the folder brought along.
    Manifest,
    /// Nothing: the folder brought nothing along.
    Nothing,
}

impl Manifest {
    /// The manifest of a checkpoint folder.
    ///
    /// # Errors
    /// `NotFound` where there is none; `Damaged` where it is not one, names a file outside its folder, or gives one no SHA-256.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(MANIFEST);
        let mut manifest: Self = read_json(&path)?;
        let damaged = |what: String| ModelError::new(ModelErrorKind::Damaged, format!("{}: {what}", path.display()));
        if manifest.format != FORMAT {
            return Err(damaged(format!("format {} is not known, only {FORMAT}", manifest.format)));
        }
        manifest.source().map_err(|error| damaged(error.to_string()))?;
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        if let Some(file) = manifest.files.iter().find(|file| !plain(&file.name)) {
            return Err(damaged(format!("`{}` is no file of this folder", file.name.escape_debug())));
        }
        for file in &mut manifest.files {
            let Some(Digest::Sha256(sha256)) = Digest::of_hex(&file.sha256) else {
                return Err(damaged(format!("the digest of {} is no SHA-256", file.name.escape_debug())));
            };
            file.sha256 = sha256;
        }
        Ok(manifest)
    }

    /// Writes it into a checkpoint folder, at once and whole.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        write_json(&folder.join(MANIFEST), self)
    }

    pub(crate) const fn format() -> u32 {
        FORMAT
    }

    /// Where it comes from.
    pub(crate) fn source(&self) -> Result<Source, ModelError> {
        Source::new(&self.repo, &self.subfolder)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// The entry of a file.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// Now, as the manifest writes it.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}

/// A file's bytes, at most `most` of them.
pub(crate) fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>, ModelError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|error| ModelError::io("read", path, error))?;
    if bytes.len() as u64 > most {
        let sentence = format!("{} has more than {most} bytes", path.display());
        return Err(ModelError::new(ModelErrorKind::Damaged, sentence));
    }
    Ok(bytes)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = read_limited(path, SMALL)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        ModelError::caused(ModelErrorKind::Damaged, format!("{} cannot be understood", path.display()), error)
    })
}

/// Writes a JSON file by way of a neighbour, so that it is the old one or the new one at any moment.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ModelError> {
    let neighbour = PathBuf::from(format!("{}.{}.part", path.display(), std::process::id()));
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        ModelError::caused(ModelErrorKind::Io, format!("{} cannot be written", path.display()), error)
    })?;
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&neighbour)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&neighbour, path)
    };
    write().map_err(|error| ModelError::io("write", path, error))
}
