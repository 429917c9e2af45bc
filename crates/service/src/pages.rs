//! Pages that a service adds to its listener, beside those that all have.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// JSON pages by path. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pages(Arc<RwLock<BTreeMap<String, String>>>);

impl Pages {
    /// Shows a page, in place of what was at its path.
    pub fn show(&self, path: impl Into<String>, json: impl Into<String>) {
        self.write(|pages| drop(pages.insert(path.into(), json.into())));
    }

    /// Takes a page away.
    pub fn hide(&self, path: &str) {
        self.write(|pages| drop(pages.remove(path)));
    }

    /// The page at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Nothing panics while it holds the lock, so poison means nothing.
    fn write(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
