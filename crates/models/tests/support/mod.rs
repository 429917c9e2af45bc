//! A hub on loopback that speaks the API, the addresses and the redirects of the real one, and misbehaves when told to.
#![allow(dead_code, reason = "each test program uses its part of it")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orfeas_models::{Endpoint, Event, HubOptions, LicenceText, Observer, Origin, Outcome, Retry, Source, Store, Token};
use sha1::Digest as _;

pub const REPO: &str = "tencent/Hunyuan3D-2";
pub const FOLDER: &str = "hunyuan3d-dit-v2-0";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const WEIGHTS: &str = "model.fp16.safetensors";

/// How a request is answered, once, instead of properly.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The right headers, so many bytes, and the end of the connection.
    Cut(usize),
    /// The right headers, and silence until the client goes away.
    Silence,
    /// Another Content-Length, and bytes for it.
    Length(usize),
    /// No Content-Length and so many bytes.
    Unsized(usize),
    /// All of it, whatever range was asked for.
    NoRanges,
    /// Part of it from another byte on.
    OtherRange,
    /// Part of it, and not which.
    UnsaidRange,
    /// A status, and what the hub calls it.
    Status(u16, &'static str),
    /// A redirect.
    Redirect(String),
}

/// A file on the hub.
#[derive(Clone)]
pub struct Stored {
    pub bytes: Vec<u8>,
    pub lfs: bool,
    /// What the description says, where it is not the truth.
    pub size: Option<u64>,
    /// What comes over the wire, where it is not the truth.
    pub served: Option<Vec<u8>>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
    /// Bytes of the body that went out.
    pub sent: usize,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Stored>,
    faults: HashMap<String, VecDeque<Fault>>,
    seen: Vec<Seen>,
    commit: String,
    description: Option<Vec<u8>>,
    /// Whether the description names sizes and digests.
    blobs: bool,
}

/// The hub, and beside it the store of large files under another address, as the real one has it.
pub struct Hub {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    prefix: String,
}

impl Hub {
    /// A hub with a checkpoint of `weights` bytes of weights.
    pub fn start(weights: usize) -> Self {
        Self::start_under("", weights)
    }

    /// The same, with all addresses below a prefix.
    pub fn start_under(prefix: &str, weights: usize) -> Self {
        let state = State { commit: COMMIT.into(), blobs: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let store = serve(state.clone(), String::new(), None);
        let address = serve(state.clone(), prefix.into(), Some(store));
        let hub = Self { state, address, prefix: prefix.into() };
        hub.put(&format!("{FOLDER}/config.yaml"), b"model:\n  target: hy3dgen.shapegen.models.Hunyuan3DDiT\n", false);
        hub.put(&format!("{FOLDER}/{WEIGHTS}"), &safetensors(weights), true);
        hub.put(&format!("{FOLDER}/model.fp16.ckpt"), b"a pickle", true);
        hub.put("LICENSE", b"Community License\x1b[31m\nBe good.\n", false);
        hub.put("README.md", b"read me", false);
        hub
    }

    pub fn put(&self, path: &str, bytes: &[u8], lfs: bool) {
        let stored = Stored { bytes: bytes.into(), lfs, size: None, served: None };
        self.state.lock().unwrap().files.insert(path.into(), stored);
    }

    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Stored)) {
        edit(self.state.lock().unwrap().files.get_mut(path).unwrap());
    }

    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path).unwrap();
    }

    /// The next request whose path ends so is answered like this; faults for one end wait in line.
    pub fn fault(&self, end: &str, fault: Fault) {
        self.state.lock().unwrap().faults.entry(end.into()).or_default().push_back(fault);
    }

    pub fn commit(&self, commit: &str) {
        self.state.lock().unwrap().commit = commit.into();
    }

    pub fn describe(&self, description: &[u8]) {
        self.state.lock().unwrap().description = Some(description.into());
    }

    pub fn without_blobs(&self) {
        self.state.lock().unwrap().blobs = false;
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}{}", self.address, self.prefix)
    }

    /// Requests that carried a part of a file's body, or were to.
    pub fn seen(&self, end: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| seen.path.ends_with(end)).cloned().collect()
    }

    pub fn forget(&self) {
        self.state.lock().unwrap().seen.clear();
    }

    /// How it is asked in tests: no pauses, and no second try unless the test wants one.
    pub fn options(&self, tries: u32) -> HubOptions {
        let token = Token::new("hf_secret").unwrap();
        let mut options = HubOptions::new(Endpoint::new(&self.endpoint()).unwrap(), token).unwrap();
        options.retry = Retry { tries, pause: Duration::ZERO };
        options
    }

    pub fn pull(&self, store: &Store) -> Result<Outcome, orfeas_models::ModelError> {
        self.pull_with(store, 0, &mut Watcher::default())
    }

    pub fn pull_with(
        &self,
        store: &Store,
        tries: u32,
        watcher: &mut Watcher,
    ) -> Result<Outcome, orfeas_models::ModelError> {
        orfeas_models::pull(store, &source(), &Origin::Hub(self.options(tries)), watcher)
    }
}

pub fn source() -> Source {
    "hunyuan3d-2".parse().unwrap()
}

/// The store's address of a file: `/store/<digest>`.
pub fn stored(bytes: &[u8]) -> String {
    format!("/store/{}", sha256(bytes))
}

/// A safetensors file of one float16 tensor of `size` bytes.
pub fn safetensors(size: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"F16","shape":[{}],"data_offsets":[0,{size}]}}}}"#, size / 2);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..size).map(|i| (i * 31 % 251) as u8));
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

fn git(bytes: &[u8]) -> String {
    let mut hash = sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Accepts the licence, and writes down what it hears.
pub struct Watcher {
    pub accept: bool,
    pub asked: Vec<LicenceText>,
    pub retries: usize,
    pub fetched: u64,
}

impl Default for Watcher {
    fn default() -> Self {
        Self { accept: true, asked: Vec::new(), retries: 0, fetched: 0 }
    }
}

impl Observer for Watcher {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Retry { .. } => self.retries += 1,
            Event::Advance(count) => self.fetched += count,
            _ => {}
        }
    }

    fn accepts(&mut self, licence: &LicenceText) -> bool {
        self.asked.push(licence.clone());
        self.accept
    }
}

/// Every file below a folder that is not hidden, with its path from there.
pub fn visible(root: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    if root.is_dir() {
        walk(root, root, &mut found);
    }
    found.sort();
    found
}

/// Answers requests until the test ends; `store` is where large files are redirected to.
fn serve(state: Arc<Mutex<State>>, prefix: String, store: Option<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (state, prefix) = (state.clone(), prefix.clone());
            // A client that goes away in the middle ends its thread only.
            std::thread::spawn(move || drop(answer(&stream, &state, &prefix, store)));
        }
    });
    address
}

struct Request {
    seen: Seen,
    from: usize,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut seen = Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        range: None,
        authorization: None,
        sent: 0,
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => seen.range = Some(value.trim().into()),
            "authorization" => seen.authorization = Some(value.trim().into()),
            _ => {}
        }
    }
    let from = seen.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    Ok(Request { seen, from: from.unwrap_or(0) })
}

fn answer(stream: &TcpStream, state: &Mutex<State>, prefix: &str, store: Option<SocketAddr>) -> std::io::Result<()> {
    let Request { mut seen, from } = read(stream)?;
    let path = seen.path.strip_prefix(prefix).unwrap_or("").to_owned();
    let (fault, reply) = {
        let mut state = state.lock().unwrap();
        let fault = state.faults.iter_mut().find(|(end, _)| path.ends_with(end.as_str()));
        let fault = fault.and_then(|(_, faults)| faults.pop_front());
        (fault, reply(&state, &path, store))
    };
    let log = |seen: Seen| state.lock().unwrap().seen.push(seen);
    let mut out = stream;
    let (status, headers, body) = match (&fault, reply) {
        (Some(Fault::Status(status, code)), _) => (*status, format!("x-error-code: {code}\r\n"), Vec::new()),
        (Some(Fault::Redirect(to)), _) => (302, format!("location: {to}\r\n"), Vec::new()),
        (_, reply) => reply,
    };
    let all = body.len();
    let (status, range, from) = match &fault {
        Some(Fault::NoRanges) => (status, String::new(), 0),
        Some(Fault::OtherRange) => (206, format!("content-range: bytes 0-{}/{all}\r\n", all - 1), from),
        Some(Fault::UnsaidRange) => (206, String::new(), from),
        _ if status == 200 && from > 0 => (206, format!("content-range: bytes {from}-{}/{all}\r\n", all - 1), from),
        _ => (status, String::new(), 0),
    };
    let mut rest = body.get(from..).unwrap_or_default().to_vec();
    let length = match fault {
        Some(Fault::Length(length)) => {
            rest.resize(length, 7);
            format!("content-length: {length}\r\n")
        }
        Some(Fault::Unsized(length)) => {
            rest.resize(length, 7);
            String::new()
        }
        _ => format!("content-length: {}\r\n", rest.len()),
    };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}{range}{length}connection: close\r\n\r\n");
    match fault {
        Some(Fault::Cut(at)) => rest.truncate(at),
        Some(Fault::Silence) => rest.clear(),
        _ if seen.method == "HEAD" => rest.clear(),
        _ => {}
    }
    seen.sent = rest.len();
    // Written down before the client can know of the end.
    log(seen);
    out.write_all(head.as_bytes())?;
    out.write_all(&rest)?;
    out.flush()?;
    if matches!(fault, Some(Fault::Silence)) {
        let _ = out.read(&mut [0; 1])?;
    }
    out.shutdown(std::net::Shutdown::Write)
}

type Reply = (u16, String, Vec<u8>);

/// The proper answer.
fn reply(state: &State, path: &str, store: Option<SocketAddr>) -> Reply {
    let missing = |code: &str| (404, format!("x-error-code: {code}\r\n"), Vec::new());
    let Some(store) = store else {
        // The store of large files.
        let file = state.files.values().find(|file| stored(&file.bytes) == path);
        return file.map_or_else(
            || missing("EntryNotFound"),
            |file| (200, String::new(), file.served.clone().unwrap_or_else(|| file.bytes.clone())),
        );
    };
    let repo = format!("/{REPO}/resolve/");
    if path == format!("/api/models/{REPO}/revision/main?blobs=true") {
        let description = state.description.clone().unwrap_or_else(|| describe(state));
        return (200, "content-type: application/json\r\n".into(), description);
    }
    if path.starts_with("/api/models/") {
        return missing(if path.contains(REPO) { "RevisionNotFound" } else { "RepoNotFound" });
    }
    let Some((commit, name)) = path.strip_prefix(&repo).and_then(|rest| rest.split_once('/')) else {
        return missing("RepoNotFound");
    };
    let Some(file) = state.files.get(name).filter(|_| commit == state.commit) else {
        return missing("EntryNotFound");
    };
    if file.lfs {
        let (digest, size) = (sha256(&file.bytes), file.bytes.len());
        let to = format!("location: http://{store}/store/{digest}\r\n");
        return (302, format!("x-linked-etag: \"{digest}\"\r\nx-linked-size: {size}\r\n{to}"), Vec::new());
    }
    let etag = format!("etag: \"{}\"\r\n", git(&file.bytes));
    (200, etag, file.served.clone().unwrap_or_else(|| file.bytes.clone()))
}

fn describe(state: &State) -> Vec<u8> {
    let siblings: Vec<serde_json::Value> = state
        .files
        .iter()
        .map(|(name, file)| {
            let size = file.size.unwrap_or(file.bytes.len() as u64);
            let mut sibling = serde_json::json!({ "rfilename": name });
            if state.blobs {
                sibling["size"] = size.into();
                sibling["blobId"] = git(&file.bytes).into();
                if file.lfs {
                    sibling["lfs"] = serde_json::json!({ "sha256": sha256(&file.bytes), "size": size });
                }
            }
            sibling
        })
        .collect();
    serde_json::json!({ "id": REPO, "sha": state.commit, "siblings": siblings }).to_string().into_bytes()
}
