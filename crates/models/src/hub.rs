//! What the hub says about a repository: its commit, and each file's size and digest.
//!
//! Layout and addresses are hf-hub's. Its own transfer is not used: it follows any redirect, waits for ever, panics on some
//! answers, and compares no digest.

use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use url::Url;

use crate::endpoint::HubOptions;
use crate::error::{ModelError, ModelErrorKind};
use crate::files;
use crate::hash::Digest;
use crate::http::{Ask, Follow, Http, protocol, text};

/// The most bytes of the hub's description of a repository.
const DESCRIPTION: u64 = 8 << 20;

/// A repository at one commit.
pub(crate) struct Snapshot<'a> {
    http: &'a Http,
    repo: ApiRepo,
    name: String,
    pub(crate) commit: String,
    siblings: Vec<Sibling>,
}

/// A file on the hub.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) url: Url,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

#[derive(Deserialize)]
struct Description {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

impl<'a> Snapshot<'a> {
    /// Asks the hub for a repository's commit and files.
    pub(crate) fn ask(http: &'a Http, repo: &str) -> Result<Self, ModelError> {
        let options = http.options();
        let described = api(options, repo, &options.revision)?;
        let request = described.info_request();
        let address = request.uri_ref().map(ToString::to_string).unwrap_or_default();
        let mut url = url(&address)?;
        url.set_query(Some("blobs=true"));
        let what = if options.revision == "main" { repo.to_owned() } else { format!("{repo}@{}", options.revision) };
        let ask = Ask { what: &what, url, head: false, from: None, most: DESCRIPTION, follow: Follow::Everywhere };
        let bytes = http.body(&ask)?;
        let description: Description = serde_json::from_slice(&bytes).map_err(|error| {
            let sentence = format!("{what}: what {} says cannot be understood", options.endpoint);
            ModelError::caused(ModelErrorKind::Protocol, sentence, error)
        })?;
        if !matches!(Digest::of_hex(&description.sha), Some(Digest::GitBlob(_))) {
            return Err(protocol(format!("{what}: {} names no commit", options.endpoint)));
        }
        // From here on the commit is asked for, so that all files are of one moment.
        let commit = description.sha.to_ascii_lowercase();
        let repo_at = api(options, repo, &commit)?;
        Ok(Self { http, repo: repo_at, name: repo.into(), commit, siblings: description.siblings })
    }

    /// Whether a folder of the repository has a file that ends so.
    pub(crate) fn any(&self, folder: &str, suffix: &str) -> bool {
        let inside = |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.siblings.iter().any(|sibling| inside(&sibling.rfilename) && sibling.rfilename.ends_with(suffix))
    }

    /// A file's address, size and digest; `None` where the repository does not have it.
    pub(crate) fn file(&self, path: &str) -> Result<Option<Remote>, ModelError> {
        let Some(sibling) = self.siblings.iter().find(|sibling| sibling.rfilename == path) else {
            return Ok(None);
        };
        let url = url(&self.repo.url(path))?;
        let said = match &sibling.lfs {
            Some(lfs) => (lfs.sha256.as_deref(), lfs.size.or(sibling.size)),
            None => (sibling.blob_id.as_deref(), sibling.size),
        };
        let remote = match (said.0.and_then(Digest::of_hex), said.1) {
            (Some(digest), Some(size)) => Remote { url, size, digest },
            _ => self.headers(path, url)?,
        };
        files::limit(path.rsplit('/').next().unwrap_or(path), remote.size)?;
        Ok(Some(remote))
    }

    /// The same from the headers of the file itself, for mirrors whose description leaves size and digest out.
    fn headers(&self, path: &str, url: Url) -> Result<Remote, ModelError> {
        let what = format!("{}/{path}", self.name);
        let ask = Ask { what: &what, url: url.clone(), head: true, from: None, most: 0, follow: Follow::OnTheHub };
        let response = self.http.send(&ask)?;
        let headers = response.headers();
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag")).unwrap_or_default();
        let digest = Digest::of_hex(etag.trim_start_matches("W/").trim_matches('"'));
        let length = || text(headers, "content-length").filter(|_| response.status().is_success());
        let size = text(headers, "x-linked-size").or_else(length).and_then(|size| size.parse().ok());
        match (digest, size) {
            (Some(digest), Some(size)) => Ok(Remote { url, size, digest }),
            _ => {
                let endpoint = &self.http.options().endpoint;
                Err(protocol(format!("{what}: {endpoint} gives no digest and size, so it could not be verified")))
            }
        }
    }
}

/// A repository at a revision, as hf-hub addresses it.
fn api(options: &HubOptions, repo: &str, revision: &str) -> Result<ApiRepo, ModelError> {
    // The cache is never touched; the default one would look for a home folder and a token.
    let api = ApiBuilder::from_cache(Cache::new("orfeas-no-cache/hub".into()))
        .with_token(None)
        .with_progress(false)
        .with_endpoint(options.endpoint.to_string())
        .build()
        .map_err(|error| ModelError::caused(ModelErrorKind::Usage, "the hub cannot be addressed", error))?;
    Ok(api.repo(Repo::with_revision(repo.into(), RepoType::Model, revision.into())))
}

fn url(text: &str) -> Result<Url, ModelError> {
    Url::parse(text).map_err(|error| ModelError::caused(ModelErrorKind::Usage, "the hub cannot be addressed", error))
}
