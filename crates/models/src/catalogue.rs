//! The checkpoints that go by a name, and how any other one is named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{ModelError, ModelErrorKind};

/// A checkpoint with a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What `orfeas model pull` calls it.
    pub name: &'static str,
    /// The repository on the hub.
    pub repo: &'static str,
    /// The folder in the repository.
    pub subfolder: &'static str,
    /// What it is.
    pub what: &'static str,
}

const V2: &str = "tencent/Hunyuan3D-2";
const MINI: &str = "tencent/Hunyuan3D-2mini";
const MV: &str = "tencent/Hunyuan3D-2mv";

const fn known(name: &'static str, repo: &'static str, subfolder: &'static str, what: &'static str) -> Known {
    Known { name, repo, subfolder, what }
}

/// Every checkpoint with a name.
pub const KNOWN: [Known; 13] = [
    known("hunyuan3d-2", V2, "hunyuan3d-dit-v2-0", "one picture"),
    known("hunyuan3d-2-fast", V2, "hunyuan3d-dit-v2-0-fast", "one picture, guidance distilled"),
    known("hunyuan3d-2-turbo", V2, "hunyuan3d-dit-v2-0-turbo", "one picture, step distilled"),
    known("hunyuan3d-vae-v2-0", V2, "hunyuan3d-vae-v2-0", "the ShapeVAE alone"),
    known("hunyuan3d-vae-v2-0-turbo", V2, "hunyuan3d-vae-v2-0-turbo", "the ShapeVAE alone, narrow decoder"),
    known("hunyuan3d-2mini", MINI, "hunyuan3d-dit-v2-mini", "one picture, small model"),
    known("hunyuan3d-2mini-fast", MINI, "hunyuan3d-dit-v2-mini-fast", "one picture, small model, guidance distilled"),
    known("hunyuan3d-2mini-turbo", MINI, "hunyuan3d-dit-v2-mini-turbo", "one picture, small model, step distilled"),
    known("hunyuan3d-vae-v2-mini", MINI, "hunyuan3d-vae-v2-mini", "the ShapeVAE alone, small"),
    known(
        "hunyuan3d-vae-v2-mini-turbo",
        MINI,
        "hunyuan3d-vae-v2-mini-turbo",
        "the ShapeVAE alone, small, narrow decoder",
    ),
    known("hunyuan3d-2mv", MV, "hunyuan3d-dit-v2-mv", "several views"),
    known("hunyuan3d-2mv-fast", MV, "hunyuan3d-dit-v2-mv-fast", "several views, guidance distilled"),
    known("hunyuan3d-2mv-turbo", MV, "hunyuan3d-dit-v2-mv-turbo", "several views, step distilled"),
];

/// Where a checkpoint comes from: a folder of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    repo: String,
    subfolder: String,
}

impl Source {
    /// The folder `subfolder` of the repository `owner/repo`.
    ///
    /// # Errors
    /// `Usage` where either is not made of letters, digits, `.`, `_` and `-`, or is a way out of the folder.
    pub fn new(repo: &str, subfolder: &str) -> Result<Self, ModelError> {
        let source = Self { repo: repo.into(), subfolder: subfolder.into() };
        if repo.split('/').count() == 2 && repo.split('/').chain(subfolder.split('/')).all(segment) {
            return Ok(source);
        }
        let sentence = format!("`{}` is no `owner/repo:subfolder`", source.to_string().escape_debug());
        Err(ModelError::new(ModelErrorKind::Usage, sentence))
    }

    /// `owner/repo`.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The folder in the repository.
    #[must_use]
    pub fn subfolder(&self) -> &str {
        &self.subfolder
    }

    /// The entry of [`KNOWN`], where there is one.
    #[must_use]
    pub fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.repo == self.repo && known.subfolder == self.subfolder)
    }

    /// The path of a file of the checkpoint in its repository.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.subfolder)
    }

    /// Where it lies below a folder of models: `<models>/<owner>/<repo>/<subfolder>`.
    pub(crate) fn below(&self, models: &Path) -> PathBuf {
        self.repo.split('/').chain(self.subfolder.split('/')).fold(models.to_path_buf(), |path, part| path.join(part))
    }
}

impl From<&Known> for Source {
    fn from(known: &Known) -> Self {
        Self { repo: known.repo.into(), subfolder: known.subfolder.into() }
    }
}

/// The name in [`KNOWN`], or `owner/repo:subfolder`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(known) => f.write_str(known.name),
            None => write!(f, "{}:{}", self.repo, self.subfolder),
        }
    }
}

/// From a name of [`KNOWN`], a subfolder of one, or `owner/repo:subfolder`.
impl FromStr for Source {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        if let Some(known) = KNOWN.iter().find(|known| text == known.name || text == known.subfolder) {
            return Ok(known.into());
        }
        if let Some((repo, subfolder)) = text.split_once(':') {
            return Self::new(repo, subfolder);
        }
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        let sentence = format!(
            "`{}` is no model that goes by a name; give owner/repo:subfolder, or one of {}",
            text.escape_debug(),
            names.join(", ")
        );
        Err(ModelError::new(ModelErrorKind::Usage, sentence))
    }
}

/// One segment of a path on the hub that is safe in a URL and in a file system, and is not hidden.
fn segment(text: &str) -> bool {
    let characters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=96).contains(&text.len()) && !text.starts_with('.') && text.chars().all(characters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_checkpoint_is_found_by_name_and_by_subfolder() {
        for known in &KNOWN {
            let source: Source = known.name.parse().unwrap();
            assert_eq!(source, Source::new(known.repo, known.subfolder).unwrap());
            assert_eq!(source, known.subfolder.parse().unwrap());
            assert_eq!(source.to_string(), known.name);
        }
    }

    #[test]
    fn another_repository_is_named_in_full() {
        let source: Source = "someone/model:shape/v1".parse().unwrap();
        assert_eq!((source.repo(), source.subfolder()), ("someone/model", "shape/v1"));
        assert_eq!(source.to_string(), "someone/model:shape/v1");
        assert_eq!(source.below(Path::new("/m")), Path::new("/m/someone/model/shape/v1"));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for bad in ["a/b:..", "a/b:x/../y", "a/b:/etc", "a:b", "a/b/c:d", "../b:c", "a/b:", "a/b:x?y", "a/b:.hidden"] {
            assert_eq!(bad.parse::<Source>().unwrap_err().kind(), ModelErrorKind::Usage, "{bad}");
        }
        assert!("hunyuan".parse::<Source>().unwrap_err().to_string().contains("hunyuan3d-2mini-turbo"));
    }
}
