//! Values that must not reach a log.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands where a secret would.
const MASK: &str = "***";

/// A text of which only a part may be printed: however it is printed or serialised, `$shown` comes out, and `expose` is
/// the one way to all of it.
macro_rules! masked {
    ($(#[$doc:meta])* $name:ident, |$text:ident| $shown:expr) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The whole text, for the one call that needs it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $text = self.expose();
                f.write_str($shown)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

masked! {
    /// A password, token or key; printed as `***`.
    Secret, |_text| MASK
}

masked! {
    /// A server's address. People write `nats://user:password@host`, so what stands before the `@` is masked.
    ServerUrl, |text| &without_credentials(text)
}

/// An address without what stands before its `@`. The last `@` counts: a password may hold one.
pub(super) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let separator = if scheme.is_empty() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{separator}{MASK}@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()), "*** *** \"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_address_is_printed_without_its_credentials() {
        for (written, printed) in [
            ("nats://me:p@ss@host:4222", "nats://***@host:4222"),
            ("token@host", "***@host"),
            ("tls://host:4222", "tls://host:4222"),
        ] {
            assert_eq!(ServerUrl::new(written).to_string(), printed);
            assert_eq!(format!("{:?}", ServerUrl::new(written)), printed);
            assert_eq!(ServerUrl::new(written).expose(), written);
        }
    }
}
