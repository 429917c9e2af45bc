//! Checking a checkpoint folder: every digest against its manifest, and the weights' header against the file.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{ModelError, ModelErrorKind};
use crate::files::{CONFIG, SUMS, WEIGHTS};
use crate::hash::{self, Digest};
use crate::local::Sums;
use crate::manifest::{self, MANIFEST, Manifest};
use crate::observe::{Event, Observer, Phase};
use crate::safetensors::Header;
use crate::store;

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The checkpoint folder.
    pub folder: PathBuf,
    /// The model, as its manifest calls it.
    pub name: Option<String>,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What every file is like.
    pub files: Vec<FileReport>,
    /// The weights' header.
    pub header: Option<Header>,
}

/// What a file of a checkpoint is like.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// The file's name.
    pub file: String,
    /// Its bytes; `None` where it cannot be read.
    pub size: Option<u64>,
    /// Its SHA-256 in hexadecimal; `None` where its size alone is wrong already.
    pub sha256: Option<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

impl FileReport {
    fn wrong(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.into(), size: None, sha256: None, problem: Some(problem.into()) }
    }
}

impl Report {
    /// The first thing that is wrong, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let file = self.files.iter().find(|file| file.problem.is_some())?;
        let problem = file.problem.as_deref().unwrap_or_default();
        Some(format!("{}: {problem}", self.folder.join(&file.file).display()))
    }
}

/// Checks a checkpoint folder. Without a manifest the digests of a SHA256SUMS count. Where all is well the manifest remembers when,
/// unless a pull works on the folder.
///
/// # Errors
/// `NotFound` where there is no such folder, `Io` where it cannot be read. Damage is no error but in the report.
pub fn verify(folder: &Path, observer: &mut dyn Observer) -> Result<Report, ModelError> {
    if !folder.is_dir() {
        let sentence = format!("there is no folder {}", folder.display());
        return Err(ModelError::new(ModelErrorKind::NotFound, sentence));
    }
    let mut files = Vec::new();
    let manifest = match Manifest::read(folder) {
        Ok(manifest) => Some(manifest),
        Err(error) if error.kind() == ModelErrorKind::NotFound => None,
        Err(error) => {
            files.push(FileReport::wrong(MANIFEST, error.to_string()));
            None
        }
    };
    let sums = if manifest.is_none() { Sums::find(folder, folder)? } else { None };
    if manifest.is_none() && sums.is_none() && files.is_empty() {
        files.push(FileReport::wrong(MANIFEST, format!("is missing, and so is {SUMS}: no digest can be compared")));
    }

    let mut names: Vec<String> = manifest.iter().flat_map(|manifest| &manifest.files).map(|f| f.name.clone()).collect();
    let weights = WEIGHTS.into_iter().find(|name| folder.join(name).is_file()).unwrap_or(WEIGHTS[0]);
    for name in [CONFIG, weights] {
        if !names.iter().any(|known| known == name) {
            names.push(name.into());
        }
    }
    for name in &names {
        let expected = match (&manifest, &sums) {
            (Some(manifest), _) => match manifest.file(name) {
                Some(entry) => Ok(Some((Some(entry.size), Digest::Sha256(entry.sha256.clone())))),
                None => Err(format!("is not in {MANIFEST}")),
            },
            (None, Some(sums)) => match sums.of(&folder.join(name)) {
                Ok(digest) => Ok(Some((None, digest))),
                Err(error) => Err(error.to_string()),
            },
            (None, None) => Ok(None),
        };
        files.push(match expected {
            Ok(expected) => one(folder, name, expected, observer)?,
            Err(problem) => FileReport::wrong(name, problem),
        });
    }

    let mut header = None;
    match Header::read(&folder.join(weights)) {
        Ok(read) => header = Some(read),
        Err(error) => {
            if let Some(file) = files.iter_mut().find(|file| file.file == weights && file.problem.is_none()) {
                file.problem = Some(error.to_string());
            }
        }
    }
    let ok = files.iter().all(|file| file.problem.is_none());
    let name = manifest.as_ref().map(|manifest| manifest.name.clone());
    if let Some(manifest) = manifest.filter(|_| ok) {
        // A folder that may only be read, or that a pull works on, is as good.
        let _ = remember(folder, manifest);
    }
    Ok(Report { folder: folder.to_path_buf(), name, ok, files, header })
}

/// Writes into the manifest that all digests were found right now.
fn remember(folder: &Path, mut manifest: Manifest) -> Result<(), ModelError> {
    // The folder's own name, which `.` and a link do not tell, and by which a pull locks it.
    let folder = folder.canonicalize().map_err(|error| ModelError::io("read", folder, error))?;
    let _lock = store::hold(&folder)?;
    // Hashing takes minutes: a pull may have put another checkpoint here since.
    if Manifest::read(&folder)? == manifest {
        manifest.verified_at = Some(manifest::now());
        manifest.write(&folder)?;
    }
    Ok(())
}

/// Looks at one file.
fn one(
    folder: &Path,
    name: &str,
    expected: Option<(Option<u64>, Digest)>,
    observer: &mut dyn Observer,
) -> Result<FileReport, ModelError> {
    let path = folder.join(name);
    let size = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Ok(FileReport::wrong(name, "is no file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FileReport::wrong(name, "is missing")),
        Err(error) => return Err(ModelError::io("read", &path, error)),
    };
    if let Some((Some(right), _)) = expected.as_ref().filter(|(right, _)| right.is_some_and(|right| right != size)) {
        let problem = Some(format!("has {size} bytes, and {right} were expected"));
        return Ok(FileReport { file: name.into(), size: Some(size), sha256: None, problem });
    }
    observer.event(Event::Begin { file: name, phase: Phase::Hash, size, have: 0 });
    let hashes = hash::file(&path, None, &mut |count| observer.event(Event::Advance(count)));
    let hashes = hashes.map_err(|error| ModelError::io("read", &path, error))?;
    let problem = expected
        .as_ref()
        .map(|(_, digest)| digest)
        .filter(|digest| digest.hex() != hashes.sha256)
        .map(|digest| format!("is damaged: SHA-256 {} was expected, {} was found", digest.hex(), hashes.sha256));
    if problem.is_none() {
        observer.event(Event::Done { file: name, size, sha256: &hashes.sha256 });
    }
    Ok(FileReport { file: name.into(), size: Some(size), sha256: Some(hashes.sha256), problem })
}
