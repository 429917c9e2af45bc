//! Whether a service takes work, and why not.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

/// The conditions by name; a reason is there while a condition does not hold.
type Conditions = BTreeMap<&'static str, Option<String>>;

/// Several named conditions that must all hold before a service is ready. Clones share them. While no condition was
/// ever named, the service is still starting.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<Conditions>>);

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Not ready yet: starting.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Conditions::new())))
    }

    /// This condition does not hold, for this reason.
    pub fn not_ready(&self, condition: &'static str, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()));
    }

    /// This condition holds.
    pub fn ready(&self, condition: &'static str) {
        self.set(condition, None);
    }

    /// Why the service is not ready; none: it is. Every condition that does not hold is named.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        reason(&self.0.borrow())
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reason().is_none()
    }

    /// Waits until every condition holds.
    pub async fn wait_ready(&self) {
        let mut conditions = self.0.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = conditions.wait_for(|conditions| reason(conditions).is_none()).await;
    }

    fn set(&self, condition: &'static str, reason: Option<String>) {
        let mut again = false;
        let changed = self.0.send_if_modified(|conditions| {
            let before = conditions.insert(condition, reason.clone());
            again = matches!((&before, &reason), (Some(Some(_)), Some(_)));
            before.as_ref() != Some(&reason)
        });
        if changed {
            match &reason {
                // How far something has come is for /readyz; a line for every step of it would bury the log.
                Some(reason) if again => tracing::debug!(condition, reason, "not ready"),
                Some(reason) => tracing::info!(condition, reason, "not ready"),
                None => tracing::info!(condition, "ready"),
            }
        }
    }
}

fn reason(conditions: &Conditions) -> Option<String> {
    if conditions.is_empty() {
        return Some("starting".to_owned());
    }
    let reasons: Vec<_> = conditions
        .iter()
        .filter_map(|(condition, reason)| reason.as_ref().map(|reason| format!("{condition}: {reason}")))
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_that_every_condition_holds() {
        let readiness = Readiness::new();
        assert_eq!(readiness.reason().as_deref(), Some("starting"));
        readiness.not_ready("nats", "connecting");
        readiness.not_ready("engine", "the model loads");
        assert_eq!(readiness.reason().as_deref(), Some("engine: the model loads; nats: connecting"));
        readiness.ready("nats");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait_ready().await }
        });
        readiness.ready("engine");
        waiting.await.unwrap();
        assert!(readiness.is_ready());
        readiness.not_ready("nats", "the server is gone");
        assert!(!readiness.is_ready());
    }
}
