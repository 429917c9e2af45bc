//! Compiled kernels kept on disk, so that only a machine's first start compiles.
//!
//! CubeCL can keep what NVRTC makes in a file, but processes that share one wait for each other's lock, also for one that was
//! killed, and a flipped bit in it goes unnoticed until the driver refuses it. So each process gets a folder of its own,
//! filled from a store whose checksum is verified, and gives back what it compiled by an atomic rename.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, OnceLock};
use std::time::SystemTime;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use sha2::{Digest, Sha256};

use crate::kernels::programs::SOURCES;

/// Where CubeCL 0.10 keeps compiled kernels below its root: CBOR items one after another, each a kernel's key and code. What is
/// in this file is found without the list of contents beside it.
const WITHIN: &str = "cuda/0.10.0/ptx/chunk0.cbor";
/// Burn's version is part of what a kept kernel depends on.
const BURN: &str = "burn-0.21.0";

/// A file in a process's own folder that is locked while the process runs.
const LOCK: &str = "lock";

struct Kept {
    store: PathBuf,
    own: PathBuf,
    /// Held for as long as the process runs.
    _lock: File,
}

static KEPT: OnceLock<Kept> = OnceLock::new();
/// Bytes of the own file that the store has.
static STORED: Mutex<u64> = Mutex::new(0);

/// The folder: `HUNYUAN3D_KERNEL_CACHE`, else below the user's cache folder; `off`: none is kept.
fn root() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HUNYUAN3D_KERNEL_CACHE").filter(|folder| !folder.is_empty()) {
        return (folder != "off").then(|| folder.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(cache.join("orfeas/kernels"))
}

/// What compiled kernels depend on, as a folder's name.
fn version(device: usize) -> Option<String> {
    let (major, minor) = cudarc::driver::CudaContext::new(device).ok()?.compute_capability().ok()?;
    let mut nvrtc = (0, 0);
    // SAFETY: the call writes the two numbers that it is given addresses of, and nothing else.
    #[allow(unsafe_code)]
    let result = unsafe { cudarc::nvrtc::sys::nvrtcVersion(&mut nvrtc.0, &mut nvrtc.1) };
    result.result().ok()?;
    let own = env!("CARGO_PKG_VERSION");
    Some(format!("{own}-{:016x}-{BURN}-nvrtc{}.{}-sm{major}{minor}", *SOURCES, nvrtc.0, nvrtc.1))
}

/// Has kernels that are compiled from now on kept, and those of earlier starts found. Must come before the device is used.
pub fn keep_compiled(device: usize) {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let Some(folder) = root().zip(version(device)).map(|(root, version)| root.join(version)) else { return };
        let (own, lock) = match prepare(&folder) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled kernels cannot be kept");
                return;
            }
        };
        let configured = std::panic::catch_unwind(|| {
            let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
            config.compilation.cache = Some(CacheConfig::File(own.clone()));
            CubeClRuntimeConfig::set(config);
        });
        if configured.is_ok() {
            let _ = KEPT.set(Kept { store: folder.join("store"), own, _lock: lock });
        }
    });
}

/// Makes a folder for this process alone, with what the store has. It is held by the lock that comes with it: process ids tell
/// nothing where containers share the folder, since each counts its own.
fn prepare(folder: &Path) -> std::io::Result<(PathBuf, File)> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)?.flatten() {
        let of_process = entry.file_name().to_str().is_some_and(|name| name.starts_with("process-"));
        if of_process && !held(&entry.path().join(LOCK)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!("process-{}-{}", std::process::id(), since.as_nanos());
    // Locked before it has the name by which others look for folders that nobody holds.
    let fresh = folder.join(format!("new-{name}"));
    std::fs::create_dir(&fresh)?;
    let lock = File::create(fresh.join(LOCK))?;
    lock.lock()?;
    let own = folder.join(name);
    std::fs::rename(fresh, &own)?;
    let file = own.join(WITHIN);
    std::fs::create_dir_all(file.parent().unwrap_or(&own))?;
    if let Some(bytes) = verified(&folder.join("store")) {
        *STORED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bytes.len() as u64;
        std::fs::write(file, bytes)?;
    }
    Ok((own, lock))
}

/// Whether a process that runs holds this lock.
fn held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| lock.try_lock().is_err())
}

/// What the store holds, if it is whole: a checksum in front, then CubeCL's items.
fn verified(store: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(store).ok()?;
    if bytes.len() < 32 {
        return None;
    }
    let content = bytes.split_off(32);
    let whole = Sha256::digest(&content)[..] == bytes[..];
    if !whole {
        tracing::warn!(store = %store.display(), "kept kernels are damaged; they are compiled again");
    }
    whole.then_some(content)
}

/// Gives the store what was compiled since the last time.
pub fn store_compiled() {
    let Some(kept) = KEPT.get() else { return };
    let mut stored = STORED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = kept.own.join(WITHIN);
    let length = std::fs::metadata(&file).map_or(0, |data| data.len());
    if length <= *stored {
        return;
    }
    let outcome = std::fs::read(&file).and_then(|content| write(&kept.store, &kept.own, &content));
    match outcome {
        Ok(()) => *stored = length,
        Err(error) => tracing::warn!(store = %kept.store.display(), %error, "compiled kernels were not kept"),
    }
}

/// The whole items of a file; a last one that is being written is left out.
fn items(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut items = Vec::new();
    while !rest.is_empty() {
        let from = rest;
        if ciborium::de::from_reader::<serde::de::IgnoredAny, _>(&mut rest).is_err() {
            break;
        }
        items.push(&from[..from.len() - rest.len()]);
    }
    items
}

/// Adds items to the store, beside those that another process gave it meanwhile.
fn write(store: &Path, own: &Path, content: &[u8]) -> std::io::Result<()> {
    let earlier = verified(store).unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::with_capacity(content.len());
    for item in items(&earlier).into_iter().chain(items(content)) {
        if seen.insert(item) {
            all.extend_from_slice(item);
        }
    }
    let fresh = own.join("store");
    let mut bytes = Sha256::digest(&all).to_vec();
    bytes.append(&mut all);
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(fresh, store)
}

#[cfg(test)]
mod tests {
    use cubecl::cache::CacheOption;
    use cubecl::compilation_cache::CompilationCache;

    use super::*;

    /// CBOR's texts, an item each.
    fn texts(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| ciborium::ser::into_writer(text, &mut bytes).unwrap());
        bytes
    }

    /// What CubeCL opens below its root, as its CUDA backend does.
    fn of_cubecl(root: &Path) -> CompilationCache<String, Vec<i8>> {
        CompilationCache::new("ptx", CacheOption::default().name("cuda").root(root))
    }

    #[test]
    fn what_cubecl_compiled_in_one_process_it_finds_in_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _first_lock) = prepare(folder.path()).unwrap();
        of_cubecl(&first).insert("attention".to_owned(), vec![0, 65, -128, 127]).unwrap();
        let content = std::fs::read(first.join(WITHIN)).unwrap();
        super::write(&folder.path().join("store"), &first, &content).unwrap();
        let (second, _second_lock) = prepare(folder.path()).unwrap();
        let cache = of_cubecl(&second);
        assert_eq!(cache.get(&"attention".to_owned()), Some(&vec![0, 65, -128, 127]));
        assert_eq!(cache.get(&"product".to_owned()), None);
    }

    #[test]
    fn a_store_grows_by_what_is_new_and_a_damaged_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let own = tempfile::tempdir_in(folder.path()).unwrap();
        let store = folder.path().join("store");
        let write = |store: &Path, content: &[u8]| super::write(store, own.path(), content);
        assert!(verified(&store).is_none());
        write(&store, &texts(&["one", "two"])).unwrap();
        // Another process, that began before; its last item is being written.
        let three = texts(&["one", "three", "half"]);
        write(&store, &three[..three.len() - 2]).unwrap();
        assert_eq!(verified(&store).unwrap(), texts(&["one", "two", "three"]));
        let mut bytes = std::fs::read(&store).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        bytes[36] ^= 1;
        std::fs::write(&store, bytes).unwrap();
        assert!(verified(&store).is_none());
        std::fs::write(&store, b"short").unwrap();
        assert!(verified(&store).is_none());
        write(&store, &texts(&["four"])).unwrap();
        assert_eq!(verified(&store).unwrap(), texts(&["four"]));
        // No temporary file is left.
        assert_eq!(std::fs::read_dir(own.path()).unwrap().count(), 0);
    }

    #[test]
    fn containers_that_share_the_folder_leave_each_other_alone() {
        // As in containers, both have the same process id.
        let folder = tempfile::tempdir().unwrap();
        let (first, first_lock) = prepare(folder.path()).unwrap();
        let (second, _second_lock) = prepare(folder.path()).unwrap();
        assert_ne!(first, second);
        assert!(first.join(WITHIN).parent().unwrap().is_dir() && second.is_dir());
        // What a process left that was killed goes with the next start.
        drop(first_lock);
        let (third, _third_lock) = prepare(folder.path()).unwrap();
        assert!(!first.exists() && second.is_dir() && third.is_dir());
    }
}
