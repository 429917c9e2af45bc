//! Pulls from a hub on loopback that behaves, or breaks off.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test panics where its ground is not there")]

mod support;

use orfeas_models::{CheckedAgainst, MANIFEST, Manifest, ModelErrorKind, Origin, Source, Store};
use support::{COMMIT, FOLDER, Fault, Hub, REPO, WEIGHTS, Watcher, safetensors, sha256, source, stored, visible};

const SIZE: usize = 300_000;

fn models() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("models"));
    (folder, store)
}

fn in_place(name: &str) -> String {
    format!("{REPO}/{FOLDER}/{name}")
}

#[test]
fn a_checkpoint_comes_whole_with_its_licence_and_manifest() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let mut watcher = Watcher::default();
    let outcome = hub.pull_with(&store, 0, &mut watcher).unwrap();

    assert!(outcome.changed);
    assert_eq!(outcome.folder, store.folder(&source()));
    let names = ["LICENSE", "config.yaml", WEIGHTS, MANIFEST].map(in_place);
    assert_eq!(visible(store.root()), names);
    assert_eq!(std::fs::read(outcome.folder.join(WEIGHTS)).unwrap(), safetensors(SIZE));

    let manifest = Manifest::read(&outcome.folder).unwrap();
    assert_eq!(manifest, outcome.manifest);
    assert_eq!((manifest.name.as_str(), manifest.revision.as_deref()), ("hunyuan3d-2", Some(COMMIT)));
    assert_eq!((manifest.precision.as_str(), manifest.parameters), ("float16", SIZE as u64 / 2));
    assert_eq!(manifest.checked_against, CheckedAgainst::Hub);
    assert_eq!(manifest.file(WEIGHTS).unwrap().sha256, sha256(&safetensors(SIZE)));
    assert!(manifest.licence.sha256.is_some() && manifest.verified_at.is_some());

    // The licence was shown, without what a terminal would obey.
    assert_eq!(watcher.asked.len(), 1);
    assert_eq!(watcher.asked[0].text, "Community License[31m\nBe good.\n");
    // The token went to the hub, and not on to the store of large files.
    assert!(hub.seen("config.yaml").iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
    assert_eq!(hub.seen(&stored(&safetensors(SIZE)))[0].authorization, None);
    // Pickles and what nobody needs were not asked for.
    assert!(hub.seen(".ckpt").is_empty() && hub.seen("README.md").is_empty());
}

#[test]
fn what_is_there_is_checked_and_not_fetched_again() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    hub.pull(&store).unwrap();
    hub.forget();

    let mut watcher = Watcher::default();
    let outcome = hub.pull_with(&store, 0, &mut watcher).unwrap();
    assert!(!outcome.changed);
    assert!(watcher.asked.is_empty(), "a licence is asked for once");
    assert!(hub.seen(WEIGHTS).is_empty() && hub.seen("config.yaml").is_empty() && hub.seen("LICENSE").is_empty());
    let installed = store.installed().unwrap();
    assert_eq!(installed.len(), 1);
    assert_eq!(installed[0].problem, None);
}

#[test]
fn an_interrupted_download_goes_on_from_the_bytes_it_has() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let weights = safetensors(SIZE);
    hub.fault(&stored(&weights), Fault::Cut(100_000));

    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unreachable);
    assert!(error.to_string().contains(WEIGHTS), "{error}");
    assert!(error.to_string().contains("after 100000 of"), "{error}");
    assert_eq!(visible(store.root()), [""; 0], "half a checkpoint is not there");
    hub.forget();

    let outcome = hub.pull(&store).unwrap();
    assert_eq!(std::fs::read(outcome.folder.join(WEIGHTS)).unwrap(), weights);
    let requests = hub.seen(&stored(&weights));
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].range.as_deref(), Some("bytes=100000-"));
    assert_eq!(requests[0].sent, weights.len() - 100_000, "only the rest was sent");
    assert!(hub.seen("config.yaml").is_empty(), "what had come whole was not fetched again");
}

#[test]
fn one_pull_takes_a_broken_transfer_up_again() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let end = stored(&safetensors(SIZE));
    hub.fault(&end, Fault::Cut(100_000));
    hub.fault(&end, Fault::Status(503, ""));
    hub.fault(&end, Fault::Cut(50_000));

    let mut watcher = Watcher::default();
    hub.pull_with(&store, 3, &mut watcher).unwrap();
    assert_eq!(watcher.retries, 3);
    let ranges: Vec<_> = hub.seen(&end).into_iter().map(|seen| seen.range).collect();
    let range = |from: usize| Some(format!("bytes={from}-"));
    assert_eq!(ranges, [None, range(100_000), range(100_000), range(150_000)]);
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let weights = safetensors(SIZE);
    hub.fault(&stored(&weights), Fault::Cut(100_000));
    hub.fault(&stored(&weights), Fault::NoRanges);
    let outcome = hub.pull_with(&store, 1, &mut Watcher::default()).unwrap();
    assert_eq!(std::fs::read(outcome.folder.join(WEIGHTS)).unwrap(), weights);
    assert_eq!(hub.seen(&stored(&weights))[1].sent, weights.len());
}

#[test]
fn a_mirror_below_a_path_that_describes_no_digests() {
    let hub = Hub::start_under("/mirror/hub", SIZE);
    hub.without_blobs();
    let (_guard, store) = models();
    let outcome = hub.pull(&store).unwrap();
    assert_eq!(outcome.manifest.from, hub.endpoint());
    assert_eq!(outcome.manifest.checked_against, CheckedAgainst::Hub);
    // The digests came from the files' own headers, and the store of large files was not asked for them.
    let asked = hub.seen(WEIGHTS);
    assert_eq!(asked.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["HEAD", "GET"]);
    assert!(hub.seen(&stored(&safetensors(SIZE))).iter().all(|seen| seen.method == "GET"));
}

#[test]
fn a_new_commit_brings_only_what_changed() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let folder = hub.pull(&store).unwrap().folder;
    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    hub.forget();
    let commit = COMMIT.replace('0', "f");
    hub.commit(&commit);
    hub.put(&format!("{FOLDER}/config.yaml"), b"model: {}\n", false);

    let outcome = hub.pull(&store).unwrap();
    assert!(outcome.changed);
    assert_eq!(outcome.manifest.revision, Some(commit));
    assert_eq!(std::fs::read(folder.join("config.yaml")).unwrap(), b"model: {}\n");
    assert_eq!(std::fs::read(folder.join("notes.txt")).unwrap(), b"mine", "a file of the user's own stays");
    assert!(hub.seen(&stored(&safetensors(SIZE))).is_empty());
    let hidden: Vec<_> = folder.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!hidden.iter().any(|name| name.to_string_lossy().ends_with(".old")), "{hidden:?}");
}

#[test]
fn a_damaged_checkpoint_is_mended_by_another_pull() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let folder = hub.pull(&store).unwrap().folder;
    let mut bytes = safetensors(SIZE);
    bytes[200_000] ^= 1;
    std::fs::write(folder.join(WEIGHTS), bytes).unwrap();
    assert!(hub.pull(&store).unwrap().changed);
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), safetensors(SIZE));
}

#[test]
fn weights_in_full_precision_where_there_are_no_others() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    hub.remove(&format!("{FOLDER}/{WEIGHTS}"));
    hub.put(&format!("{FOLDER}/model.safetensors"), &safetensors(SIZE), true);
    let outcome = hub.pull(&store).unwrap();
    assert!(outcome.manifest.file("model.safetensors").is_some());
}

#[test]
fn pickles_are_not_taken_for_weights() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    hub.remove(&format!("{FOLDER}/{WEIGHTS}"));
    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::NotFound);
    assert!(error.to_string().contains("only .ckpt"), "{error}");
    assert!(hub.seen(".ckpt").is_empty());
}

#[test]
fn a_licence_that_is_not_accepted_stops_it_before_the_weights() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let mut watcher = Watcher { accept: false, ..Watcher::default() };
    let error = hub.pull_with(&store, 0, &mut watcher).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Licence);
    assert!(error.to_string().contains("LICENSE"), "{error}");
    assert!(hub.seen(WEIGHTS).is_empty() && hub.seen("config.yaml").is_empty());
    assert_eq!(visible(store.root()), [""; 0]);
}

#[test]
fn a_licence_is_accepted_once_for_each_text() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let turbo: Source = "hunyuan3d-2-turbo".parse().unwrap();
    let folder = turbo.subfolder().to_owned();
    hub.put(&format!("{folder}/config.yaml"), b"model: {}\n", false);
    hub.put(&format!("{folder}/{WEIGHTS}"), &safetensors(64), true);
    let mut watcher = Watcher::default();
    hub.pull_with(&store, 0, &mut watcher).unwrap();
    let origin = Origin::Hub(hub.options(0));
    orfeas_models::pull(&store, &turbo, &origin, &mut watcher).unwrap();
    assert_eq!(watcher.asked.len(), 1, "the second checkpoint has the same licence");

    hub.put("LICENSE", b"Be better.\n", false);
    orfeas_models::pull(&store, &turbo, &origin, &mut watcher).unwrap();
    assert_eq!(watcher.asked.len(), 2, "another text is another licence");
}

#[test]
fn a_repository_without_a_licence_file_must_be_accepted_as_such() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    hub.remove("LICENSE");
    let mut watcher = Watcher { accept: false, ..Watcher::default() };
    let error = hub.pull_with(&store, 0, &mut watcher).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Licence);
    assert_eq!(watcher.asked[0].file, None);
    assert_eq!(hub.pull(&store).unwrap().manifest.licence.sha256, None);
}

#[test]
fn two_pulls_of_one_checkpoint_do_not_meet() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let folder = hub.pull(&store).unwrap().folder;
    let lock = std::fs::File::create(folder.with_file_name(format!(".{FOLDER}.lock"))).unwrap();
    lock.lock().unwrap();
    assert_eq!(hub.pull(&store).unwrap_err().kind(), ModelErrorKind::Busy);
}

#[test]
fn a_folder_of_somebody_elses_is_left_alone() {
    let hub = Hub::start(SIZE);
    let (_guard, store) = models();
    let folder = store.folder(&source());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("precious"), "mine").unwrap();
    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Usage);
    assert_eq!(visible(store.root()), [in_place("precious")]);
}
