//! What the device's thread does: it takes the job that has waited longest, and with it what waits already and can advance
//! together with it.
//!
//! Nobody waits for company: a job that comes while others are on the device goes with the next ones.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use orfeas_contract::JobId;
use orfeas_engine::{Engine, EngineError, EngineErrorKind, Observer, Resume};
use orfeas_field::Field;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::device::{Step, Task, Update};

/// Progress is told at most this often, besides every change of phase.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// So many runs one after another that make nothing and fail this many different jobs are the engine's fault, not theirs.
const MOST_FAILED: usize = 3;

/// The engine fails whatever it is given.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the engine failed {MOST_FAILED} different jobs one after another; it may do better after a restart")]
pub struct Broken;

/// Works until nobody can send a job any more and the last one has ended.
///
/// # Errors
/// [`Broken`]; what waits then gets no answer.
pub fn serve(mut engine: Box<dyn Engine>, queue: &Receiver<Task>) -> Result<(), Broken> {
    let mut waiting = VecDeque::new();
    let (mut runs_failed, mut failed) = (0, HashSet::new());
    loop {
        if waiting.is_empty() {
            let Ok(task) = queue.recv() else { return Ok(()) };
            waiting.push_back(task);
        }
        waiting.extend(queue.try_iter());
        // Its client left, or its worker was stopped: nobody would take the field.
        let (left, wanted): (VecDeque<_>, _) =
            waiting.into_iter().partition(|task: &Task| task.cancel.is_cancelled() || task.answer.is_closed());
        waiting = wanted;
        left.into_iter().for_each(|task| drop(task.answer.send(Err(EngineError::cancelled()))));
        let together = |one: &Task, other: &Task| engine.goes_together(&one.request, &other.request);
        let tasks = company(&mut waiting, engine.most_together(), together);
        if tasks.is_empty() {
            continue;
        }
        let done = run(&mut *engine, tasks);
        if done.made > 0 {
            (runs_failed, failed) = (0, HashSet::new());
        } else if !done.failed.is_empty() {
            runs_failed += 1;
            failed.extend(done.failed);
        }
        if runs_failed.min(failed.len()) >= MOST_FAILED {
            return Err(Broken);
        }
    }
}

/// Takes the first of what waits, and up to `most` in all of what goes together with it; the others keep their order.
fn company<T>(waiting: &mut VecDeque<T>, most: usize, together: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut taken: Vec<T> = waiting.pop_front().into_iter().collect();
    for other in std::mem::take(waiting) {
        match taken.first() {
            Some(first) if taken.len() < most && together(first, &other) => taken.push(other),
            _ => waiting.push_back(other),
        }
    }
    taken
}

/// Who waits for a job's field; none once it has got its answer.
type Answer = Option<oneshot::Sender<Result<Field, EngineError>>>;

/// What became of a run's jobs. Those that were refused or cancelled say nothing of the engine.
struct Done {
    made: usize,
    failed: Vec<JobId>,
}

fn run(engine: &mut dyn Engine, tasks: Vec<Task>) -> Done {
    if tasks.len() > 1 {
        tracing::info!(jobs = tasks.len(), "jobs advance together");
    }
    let mut answers: Vec<Answer> = Vec::new();
    let mut jobs: Vec<_> = Vec::new();
    let (mut ids, mut made) = (Vec::new(), 0);
    let mut failed = Vec::new();
    for Task { job, picture, request, cancel, progress, keep_every, answer, place } in tasks {
        answers.push(Some(answer));
        ids.push(job);
        jobs.push((picture, request, Watch { cancel, progress, keep_every, last: None, began: None, _place: place }));
    }
    let mut tasks: Vec<_> = jobs
        .iter_mut()
        .map(|(picture, request, watch)| orfeas_engine::Task { picture, request, observer: watch })
        .collect();
    let fault = |error: &EngineError| matches!(error.kind(), EngineErrorKind::Failed | EngineErrorKind::Unavailable);
    let mut ended = |place: usize, field: Result<Field, EngineError>| {
        if let Some(answer) = answers[place].take() {
            match &field {
                Ok(_) => made += 1,
                Err(error) if fault(error) => failed.push(ids[place].clone()),
                Err(_) => {}
            }
            // Where nobody waits for it any more, it may go.
            let _ = answer.send(field);
        }
    };
    let broken = catch_unwind(AssertUnwindSafe(|| engine.generate_together(&mut tasks, &mut ended))).is_err();
    for (answer, job) in answers.into_iter().zip(ids) {
        let Some(answer) = answer else { continue };
        failed.push(job);
        let why = if broken { "the engine broke off" } else { "the engine said nothing of this job" };
        let _ = answer.send(Err(EngineError::new(EngineErrorKind::Failed, why)));
    }
    Done { made, failed }
}

struct Watch {
    cancel: CancellationToken,
    progress: mpsc::Sender<Update>,
    keep_every: u32,
    /// Held until the run ends.
    _place: OwnedSemaphorePermit,
    last: Option<(String, Instant)>,
    /// When the present phase began, and at which step: a resumed one does not begin at 0.
    began: Option<(String, Instant, u32)>,
}

impl Watch {
    fn seconds_left(&mut self, phase: &str, step: u32, steps: u32) -> Option<f64> {
        if self.began.as_ref().is_none_or(|(began, ..)| began != phase) {
            self.began = Some((phase.to_owned(), Instant::now(), step));
        }
        let (_, at, first) = self.began.as_ref()?;
        let done = step.checked_sub(*first).filter(|done| *done > 0)?;
        Some(at.elapsed().as_secs_f64() / f64::from(done) * f64::from(steps.saturating_sub(step)))
    }
}

impl Observer for Watch {
    fn progress(&mut self, phase: &str, step: u32, steps: u32) {
        let seconds_left = self.seconds_left(phase, step, steps);
        let due = self.last.as_ref().is_none_or(|(last, at)| last != phase || at.elapsed() >= PROGRESS_EVERY);
        if due || step == steps {
            self.last = Some((phase.to_owned(), Instant::now()));
            // A full channel means that nobody keeps up with the steps; the job must not wait for that.
            let _ = self.progress.try_send(Update::Step(Step { phase: phase.to_owned(), step, steps, seconds_left }));
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn keeps(&self, step: u32) -> bool {
        self.keep_every > 0 && step > 0 && step.is_multiple_of(self.keep_every)
    }

    fn keep(&mut self, resume: Resume) {
        // One that finds no room is left out; the one before it is as good, only older.
        let _ = self.progress.try_send(Update::Keep(resume));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel, sync_channel};

    use orfeas_engine::{Ended, Picture, Request};
    use orfeas_field::{Bounds, SparseGrid};
    use tokio::sync::Semaphore;

    use super::*;

    /// Works together on requests of equal steps. Of each batch it tells the seeds; it ends its jobs in their order, each when
    /// it is told to, and breaks off at a job of seed 13.
    struct Slow {
        begun: Sender<Vec<u64>>,
        go_on: Receiver<()>,
    }

    impl Engine for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn model(&self) -> String {
            "none".to_owned()
        }

        fn generate(&mut self, _: &Picture, _: &Request, _: &mut dyn Observer) -> Result<Field, EngineError> {
            Err(EngineError::new(EngineErrorKind::Failed, "jobs of this engine come together"))
        }

        fn most_together(&self) -> usize {
            3
        }

        fn goes_together(&self, one: &Request, other: &Request) -> bool {
            one.steps == other.steps
        }

        fn generate_together(&mut self, tasks: &mut [orfeas_engine::Task<'_>], ended: &mut Ended<'_>) {
            self.begun.send(tasks.iter().map(|task| task.request.seed).collect()).unwrap();
            for (place, task) in tasks.iter_mut().enumerate() {
                self.go_on.recv().unwrap();
                assert_ne!(task.request.seed, 13, "the engine breaks off");
                task.observer.progress("work", 1, 1);
                let cancelled = task.observer.cancelled();
                let what = if cancelled { EngineErrorKind::Cancelled } else { EngineErrorKind::NoSubject };
                ended(place, Err(EngineError::new(what, "as the test wants it")));
            }
        }
    }

    struct Job {
        cancel: CancellationToken,
        progress: mpsc::Receiver<Update>,
        answered: oneshot::Receiver<Result<Field, EngineError>>,
    }

    impl Job {
        async fn kind(self) -> EngineErrorKind {
            self.answered.await.unwrap().err().unwrap().kind()
        }
    }

    fn task(seed: u64, steps: u32) -> (Task, Job) {
        let picture = Picture::new(1, 1, vec![0; 4]).unwrap();
        let request = Request { seed, steps: Some(steps), ..Request::default() };
        let (cancel, (progress, told), (answer, answered)) =
            (CancellationToken::new(), mpsc::channel(8), oneshot::channel());
        let job = Job { cancel: cancel.clone(), progress: told, answered };
        let id = JobId::parse(&format!("job-{seed}")).unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (Task { job: id, picture, request, cancel, progress, keep_every: 0, answer, place }, job)
    }

    #[tokio::test]
    async fn each_job_of_a_batch_has_its_answer_as_soon_as_it_ends() {
        let (tasks, queue) = sync_channel(16);
        let ((say_begun, begun), (go_on, may_go_on)) = (channel(), channel());
        let submit = |seed, steps| {
            let (task, job) = task(seed, steps);
            tasks.send(task).unwrap();
            job
        };
        let [mut first, second] = [1, 2].map(|seed| submit(seed, 5));
        let [other, gone] = [3, 4].map(|seed| submit(seed, 9));
        let third = submit(5, 5);
        let left = submit(6, 5);
        left.cancel.cancel();
        // Nobody waits for this one.
        drop(gone.answered);
        let thread = std::thread::spawn(move || serve(Box::new(Slow { begun: say_begun, go_on: may_go_on }), &queue));

        assert_eq!(begun.recv().unwrap(), [1, 2, 5], "what waits with equal settings, without who left");
        assert_eq!(left.kind().await, EngineErrorKind::Cancelled, "without a turn");
        let late = submit(7, 5);
        go_on.send(()).unwrap();
        // The others are still on the device.
        assert!(matches!(first.progress.recv().await, Some(Update::Step(step)) if step.phase == "work"));
        assert_eq!(first.kind().await, EngineErrorKind::NoSubject);
        second.cancel.cancel();
        go_on.send(()).unwrap();
        assert_eq!(second.kind().await, EngineErrorKind::Cancelled);
        go_on.send(()).unwrap();
        assert_eq!(third.kind().await, EngineErrorKind::NoSubject);

        assert_eq!(begun.recv().unwrap(), [3], "who has waited longest is next");
        let [mild, broken, behind] = [12, 13, 14].map(|seed| submit(seed, 5));
        go_on.send(()).unwrap();
        assert_eq!(other.kind().await, EngineErrorKind::NoSubject);
        assert_eq!(begun.recv().unwrap(), [7, 12, 13], "three at the most");
        (0..3).for_each(|_| go_on.send(()).unwrap());
        assert_eq!((late.kind().await, mild.kind().await), (EngineErrorKind::NoSubject, EngineErrorKind::NoSubject));
        assert_eq!(broken.kind().await, EngineErrorKind::Failed);
        // The thread goes on.
        assert_eq!(begun.recv().unwrap(), [14]);
        go_on.send(()).unwrap();
        assert_eq!(behind.kind().await, EngineErrorKind::NoSubject);
        drop(tasks);
        thread.join().unwrap().unwrap();
    }

    /// Fails every job but those of seed 0, whose field it makes.
    struct Faulty;

    impl Engine for Faulty {
        fn name(&self) -> &'static str {
            "faulty"
        }

        fn model(&self) -> String {
            "none".to_owned()
        }

        fn generate(&mut self, _: &Picture, request: &Request, _: &mut dyn Observer) -> Result<Field, EngineError> {
            match request.seed {
                0 => Ok(Field {
                    grid: SparseGrid::from_dense([2, 2, 2], &[1.0; 8], 0.0).unwrap(),
                    bounds: Bounds::cube(1.0),
                    provenance: serde_json::from_value(serde_json::json!({
                        "engine": "faulty", "model": "none", "seed": 0, "steps": 1, "guidance": 0.0, "resolution": 1,
                    }))
                    .unwrap(),
                }),
                seed if seed < 100 => Err(EngineError::new(EngineErrorKind::Failed, "as the test wants it")),
                _ => Err(EngineError::new(EngineErrorKind::NoSubject, "as the test wants it")),
            }
        }
    }

    /// Serves jobs of these seeds one after another; whether the engine was found to be broken.
    fn broken_by(seeds: &[u64]) -> bool {
        let (tasks, queue) = sync_channel(16);
        let _jobs: Vec<Job> = seeds
            .iter()
            .map(|seed| {
                let (task, job) = task(*seed, 5);
                tasks.send(task).unwrap();
                job
            })
            .collect();
        drop(tasks);
        serve(Box::new(Faulty), &queue).is_err()
    }

    #[test]
    fn an_engine_that_fails_different_jobs_in_a_row_is_broken() {
        assert!(broken_by(&[1, 2, 3]));
        assert!(broken_by(&[1, 200, 2, 3]), "a refusal says nothing of the engine");
        assert!(!broken_by(&[1, 2, 0, 3, 4]), "it made one meanwhile");
        assert!(!broken_by(&[1, 1, 1, 1, 1, 2]), "one job that fails is not the engine's fault");
        assert!(!broken_by(&[201, 202, 203, 204]));
    }

    /// Fields are a letter and what is behind it; those of one letter go together.
    fn taken(waiting: &[&'static str], most: usize) -> (Vec<&'static str>, Vec<&'static str>) {
        let mut waiting: VecDeque<_> = waiting.iter().copied().collect();
        let taken = company(&mut waiting, most, |one, other| one[..1] == other[..1]);
        (taken, waiting.into())
    }

    #[test]
    fn the_first_goes_with_what_goes_with_it_and_the_others_keep_their_order() {
        assert_eq!(taken(&["a1", "b1", "a2", "b2", "a3", "a4"], 3), (vec!["a1", "a2", "a3"], vec!["b1", "b2", "a4"]));
        assert_eq!(taken(&["b1", "b2", "a4"], 1), (vec!["b1"], vec!["b2", "a4"]), "an engine that takes one at a time");
        assert_eq!(taken(&["a1", "b1"], 8), (vec!["a1"], vec!["b1"]));
        assert_eq!(taken(&[], 8), (vec![], vec![]));
    }
}
