//! Damaged checkpoints and configurations: each is an error of the right kind that names the culprit, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests fail as tests do.

mod config;
mod requests;
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use orfeas_hunyuan3d::{DeviceName, ModelError, ModelErrorKind, open};
use serde_json::{Map, Value};

fn parity(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(case)
}

/// The error of something that must neither succeed nor panic.
fn error_of<T>(what: &str, run: impl FnOnce() -> Result<T, ModelError>) -> ModelError {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => panic!("{what}: was accepted"),
        Err(_) => panic!("{what}: panicked"),
    }
}

/// Checks the error's kind, that it is one sentence, and that it holds every one of `parts`.
fn assert_says(what: &str, error: &ModelError, kind: ModelErrorKind, parts: &[&str]) {
    let sentence = error.to_string();
    assert_eq!(error.kind(), kind, "{what}: {sentence}");
    assert!(!sentence.contains('\n') && sentence.len() < 4200, "{what}: {sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{what}: {part:?} is not named: {sentence}");
    }
}

fn load(folder: &Path) -> Result<(), ModelError> {
    open(folder, None, DeviceName::Cpu, None, &mut |_, _| {}).map(|_| ())
}

/// Loading a folder must fail.
fn refused(what: &str, folder: &Path, kind: ModelErrorKind, parts: &[&str]) {
    assert_says(what, &error_of(what, || load(folder)), kind, parts);
}

/// A safetensors file taken apart.
#[derive(Clone)]
struct Taken {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Taken {
    fn base() -> Self {
        let bytes = std::fs::read(parity("base").join("model.safetensors")).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { header, data: bytes[8 + length..].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &self.data].concat()
    }

    fn offsets(&self, name: &str) -> [usize; 2] {
        serde_json::from_value(self.header[name]["data_offsets"].clone()).unwrap()
    }

    /// Names in the order of their bytes.
    fn names(&self) -> Vec<String> {
        let names = self.header.keys().filter(|name| *name != "__metadata__");
        let mut names: Vec<_> = names.cloned().collect();
        names.sort_by_key(|name| self.offsets(name));
        names
    }

    /// Adds a tensor behind the others.
    fn push(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) {
        let begin = self.data.len();
        self.data.extend_from_slice(bytes);
        let offsets = [begin, self.data.len()];
        let info = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        self.header.insert(name.to_owned(), info);
    }

    /// Takes a tensor out, bytes and all.
    fn remove(&mut self, name: &str) {
        let [begin, end] = self.offsets(name);
        self.header.remove(name);
        self.data.drain(begin..end);
        for info in self.header.values_mut().filter(|info| info.get("data_offsets").is_some()) {
            for offset in info["data_offsets"].as_array_mut().unwrap() {
                let value = offset.as_u64().unwrap();
                if value >= end as u64 {
                    *offset = (value - (end - begin) as u64).into();
                }
            }
        }
    }
}

/// A folder with the base case's configuration and this file of weights.
fn folder_with(weights: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(parity("base").join("config.yaml"), folder.path().join("config.yaml")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}
