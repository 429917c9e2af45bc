//! The folder of models: where a checkpoint lies, how it gets there at once and whole, and what is there.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::catalogue::Source;
use crate::error::{ModelError, ModelErrorKind};
use crate::manifest::{MANIFEST, Manifest};

/// Folders below a folder of models that a checkpoint may lie under.
const DEPTH: usize = 6;

/// The folder of models: the given one, else `ORFEAS_MODELS`, else `orfeas/models` in the user's data folder.
///
/// # Errors
/// `Usage` where there is none of them, as without a home folder.
pub fn models_folder(given: Option<PathBuf>) -> Result<PathBuf, ModelError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = || {
        let absolute = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        absolute.or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    given.or_else(|| variable("ORFEAS_MODELS")).or_else(|| data().map(|data| data.join("orfeas/models"))).ok_or_else(
        || {
            let sentence = "there is no folder for models: give one by --models, or set ORFEAS_MODELS or HOME";
            ModelError::new(ModelErrorKind::Usage, sentence)
        },
    )
}

/// A folder of models.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A checkpoint that is there.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its folder.
    pub folder: PathBuf,
    /// What it holds; `None` where the manifest cannot be read.
    pub manifest: Option<Manifest>,
    /// What is wrong at first sight: files missing or of another size.
    pub problem: Option<String>,
}

impl Store {
    /// The folder, which need not be there yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a checkpoint lies, or would.
    #[must_use]
    pub fn folder(&self, source: &Source) -> PathBuf {
        source.below(&self.root)
    }

    /// The folder of a checkpoint by its name, or by its path.
    ///
    /// # Errors
    /// `NotFound` where the name is good and nothing is there, `Usage` where it is neither a name nor a folder.
    pub fn resolve(&self, text: &str) -> Result<PathBuf, ModelError> {
        let source: Result<Source, _> = text.parse();
        let named = source.as_ref().ok().map(|source| self.folder(source)).filter(|path| path.is_dir());
        if let Some(path) = named {
            return Ok(path);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(path.to_path_buf());
        }
        if text.contains('/') && !text.contains(':') {
            return Err(ModelError::new(ModelErrorKind::NotFound, format!("there is no folder {text}")));
        }
        let source = source?;
        let sentence = format!("{source} is not in {}; `orfeas model pull {source}` fetches it", self.root.display());
        Err(ModelError::new(ModelErrorKind::NotFound, sentence))
    }

    /// Every checkpoint that is there, by folder. Files are looked at, not read; folders below that may not be read are passed
    /// over.
    ///
    /// # Errors
    /// `Io` where the folder cannot be read.
    pub fn installed(&self) -> Result<Vec<Installed>, ModelError> {
        let mut found = Vec::new();
        if self.root.is_dir() {
            walk(&self.root, 0, &mut found)?;
        }
        found.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(found)
    }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<Installed>) -> Result<(), ModelError> {
    if folder.join(MANIFEST).is_file() {
        found.push(look(folder));
    }
    if depth == DEPTH {
        return Ok(());
    }
    let io = |error| ModelError::io("read", folder, error);
    let entries = match folder.read_dir() {
        // Another's folder, such as lost+found, or one that a pull has just moved away: the other checkpoints are there.
        Err(error) if depth > 0 && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
            return Ok(());
        }
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with('.') && path.is_dir() {
            walk(&path, depth + 1, found)?;
        }
    }
    Ok(())
}

fn look(folder: &Path) -> Installed {
    let folder = folder.to_path_buf();
    match Manifest::read(&folder) {
        Ok(manifest) => {
            let wrong = manifest.files.iter().find_map(|file| match folder.join(&file.name).metadata() {
                Ok(metadata) if metadata.len() == file.size => None,
                Ok(metadata) => Some(format!("{} has {} bytes, not {}", file.name, metadata.len(), file.size)),
                Err(_) => Some(format!("{} is missing", file.name)),
            });
            Installed { folder, manifest: Some(manifest), problem: wrong }
        }
        Err(error) => Installed { folder, manifest: None, problem: Some(error.to_string()) },
    }
}

/// A hidden neighbour of a checkpoint's folder.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let leaf = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{leaf}.{suffix}"))
}

/// Locks a file at once, or errors with the sentence `busy` where another process has it.
fn lock(file: &File, path: &Path, busy: String) -> Result<(), ModelError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => ModelError::new(ModelErrorKind::Busy, busy),
        TryLockError::Error(error) => ModelError::io("lock", path, error),
    })
}

/// Keeps pulls off a checkpoint's folder until the file is dropped, or errors with `Busy` where one is at work. `None` where no
/// pull has ever worked there.
pub(crate) fn hold(folder: &Path) -> Result<Option<File>, ModelError> {
    let path = beside(folder, "lock");
    // Not made here: one that root made while checking would refuse the owner's next pull.
    // For writing, since a lock by way of NFS wants that.
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ModelError::io("read", &path, error)),
    };
    lock(&file, &path, format!("another process works on {}", folder.display()))?;
    Ok(Some(file))
}

/// A checkpoint's place while it is worked on: nobody else works on it until this is dropped.
pub(crate) struct Place {
    /// Where it appears.
    pub(crate) folder: PathBuf,
    /// Where it is made, beside that.
    pub(crate) staging: PathBuf,
    /// Where the one before waits for its end.
    old: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the place, and mends what a pull that was killed left there.
    pub(crate) fn take(store: &Store, source: &Source) -> Result<Self, ModelError> {
        let folder = store.folder(source);
        let (staging, old, path) = (beside(&folder, "part"), beside(&folder, "old"), beside(&folder, "lock"));
        std::fs::create_dir_all(&staging).map_err(|error| ModelError::io("make the folder", &staging, error))?;
        let file = File::create(&path).map_err(|error| ModelError::io("write", &path, error))?;
        lock(&file, &path, format!("another process works on {source} in {}", store.root.display()))?;
        let place = Self { folder, staging, old, _lock: file };
        if place.old.exists() {
            if place.folder.exists() {
                remove_folder(&place.old)?;
            } else {
                rename(&place.old, &place.folder)?;
            }
        }
        let foreign = place.folder.exists() && !place.folder.join(MANIFEST).exists();
        if foreign && place.folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            let sentence = format!(
                "{} is there already and was not made by `orfeas model pull`: move it away, or give another --models",
                place.folder.display()
            );
            return Err(ModelError::new(ModelErrorKind::Usage, sentence));
        }
        Ok(place)
    }

    /// Makes what is in the staging folder the checkpoint. `manifest` names its files; leftovers beside them go, files that
    /// somebody put into the one before stay.
    pub(crate) fn publish(&self, manifest: &Manifest) -> Result<(), ModelError> {
        let io = |error| ModelError::io("read", &self.staging, error);
        for entry in self.staging.read_dir().map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            if manifest.file(&name.to_string_lossy()).is_none() {
                std::fs::remove_file(entry.path()).map_err(|error| ModelError::io("remove", &entry.path(), error))?;
            }
        }
        manifest.write(&self.staging)?;
        if self.folder.exists() {
            self.keep_foreign_files()?;
            rename(&self.folder, &self.old)?;
        }
        if let Err(error) = rename(&self.staging, &self.folder) {
            let _ = std::fs::rename(&self.old, &self.folder);
            return Err(error);
        }
        if self.old.exists() { remove_folder(&self.old) } else { Ok(()) }
    }

    fn keep_foreign_files(&self) -> Result<(), ModelError> {
        let Ok(manifest) = Manifest::read(&self.folder) else {
            return Ok(());
        };
        let io = |error| ModelError::io("read", &self.folder, error);
        for entry in self.folder.read_dir().map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let ours = name == MANIFEST || manifest.file(&name.to_string_lossy()).is_some();
            let target = self.staging.join(&name);
            if !ours && !target.exists() {
                rename(&entry.path(), &target)?;
            }
        }
        Ok(())
    }

    /// Forgets the staging folder, with everything in it.
    pub(crate) fn abandon(&self) {
        let _ = std::fs::remove_dir_all(&self.staging);
    }

    /// Errors where the disk has less room than `bytes` and a little.
    pub(crate) fn room_for(&self, bytes: u64) -> Result<(), ModelError> {
        const MARGIN: u64 = 16 << 20;
        let Some(free) = free(&self.staging)? else {
            return Ok(());
        };
        if free >= bytes.saturating_add(MARGIN) {
            return Ok(());
        }
        let sentence = format!(
            "{} MiB are needed in {}, and {} MiB are free",
            bytes.saturating_add(MARGIN) >> 20,
            self.folder.parent().unwrap_or(&self.folder).display(),
            free >> 20
        );
        Err(ModelError::new(ModelErrorKind::NoSpace, sentence))
    }
}

/// Bytes free for this user on a folder's disk; `None` where the system does not say.
#[cfg(unix)]
fn free(folder: &Path) -> Result<Option<u64>, ModelError> {
    let stat =
        rustix::fs::statvfs(folder).map_err(|error| ModelError::io("look at the disk of", folder, error.into()))?;
    Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Result<Option<u64>, ModelError> {
    Ok(None)
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), ModelError> {
    std::fs::rename(from, to).map_err(|error| ModelError::io("write", to, error))
}

fn remove_folder(folder: &Path) -> Result<(), ModelError> {
    std::fs::remove_dir_all(folder).map_err(|error| ModelError::io("remove", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::take(&Store::new(folder.path().into()), &"hunyuan3d-2".parse().unwrap()).unwrap();
        place.room_for(0).unwrap();
        for bytes in [1 << 60, u64::MAX] {
            let error = place.room_for(bytes).unwrap_err();
            assert_eq!(error.kind(), ModelErrorKind::NoSpace);
            assert!(error.to_string().contains("MiB are free"), "{error}");
        }
    }

    #[test]
    fn what_a_killed_pull_left_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().into());
        let source = "hunyuan3d-2".parse().unwrap();
        let place = Place::take(&store, &source).unwrap();
        std::fs::create_dir(&place.old).unwrap();
        std::fs::write(place.old.join(MANIFEST), "{}").unwrap();
        drop(place);
        // Killed between its two renames: the one before comes back.
        let place = Place::take(&store, &source).unwrap();
        assert!(place.folder.join(MANIFEST).exists() && !place.old.exists());
        // Killed behind them: it goes.
        std::fs::create_dir(&place.old).unwrap();
        drop(place);
        assert!(!Place::take(&store, &source).unwrap().old.exists());
    }

    #[test]
    fn a_list_passes_over_a_folder_that_vanished() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut found = Vec::new();
        walk(&gone, 1, &mut found).unwrap();
        assert!(found.is_empty());
        let error = walk(&gone, 0, &mut found).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::NotFound, "the root itself must be there");
    }

    /// Root may read the closed folder, and then sees only that the list is whole.
    #[cfg(unix)]
    #[test]
    fn a_list_passes_over_a_folder_that_may_not_be_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["a", "z"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(MANIFEST), "{}").unwrap();
        }
        let closed = folder.path().join("lost+found");
        std::fs::create_dir(&closed).unwrap();
        mode(&closed, 0o000);
        let installed = Store::new(folder.path().into()).installed();
        // So that the folder can be removed.
        mode(&closed, 0o700);
        assert_eq!(installed.unwrap().len(), 2);
    }

    #[test]
    fn a_name_that_is_not_there_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        assert!(store.installed().unwrap().is_empty());
        let error = store.resolve("hunyuan3d-2mini").unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::NotFound);
        assert!(error.to_string().contains("`orfeas model pull hunyuan3d-2mini` fetches it"), "{error}");
        assert_eq!(store.resolve("some/folder").unwrap_err().kind(), ModelErrorKind::NotFound);
        assert_eq!(store.resolve("nonsense").unwrap_err().kind(), ModelErrorKind::Usage);
    }
}
