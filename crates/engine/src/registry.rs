//! The engines of this crate by name.

use crate::{Engine, EngineError, EngineErrorKind, Hunyuan3d, Inflate, ModelSpec, Noop, hunyuan3d, inflate, noop};

/// The names that [`create`] knows.
pub const ENGINES: &[&str] = &[inflate::NAME, noop::NAME, hunyuan3d::NAME];

/// Cells where neither a request nor the service nor the checkpoint says how many.
pub const RESOLUTION: u32 = Inflate::DEFAULT_RESOLUTION;

/// Which engine, and what it needs to begin.
#[derive(Clone, Debug)]
pub struct EngineSpec {
    /// One of [`ENGINES`].
    pub name: String,
    /// Cells, for requests that name none; none: what the checkpoint says of itself, else [`RESOLUTION`].
    pub resolution: Option<u32>,
    /// The checkpoint, for the engine that has one.
    pub model: Option<ModelSpec>,
}

/// Told how far loading has come, in per cent.
pub type LoadProgress<'a> = dyn FnMut(u8) + 'a;

/// Makes an engine. Loading a checkpoint takes a while; `progress` hears of it.
///
/// # Errors
/// [`EngineErrorKind::Unsupported`] for another name, or a default resolution that the engine does not support;
/// [`EngineErrorKind::Unavailable`] for a checkpoint or device that is not there, not whole or not known.
pub fn create(spec: &EngineSpec, progress: &mut LoadProgress<'_>) -> Result<Box<dyn Engine>, EngineError> {
    match spec.name.as_str() {
        inflate::NAME => Ok(Box::new(Inflate::new(spec.resolution.unwrap_or(RESOLUTION))?)),
        noop::NAME => Ok(Box::new(Noop)),
        hunyuan3d::NAME => match &spec.model {
            Some(model) => Ok(Box::new(Hunyuan3d::load(model, spec.resolution, progress)?)),
            None => {
                Err(EngineError::new(EngineErrorKind::Unavailable, "the engine hunyuan3d needs a checkpoint folder"))
            }
        },
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

    fn made(name: &str, resolution: u32) -> Result<Box<dyn Engine>, EngineError> {
        create(&EngineSpec { name: name.to_owned(), resolution: Some(resolution), model: None }, &mut |_| {})
    }

    #[test]
    fn engines_without_weights_can_be_made_by_name() {
        for name in [inflate::NAME, noop::NAME] {
            let engine = made(name, 64).unwrap();
            assert_eq!(engine.name(), name);
            assert_eq!(engine.model(), "none");
        }
        assert_eq!(made(hunyuan3d::NAME, 64).err().unwrap().kind(), EngineErrorKind::Unavailable);
    }

    #[test]
    fn unknown_names_and_resolutions_are_refused() {
        for (name, resolution) in [("dream", 64), ("", 64), ("inflate", 15), ("inflate", 513)] {
            let error = made(name, resolution).err().unwrap();
            assert_eq!(error.kind(), EngineErrorKind::Unsupported, "{name} {resolution}");
        }
    }
}
