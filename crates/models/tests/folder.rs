//! Checkpoints from a folder, and checking those that are there.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test panics where its ground is not there")]

mod support;

use std::path::{Path, PathBuf};

use orfeas_models::{
    CheckedAgainst, Event, MANIFEST, Manifest, ModelError, ModelErrorKind, Observer, Origin, Outcome, Store, verify,
};
use support::{COMMIT, FOLDER, Hub, REPO, WEIGHTS, Watcher, safetensors, sha256, source, visible};

const CONFIG: &[u8] = b"model: {}\n";
const SIZE: usize = 4096;

struct Desk {
    folder: tempfile::TempDir,
    store: Store,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        Self { folder, store }
    }

    /// A copy of the repository, with the checkpoint in its subfolder.
    fn copy(&self) -> PathBuf {
        let copy = self.folder.path().join("copy");
        checkpoint(&copy.join(FOLDER));
        std::fs::write(copy.join("LICENSE"), "Be good.").unwrap();
        copy
    }

    fn pull(&self, from: &Path) -> Result<Outcome, ModelError> {
        orfeas_models::pull(&self.store, &source(), &Origin::Folder(from.into()), &mut Watcher::default())
    }
}

fn checkpoint(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    std::fs::write(folder.join(WEIGHTS), safetensors(SIZE)).unwrap();
    std::fs::write(folder.join("model.fp16.ckpt"), "a pickle").unwrap();
}

#[test]
fn a_copy_of_the_repository_with_checksums() {
    let desk = Desk::new();
    let copy = desk.copy();
    let (config, weights) = (sha256(CONFIG), sha256(&safetensors(SIZE)));
    let sums = format!("{config}  {FOLDER}/config.yaml\n{weights} *./{FOLDER}/{WEIGHTS}\n");
    std::fs::write(copy.join("SHA256SUMS"), sums).unwrap();
    let outcome = desk.pull(&copy).unwrap();
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Sha256sums);
    let names = ["LICENSE", "config.yaml", WEIGHTS, MANIFEST].map(|name| format!("{REPO}/{FOLDER}/{name}"));
    assert_eq!(visible(desk.store.root()), names);

    let sums = format!("{config}  {FOLDER}/config.yaml\n{}  {FOLDER}/{WEIGHTS}\n", "0".repeat(64));
    std::fs::write(copy.join("SHA256SUMS"), sums).unwrap();
    let error = desk.pull(&copy).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Damaged);
    assert!(error.to_string().contains(WEIGHTS) && error.to_string().contains(&weights), "{error}");
    assert_eq!(visible(desk.store.root()), names, "what was there before stays");

    std::fs::write(copy.join("SHA256SUMS"), format!("{config}  {FOLDER}/config.yaml\n")).unwrap();
    assert!(desk.pull(&copy).unwrap_err().to_string().contains("does not name"));
    std::fs::write(copy.join("SHA256SUMS"), "nonsense\n").unwrap();
    assert!(desk.pull(&copy).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn a_bare_folder_is_taken_and_said_to_be_unchecked() {
    let desk = Desk::new();
    let outcome = desk.pull(&desk.copy().join(FOLDER)).unwrap();
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Nothing);
    assert_eq!((outcome.manifest.verified_at, outcome.manifest.licence.file), (None, None));
    // Its digests are known from now on.
    assert!(verify(&outcome.folder, &mut ()).unwrap().ok);
    assert!(Manifest::read(&outcome.folder).unwrap().verified_at.is_some());
}

#[test]
fn the_folder_of_models_of_another_machine() {
    let hub = Hub::start(SIZE);
    let (here, there) = (Desk::new(), Desk::new());
    hub.pull(&there.store).unwrap();
    let outcome = here.pull(there.store.root()).unwrap();
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Manifest);
    assert_eq!(outcome.manifest.revision.as_deref(), Some(COMMIT));

    let weights = there.store.folder(&source()).join(WEIGHTS);
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert_eq!(Desk::new().pull(there.store.root()).unwrap_err().kind(), ModelErrorKind::Damaged);

    let other = "hunyuan3d-2-turbo".parse().unwrap();
    let origin = Origin::Folder(there.store.folder(&source()));
    let error = orfeas_models::pull(&here.store, &other, &origin, &mut ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Usage, "{error}");
}

#[test]
fn weights_that_the_manifest_does_not_name_are_not_taken() {
    let there = Desk::new();
    let copy = there.copy();
    std::fs::rename(copy.join(FOLDER).join(WEIGHTS), copy.join(FOLDER).join("model.safetensors")).unwrap();
    let folder = there.pull(&copy).unwrap().folder;
    assert!(Desk::new().pull(there.store.root()).is_ok());

    std::fs::write(folder.join(WEIGHTS), safetensors(SIZE)).unwrap();
    let error = Desk::new().pull(there.store.root()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Damaged);
    assert!(error.to_string().contains(&format!("{MANIFEST} does not name")), "{error}");
    assert!(error.to_string().contains(WEIGHTS), "{error}");
}

#[test]
fn a_notice_need_not_be_named_and_is_checked_where_it_is() {
    let there = Desk::new();
    let copy = there.copy();
    let folder = copy.join(FOLDER);
    let sums = format!("{}  config.yaml\n{}  {WEIGHTS}\n", sha256(CONFIG), sha256(&safetensors(SIZE)));
    std::fs::write(copy.join("NOTICE"), "Mind this.").unwrap();
    std::fs::write(folder.join("SHA256SUMS"), &sums).unwrap();
    let outcome = there.pull(&copy).unwrap();
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Sha256sums);
    assert_eq!(outcome.manifest.file("NOTICE").unwrap().sha256, sha256(b"Mind this."));

    let damaged = |from: &Path| {
        let error = Desk::new().pull(from).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Damaged);
        assert!(error.to_string().contains("NOTICE"), "{error}");
    };
    // Named by the checksums.
    std::fs::write(folder.join("NOTICE"), "Mind that.").unwrap();
    std::fs::write(folder.join("SHA256SUMS"), format!("{sums}{}  NOTICE\n", sha256(b"Mind this."))).unwrap();
    damaged(&copy);
    // Named by the manifest, and not by the checksums beside it.
    std::fs::write(outcome.folder.join("SHA256SUMS"), &sums).unwrap();
    assert!(Desk::new().pull(there.store.root()).is_ok());
    std::fs::write(outcome.folder.join("NOTICE"), "Mind that.").unwrap();
    damaged(there.store.root());
}

#[test]
fn a_notice_that_the_manifest_does_not_name() {
    let there = Desk::new();
    there.pull(&there.copy()).unwrap();
    std::fs::write(there.store.root().join("NOTICE"), "Mind this.").unwrap();
    let outcome = Desk::new().pull(there.store.root()).unwrap();
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Manifest);
    assert!(outcome.manifest.file("NOTICE").is_some());
}

#[test]
fn a_digest_of_a_manifest_is_a_sha256() {
    let there = Desk::new();
    let folder = there.pull(&there.copy()).unwrap().folder;
    let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
    let right = sha256(CONFIG);
    for bad in ["", "abc", &"g".repeat(64), &right[..40]] {
        std::fs::write(folder.join(MANIFEST), text.replace(&right, bad)).unwrap();
        let error = Desk::new().pull(there.store.root()).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Damaged);
        assert!(error.to_string().contains("the digest of config.yaml is no SHA-256"), "{error}");
        assert!(!verify(&folder, &mut ()).unwrap().ok);
    }
    // Capitals are the same digits.
    std::fs::write(folder.join(MANIFEST), text.replace(&right, &right.to_ascii_uppercase())).unwrap();
    assert_eq!(Manifest::read(&folder).unwrap().file("config.yaml").unwrap().sha256, right);
    assert!(Desk::new().pull(there.store.root()).is_ok());
    assert!(verify(&folder, &mut ()).unwrap().ok);
}

#[test]
fn a_hugging_face_cache() {
    let desk = Desk::new();
    let cache = desk.folder.path().join("hub");
    let repo = cache.join("models--tencent--Hunyuan3D-2");
    checkpoint(&repo.join("snapshots").join(COMMIT).join(FOLDER));
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    assert_eq!(desk.pull(&cache).unwrap().manifest.revision.as_deref(), Some(COMMIT));
}

#[test]
fn a_folder_that_has_no_checkpoint() {
    let desk = Desk::new();
    let copy = desk.copy();
    std::fs::remove_file(copy.join(FOLDER).join(WEIGHTS)).unwrap();
    let error = desk.pull(&copy).unwrap_err();
    assert!(error.to_string().contains("only .ckpt"), "{error}");
    std::fs::remove_file(copy.join(FOLDER).join("config.yaml")).unwrap();
    let error = desk.pull(&copy).unwrap_err();
    assert!(error.to_string().contains("has no config.yaml"), "{error}");
    let error = desk.pull(&copy.join("nowhere")).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::NotFound);
    assert_eq!(visible(desk.store.root()), [""; 0]);
}

/// A checkpoint that is there, its folder, and what checking it says after something was done to it.
fn after(harm: impl FnOnce(&Path)) -> (Desk, PathBuf, orfeas_models::Report) {
    let desk = Desk::new();
    let folder = desk.pull(&desk.copy()).unwrap().folder;
    harm(&folder);
    let report = verify(&folder, &mut ()).unwrap();
    (desk, folder, report)
}

fn rewrite(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_checkpoint_verifies() {
    let (desk, folder, report) = after(|_| {});
    assert!(report.ok && report.sentence().is_none());
    assert_eq!(report.header.unwrap().parameters, SIZE as u64 / 2);
    assert_eq!(desk.store.resolve("hunyuan3d-2").unwrap(), folder);
    assert_eq!(desk.store.resolve(folder.to_str().unwrap()).unwrap(), folder);
}

/// Pulls another checkpoint into the place, once the weights there have been found right.
struct PullsMeanwhile<'a> {
    desk: &'a Desk,
    from: &'a Path,
    pulled: Option<Manifest>,
}

impl Observer for PullsMeanwhile<'_> {
    fn event(&mut self, event: Event<'_>) {
        if matches!(event, Event::Done { file, .. } if file == WEIGHTS) {
            self.pulled = Some(self.desk.pull(self.from).unwrap().manifest);
        }
    }
}

#[test]
fn a_check_leaves_the_manifest_of_a_pull_meanwhile_alone() {
    let desk = Desk::new();
    let copy = desk.copy();
    let folder = desk.pull(&copy).unwrap().folder;
    std::fs::write(copy.join(FOLDER).join(WEIGHTS), safetensors(2 * SIZE)).unwrap();
    let mut meanwhile = PullsMeanwhile { desk: &desk, from: &copy, pulled: None };
    assert!(verify(&folder, &mut meanwhile).unwrap().ok);
    assert!(meanwhile.pulled.is_some());
    assert_eq!(Manifest::read(&folder).ok(), meanwhile.pulled);
    assert!(verify(&folder, &mut ()).unwrap().ok);
}

#[test]
fn a_check_writes_nothing_while_a_pull_works_on_the_folder() {
    let desk = Desk::new();
    let folder = desk.pull(&desk.copy().join(FOLDER)).unwrap().folder;
    let lock = std::fs::File::open(folder.with_file_name(format!(".{FOLDER}.lock"))).unwrap();
    lock.lock().unwrap();
    assert!(verify(&folder, &mut ()).unwrap().ok);
    assert_eq!(Manifest::read(&folder).unwrap().verified_at, None);
    drop(lock);
    assert!(verify(&folder, &mut ()).unwrap().ok);
    assert!(Manifest::read(&folder).unwrap().verified_at.is_some());
}

#[test]
fn one_flipped_bit_is_found_and_the_file_named() {
    let (_desk, folder, report) = after(|folder| rewrite(&folder.join(WEIGHTS), |bytes| bytes[3000] ^= 1));
    assert!(!report.ok);
    let sentence = report.sentence().unwrap();
    assert!(sentence.starts_with(&folder.join(WEIGHTS).display().to_string()), "{sentence}");
    assert!(sentence.contains(&sha256(&safetensors(SIZE))), "{sentence}");
    let wrong: Vec<_> = report.files.iter().filter(|file| file.problem.is_some()).map(|file| &file.file).collect();
    assert_eq!(wrong, [WEIGHTS]);
}

#[test]
fn missing_cut_and_unlisted_files_are_found() {
    let says = |harm: fn(&Path), part: &str| {
        let (desk, _, report) = after(harm);
        let sentence = report.sentence().unwrap();
        assert!(sentence.contains(part), "{sentence}");
        desk
    };
    says(|folder| std::fs::remove_file(folder.join("config.yaml")).unwrap(), "config.yaml: is missing");
    let desk = says(|folder| rewrite(&folder.join(WEIGHTS), |bytes| bytes.truncate(9)), "has 9 bytes");
    let installed = desk.store.installed().unwrap();
    assert!(installed[0].problem.as_ref().unwrap().contains("has 9 bytes"), "a list sees it too");
    says(|folder| std::fs::remove_file(folder.join(MANIFEST)).unwrap(), "no digest can be compared");
    says(|folder| rewrite(&folder.join(MANIFEST), Vec::clear), "cannot be understood");
    let outside = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
        std::fs::write(folder.join(MANIFEST), text.replace("config.yaml", "../config.yaml")).unwrap();
    };
    says(outside, "is no file of this folder");
}

#[test]
fn a_header_that_does_not_fit_is_found_though_the_digest_is_right() {
    let (_desk, _, report) = after(|folder| {
        let right = sha256(&safetensors(SIZE));
        rewrite(&folder.join(WEIGHTS), |bytes| bytes[8] = b'[');
        let found = sha256(&std::fs::read(folder.join(WEIGHTS)).unwrap());
        let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap();
        std::fs::write(folder.join(MANIFEST), text.replace(&right, &found)).unwrap();
    });
    let sentence = report.sentence().unwrap();
    assert!(sentence.contains(WEIGHTS) && sentence.contains("header cannot be understood"), "{sentence}");
}

#[test]
fn a_folder_without_a_manifest_is_checked_by_its_checksums() {
    let desk = Desk::new();
    let folder = desk.copy().join(FOLDER);
    let sums = format!("{}  config.yaml\n{}  {WEIGHTS}\n", sha256(CONFIG), sha256(&safetensors(SIZE)));
    std::fs::write(folder.join("SHA256SUMS"), sums).unwrap();
    assert!(verify(&folder, &mut ()).unwrap().ok);
    rewrite(&folder.join("config.yaml"), |bytes| bytes[0] ^= 1);
    assert!(!verify(&folder, &mut ()).unwrap().ok);
    assert_eq!(verify(&folder.join("nowhere"), &mut ()).unwrap_err().kind(), ModelErrorKind::NotFound);
}
