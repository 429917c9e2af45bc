//! Checkpoints from a folder, for machines without a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalogue::Source;
use crate::error::{ModelError, ModelErrorKind};
use crate::files::{self, CONFIG, LICENCES, NOTICE, SMALL, SUMS, WEIGHTS};
use crate::hash::Digest;
use crate::manifest::{CheckedAgainst, MANIFEST, Manifest, read_limited};
use crate::pull::{Plan, Supply, Wanted};

/// The digests that a SHA256SUMS names.
pub(crate) struct Sums {
    path: PathBuf,
    digests: BTreeMap<PathBuf, Digest>,
}

impl Sums {
    /// The SHA256SUMS of a folder, or of the nearest one above it that is not above `root`.
    pub(crate) fn find(folder: &Path, root: &Path) -> Result<Option<Self>, ModelError> {
        let path = upwards(folder, root).map(|folder| folder.join(SUMS)).find(|path| path.is_file());
        path.map(Self::read).transpose()
    }

    fn read(path: PathBuf) -> Result<Self, ModelError> {
        let bytes = read_limited(&path, SMALL)?;
        let text = String::from_utf8_lossy(&bytes);
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut digests = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // As sha256sum writes it: the digest, a space, a space or an asterisk, the name.
            let entry = line.split_once(' ').and_then(|(digest, name)| {
                let name = name.strip_prefix([' ', '*']).filter(|name| !name.is_empty())?;
                Digest::of_hex(digest).filter(|digest| matches!(digest, Digest::Sha256(_))).map(|digest| (digest, name))
            });
            let Some((digest, name)) = entry else {
                let sentence = format!("{}: line {} is no SHA-256 and file name", path.display(), number + 1);
                return Err(ModelError::new(ModelErrorKind::Damaged, sentence));
            };
            digests.insert(base.join(name.strip_prefix("./").unwrap_or(name)), digest);
        }
        Ok(Self { path, digests })
    }

    /// The digest of a file.
    pub(crate) fn of(&self, file: &Path) -> Result<Digest, ModelError> {
        self.digests.get(file).cloned().ok_or_else(|| unnamed(&self.path, file))
    }
}

/// The error of a file that is not in the list of digests it must be in.
fn unnamed(list: &Path, file: &Path) -> ModelError {
    let sentence = format!("{} does not name {}, so it cannot be verified", list.display(), file.display());
    ModelError::new(ModelErrorKind::Damaged, sentence)
}

/// What there is to take for a checkpoint in a folder, which is one of: a folder of models as ours is, a copy of the repository, the
/// checkpoint folder itself, a Hugging Face cache.
pub(crate) fn plan(root: &Path, source: &Source) -> Result<Plan, ModelError> {
    if !root.is_dir() {
        return Err(ModelError::new(ModelErrorKind::NotFound, format!("there is no folder {}", root.display())));
    }
    let cached = cache(root, source);
    let mut candidates = vec![source.below(root), root.join(source.subfolder())];
    candidates.extend(cached.as_ref().map(|(folder, _)| folder.join(source.subfolder())));
    candidates.push(root.to_path_buf());
    let Some(folder) = candidates.into_iter().find(|folder| folder.join(CONFIG).is_file()) else {
        let sentence =
            format!("{} has no {CONFIG} of {source}: neither in {} nor in itself", root.display(), source.subfolder());
        return Err(ModelError::new(ModelErrorKind::NotFound, sentence));
    };
    let weights = WEIGHTS.into_iter().find(|name| folder.join(name).is_file());
    let weights = weights.ok_or_else(|| files::no_weights(&folder.display().to_string(), pickles(&folder)))?;

    let manifest = if folder.join(MANIFEST).is_file() { Some(Manifest::read(&folder)?) } else { None };
    if let Some(manifest) = manifest.as_ref().filter(|manifest| manifest.source().as_ref().ok() != Some(source)) {
        let sentence = format!("{} is {} and not {source}", folder.display(), manifest.name);
        return Err(ModelError::new(ModelErrorKind::Usage, sentence));
    }
    let sums = Sums::find(&folder, root)?;
    let checked_against = match (&sums, &manifest) {
        (Some(_), _) => CheckedAgainst::Sha256sums,
        (None, Some(_)) => CheckedAgainst::Manifest,
        (None, None) => CheckedAgainst::Nothing,
    };
    let above = |name: &str| upwards(&folder, root).map(|folder| folder.join(name)).find(|path| path.is_file());
    let licence = LICENCES.iter().find_map(|name| above(name));
    // Strict are the files that orfeas reads: what is said of the checkpoint's digests is said of them.
    let wanted = |path: PathBuf, strict: bool| -> Result<Wanted, ModelError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size = path.metadata().map_err(|error| ModelError::io("read", &path, error))?.len();
        files::limit(&name, size)?;
        let entry = manifest.as_ref().and_then(|manifest| manifest.file(&name));
        let named = entry.map(|entry| Digest::Sha256(entry.sha256.clone()));
        let digest = match (&sums, &manifest) {
            (Some(sums), _) if strict => Some(sums.of(&path)?),
            (Some(sums), _) => sums.of(&path).ok().or(named),
            (None, Some(_)) if strict && named.is_none() => return Err(unnamed(&folder.join(MANIFEST), &path)),
            (None, _) => named,
        };
        Ok(Wanted { name, size, digest, supply: Supply::File(path) })
    };
    let licence = licence.map(|path| wanted(path, false)).transpose()?;
    let mut files = vec![wanted(folder.join(CONFIG), true)?, wanted(folder.join(weights), true)?];
    files.extend(above(NOTICE).map(|path| wanted(path, false)).transpose()?);
    Ok(Plan {
        revision: manifest.as_ref().and_then(|manifest| manifest.revision.clone()).or(cached.map(|(_, commit)| commit)),
        from: folder.display().to_string(),
        checked_against,
        licence,
        files,
    })
}

/// The snapshot of a repository in a Hugging Face cache, and its commit.
fn cache(root: &Path, source: &Source) -> Option<(PathBuf, String)> {
    let repo = root.join(hf_hub::Repo::model(source.repo().into()).folder_name());
    let commit = read_limited(&repo.join("refs/main"), 64).ok()?;
    let commit = String::from_utf8(commit).ok()?.trim().to_owned();
    let folder = repo.join("snapshots").join(&commit);
    (matches!(Digest::of_hex(&commit), Some(Digest::GitBlob(_))) && folder.is_dir()).then_some((folder, commit))
}

/// A folder and those above it, up to `root`.
fn upwards<'a>(folder: &'a Path, root: &'a Path) -> impl Iterator<Item = &'a Path> {
    folder.ancestors().take_while(move |above| above.starts_with(root))
}

fn pickles(folder: &Path) -> bool {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "ckpt"))
}
