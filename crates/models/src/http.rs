//! The one HTTP client: every redirect, wait and size is bounded, and the token goes to the hub itself only.

use std::io::{self, Read as _};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use url::Url;

use crate::endpoint::HubOptions;
use crate::error::{ModelError, ModelErrorKind};
use crate::manifest::read_limited;

/// The most redirects of one request. The hub needs two: to the canonical name, and to the store of large files.
const REDIRECTS: usize = 5;

/// The client of one pull.
pub(crate) struct Http {
    agent: Agent,
    options: HubOptions,
}

/// How far redirects are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Wherever they lead.
    Everywhere,
    /// As long as they stay on the hub, whose own headers are wanted.
    OnTheHub,
}

/// A request.
pub(crate) struct Ask<'a> {
    /// What it is for, for sentences.
    pub(crate) what: &'a str,
    pub(crate) url: Url,
    /// Only the headers.
    pub(crate) head: bool,
    /// The first byte wanted, where it is not the file's first.
    pub(crate) from: Option<u64>,
    /// The bytes that may come at most, from which the longest time follows.
    pub(crate) most: u64,
    pub(crate) follow: Follow,
}

impl Http {
    pub(crate) fn new(options: HubOptions) -> Result<Self, ModelError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("orfeas/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(options.silence))
            .timeout_connect(Some(options.silence))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .timeout_per_write(Some(options.silence));
        if let Some(roots) = own_roots()? {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: config.build().into(), options })
    }

    pub(crate) fn options(&self) -> &HubOptions {
        &self.options
    }

    /// Sends a request and follows redirects; the answer's status is a good one, or a redirect off the hub where those are not
    /// followed.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Response<Body>, ModelError> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.once(ask, &url).map_err(|error| unreachable(ask.what, &url, error))?;
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                if status.is_success() {
                    return Ok(response);
                }
                return Err(self.refusal(ask.what, &url, status, response.headers()));
            }
            let next = redirect(ask.what, &url, text(response.headers(), "location"))?;
            if ask.follow == Follow::OnTheHub && !self.options.endpoint.serves(&next) {
                return Ok(response);
            }
            url = next;
        }
        Err(protocol(format!("{}: {} leads from redirect to redirect", ask.what, host(&ask.url))))
    }

    fn once(&self, ask: &Ask<'_>, url: &Url) -> Result<Response<Body>, ureq::Error> {
        let mut request = if ask.head { self.agent.head(url.as_str()) } else { self.agent.get(url.as_str()) };
        if let Some(from) = ask.from {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(token) = self.options.token.as_ref().filter(|_| self.options.endpoint.serves(url)) {
            request = request.header("authorization", token.bearer());
        }
        // Slower than 4 KiB a second on the whole is no transfer.
        let longest = Duration::from_secs(600 + ask.most / 4096);
        request.config().timeout_recv_body(Some(longest)).build().call()
    }

    /// The whole body as text, at most `ask.most` bytes.
    pub(crate) fn body(&self, ask: &Ask<'_>) -> Result<Vec<u8>, ModelError> {
        let response = self.send(ask)?;
        let mut bytes = Vec::new();
        let mut reader = response.into_body().into_reader().take(ask.most + 1);
        reader.read_to_end(&mut bytes).map_err(|error| broken(ask.what, &ask.url, error))?;
        if bytes.len() as u64 > ask.most {
            return Err(protocol(format!("{}: {} sends more than {} bytes", ask.what, host(&ask.url), ask.most)));
        }
        Ok(bytes)
    }

    /// What an answer with a bad status means.
    fn refusal(&self, what: &str, url: &Url, status: StatusCode, headers: &HeaderMap) -> ModelError {
        let host = host(url);
        let (kind, why) = match (status.as_u16(), text(headers, "x-error-code").unwrap_or_default()) {
            // The hub answers 401 for what does not exist, unless it is asked with a token.
            (_, "RepoNotFound") => (ModelErrorKind::NotFound, "has no such repository, or a private one"),
            (_, "RevisionNotFound") => (ModelErrorKind::NotFound, "has no such revision of it"),
            (_, "EntryNotFound") | (404 | 410, _) => (ModelErrorKind::NotFound, "does not have it"),
            (_, "GatedRepo") => (ModelErrorKind::Refused, "gives it only to those who asked for access; set HF_TOKEN"),
            (401 | 403, _) if self.options.token.is_some() => {
                (ModelErrorKind::Refused, "refuses the token of HF_TOKEN")
            }
            (401 | 403, _) => {
                (ModelErrorKind::Refused, "has no such repository, or gives it only to a token (HF_TOKEN)")
            }
            (408 | 425 | 429, _) => (ModelErrorKind::Unreachable, "asks to come back later"),
            (500.., _) => (ModelErrorKind::Unreachable, "has trouble of its own"),
            _ => (ModelErrorKind::Protocol, "gives an answer that makes no sense here"),
        };
        ModelError::new(kind, format!("{what}: {host} {why} (HTTP {})", status.as_u16()))
    }
}

/// Certificate authorities of a file that SSL_CERT_FILE names, as a mirror in a company's own network needs them.
fn own_roots() -> Result<Option<RootCerts>, ModelError> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let pem = read_limited(path.as_ref(), 8 << 20)?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let sentence = "the file that SSL_CERT_FILE names holds no certificate in PEM";
        return Err(ModelError::new(ModelErrorKind::Usage, sentence));
    }
    Ok(Some(RootCerts::new_with_certs(&certificates)))
}

/// Where a redirect leads.
fn redirect(what: &str, from: &Url, location: Option<&str>) -> Result<Url, ModelError> {
    let target = location.and_then(|location| from.join(location).ok());
    let Some(target) = target.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        return Err(protocol(format!("{what}: {} redirects to nowhere", host(from))));
    };
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(protocol(format!("{what}: {} redirects from https to http", host(from))));
    }
    Ok(target)
}

/// The error of a request that brought no answer.
fn unreachable(what: &str, url: &Url, error: ureq::Error) -> ModelError {
    let kind = match &error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => ModelErrorKind::Protocol,
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_) => ModelErrorKind::Unreachable,
        _ => ModelErrorKind::Protocol,
    };
    ModelError::caused(kind, format!("{what}: {} cannot be reached", host(url)), error)
}

/// The error of a body that broke off.
pub(crate) fn broken(what: &str, url: &Url, error: io::Error) -> ModelError {
    ModelError::caused(ModelErrorKind::Unreachable, format!("{what}: {} broke off", host(url)), error)
}

pub(crate) fn protocol(sentence: String) -> ModelError {
    ModelError::new(ModelErrorKind::Protocol, sentence)
}

/// A header's text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The server of an address, with its port.
pub(crate) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or("nowhere");
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_http_and_never_from_https_to_it() {
        let from = |from: &str, to: &str| redirect("x", &Url::parse(from).unwrap(), Some(to)).map(String::from);
        assert_eq!(from("https://hub/a/b", "/c").unwrap(), "https://hub/c");
        assert_eq!(from("http://hub/a", "https://store/b").unwrap(), "https://store/b");
        assert_eq!(from("https://hub/a", "//store/b").unwrap(), "https://store/b");
        for to in ["http://hub/a", "file:///a", "data:text/plain,x", "https://"] {
            assert_eq!(from("https://hub/a", to).unwrap_err().kind(), ModelErrorKind::Protocol, "{to}");
        }
    }
}
