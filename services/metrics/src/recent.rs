//! The jobs that ended last: a bounded number of series for a table, and a page for each with its whole event.

use std::collections::VecDeque;

use orfeas_contract::{Event, EventBody};
use orfeas_service::Pages;
use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, Registry};

use crate::gauges::Family;

/// How many jobs are shown. Every job is a series for as long as it is among them.
const SHOWN: usize = 25;

/// The last ended jobs, newest first.
pub struct Recent {
    jobs: VecDeque<Event>,
    gauge: Family,
    pages: Pages,
}

impl Recent {
    /// None yet: after a restart of the service they come as jobs end.
    ///
    /// # Errors
    /// Where the registry has the gauge already.
    pub fn new(registry: &Registry, pages: Pages) -> Result<Self, Error> {
        pages.show("/jobs", "[]");
        Ok(Self { jobs: VecDeque::new(), gauge: Family::new(Metric::RecentJob, registry)?, pages })
    }

    /// Notes an event that ends a job; others change nothing.
    pub fn note(&mut self, event: &Event) {
        if event.kind().terminal_state().is_none() {
            return;
        }
        self.jobs.push_front(event.clone());
        self.pages.show(page(event), json(event));
        if self.jobs.len() > SHOWN
            && let Some(old) = self.jobs.pop_back()
        {
            self.pages.hide(&page(&old));
        }
        self.pages.show("/jobs", json(&self.jobs));
        self.gauge.show(self.jobs.iter().map(|event| {
            let (engine, code) = match &event.body {
                EventBody::Completed(completed) => (completed.provenance.engine.as_str(), ""),
                EventBody::Failed(failed) => ("", failed.code.name()),
                _ => ("", ""),
            };
            let labels = [event.job.as_str(), event.kind().name(), engine, code].map(str::to_owned);
            (labels, seconds(event))
        }));
    }
}

fn page(event: &Event) -> String {
    format!("/jobs/{}", event.job)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// From publish to end, as far as the event tells: a failed job says only how long its stages took.
fn seconds(event: &Event) -> f64 {
    let timings = match &event.body {
        EventBody::Completed(completed) => return completed.total_seconds,
        EventBody::Failed(failed) => failed.timings,
        _ => return 0.0,
    };
    orfeas_contract::Stage::ALL
        .into_iter()
        .filter_map(|stage| timings.of(stage))
        .fold(0.0, |sum, timing| sum + timing.queued + timing.worked)
}

#[cfg(test)]
mod tests {
    use orfeas_contract::{Code, Failure, JobId, Stage, Timings};
    use orfeas_service::prometheus::TextEncoder;

    use super::*;

    #[test]
    fn the_last_jobs_are_shown_and_no_more() {
        let (registry, pages) = (Registry::new(), Pages::default());
        let mut recent = Recent::new(&registry, pages.clone()).unwrap();
        for number in 0..30 {
            let job = JobId::parse(&format!("j{number}")).unwrap();
            let failure = Failure::new(Stage::Ingest, Code::NoSubject, "Nothing stands out.");
            recent.note(&Event::failed(job, orfeas_contract::now(), failure, 1, None, Timings::default()));
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("orfeas_recent_job_seconds{")).count(), SHOWN);
        assert!(text.contains(r#"{code="no_subject",engine="",job="j29",state="failed"} 0"#), "{text}");
        assert!(pages.get("/jobs/j29").unwrap().contains("Nothing stands out."));
        assert_eq!(pages.get("/jobs/j4"), None);
        let list: Vec<Event> = serde_json::from_str(&pages.get("/jobs").unwrap()).unwrap();
        assert_eq!((list.len(), list[0].job.as_str()), (SHOWN, "j29"));
    }
}
