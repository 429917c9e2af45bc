//! Takes merged texts to typed values, collecting mistakes on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use super::{
    MemoryLimit, Secret, ServerUrl,
    error::{ConfigErrors, Mistake},
    kind::Value,
    service::Service,
    settings::Setting,
    sources::{Found, Sources, merge},
};
use crate::http::HttpUrl;

/// Reads one program's settings. A value that cannot be read leaves a mistake behind and its type's blank in its
/// place; the blank is never seen, because [`Reader::finish`] then gives no configuration.
pub(super) struct Reader {
    service: Service,
    found: BTreeMap<String, Found>,
    mistakes: Vec<Mistake>,
    read: BTreeSet<&'static str>,
}

/// A getter for one variant of [`Value`].
macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&mut self, key: &'static str) -> Option<$type> {
            match self.value(key)? {
                Value::$variant(value) => Some(value),
                other => self.misread(key, &other),
            }
        }
    };
}

impl Reader {
    pub(super) fn new(service: Service, sources: &Sources) -> Self {
        let mut mistakes = Vec::new();
        let found = merge(service, sources, &mut mistakes);
        Self { service, found, mistakes, read: BTreeSet::new() }
    }

    getter!(text, Text, String);
    getter!(urls, Urls, Vec<ServerUrl>);
    getter!(path, Path, PathBuf);
    getter!(paths, Paths, Vec<PathBuf>);
    getter!(http_urls, HttpUrls, Vec<HttpUrl>);
    getter!(listen, Listen, Option<SocketAddr>);
    getter!(number, Integer, u64);
    getter!(duration, Duration, Duration);
    getter!(memory, Memory, MemoryLimit);

    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    /// A whole number of a narrower type. The table's range keeps it in; the mistake is for a range that does not.
    pub(super) fn narrow<T: TryFrom<u64> + Default>(&mut self, key: &'static str) -> T {
        let number = self.number(key).unwrap_or_default();
        T::try_from(number).unwrap_or_else(|_| {
            self.mistake(key, format!("{number} is more than this machine can count to"));
            T::default()
        })
    }

    /// One of an enum's words.
    pub(super) fn choice<T: Default>(&mut self, key: &'static str, named: fn(&str) -> Option<T>) -> T {
        let Some(word) = self.text(key) else { return T::default() };
        named(&word).unwrap_or_else(|| {
            self.mistake(key, format!("{word:?} is in the table but not in its enum: a fault of ORFEAS"));
            T::default()
        })
    }

    /// Where a setting's value came from, for a mistake of several settings together.
    pub(super) fn mistake(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.found.get(key).map_or_else(|| format!("setting {key}"), |found| found.origin.clone());
        self.mistakes.push(Mistake { origin, message: message.into() });
    }

    /// Whether a setting was set by anyone, rightly or wrongly.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.found.get(key).is_some_and(|found| !found.origin.starts_with("default of"))
    }

    /// Whether it was set in the environment.
    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.found.get(key).is_some_and(|found| found.origin.starts_with("environment"))
    }

    /// The configuration, if there was no mistake. The second part names the settings that were read, for the test
    /// that holds the table against the structs.
    pub(super) fn finish<T>(mut self, config: T) -> Result<(T, BTreeSet<&'static str>), ConfigErrors> {
        if self.mistakes.is_empty() {
            return Ok((config, self.read));
        }
        let mut seen = BTreeSet::new();
        self.mistakes.retain(|mistake| seen.insert(mistake.to_string()));
        Err(ConfigErrors { mistakes: self.mistakes })
    }

    fn value(&mut self, key: &'static str) -> Option<Value> {
        self.read.insert(key);
        let Some(setting) = Setting::find(key).filter(|setting| setting.concerns(self.service)) else {
            self.mistake(key, "is read but not in the table for this program: a fault of ORFEAS");
            return None;
        };
        let found = self.found.get(key)?;
        let value = setting.kind.read(&found.text);
        if value.is_none() {
            let shown = if setting.secret {
                "the value (not shown)".to_owned()
            } else {
                format!("{:?}", super::secret::without_credentials(&found.text))
            };
            let allowed = setting.kind.allowed();
            self.mistake(key, format!("{shown} is not allowed; it must be {allowed}"));
        }
        value
    }

    fn misread<T>(&mut self, key: &str, value: &Value) -> Option<T> {
        let message = match value {
            Value::Text(_) => "is a text in the table and read as another type: a fault of ORFEAS".to_owned(),
            other => format!("is {other:?} in the table and read as another type: a fault of ORFEAS"),
        };
        self.mistake(key, message);
        None
    }
}
