//! How long the phases of the engine take: where a job's time on the device goes. That of a job in a batch has in it what it
//! waits there for the others.

use std::time::Instant;

use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, HistogramVec, Registry};

/// The histogram of one engine's phases.
#[derive(Clone, Debug)]
pub struct Phases {
    engine: &'static str,
    seconds: HistogramVec,
}

impl Phases {
    /// Registers it.
    ///
    /// # Errors
    /// Where the registry has it already.
    pub fn new(engine: &'static str, registry: &Registry) -> Result<Self, Error> {
        Ok(Self { engine, seconds: Metric::EnginePhaseSeconds.histogram_vec(registry)? })
    }

    /// A clock for one job. What it shows is counted when the next phase begins, and when it is dropped.
    pub fn clock(&self) -> Clock<'_> {
        Clock { phases: self, running: None }
    }
}

/// Runs with one job.
pub struct Clock<'a> {
    phases: &'a Phases,
    running: Option<(String, Instant)>,
}

impl Clock<'_> {
    /// The job is in this phase now.
    pub fn at(&mut self, phase: &str) {
        if self.running.as_ref().is_none_or(|(running, _)| running != phase) {
            self.stop();
            self.running = Some((phase.to_owned(), Instant::now()));
        }
    }

    fn stop(&mut self) {
        if let Some((phase, since)) = self.running.take() {
            let seconds = self.phases.seconds.with_label_values(&[self.phases.engine, &phase]);
            seconds.observe(since.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_counted_once_and_the_last_one_too() {
        let phases = Phases::new("inflate", &Registry::new()).unwrap();
        let mut clock = phases.clock();
        for phase in ["silhouette", "solve", "solve", "solve", "sample"] {
            clock.at(phase);
        }
        drop(clock);
        for phase in ["silhouette", "solve", "sample"] {
            assert_eq!(phases.seconds.with_label_values(&["inflate", phase]).get_sample_count(), 1, "{phase}");
        }
    }
}
