//! A steady stream of jobs, as a deployment's clients make it.

use std::time::Duration;

use orfeas_bus::{Bus, client};
use orfeas_contract::JobId;
use tokio_util::sync::CancellationToken;

use crate::{EventLog, job, options, pictures};

/// Jobs under way at the most: every stage always has work, and on a slow machine no queue grows that takes minutes to empty.
const UNDER_WAY: usize = 12;

/// Submits a job every few milliseconds, as long as not too many are under way, until it is stopped; gives their ids.
pub async fn steady(bus: Bus, wanted: &'static str, pause: Duration, stop: CancellationToken) -> Vec<JobId> {
    let events = EventLog::start(bus.clone());
    let mut jobs = Vec::new();
    let mut tick = tokio::time::interval(pause);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let number = u32::try_from(jobs.len()).expect("not that many");
        let name = job(&format!("steady-{number}"));
        client::submit(&bus, &name, pictures::ring(64, number), &options(wanted)).await.expect("a job is taken");
        jobs.push(name);
        let room = |seen: &[orfeas_contract::Event]| {
            let ended = seen.iter().filter(|event| event.kind().terminal_state().is_some()).count();
            (jobs.len() < ended + UNDER_WAY).then_some(())
        };
        if stop.run_until_cancelled(events.wait("the end of a job", room)).await.is_none() {
            break;
        }
    }
    jobs
}
