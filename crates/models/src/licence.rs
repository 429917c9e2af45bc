//! Licences: shown once, accepted once for each text.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, ModelErrorKind};
use crate::files::SMALL;
use crate::hash;
use crate::manifest::{self, AcceptedLicence};
use crate::observe::Observer;

/// A licence to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceText {
    /// The model it is for, as people name it.
    pub model: String,
    /// The file's name; `None` where the repository has no licence file.
    pub file: Option<String>,
    /// The text, without control characters; empty where there is no file.
    pub text: String,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: Option<String>,
}

impl LicenceText {
    /// The licence in a file on disk.
    pub(crate) fn read(model: String, path: Option<&Path>) -> Result<Self, ModelError> {
        let Some(path) = path else {
            return Ok(Self { model, file: None, text: String::new(), sha256: None });
        };
        let bytes = manifest::read_limited(path, SMALL)?;
        // It goes to a terminal, and a terminal obeys control characters.
        let text =
            String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { model, file, text, sha256: Some(hash::sha256(&bytes)) })
    }
}

/// What has been accepted for a folder of models.
#[derive(Default, Serialize, Deserialize)]
struct Book {
    accepted: Vec<Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    model: String,
    accepted_at: String,
}

fn book(models: &Path) -> PathBuf {
    models.join(".licences.json")
}

/// Asks for a licence that was not accepted before, and remembers the answer yes.
pub(crate) fn settle(
    models: &Path,
    licence: &LicenceText,
    observer: &mut dyn Observer,
) -> Result<AcceptedLicence, ModelError> {
    let path = book(models);
    let mut book: Book = if path.exists() { manifest::read_json(&path)? } else { Book::default() };
    let accepted = |accepted_at: String| AcceptedLicence {
        file: licence.file.clone(),
        sha256: licence.sha256.clone(),
        accepted_at,
    };
    if let Some(entry) = book.accepted.iter().find(|entry| licence.sha256.as_ref() == Some(&entry.sha256)) {
        return Ok(accepted(entry.accepted_at.clone()));
    }
    if !observer.accepts(licence) {
        let which = match &licence.file {
            Some(file) => format!("its licence ({file})"),
            None => "that it comes without a licence file".into(),
        };
        let sentence = format!("{} was not fetched: {which} must be accepted first", licence.model);
        return Err(ModelError::new(ModelErrorKind::Licence, sentence));
    }
    let now = manifest::now();
    if let Some(sha256) = &licence.sha256 {
        let entry = Entry { sha256: sha256.clone(), model: licence.model.clone(), accepted_at: now.clone() };
        book.accepted.push(entry);
        manifest::write_json(&path, &book)?;
    }
    Ok(accepted(now))
}
