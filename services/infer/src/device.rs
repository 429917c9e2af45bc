//! The device: one named thread that owns the engine, behind a bounded channel.
//!
//! An engine's memory, streams and caches belong to the thread that made them, and one job at a time is what a GPU does
//! best; so nobody else ever touches the engine.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use orfeas_engine::{Engine, EngineError, EngineErrorKind, Observer, Picture, Request};
use orfeas_field::Field;
use orfeas_stage::ServiceError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Progress is told at most this often, besides every change of phase.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Jobs that may wait at the device; the service's own bound on jobs in hand is the real one.
const WAITING: usize = 64;

/// A step of a running job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub phase: String,
    pub step: u32,
    pub steps: u32,
}

struct Task {
    picture: Picture,
    request: Request,
    cancel: CancellationToken,
    progress: mpsc::Sender<Step>,
    answer: oneshot::Sender<Result<Field, EngineError>>,
}

/// The way to the device thread.
pub struct Device {
    tasks: SyncSender<Task>,
    loaded: std::sync::Mutex<Option<oneshot::Receiver<Result<(), EngineError>>>>,
}

impl Device {
    /// Starts the thread, which loads the engine.
    ///
    /// # Errors
    /// [`ServiceError::Own`] where the system gives no thread.
    pub fn start(engine: &'static str, resolution: u32) -> Result<Self, ServiceError> {
        let (tasks, queue) = sync_channel(WAITING);
        let (say_loaded, loaded) = oneshot::channel();
        let thread = move || match orfeas_engine::create(engine, resolution) {
            Ok(engine) => {
                let _ = say_loaded.send(Ok(()));
                serve(engine, &queue);
            }
            Err(error) => {
                let _ = say_loaded.send(Err(error));
            }
        };
        std::thread::Builder::new()
            .name("orfeas-device".into())
            .spawn(thread)
            .map_err(|error| ServiceError::Own(format!("no device thread: {error}")))?;
        Ok(Self { tasks, loaded: std::sync::Mutex::new(Some(loaded)) })
    }

    /// Waits until the engine is loaded; to be called once.
    pub fn loaded(&self) -> impl Future<Output = Result<(), ServiceError>> + use<> {
        let loaded = self.loaded.lock().ok().and_then(|mut loaded| loaded.take());
        async move {
            let Some(loaded) = loaded else { return Ok(()) };
            match loaded.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(ServiceError::Own(format!("the engine cannot be loaded: {error}"))),
                Err(_) => Err(ServiceError::Own("the engine died while it was loaded".into())),
            }
        }
    }

    /// Computes a field. The steps come through `progress`; one that nobody takes in time is left out.
    ///
    /// # Errors
    /// [`EngineError`]; `Failed` where the device thread is gone.
    pub async fn generate(
        &self,
        picture: Picture,
        request: Request,
        cancel: CancellationToken,
        progress: mpsc::Sender<Step>,
    ) -> Result<Field, EngineError> {
        let gone = || EngineError::new(EngineErrorKind::Failed, "the device thread is gone");
        let (answer, answered) = oneshot::channel();
        self.tasks.try_send(Task { picture, request, cancel, progress, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn serve(mut engine: Box<dyn Engine>, queue: &Receiver<Task>) {
    while let Ok(task) = queue.recv() {
        // Its client left, or its worker was stopped: nobody would take the field.
        if task.cancel.is_cancelled() || task.answer.is_closed() {
            let _ = task.answer.send(Err(EngineError::cancelled()));
            continue;
        }
        let mut watch = Watch { task_cancel: &task.cancel, progress: &task.progress, last: None };
        let run = std::panic::AssertUnwindSafe(|| engine.generate(&task.picture, &task.request, &mut watch));
        let result = std::panic::catch_unwind(run)
            .unwrap_or_else(|_| Err(EngineError::new(EngineErrorKind::Failed, "the engine broke off")));
        let _ = task.answer.send(result);
    }
}

struct Watch<'a> {
    task_cancel: &'a CancellationToken,
    progress: &'a mpsc::Sender<Step>,
    last: Option<(String, Instant)>,
}

impl Observer for Watch<'_> {
    fn progress(&mut self, phase: &str, step: u32, steps: u32) {
        let due = self.last.as_ref().is_none_or(|(last, at)| last != phase || at.elapsed() >= PROGRESS_EVERY);
        if due || step == steps {
            self.last = Some((phase.to_owned(), Instant::now()));
            // A full channel means that nobody keeps up with the steps; the job must not wait for that.
            let _ = self.progress.try_send(Step { phase: phase.to_owned(), step, steps });
        }
    }

    fn cancelled(&self) -> bool {
        self.task_cancel.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let rgba = (0..64 * 64).flat_map(|i| [0, 0, 0, if (i / 64 % 64) > 20 && i % 64 > 20 { 255 } else { 0 }]);
        Picture::new(64, 64, rgba.collect()).unwrap()
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_says_so() {
        let device = Device::start("dream", 64).unwrap();
        let error = device.loaded().await.unwrap_err().to_string();
        assert!(error.contains("dream") && error.contains("inflate"), "{error}");
    }

    #[tokio::test]
    async fn a_field_comes_with_its_steps_and_a_cancelled_job_costs_nothing() {
        let device = Device::start("inflate", 32).unwrap();
        device.loaded().await.unwrap();
        let (progress, mut steps) = mpsc::channel(64);
        let token = CancellationToken::new();
        let computed = device.generate(picture(), Request::default(), token.clone(), progress.clone()).await.unwrap();
        assert!(computed.grid.has_inside());
        assert!(steps.recv().await.is_some());
        token.cancel();
        let error = device.generate(picture(), Request::default(), token, progress).await.err().unwrap();
        assert_eq!(error.kind(), EngineErrorKind::Cancelled);
    }
}
