//! The engines of this crate by name.

use crate::{Engine, EngineError, EngineErrorKind, Inflate, Noop, inflate, noop};

/// The names that [`create`] knows.
pub const ENGINES: &[&str] = &[inflate::NAME, noop::NAME];

/// Makes an engine by its name. `default_resolution` is in cells, for requests that name none.
///
/// # Errors
/// [`EngineErrorKind::Unsupported`] for another name, or a default resolution that the engine does not support.
pub fn create(name: &str, default_resolution: u32) -> Result<Box<dyn Engine>, EngineError> {
    match name {
        inflate::NAME => Ok(Box::new(Inflate::new(default_resolution)?)),
        noop::NAME => Ok(Box::new(Noop)),
        other => {
            let known = ENGINES.join(", ");
            let sentence = format!("there is no engine {other:?} here, only {known}");
            Err(EngineError::new(EngineErrorKind::Unsupported, sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_engine_can_be_made() {
        for name in ENGINES {
            let engine = create(name, 64).unwrap();
            assert_eq!(engine.name(), *name);
            assert_eq!(engine.model(), "none");
        }
    }

    #[test]
    fn unknown_names_and_resolutions_are_refused() {
        for (name, resolution) in [("dream", 64), ("", 64), ("inflate", 15), ("inflate", 513)] {
            let error = create(name, resolution).err().unwrap();
            assert_eq!(error.kind(), EngineErrorKind::Unsupported, "{name} {resolution}");
        }
    }
}
