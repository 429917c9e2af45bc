//! Fetching a checkpoint: plan, licence, room, transfer, digests, and only then its place.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::catalogue::Source;
use crate::download::download;
use crate::endpoint::HubOptions;
use crate::error::{ModelError, ModelErrorKind};
use crate::files::{self, CONFIG, LICENCES, NOTICE, WEIGHTS};
use crate::hash::{self, Digest};
use crate::http::Http;
use crate::hub::{Remote, Snapshot};
use crate::licence::{self, LicenceText};
use crate::local;
use crate::manifest::{self, CheckedAgainst, FileEntry, Manifest};
use crate::observe::{Event, Observer, Phase};
use crate::safetensors::Header;
use crate::store::{Place, Store, rename};

/// Where a checkpoint is taken from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The hub, or a mirror.
    Hub(HubOptions),
    /// A folder on disk: a folder of models, a copy of the repository, the checkpoint itself, or a Hugging Face cache.
    Folder(PathBuf),
}

/// How a pull ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The checkpoint folder.
    pub folder: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
    /// Whether anything was fetched; otherwise it was there, and every digest is right.
    pub changed: bool,
}

/// What there is to fetch.
pub(crate) struct Plan {
    pub(crate) revision: Option<String>,
    pub(crate) from: String,
    pub(crate) checked_against: CheckedAgainst,
    pub(crate) licence: Option<Wanted>,
    pub(crate) files: Vec<Wanted>,
}

/// A file to fetch.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) digest: Option<Digest>,
    pub(crate) supply: Supply,
}

/// Where a file comes from.
pub(crate) enum Supply {
    Hub(Remote),
    File(PathBuf),
}

/// Fetches a checkpoint into a folder of models.
///
/// What is there already with the right digest is not fetched again; what came half the way goes on from there. The checkpoint
/// appears in its place at once and whole, or the place stays as it was.
///
/// # Errors
/// By [`ModelErrorKind`]; after `Unreachable` the same call goes on where this one stopped.
pub fn pull(
    store: &Store,
    source: &Source,
    origin: &Origin,
    observer: &mut dyn Observer,
) -> Result<Outcome, ModelError> {
    let (plan, http) = match origin {
        Origin::Folder(folder) => (local::plan(folder, source)?, None),
        Origin::Hub(options) => {
            let http = Http::new(options.clone())?;
            (of_hub(&http, options, source)?, Some(http))
        }
    };
    let place = Place::take(store, source)?;
    let mut work = Work { place: &place, http: http.as_ref(), observer, reused: true };

    let mut entries = Vec::new();
    let mut licence_path = None;
    if let Some(wanted) = &plan.licence {
        entries.push(work.fetch(wanted)?);
        licence_path = Some(place.staging.join(&wanted.name));
    }
    let text = LicenceText::read(source.to_string(), licence_path.as_deref())?;
    let accepted = licence::settle(store.root(), &text, work.observer).inspect_err(|_| {
        if let Some(path) = &licence_path {
            let _ = std::fs::remove_file(path);
        }
        // Goes only where nothing of an earlier pull waits in it.
        let _ = std::fs::remove_dir(&place.staging);
    })?;

    let missing = plan.files.iter().map(|wanted| work.missing(wanted)).sum();
    let bytes = plan.files.iter().map(|wanted| wanted.size).sum();
    work.observer.event(Event::Plan { files: plan.files.len(), bytes, missing });
    place.room_for(missing)?;
    for wanted in &plan.files {
        entries.push(work.fetch(wanted)?);
    }
    let reused = work.reused;
    let header = header(&place, &plan)?;

    let now = manifest::now();
    let before = Manifest::read(&place.folder).ok();
    let unchanged = before.filter(|before| reused && before.revision == plan.revision && before.files == entries);
    if let Some(mut manifest) = unchanged {
        place.abandon();
        manifest.verified_at = Some(now);
        manifest.write(&place.folder)?;
        return Ok(Outcome { folder: place.folder.clone(), manifest, changed: false });
    }
    let verified = plan.checked_against != CheckedAgainst::Nothing;
    let manifest = Manifest {
        format: Manifest::format(),
        name: source.to_string(),
        repo: source.repo().into(),
        subfolder: source.subfolder().into(),
        revision: plan.revision,
        from: plan.from,
        precision: header.precision,
        parameters: header.parameters,
        files: entries,
        licence: accepted,
        checked_against: plan.checked_against,
        pulled_at: now.clone(),
        verified_at: verified.then_some(now),
    };
    place.publish(&manifest)?;
    Ok(Outcome { folder: place.folder.clone(), manifest, changed: true })
}

/// What the hub has of a checkpoint.
fn of_hub(http: &Http, options: &HubOptions, source: &Source) -> Result<Plan, ModelError> {
    let snapshot = Snapshot::ask(http, source.repo())?;
    let find = |path: &str, name: &str| -> Result<Option<Wanted>, ModelError> {
        let remote = snapshot.file(path)?;
        Ok(remote.map(|remote| Wanted {
            name: name.into(),
            size: remote.size,
            digest: Some(remote.digest.clone()),
            supply: Supply::Hub(remote),
        }))
    };
    let inside = |name: &str| find(&source.file(name), name);
    let place = format!("{} of {} on {}", source.subfolder(), source.repo(), options.endpoint);
    let Some(config) = inside(CONFIG)? else {
        let sentence = if snapshot.any(source.subfolder(), "") {
            format!("{place} has no {CONFIG}")
        } else {
            format!("{} on {} has no folder {}", source.repo(), options.endpoint, source.subfolder())
        };
        return Err(ModelError::new(ModelErrorKind::NotFound, sentence));
    };
    let mut weights = None;
    for name in WEIGHTS {
        weights = inside(name)?;
        if weights.is_some() {
            break;
        }
    }
    let weights = weights.ok_or_else(|| files::no_weights(&place, snapshot.any(source.subfolder(), ".ckpt")))?;
    let mut licence = None;
    for name in LICENCES {
        licence = find(name, name)?;
        if licence.is_some() {
            break;
        }
    }
    let mut wanted = vec![config, weights];
    wanted.extend(find(NOTICE, NOTICE)?);
    Ok(Plan {
        revision: Some(snapshot.commit.clone()),
        from: options.endpoint.to_string(),
        checked_against: CheckedAgainst::Hub,
        licence,
        files: wanted,
    })
}

/// Looks at the weights that have come; what is no safetensors file does not stay.
fn header(place: &Place, plan: &Plan) -> Result<Header, ModelError> {
    let weights = plan.files.iter().find(|wanted| WEIGHTS.contains(&wanted.name.as_str()));
    let path = place.staging.join(weights.map_or(WEIGHTS[0], |wanted| wanted.name.as_str()));
    Header::read(&path).inspect_err(|_| {
        let _ = std::fs::remove_file(&path);
    })
}

/// The transfer of one checkpoint.
struct Work<'a> {
    place: &'a Place,
    http: Option<&'a Http>,
    observer: &'a mut dyn Observer,
    /// Whether every file so far was there already.
    reused: bool,
}

impl Work<'_> {
    fn part(&self, wanted: &Wanted) -> PathBuf {
        // Named for its content, so that what came of another revision is not gone on with.
        let tag = wanted.digest.as_ref().map_or("copy", |digest| &digest.hex()[..16]);
        self.place.staging.join(format!("{}.{tag}.part", wanted.name))
    }

    /// Bytes of a file that are not on this disk yet, by sizes alone.
    fn missing(&self, wanted: &Wanted) -> u64 {
        let length = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        let whole = [&self.place.staging, &self.place.folder];
        if whole.iter().any(|folder| length(folder.join(&wanted.name)) == wanted.size) {
            return 0;
        }
        wanted.size.saturating_sub(length(self.part(wanted)))
    }

    /// Brings one file into the staging folder, and says what it is.
    fn fetch(&mut self, wanted: &Wanted) -> Result<FileEntry, ModelError> {
        let target = self.place.staging.join(&wanted.name);
        let there = self.place.folder.join(&wanted.name);
        let sha256 = if let Some(sha256) = self.right(&target, wanted)? {
            self.reused = false;
            sha256
        } else if let Some(sha256) = self.right(&there, wanted)? {
            link(&there, &target)?;
            sha256
        } else {
            self.reused = false;
            self.bring(wanted, &target)?
        };
        self.observer.event(Event::Done { file: &wanted.name, size: wanted.size, sha256: &sha256 });
        Ok(FileEntry { name: wanted.name.clone(), size: wanted.size, sha256 })
    }

    /// The SHA-256 of a file that is there and is the wanted one.
    fn right(&mut self, path: &Path, wanted: &Wanted) -> Result<Option<String>, ModelError> {
        let Some(expected) = &wanted.digest else {
            return Ok(None);
        };
        if !path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == wanted.size) {
            return Ok(None);
        }
        let hashes = self.hash(path, wanted)?;
        Ok((hashes.by(expected) == expected.hex()).then_some(hashes.sha256))
    }

    /// Fetches a file, and moves it to `target` when its digest is right; removes it where that is wrong.
    fn bring(&mut self, wanted: &Wanted, target: &Path) -> Result<String, ModelError> {
        let part = self.part(wanted);
        match (&wanted.supply, self.http) {
            (Supply::Hub(remote), Some(http)) => download(http, &wanted.name, remote, &part, self.observer)?,
            (Supply::Hub(_), None) => return Err(ModelError::new(ModelErrorKind::Usage, "no hub is asked")),
            (Supply::File(path), _) => self.copy(path, &part, wanted)?,
        }
        let hashes = self.hash(&part, wanted)?;
        let wrong = match &wanted.digest {
            Some(expected) if hashes.by(expected) != expected.hex() => Some(format!(
                "{} {} was expected, {} was found",
                expected.algorithm(),
                expected.hex(),
                hashes.by(expected)
            )),
            _ if hashes.size != wanted.size => {
                Some(format!("{} bytes were expected, {} were found", wanted.size, hashes.size))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            std::fs::remove_file(&part).map_err(|error| ModelError::io("remove", &part, error))?;
            let what = match &wanted.supply {
                Supply::Hub(_) => format!("{} came damaged and was removed", wanted.name),
                Supply::File(path) => format!("{} is damaged and was not taken", path.display()),
            };
            return Err(ModelError::new(ModelErrorKind::Damaged, format!("{what}: {wrong}")));
        }
        rename(&part, target)?;
        Ok(hashes.sha256)
    }

    fn hash(&mut self, path: &Path, wanted: &Wanted) -> Result<hash::Hashes, ModelError> {
        self.observer.event(Event::Begin { file: &wanted.name, phase: Phase::Hash, size: wanted.size, have: 0 });
        let observer = &mut *self.observer;
        let hashes = hash::file(path, wanted.digest.as_ref(), &mut |count| observer.event(Event::Advance(count)));
        hashes.map_err(|error| ModelError::io("read", path, error))
    }

    fn copy(&mut self, from: &Path, to: &Path, wanted: &Wanted) -> Result<(), ModelError> {
        self.observer.event(Event::Begin { file: &wanted.name, phase: Phase::Copy, size: wanted.size, have: 0 });
        let mut source = File::open(from).map_err(|error| ModelError::io("read", from, error))?.take(wanted.size + 1);
        let mut target = File::create(to).map_err(|error| ModelError::io("write", to, error))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = source.read(&mut buffer).map_err(|error| ModelError::io("read", from, error))?;
            if count == 0 {
                break;
            }
            target.write_all(&buffer[..count]).map_err(|error| ModelError::io("write", to, error))?;
            self.observer.event(Event::Advance(count as u64));
        }
        target.sync_all().map_err(|error| ModelError::io("write", to, error))
    }
}

/// The same file under a second name, or a copy where the disk has no such thing.
fn link(from: &Path, to: &Path) -> Result<(), ModelError> {
    if to.exists() {
        std::fs::remove_file(to).map_err(|error| ModelError::io("remove", to, error))?;
    }
    let made = std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(|_| ()));
    made.map_err(|error| ModelError::io("write", to, error))
}
