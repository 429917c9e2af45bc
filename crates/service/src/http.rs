//! As much of an HTTP client as one needs to ask a neighbour: a health page, a server's monitoring page, a collector.
//!
//! Plain HTTP/1.0 over one connection, so that nothing comes in chunks. Every answer has a bound in time and size.

use std::{fmt, str::FromStr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a neighbour may take for a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const MAX_ANSWER: u64 = 8 << 20;

/// An address like `http://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpUrl {
    authority: String,
    path: String,
}

impl HttpUrl {
    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same server's page at another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { authority: self.authority.clone(), path: path.to_owned() }
    }

    /// The path, which begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl FromStr for HttpUrl {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        let bad = || HttpError::Address(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let port = authority.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        let clean = |part: &str| part.chars().all(|c| c.is_ascii_graphic());
        match port {
            Some((host, Ok(_))) if !host.is_empty() && !host.contains('@') && clean(rest) => {
                Ok(Self { authority: authority.to_owned(), path: path.to_owned() })
            }
            _ => Err(bad()),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none of ours.
    #[error("{0:?} is no address like http://host:port/path")]
    Address(String),
    /// Nobody listens, or the connection broke off.
    #[error("{url} does not answer: {source}")]
    Connection {
        /// Where.
        url: HttpUrl,
        /// What the system said.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("{0} did not answer within 5 s")]
    Timeout(HttpUrl),
    /// What came is no HTTP.
    #[error("{0} answers, but not in HTTP")]
    NotHttp(HttpUrl),
}

/// Gets a page.
///
/// # Errors
/// [`HttpError`]; a status like 503 is an answer.
pub async fn get(url: &HttpUrl) -> Result<Answer, HttpError> {
    send("GET", url, "text/plain", b"").await
}

/// Sends a body.
///
/// # Errors
/// As [`get`].
pub async fn send(method: &str, url: &HttpUrl, content_type: &str, body: &[u8]) -> Result<Answer, HttpError> {
    let head = format!(
        "{method} {} HTTP/1.0\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        url.path,
        url.authority,
        body.len()
    );
    let talk = async {
        let mut stream = TcpStream::connect(&url.authority).await?;
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer = match timeout(PATIENCE, talk).await {
        Err(_) => return Err(HttpError::Timeout(url.clone())),
        Ok(Err(source)) => return Err(HttpError::Connection { url: url.clone(), source }),
        Ok(Ok(answer)) => answer,
    };
    parse(&answer).ok_or_else(|| HttpError::NotHttp(url.clone()))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.strip_prefix("HTTP/1.")?.split_whitespace();
    let status = words.nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url: HttpUrl = "http://127.0.0.1:9101/readyz".parse().unwrap();
        assert_eq!((url.authority(), url.path()), ("127.0.0.1:9101", "/readyz"));
        assert_eq!(url.at("/livez").to_string(), "http://127.0.0.1:9101/livez");
        let bare: HttpUrl = "http://[::1]:8222".parse().unwrap();
        assert_eq!((bare.authority(), bare.path()), ("[::1]:8222", "/"));
        for bad in ["127.0.0.1:9101", "https://a:1", "http://a", "http://:1", "http://u@a:1", "http://a:1/b c"] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn answers() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "no\n"));
        for bad in [&b"SSH-2.0-x\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", b""] {
            assert!(parse(bad).is_none());
        }
    }

    #[tokio::test]
    async fn nobody_there_is_a_sentence() {
        // A port that no server gets by asking for a free one.
        let url: HttpUrl = "http://127.0.0.1:1/readyz".parse().unwrap();
        let error = get(&url).await.unwrap_err().to_string();
        assert!(error.starts_with("http://127.0.0.1:1/readyz does not answer: "), "{error}");
    }
}
