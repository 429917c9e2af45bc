//! The trait and what goes into it.

use orfeas_contract::Provenance;
use orfeas_field::Field;

use crate::{EngineError, EngineErrorKind};

/// The prepared picture: RGBA, straight alpha, row-major, top-left first; square.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows; equal to the width.
    pub height: u32,
    /// `[height, width, 4]` bytes.
    pub rgba: Vec<u8>,
}

impl Picture {
    /// The longest side an engine looks at, in pixels.
    pub const MAX_SIDE: u32 = 4096;

    /// A picture of checked size.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unsupported`] for a picture without pixels, one that is not square or larger than
    /// [`Self::MAX_SIDE`], or bytes of another length than `width * height * 4`.
    pub fn new(width: u32, height: u32, rgba: Vec<u8>) -> Result<Self, EngineError> {
        let picture = Self { width, height, rgba };
        picture.check()?;
        Ok(picture)
    }

    /// What the constructor checks; an engine checks again because the fields are open.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let unsupported = |sentence: String| Err(EngineError::new(EngineErrorKind::Unsupported, sentence));
        let (width, height) = (self.width, self.height);
        if width == 0 || width != height || width > Self::MAX_SIDE {
            let most = Self::MAX_SIDE;
            return unsupported(format!(
                "the prepared picture has {width} x {height} pixels; it must be square, of at most {most}"
            ));
        }
        if self.rgba.len() != width as usize * height as usize * 4 {
            let length = self.rgba.len();
            return unsupported(format!("the prepared picture has {length} bytes for {width} x {height} pixels"));
        }
        Ok(())
    }
}

/// Where an earlier attempt was, for an engine that can go on from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Resume {
    /// Steps that are done.
    pub step: u32,
    /// The latents as they were then.
    pub latents: Vec<f32>,
}

/// What is asked of an engine. What is `None` is the engine's choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Seed of the noise; an engine without noise ignores it and says 0 in the provenance.
    pub seed: u64,
    /// Sampling steps.
    pub steps: Option<u32>,
    /// Guidance scale.
    pub guidance: Option<f32>,
    /// Cells of the field along its longest side.
    pub resolution: Option<u32>,
    /// Where to go on from; an engine that cannot, begins anew.
    pub resume: Option<Resume>,
}

/// Who watches a run, on the thread that runs it.
pub trait Observer {
    /// Step `step` of `steps` of a phase is done; 0 when it begins.
    fn progress(&mut self, phase: &str, step: u32, steps: u32);
    /// Whether to stop. Looked at between steps.
    fn cancelled(&self) -> bool;

    /// Whether what stands after step `step` is to be kept, to go on from if this attempt does not end.
    fn keeps(&self, _step: u32) -> bool {
        false
    }

    /// Keeps it.
    fn keep(&mut self, _resume: Resume) {}
}

/// An observer that does not care.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _phase: &str, _step: u32, _steps: u32) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// One request among those that an engine is given together.
pub struct Task<'a> {
    /// What to make a field of.
    pub picture: &'a Picture,
    /// How.
    pub request: &'a Request,
    /// Who watches it.
    pub observer: &'a mut dyn Observer,
}

/// Told which of several tasks has ended, by its place, and how.
pub type Ended<'a> = dyn FnMut(usize, Result<Field, EngineError>) + 'a;

/// Makes a field of a picture.
pub trait Engine: Send {
    /// The name that options, provenance and events use.
    fn name(&self) -> &'static str;

    /// The model it runs; `none` for an engine without weights.
    fn model(&self) -> String;

    /// What tells its results from another engine's: two of one identity go on from each other's steps.
    fn identity(&self) -> String {
        format!("{} {}", self.name(), self.model())
    }

    /// Share of the largest piece's faces below which a piece of its meshes is left out where the job does not say; `None`:
    /// what holds for every engine.
    fn floaters(&self) -> Option<f32> {
        None
    }

    /// Makes the field, `[resolution + 1; 3]` samples at most.
    ///
    /// # Errors
    /// [`EngineError`]: cancelled by the observer, no subject, an option outside the engine's range, or a failure.
    fn generate(
        &mut self,
        picture: &Picture,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Field, EngineError>;

    /// How many requests it gains by being given at once; 1 for an engine that works on them one by one.
    fn most_together(&self) -> usize {
        1
    }

    /// Whether it can work on two requests together.
    fn goes_together(&self, _one: &Request, _other: &Request) -> bool {
        false
    }

    /// Makes the fields of several requests, and says what became of each, once, as soon as it is known. What becomes of one
    /// (cancelled, failed) leaves the others as they are.
    ///
    /// # Errors
    /// Those of [`Self::generate`], each task its own.
    fn generate_together(&mut self, tasks: &mut [Task<'_>], ended: &mut Ended<'_>) {
        for (place, task) in tasks.iter_mut().enumerate() {
            ended(place, self.generate(task.picture, task.request, task.observer));
        }
    }
}

/// The provenance of a field that no weights and no noise went into.
pub(crate) fn without_weights(engine: &str, resolution: u32) -> Provenance {
    Provenance {
        engine: engine.to_owned(),
        model: "none".to_owned(),
        weights_sha256: None,
        seed: 0,
        steps: 0,
        guidance: 0.0,
        resolution,
    }
}

/// Reports a step and stops the run where the observer asks for it.
pub(crate) fn step(observer: &mut dyn Observer, phase: &str, step: u32, steps: u32) -> Result<(), EngineError> {
    observer.progress(phase, step, steps);
    if observer.cancelled() { Err(EngineError::cancelled()) } else { Ok(()) }
}
