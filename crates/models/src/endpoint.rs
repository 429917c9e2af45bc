//! Which hub is asked, as whom, and how patiently.

use std::fmt;
use std::time::Duration;

use url::{Host, Url};

use crate::error::{ModelError, ModelErrorKind};

/// The address of a hub or of a mirror with the same API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The hub itself.
    pub const DEFAULT: &str = "https://huggingface.co";

    /// An endpoint of its address, such as `https://hub.example/mirror`.
    ///
    /// # Errors
    /// `Usage` where it is not an http or https address, or carries a user, a query or a fragment.
    pub fn new(text: &str) -> Result<Self, ModelError> {
        // The text may hold a password, so no sentence repeats it.
        let usage = |why: &str| ModelError::new(ModelErrorKind::Usage, format!("the hub's address {why}"));
        let mut url = Url::parse(text.trim()).map_err(|error| usage(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(usage("must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage("must not hold a user or password; a token is given in HF_TOKEN"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(usage("must not hold a query or a fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Whether nobody on the way can read what is sent: https, or this machine itself.
    fn private(&self) -> bool {
        let loopback = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.0.scheme() == "https" || loopback
    }

    /// Whether an address is on the same server.
    pub(crate) fn serves(&self, url: &Url) -> bool {
        url.origin() == self.0.origin()
    }
}

/// Without a slash at the end.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// A token for the hub; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token; `None` of an empty text.
    ///
    /// # Errors
    /// `Usage` where it could not stand in an HTTP header.
    pub fn new(text: &str) -> Result<Option<Self>, ModelError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > 4096 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let sentence = "HF_TOKEN is not a token: it has characters that no token has";
            return Err(ModelError::new(ModelErrorKind::Usage, sentence));
        }
        Ok(Some(Self(text.into())))
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How often a transfer that broke off is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first that may fail one after another without bringing a MiB.
    pub tries: u32,
    /// The first pause; each next one is twice as long.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 5, pause: Duration::from_secs(1) }
    }
}

/// How the hub is asked.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The hub or a mirror.
    pub endpoint: Endpoint,
    /// For private and gated repositories.
    pub token: Option<Token>,
    /// Branch, tag or commit.
    pub revision: String,
    /// How often a broken transfer is taken up again.
    pub retry: Retry,
    /// How long the hub may say nothing.
    pub silence: Duration,
}

impl HubOptions {
    /// Branch `main` of a hub.
    ///
    /// # Errors
    /// `Usage` where a token would travel in the clear.
    pub fn new(endpoint: Endpoint, token: Option<Token>) -> Result<Self, ModelError> {
        if token.is_some() && !endpoint.private() {
            let sentence = format!("HF_TOKEN would travel unencrypted to {endpoint}: use https, or unset it");
            return Err(ModelError::new(ModelErrorKind::Usage, sentence));
        }
        let revision = "main".into();
        Ok(Self { endpoint, token, revision, retry: Retry::default(), silence: Duration::from_secs(60) })
    }

    /// From a flag, else `HF_ENDPOINT`, else the hub itself; the token from `HF_TOKEN`.
    ///
    /// # Errors
    /// `Usage` where one of them cannot be.
    pub fn from_environment(endpoint: Option<&str>) -> Result<Self, ModelError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = endpoint.map(str::to_owned).or_else(|| variable("HF_ENDPOINT"));
        let endpoint = Endpoint::new(endpoint.as_deref().unwrap_or(Endpoint::DEFAULT))?;
        Self::new(endpoint, Token::new(&variable("HF_TOKEN").unwrap_or_default())?)
    }

    /// The same, of another branch, tag or commit.
    ///
    /// # Errors
    /// `Usage` where it is no name of one.
    pub fn with_revision(mut self, revision: &str) -> Result<Self, ModelError> {
        let part = |part: &str| {
            let characters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(characters)
        };
        if revision.len() > 128 || !revision.split('/').all(part) {
            let sentence = format!("`{}` is no branch, tag or commit", revision.escape_debug());
            return Err(ModelError::new(ModelErrorKind::Usage, sentence));
        }
        self.revision = revision.into();
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_and_nothing_more() {
        for (text, shown) in [
            ("https://huggingface.co", "https://huggingface.co"),
            ("https://huggingface.co/", "https://huggingface.co"),
            (" http://127.0.0.1:8080/hub/ ", "http://127.0.0.1:8080/hub"),
        ] {
            assert_eq!(Endpoint::new(text).unwrap().to_string(), shown);
        }
        for bad in ["hub.example", "ftp://hub", "https://me:secret@hub.example", "https://hub/?a=b", "https://hub/#x"] {
            let error = Endpoint::new(bad).unwrap_err();
            assert_eq!(error.kind(), ModelErrorKind::Usage);
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_token_is_not_shown_and_does_not_travel_in_the_clear() {
        let token = Token::new("hf_secret\n").unwrap();
        assert!(Token::new("").unwrap().is_none());
        assert!(Token::new("a b").is_err());
        let open = Endpoint::new("http://mirror.example").unwrap();
        let error = HubOptions::new(open, token.clone()).unwrap_err();
        assert!(!error.to_string().contains("secret"));
        let here = Endpoint::new("http://127.0.0.1:1").unwrap();
        assert!(!format!("{:?}", HubOptions::new(here, token).unwrap()).contains("secret"));
    }

    #[test]
    fn a_revision_is_a_name() {
        let options = || HubOptions::new(Endpoint::new(Endpoint::DEFAULT).unwrap(), None).unwrap();
        assert!(options().with_revision("refs/pr/3").is_ok());
        for bad in ["", "../main", "a b", "main?x", "a//b", &"a".repeat(129)] {
            assert_eq!(options().with_revision(bad).unwrap_err().kind(), ModelErrorKind::Usage);
        }
    }
}
