//! The device: one named thread that owns the engine, behind a queue of so many places.
//!
//! An engine's memory, streams and caches belong to the thread that made them; so nobody else ever touches the engine. What
//! that thread does is in `serve.rs`.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

use orfeas_contract::JobId;
use orfeas_engine::{EngineError, EngineErrorKind, EngineSpec, Picture, Request, Resume};
use orfeas_field::Field;
use orfeas_stage::ServiceError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::serve::{Broken, serve};

/// Jobs that may be at the device. The service's own bound on jobs in hand is the real one, but a job whose client left is out of hand at once,
/// and at the device, with its picture, until the run that is on its way has ended.
const PLACES: usize = 64;

/// A step of a running job.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub phase: String,
    pub step: u32,
    pub steps: u32,
    /// Seconds until the phase ends, if it goes on as it has.
    pub seconds_left: Option<f64>,
}

/// What a running job lets its service know.
#[derive(Clone, Debug)]
pub enum Update {
    Step(Step),
    Keep(Resume),
}

/// A job on its way to the device.
pub struct Task {
    pub job: JobId,
    pub picture: Picture,
    pub request: Request,
    pub cancel: CancellationToken,
    pub progress: mpsc::Sender<Update>,
    pub keep_every: u32,
    pub answer: oneshot::Sender<Result<Field, EngineError>>,
    /// Its place at the device.
    pub place: OwnedSemaphorePermit,
}

/// What is known of the engine once it is loaded.
struct Known {
    identity: String,
    floaters: Option<f32>,
}

/// The way to the device thread.
pub struct Device {
    tasks: Sender<Task>,
    places: Arc<Semaphore>,
    known: Arc<OnceLock<Known>>,
    loaded: std::sync::Mutex<Option<oneshot::Receiver<Result<(), EngineError>>>>,
    broken: std::sync::Mutex<Option<oneshot::Receiver<Broken>>>,
}

impl Device {
    /// Starts the thread, which loads the engine.
    ///
    /// # Errors
    /// [`ServiceError::Own`] where the system gives no thread.
    pub fn start(spec: EngineSpec, mut progress: impl FnMut(u8) + Send + 'static) -> Result<Self, ServiceError> {
        let (tasks, queue) = channel();
        let (say_loaded, loaded) = oneshot::channel();
        let (say_broken, broken) = oneshot::channel();
        let known = Arc::new(OnceLock::new());
        let told = known.clone();
        let thread = move || match orfeas_engine::create(&spec, &mut progress) {
            Ok(engine) => {
                let _ = told.set(Known { identity: engine.identity(), floaters: engine.floaters() });
                let _ = say_loaded.send(Ok(()));
                if let Err(error) = serve(engine, &queue) {
                    let _ = say_broken.send(error);
                }
            }
            Err(error) => {
                let _ = say_loaded.send(Err(error));
            }
        };
        std::thread::Builder::new()
            .name("orfeas-device".into())
            .spawn(thread)
            .map_err(|error| ServiceError::Own(format!("no device thread: {error}")))?;
        let (loaded, broken) = (std::sync::Mutex::new(Some(loaded)), std::sync::Mutex::new(Some(broken)));
        Ok(Self { tasks, places: Arc::new(Semaphore::new(PLACES)), known, loaded, broken })
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

    /// Waits until the engine is found to be broken, for ever where it is not; to be called once.
    pub fn broken(&self) -> impl Future<Output = ServiceError> + use<> {
        let broken = self.broken.lock().ok().and_then(|mut broken| broken.take());
        async move {
            match broken {
                Some(broken) => match broken.await {
                    Ok(broken) => ServiceError::Own(broken.to_string()),
                    // It ended because nobody asks it any more.
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// What tells this engine's results from another's; empty until it is loaded.
    pub fn identity(&self) -> &str {
        self.known.get().map_or("", |known| &known.identity)
    }

    /// What the engine wants to have left out of its meshes ([`orfeas_engine::Engine::floaters`]).
    pub fn floaters(&self) -> Option<f32> {
        self.known.get().and_then(|known| known.floaters)
    }

    /// Computes a field. With `keep_every` above 0, what to go on from is kept after every so many steps. The steps come through `progress`; one that nobody takes in time is left out.
    ///
    /// # Errors
    /// [`EngineError`]; `Failed` where the device thread is gone.
    pub async fn generate(
        &self,
        job: &JobId,
        picture: Picture,
        request: Request,
        cancel: CancellationToken,
        progress: mpsc::Sender<Update>,
        keep_every: u32,
    ) -> Result<Field, EngineError> {
        let gone = || EngineError::new(EngineErrorKind::Failed, "the device thread is gone");
        let (answer, answered) = oneshot::channel();
        let place = tokio::select! {
            place = self.places.clone().acquire_owned() => place.map_err(|_| gone())?,
            () = cancel.cancelled() => return Err(EngineError::cancelled()),
        };
        let task = Task { job: job.clone(), picture, request, cancel, progress, keep_every, answer, place };
        self.tasks.send(task).map_err(|_| gone())?;
        tracing::debug!("waits for the device");
        answered.await.map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn spec(name: &str, resolution: u32) -> EngineSpec {
        EngineSpec { name: name.to_owned(), resolution: Some(resolution), model: None }
    }

    fn picture() -> Picture {
        let rgba = (0..64 * 64).flat_map(|i| [0, 0, 0, if (i / 64 % 64) > 20 && i % 64 > 20 { 255 } else { 0 }]);
        Picture::new(64, 64, rgba.collect()).unwrap()
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_says_so() {
        let device = Device::start(spec("dream", 64), |_| {}).unwrap();
        let error = device.loaded().await.unwrap_err().to_string();
        assert!(error.contains("dream") && error.contains("inflate"), "{error}");
    }

    #[tokio::test]
    async fn jobs_whose_clients_left_turn_no_other_away() {
        // A device that is busy with a long run: nobody takes anything out of the queue.
        let (tasks, queue) = channel();
        let (loaded, broken) = (std::sync::Mutex::new(None), std::sync::Mutex::new(None));
        let places = Arc::new(Semaphore::new(PLACES));
        let device = Device { tasks, places, known: Arc::default(), loaded, broken };
        let duck = JobId::parse("duck").unwrap();
        let send = || {
            let (progress, token) = (mpsc::channel(1).0, CancellationToken::new());
            device.generate(&duck, picture(), Request::default(), token, progress, 0)
        };
        for _ in 0..PLACES {
            assert!(timeout(Duration::ZERO, send()).await.is_err(), "it is at the device, and its client leaves");
        }
        let mut next = std::pin::pin!(send());
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        let left: Vec<Task> = queue.try_iter().collect();
        assert_eq!(left.len(), PLACES, "the next one waits for a place");
        drop(left);
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        let task = queue.try_recv().unwrap();
        let _ = task.answer.send(Err(EngineError::cancelled()));
        assert_eq!(next.await.err().unwrap().kind(), EngineErrorKind::Cancelled);
    }

    #[tokio::test]
    async fn a_field_comes_with_its_steps_and_a_cancelled_job_costs_nothing() {
        let device = Device::start(spec("inflate", 32), |_| {}).unwrap();
        device.loaded().await.unwrap();
        let (progress, mut steps) = mpsc::channel(64);
        let token = CancellationToken::new();
        let duck = JobId::parse("duck").unwrap();
        let made = device.generate(&duck, picture(), Request::default(), token.clone(), progress.clone(), 0);
        let computed = made.await.unwrap();
        assert!(computed.grid.has_inside());
        assert!(steps.recv().await.is_some());
        token.cancel();
        let error = device.generate(&duck, picture(), Request::default(), token, progress, 0).await.err().unwrap();
        assert_eq!(error.kind(), EngineErrorKind::Cancelled);
    }
}
