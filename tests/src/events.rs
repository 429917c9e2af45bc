//! Eyes on the event stream.

use std::time::Duration;

use futures_util::StreamExt;
use orfeas_bus::{Bus, client};
use orfeas_contract::{Event, EventBody, EventKind, JobId, Stage, subjects};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;

/// All events of all jobs, from the first on, as they come.
#[derive(Debug)]
pub struct EventLog {
    seen: watch::Receiver<Vec<Event>>,
    task: JoinHandle<()>,
}

impl EventLog {
    /// Begins to watch.
    #[must_use]
    pub fn start(bus: Bus) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            loop {
                // Where the watch broke off, it begins again with the first event.
                sender.send_replace(Vec::new());
                if let Ok(mut events) = client::follow(&bus, subjects::EVENTS_ALL.to_owned(), true).await {
                    while let Some(Ok(event)) = events.next().await {
                        sender.send_modify(|seen| seen.push(event));
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { seen, task }
    }

    /// Waits until `find` finds something in the events so far.
    pub async fn wait<T>(&self, what: &str, mut find: impl FnMut(&[Event]) -> Option<T>) -> T {
        let mut seen = self.seen.clone();
        let wait = async {
            loop {
                if let Some(found) = find(&seen.borrow_and_update()) {
                    return found;
                }
                seen.changed().await.expect("the watch goes on");
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("{what} did not come; what came: {:#?}", self.lines()),
        }
    }

    /// Waits for an event of a job.
    pub async fn event(&self, job: &JobId, kind: EventKind) -> Event {
        let found = |event: &&Event| event.job == *job && event.kind() == kind;
        self.wait(&format!("{kind} of {job}"), |events| events.iter().find(found).cloned()).await
    }

    /// Waits for the first sign of work of a stage on a job.
    pub async fn progress(&self, job: &JobId, stage: Stage) -> Event {
        let found = |event: &&Event| {
            event.job == *job && matches!(&event.body, EventBody::Progress(progress) if progress.stage == stage)
        };
        self.wait(&format!("progress of {stage} on {job}"), |events| events.iter().find(found).cloned()).await
    }

    /// Waits for the event that ends a job.
    pub async fn outcome(&self, job: &JobId) -> Event {
        let found = |event: &&Event| event.job == *job && event.kind().terminal_state().is_some();
        self.wait(&format!("the end of {job}"), |events| events.iter().find(found).cloned()).await
    }

    fn lines(&self) -> Vec<String> {
        self.seen.borrow().iter().map(|event| serde_json::to_string(event).unwrap_or_default()).collect()
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.task.abort();
    }
}
