//! Where a stage computes.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Threads of the blocking pool, as many as a stage may have jobs in hand. A job that its client cancels lets go of its message
/// at once, but what computes for it ends only when it next looks up, and has its memory until then: so the next job's
/// computing waits for the thread, not for the message.
#[derive(Clone, Debug)]
pub struct Threads(Arc<Semaphore>);

impl Threads {
    /// As many as that.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Runs `work` on one of them, once one is free. Dropped, it leaves the thread to end by itself.
    ///
    /// # Errors
    /// [`JoinError`] where it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        // The semaphore is never closed.
        let thread = self.0.clone().acquire_owned().await.ok();
        let held = move || {
            let _thread = thread;
            work()
        };
        tokio::task::spawn_blocking(held).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_nobody_waits_for_any_more_is_still_taken() {
        let threads = Threads::new(1);
        let ((say_begun, begun), (go_on, may_go_on)) = (channel(), channel::<()>());
        let slow = {
            let threads = threads.clone();
            tokio::spawn(async move {
                threads
                    .run(move || {
                        say_begun.send(()).unwrap();
                        may_go_on.recv().unwrap();
                    })
                    .await
            })
        };
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        slow.abort();
        assert!(slow.await.unwrap_err().is_cancelled());
        let next = threads.run(|| 7);
        tokio::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending());
        assert_eq!(threads.0.available_permits(), 0);
        go_on.send(()).unwrap();
        assert_eq!(next.await.unwrap(), 7);
        let broken: Result<(), _> = threads.run(|| panic!("as the test wants it")).await;
        assert!(broken.unwrap_err().is_panic());
        assert_eq!(threads.run(|| 8).await.unwrap(), 8, "a panic gives the thread back");
    }
}
