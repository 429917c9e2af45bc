//! The wish to end, passed down to everything that runs.

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// A wish to end. Clones share it; a [`Shutdown::child`] hears its parent's and can have one of its own.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A token that nobody but its holder triggers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that SIGTERM or SIGINT triggers. The second signal ends the process at once with code 130. Call it
    /// inside a runtime.
    ///
    /// # Errors
    /// Where the signals cannot be listened for.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut signals = Signals::new()?;
        let token = shutdown.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "ending: no new work is taken, the work in hand goes on");
            token.request();
            let name = signals.next().await;
            tracing::warn!(signal = name, "ending at once");
            std::process::exit(130);
        });
        Ok(shutdown)
    }

    /// Asks everything that holds this token or a child of it to end.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is asked for.
    pub fn requested(&self) -> WaitForCancellationFuture<'_> {
        self.0.cancelled()
    }

    /// A token that ends with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// The token itself, for code that knows `tokio-util` and not this crate.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the same face as on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_hears_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (alone, with_parent) = (parent.child(), parent.child());
        alone.request();
        assert!(alone.is_requested() && !parent.is_requested());
        parent.clone().request();
        with_parent.requested().await;
        assert!(with_parent.is_requested());
    }
}
