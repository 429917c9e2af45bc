//! What the benchmark says of jobs in a batch.

use orfeas_hunyuan3d::bench::{BenchRequest, bench};
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::{DeviceName, Residency};

use super::*;

fn bench_request(batch: usize, jobs: bool, residency: Residency) -> BenchRequest {
    BenchRequest {
        config: ModelConfig::read(&folder("base")).unwrap(),
        folder: Some(folder("base")),
        residency,
        device: DeviceName::Cpu,
        precision: None,
        steps: 2,
        resolution: 8,
        chunk: 4096,
        queries: 100,
        method: Method::Dense,
        repeat: 8,
        jobs,
        batch,
    }
}

#[test]
fn a_step_and_a_job_of_several_say_how_many_they_are_of() {
    let stages = bench(&bench_request(3, false, Residency::Whole)).unwrap().stages;
    let several: Vec<_> = stages.iter().filter_map(|stage| Some((stage.stage.as_str(), stage.jobs?))).collect();
    assert_eq!(several, [("step", 3)]);
    for residency in [Residency::Whole, Residency::InTurn] {
        let report = bench(&bench_request(2, true, residency)).unwrap();
        assert_eq!(report.stages.iter().map(|stage| stage.jobs).collect::<Vec<_>>(), [Some(2)]);
        let memory = report.memory.unwrap();
        // Nine rounds of two: the second is the first that is looked at.
        assert_eq!((memory.warm_up, memory.jobs, memory.device_bytes), (4, 14, None));
        assert!(memory.host_bytes.is_none_or(|[first, last]| first > 0 && last > 0));
    }
    let alone = bench(&bench_request(1, true, Residency::Whole)).unwrap();
    assert_eq!(alone.stages[0].jobs, None);
}

#[test]
fn a_model_that_takes_one_step_is_asked_for_no_more() {
    let mut request = bench_request(1, false, Residency::Whole);
    request.config.own.most_steps = Some(1);
    let stages = bench(&request).unwrap().stages;
    let step = stages.iter().find(|stage| stage.stage == "step").unwrap();
    assert!(step.first_ms > 0.0);
}
