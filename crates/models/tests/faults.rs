//! What a hub may do wrong, and that each is one clear error with nothing left in the checkpoint's place.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test panics where its ground is not there")]

mod support;

use std::time::Duration;

use orfeas_models::{ModelError, ModelErrorKind, Origin, Store};
use support::{FOLDER, Fault, Hub, REPO, WEIGHTS, Watcher, safetensors, sha256, source, stored, visible};

const SIZE: usize = 300_000;

/// Pulls, and expects an error of this kind that says so.
fn fails(hub: &Hub, kind: ModelErrorKind, says: &[&str]) -> ModelError {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for part in says {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!error.to_string().contains("hf_secret"));
    assert_eq!(visible(store.root()), [""; 0]);
    error
}

fn weights() -> String {
    format!("{FOLDER}/{WEIGHTS}")
}

#[test]
fn a_wrong_byte_names_the_file_and_both_digests_and_is_removed() {
    let hub = Hub::start(SIZE);
    let mut wrong = safetensors(SIZE);
    wrong[123_456] ^= 1;
    let found = sha256(&wrong);
    hub.edit(&weights(), |file| file.served = Some(wrong));

    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Damaged);
    let expected = sha256(&safetensors(SIZE));
    assert_eq!(
        error.to_string(),
        format!("{WEIGHTS} came damaged and was removed: SHA-256 {expected} was expected, {found} was found")
    );
    assert_eq!(visible(store.root()), [""; 0]);

    // The bad bytes are gone: the next pull starts anew and is well.
    hub.edit(&weights(), |file| file.served = None);
    hub.forget();
    hub.pull(&store).unwrap();
    assert_eq!(hub.seen(&stored(&safetensors(SIZE)))[0].range, None);
}

#[test]
fn a_wrong_byte_in_a_file_of_git() {
    let hub = Hub::start(SIZE);
    hub.edit(&format!("{FOLDER}/config.yaml"), |file| {
        file.served = Some(file.bytes.to_ascii_uppercase());
    });
    fails(&hub, ModelErrorKind::Damaged, &["config.yaml", "git blob SHA-1"]);
}

#[test]
fn an_unknown_repository() {
    let hub = Hub::start(SIZE);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let source = "nobody/nothing:shape".parse().unwrap();
    let error = orfeas_models::pull(&store, &source, &Origin::Hub(hub.options(0)), &mut ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::NotFound);
    assert!(error.to_string().starts_with("nobody/nothing: 127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("has no such repository"), "{error}");
}

#[test]
fn an_unknown_folder_file_or_revision() {
    let hub = Hub::start(SIZE);
    hub.remove(&weights());
    hub.remove(&format!("{FOLDER}/model.fp16.ckpt"));
    fails(&hub, ModelErrorKind::NotFound, &["has no weights", "neither model.fp16.safetensors nor"]);
    hub.remove(&format!("{FOLDER}/config.yaml"));
    fails(&hub, ModelErrorKind::NotFound, &[&format!("has no folder {FOLDER}")]);

    let folder = tempfile::tempdir().unwrap();
    let options = hub.options(0).with_revision("v9").unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let error = orfeas_models::pull(&store, &source(), &Origin::Hub(options), &mut ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("{REPO}@v9")), "{error}");
}

#[test]
fn a_file_that_is_described_and_not_there() {
    let hub = Hub::start(SIZE);
    hub.fault(&stored(&safetensors(SIZE)), Fault::Status(404, ""));
    fails(&hub, ModelErrorKind::NotFound, &[WEIGHTS, "does not have it", "404"]);
}

#[test]
fn a_gated_repository_and_a_refused_token() {
    let hub = Hub::start(SIZE);
    hub.fault("blobs=true", Fault::Status(403, "GatedRepo"));
    fails(&hub, ModelErrorKind::Refused, &["HF_TOKEN"]);
    hub.fault("blobs=true", Fault::Status(401, ""));
    fails(&hub, ModelErrorKind::Refused, &["refuses the token"]);
}

#[test]
fn a_hub_in_trouble_and_one_that_is_not_there() {
    let hub = Hub::start(SIZE);
    for status in [429, 500, 503] {
        hub.fault("blobs=true", Fault::Status(status, ""));
        assert!(fails(&hub, ModelErrorKind::Unreachable, &[&status.to_string()]).transient());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut options = hub.options(0);
    // Nobody listens on port 1.
    options.endpoint = orfeas_models::Endpoint::new("http://127.0.0.1:1").unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let error = orfeas_models::pull(&store, &source(), &Origin::Hub(options), &mut ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unreachable);
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[test]
fn a_server_that_lies_about_the_size() {
    let hub = Hub::start(SIZE);
    let size = safetensors(SIZE).len();
    let end = stored(&safetensors(SIZE));
    for length in [size - 1, size + 1, 2 * size] {
        hub.fault(&end, Fault::Length(length));
        fails(&hub, ModelErrorKind::Protocol, &[WEIGHTS, &size.to_string(), &length.to_string()]);
    }
    // Without saying a length at all.
    hub.fault(&end, Fault::Unsized(size + 1));
    fails(&hub, ModelErrorKind::Protocol, &[WEIGHTS, "more than"]);
    hub.fault(&end, Fault::Unsized(size - 1));
    fails(&hub, ModelErrorKind::Unreachable, &[WEIGHTS, "broke off"]);
    // A length may be left out: the digest decides.
    hub.fault(&end, Fault::Unsized(size));
    let folder = tempfile::tempdir().unwrap();
    assert!(hub.pull(&Store::new(folder.path().to_path_buf())).unwrap().changed);
}

#[test]
fn sizes_beyond_any_model() {
    let hub = Hub::start(SIZE);
    hub.edit(&weights(), |file| file.size = Some(1 << 50));
    fails(&hub, ModelErrorKind::Protocol, &[WEIGHTS, &(1u64 << 50).to_string()]);
    hub.edit(&weights(), |file| file.size = None);
    hub.edit(&format!("{FOLDER}/config.yaml"), |file| file.size = Some(1 << 21));
    fails(&hub, ModelErrorKind::Protocol, &["config.yaml"]);
    hub.edit(&format!("{FOLDER}/config.yaml"), |file| file.size = Some(0));
    fails(&hub, ModelErrorKind::Protocol, &["config.yaml"]);
}

#[test]
fn another_part_than_was_asked_for() {
    let bytes = safetensors(SIZE);
    let end = stored(&bytes);
    for fault in [Fault::OtherRange, Fault::UnsaidRange, Fault::Status(416, "")] {
        let hub = Hub::start(SIZE);
        hub.fault(&end, Fault::Cut(100_000));
        hub.fault(&end, fault);
        let folder = tempfile::tempdir().unwrap();
        let outcome = hub.pull_with(&Store::new(folder.path().into()), 1, &mut Watcher::default()).unwrap();
        assert_eq!(std::fs::read(outcome.folder.join(WEIGHTS)).unwrap(), bytes);
        let ranges: Vec<_> = hub.seen(&end).into_iter().map(|seen| seen.range).collect();
        assert_eq!(ranges, [None, Some("bytes=100000-".to_owned()), None], "the whole file is asked for once more");
    }
}

#[test]
fn a_badly_answered_range_costs_nothing_until_the_whole_file_comes() {
    let hub = Hub::start(SIZE);
    let end = stored(&safetensors(SIZE));
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().into());
    hub.fault(&end, Fault::Cut(100_000));
    assert_eq!(hub.pull(&store).unwrap_err().kind(), ModelErrorKind::Unreachable);
    hub.fault(&end, Fault::OtherRange);
    hub.fault(&end, Fault::Status(503, ""));
    assert_eq!(hub.pull(&store).unwrap_err().kind(), ModelErrorKind::Unreachable);
    // A part of what was asked for whole: there is nothing left to ask.
    hub.fault(&end, Fault::UnsaidRange);
    hub.fault(&end, Fault::UnsaidRange);
    let error = hub.pull(&store).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Protocol);
    assert!(error.to_string().contains("HTTP 206"), "{error}");
    hub.forget();
    hub.pull(&store).unwrap();
    let ranges: Vec<_> = hub.seen(&end).into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [Some("bytes=100000-".to_owned())]);
}

#[test]
fn tries_that_get_no_further_come_to_an_end() {
    let hub = Hub::start(3 << 20);
    let end = stored(&safetensors(3 << 20));
    hub.fault(&end, Fault::Cut(1_500_000));
    // No range is understood, and now more comes, now less.
    for _ in 0..4 {
        for cut in [2_700_000, 1_500_000] {
            hub.fault(&end, Fault::Status(416, ""));
            hub.fault(&end, Fault::Cut(cut));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::default();
    let error = hub.pull_with(&Store::new(folder.path().into()), 2, &mut watcher).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unreachable);
    assert_eq!(watcher.retries, 3, "one after each of the two tries that got further, and one more");
}

#[test]
fn redirects_that_lead_nowhere() {
    let hub = Hub::start(SIZE);
    for _ in 0..6 {
        hub.fault(WEIGHTS, Fault::Redirect(format!("/round/{WEIGHTS}")));
    }
    fails(&hub, ModelErrorKind::Protocol, &[WEIGHTS, "from redirect to redirect"]);
    for bad in ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://"] {
        hub.fault(WEIGHTS, Fault::Redirect(bad.into()));
        fails(&hub, ModelErrorKind::Protocol, &["redirects to nowhere"]);
    }
}

#[test]
fn a_server_that_falls_silent() {
    let hub = Hub::start(SIZE);
    hub.fault(&stored(&safetensors(SIZE)), Fault::Silence);
    let mut options = hub.options(0);
    // Long enough for all that is answered before, also on a busy machine.
    options.silence = Duration::from_secs(3);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_path_buf());
    let origin = Origin::Hub(options);
    let error = orfeas_models::pull(&store, &source(), &origin, &mut Watcher::default()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unreachable);
    assert!(error.to_string().contains(WEIGHTS), "{error}");
}

#[test]
fn a_description_that_makes_no_sense() {
    let hub = Hub::start(SIZE);
    for bad in ["", "<html>", "{}", r#"{"sha":"main","siblings":[]}"#, r#"{"sha":"../../x","siblings":[]}"#] {
        hub.describe(bad.as_bytes());
        fails(&hub, ModelErrorKind::Protocol, &[REPO]);
    }
    hub.describe(&vec![b' '; (8 << 20) + 1]);
    fails(&hub, ModelErrorKind::Protocol, &["more than 8388608 bytes"]);
    hub.fault("blobs=true", Fault::Cut(10));
    fails(&hub, ModelErrorKind::Unreachable, &[REPO]);
}

#[test]
fn digests_that_nobody_gives() {
    let hub = Hub::start(SIZE);
    hub.without_blobs();
    hub.fault("config.yaml", Fault::Status(200, ""));
    fails(&hub, ModelErrorKind::Protocol, &["config.yaml", "could not be verified"]);
}

#[test]
fn weights_that_are_right_and_no_safetensors_file() {
    let hub = Hub::start(SIZE);
    let mut bytes = safetensors(SIZE);
    bytes.pop();
    hub.put(&weights(), &bytes, true);
    fails(&hub, ModelErrorKind::Damaged, &[WEIGHTS, "follow the header"]);
}
