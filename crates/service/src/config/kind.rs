//! What a setting's text may be, and the value it stands for.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    secret::ServerUrl,
    units::{self, MemoryLimit},
};
use crate::http::HttpUrl;

/// The type of a setting: how its text is read, and what is said where it cannot be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// One token of a NATS subject or several with dots between, without wildcards.
    Subject,
    /// Server addresses, with commas between.
    Urls,
    /// A file that is there and can be read.
    File,
    /// A folder that is there.
    Folder,
    /// Folders that are there, with commas between.
    Folders,
    /// Addresses like `http://host:port`, with commas between.
    HttpUrls,
    /// An address to listen on, or `off`.
    Listen,
    /// A log filter.
    Directives,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in this range.
    Integer(u64, u64),
    /// A duration in this range of seconds.
    Duration(u64, u64),
    /// A size of at least so many bytes.
    Bytes(u64),
    /// See [`MemoryLimit`].
    Memory,
}

/// A setting's value once its text was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Urls(Vec<ServerUrl>),
    Path(PathBuf),
    Paths(Vec<PathBuf>),
    HttpUrls(Vec<HttpUrl>),
    Listen(Option<SocketAddr>),
    Integer(u64),
    Duration(Duration),
    Memory(MemoryLimit),
}

impl Kind {
    /// What is allowed, as a phrase that completes "it must be …".
    #[must_use]
    pub fn allowed(&self) -> String {
        match *self {
            Self::Text => "any text".to_owned(),
            Self::Subject => "letters, digits, `-`, `_`, with single dots between".to_owned(),
            Self::Urls => "one or more of nats://host:port, tls://host:port, host:port, with commas between".to_owned(),
            Self::File => "the path of a file that can be read".to_owned(),
            Self::Folder => "the path of a folder".to_owned(),
            Self::Folders => "paths of folders, with commas between".to_owned(),
            Self::HttpUrls => "one or more of http://host:port, with commas between".to_owned(),
            Self::Listen => "an address like 127.0.0.1:9101 (port 0: any free one), or off".to_owned(),
            Self::Directives => "a log level (error, warn, info, debug, trace, off) or directives like \
                                 info,orfeas_bus=debug"
                .to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Integer(low, high) => format!("a whole number from {low} to {high}"),
            Self::Duration(low, high) => format!(
                "a duration like 500ms, 30s, 10m, 24h or 7d, from {} to {}",
                units::duration_text(Duration::from_secs(low)),
                units::duration_text(Duration::from_secs(high))
            ),
            Self::Bytes(low) => {
                format!(
                    "a size like 64MiB, 24GB or a number of bytes, at least {} and at most 8EiB",
                    units::bytes_text(low)
                )
            }
            Self::Memory => {
                "a size like 24GB or 24GiB, a share like 80% or 0.8, or a number of bytes (at least 1MiB)".to_owned()
            }
        }
    }

    /// The placeholder of the value in `--help`.
    pub(super) fn placeholder(&self) -> &'static str {
        match self {
            Self::Text | Self::Subject => "TEXT",
            Self::Urls => "URL,…",
            Self::File => "FILE",
            Self::Folder => "FOLDER",
            Self::Folders => "FOLDER,…",
            Self::HttpUrls => "URL,…",
            Self::Listen => "ADDRESS",
            Self::Directives => "FILTER",
            Self::Choice(_) => "WORD",
            Self::Integer(..) => "NUMBER",
            Self::Duration(..) => "DURATION",
            Self::Bytes(_) => "SIZE",
            Self::Memory => "SIZE|PERCENT",
        }
    }

    /// Reads a text. None: the text is not what [`Kind::allowed`] says.
    pub(super) fn read(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match *self {
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Subject => is_subject(text).then(|| Value::Text(text.to_owned())),
            Self::Urls => urls(text).map(Value::Urls),
            Self::File => {
                let path = PathBuf::from(text);
                (path.is_file() && std::fs::File::open(&path).is_ok()).then_some(Value::Path(path))
            }
            Self::Folder => Some(PathBuf::from(text)).filter(|path| path.is_dir()).map(Value::Path),
            Self::Folders => {
                let paths: Vec<_> = text.split(',').map(|path| PathBuf::from(path.trim())).collect();
                paths.iter().all(|path| path.is_dir()).then_some(Value::Paths(paths))
            }
            Self::HttpUrls => {
                let urls: Result<Vec<HttpUrl>, _> = text.split(',').map(|url| url.trim().parse()).collect();
                urls.ok().map(Value::HttpUrls)
            }
            Self::Listen if text.eq_ignore_ascii_case("off") => Some(Value::Listen(None)),
            Self::Listen => listen(text).map(|address| Value::Listen(Some(address))),
            Self::Directives => tracing_subscriber::EnvFilter::builder()
                .parse(text)
                .ok()
                .filter(|_| plausible_filter(text))
                .map(|_| Value::Text(text.to_owned())),
            Self::Choice(words) => {
                words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Value::Text((*word).to_owned()))
            }
            Self::Integer(low, high) => {
                text.parse().ok().filter(|number| (low..=high).contains(number)).map(Value::Integer)
            }
            Self::Duration(low, high) => units::duration(text)
                .filter(|value| (Duration::from_secs(low)..=Duration::from_secs(high)).contains(value))
                .map(Value::Duration),
            // JetStream counts in i64; a larger number would only fail later and less clearly.
            Self::Bytes(low) => {
                units::bytes(text).filter(|bytes| (low..=i64::MAX as u64).contains(bytes)).map(Value::Integer)
            }
            Self::Memory => MemoryLimit::parse(text).map(Value::Memory),
        }
    }
}

/// Whether a text is a log filter as [`Kind::Directives`] takes it.
#[must_use]
pub fn is_log_filter(text: &str) -> bool {
    Kind::Directives.read(text).is_some()
}

fn is_subject(text: &str) -> bool {
    text.split('.')
        .all(|token| !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
}

/// `localhost:9100` is an address too; any other name would need a resolver, and a listener has no need of names.
fn listen(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().ok()
}

fn urls(text: &str) -> Option<Vec<ServerUrl>> {
    text.split(',')
        .map(|part| {
            let part = part.trim();
            let (scheme, rest) = part.split_once("://").unwrap_or(("nats", part));
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim_end_matches('/');
            let port_is_good = match host.rsplit_once(':') {
                // A colon inside an address in brackets is no port's.
                Some((_, port)) if !port.contains(']') => port.parse::<u16>().is_ok(),
                _ => true,
            };
            let good = ["nats", "tls"].contains(&scheme)
                && !host.is_empty()
                && !host.starts_with(':')
                && port_is_good
                && !host.contains(|c: char| c.is_whitespace() || c == '/');
            good.then(|| ServerUrl::new(part))
        })
        .collect()
}

/// The filter's own parser takes any single word for the name of a target, so that a misspelt level would silence the
/// log. A directive without `=` must be a level or the name of a module of ours.
fn plausible_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    text.split(',').map(str::trim).all(|directive| {
        directive.contains('=')
            || LEVELS.contains(&directive.to_ascii_lowercase().as_str())
            || directive.starts_with("orfeas")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_can_be_off_and_have_any_port() {
        assert_eq!(Kind::Listen.read("off"), Some(Value::Listen(None)));
        assert_eq!(Kind::Listen.read("localhost:0"), Some(Value::Listen("127.0.0.1:0".parse().ok())));
        assert_eq!(Kind::Listen.read("[::]:9100"), Some(Value::Listen("[::]:9100".parse().ok())));
        for text in ["9100", "host:9100", "127.0.0.1:70000", ""] {
            assert_eq!(Kind::Listen.read(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_servers() {
        for text in ["nats://127.0.0.1:4222", "a:1, b:2", "tls://me:p@ss@host", "[::1]:4222", "nats://[::1]"] {
            assert!(Kind::Urls.read(text).is_some(), "{text}");
        }
        for text in ["", "http://host", "nats://", "host:port", "a:1,,b:2", "nats://ho st", ":4222"] {
            assert!(Kind::Urls.read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for text in ["info", "WARN", "info,orfeas_bus=debug", "orfeas_infer"] {
            assert!(Kind::Directives.read(text).is_some(), "{text}");
        }
        for text in ["inof", "", "info,,", "a=loud"] {
            assert!(Kind::Directives.read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn ranges_include_their_ends_and_nothing_else() {
        assert_eq!(Kind::Integer(1, 8).read("8"), Some(Value::Integer(8)));
        assert_eq!(Kind::Integer(1, 8).read("9"), None);
        assert_eq!(Kind::Duration(1, 10).read("500ms"), None);
        assert_eq!(Kind::Bytes(1 << 20).read("1023KiB"), None);
        assert_eq!(Kind::Choice(&["fp16", "bf16"]).read("BF16"), Some(Value::Text("bf16".to_owned())));
        assert_eq!(Kind::Subject.read("_INBOX_ingest"), Some(Value::Text("_INBOX_ingest".to_owned())));
        assert_eq!(Kind::Subject.read("a.*"), None);
    }
}
