//! How a model fits into the memory that it may use: which parts are there at a time, how many queries, how many jobs.

use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::memory::MemoryNeed;
use orfeas_hunyuan3d::{DeviceName, ModelError, Precision, Residency, has_own_kernels};

use crate::ModelSpec;

/// Rows of a transformer's step that fill a GPU: more of them at a time only keep a job waiting for the others.
///
/// Reckoned, not measured. Products of these rows with matrices 1024 wide are 512 to 1024 tiles, several times the 80 to 150
/// multiprocessors of the cards in question, so that little of the last round of them lies idle. One job of Hunyuan3D-2 with
/// guidance has 8884 rows, two have too many; one of a turbo model has 4442, one of the mini model 3764.
const FILLING_ROWS: usize = 16_384;

/// Whether the parts of a model that do not compute leave the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LowVram {
    /// Where the model does not fit otherwise.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always.
    On,
}

/// Whether jobs advance together in one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batching {
    /// On a GPU, as many as should raise its throughput.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always, as many as there may be and memory holds.
    On,
}

/// What a model is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    /// What is on the device at a time.
    pub residency: Residency,
    /// Queries at a time.
    pub chunk: usize,
    /// Jobs in one batch, at the most.
    pub together: usize,
}

impl Fit {
    /// Of a model on a device. Batches take what memory one job at a time leaves: neither fewer queries nor fewer parts are
    /// there because of them.
    ///
    /// # Errors
    /// [`orfeas_hunyuan3d::ModelErrorKind::Memory`] where not even one job fits.
    pub fn of(spec: &ModelSpec, config: &ModelConfig, precision: Precision) -> Result<Self, ModelError> {
        let own_kernels = has_own_kernels(spec.device);
        let need = |jobs: usize| MemoryNeed::of_several(config, precision, own_kernels, jobs);
        let (residency, chunk) = alone(spec, &need(1))?;
        let fits = |jobs: &usize| {
            let peak = |memory: orfeas_hunyuan3d::memory::Budget| {
                need(*jobs).peak(memory.card, chunk, residency).is_some_and(|peak| peak <= memory.limit)
            };
            spec.memory.is_none_or(peak)
        };
        let fast = own_kernels && precision != Precision::Float32;
        let wanted = wanted(spec, config.step_rows(), residency, fast);
        Ok(Self { residency, chunk, together: (1..=wanted).rev().find(fits).unwrap_or(1) })
    }
}

/// Jobs that are wanted in one batch, whatever memory they take, where a step of one has so many rows.
fn wanted(spec: &ModelSpec, rows: usize, residency: Residency, own_kernels: bool) -> usize {
    let most = spec.jobs.max(1);
    match (spec.batching, spec.device) {
        (Batching::Off, _) => 1,
        (Batching::On, _) => most,
        // A processor is busy with one job, and takes no less time for two.
        (Batching::Auto, DeviceName::Cpu) => 1,
        // A part that is carried to the device for every batch is carried once for all of its jobs.
        (Batching::Auto, DeviceName::Cuda(_)) if residency == Residency::InTurn => most,
        // With Burn's own kernels a step is slow for other reasons than too few rows.
        (Batching::Auto, DeviceName::Cuda(_)) if !own_kernels => 1,
        (Batching::Auto, DeviceName::Cuda(_)) => (FILLING_ROWS / rows.max(1)).clamp(1, most),
    }
}

/// How a model fits with one job at a time: what is on the device at a time, and how many queries.
fn alone(spec: &ModelSpec, need: &MemoryNeed) -> Result<(Residency, usize), ModelError> {
    let wanted = spec.chunk.max(1);
    let fit = |residency| match spec.memory {
        Some(memory) => need.fit(memory, wanted, residency),
        None => Ok(wanted),
    };
    if spec.low_vram != LowVram::On {
        match fit(Residency::Whole) {
            Err(_) if spec.low_vram == LowVram::Auto => {}
            whole => return whole.map(|chunk| (Residency::Whole, chunk)),
        }
    }
    fit(Residency::InTurn).map(|chunk| (Residency::InTurn, chunk))
}

#[cfg(test)]
mod tests {
    use orfeas_hunyuan3d::memory::Budget;
    use orfeas_hunyuan3d::presets::preset;

    use super::*;

    fn spec(device: DeviceName, batching: Batching) -> ModelSpec {
        ModelSpec {
            folder: "nowhere".into(),
            vae: None,
            device,
            precision: None,
            decoder: None,
            chunk: 8192,
            memory: None,
            low_vram: LowVram::Auto,
            batching,
            jobs: 3,
        }
    }

    fn rows(name: &str) -> usize {
        preset(name).unwrap().step_rows()
    }

    #[test]
    fn jobs_go_together_where_that_should_raise_throughput() {
        let gpu = DeviceName::Cuda(0);
        let auto = |name: &str, residency, own| wanted(&spec(gpu, Batching::Auto), rows(name), residency, own);
        for (name, rows_of_one, together) in
            [("hunyuan3d-2", 8884, 1), ("hunyuan3d-2-turbo", 4442, 3), ("mini", 3764, 3)]
        {
            assert_eq!(rows(name), rows_of_one, "{name}");
            assert_eq!(auto(name, Residency::Whole, true), together, "{name}");
            assert_eq!(auto(name, Residency::InTurn, true), 3, "{name}, whose parts are carried there for every batch");
            assert_eq!(auto(name, Residency::Whole, false), 1, "{name}, on a GPU without kernels of ours");
        }
        let of = |device, batching, jobs| {
            let spec = ModelSpec { jobs, ..spec(device, batching) };
            wanted(&spec, rows("mini"), Residency::Whole, true)
        };
        assert_eq!(of(DeviceName::Cpu, Batching::Auto, 8), 1);
        assert_eq!(of(gpu, Batching::Auto, 8), 4, "as many as fill the card");
        for device in [DeviceName::Cpu, gpu] {
            assert_eq!((of(device, Batching::Off, 8), of(device, Batching::On, 8)), (1, 8));
            assert_eq!(of(device, Batching::On, 1), 1);
        }
    }

    #[test]
    fn a_batch_keeps_within_the_budget_and_takes_nothing_from_a_job_by_itself() {
        let config = preset("hunyuan3d-2").unwrap();
        let card = 24 << 30;
        let within = |limit: u64, batching| {
            let memory = Some(Budget { limit, card });
            let spec = ModelSpec { memory, jobs: 64, ..spec(DeviceName::Cpu, batching) };
            Fit::of(&spec, &config, Precision::Float16).unwrap()
        };
        let mut most = 0;
        for gib in [8, 12, 16, 24u64] {
            let (off, on) = (within(gib << 30, Batching::Off), within(gib << 30, Batching::On));
            assert_eq!(off.together, 1);
            assert_eq!(on, Fit { together: on.together, ..off }, "the same parts and queries");
            let peak = |jobs: usize| {
                let need = MemoryNeed::of_several(&config, Precision::Float16, false, jobs);
                need.peak(card, on.chunk, on.residency).unwrap()
            };
            assert!(peak(on.together) <= gib << 30, "{gib} GiB");
            assert!(on.together == 64 || peak(on.together + 1) > gib << 30, "{gib} GiB hold one more");
            most = most.max(on.together);
        }
        assert!(most > 1, "24 GiB hold more than one job");
        let unbound =
            Fit::of(&ModelSpec { jobs: 64, ..spec(DeviceName::Cpu, Batching::On) }, &config, Precision::Float16);
        assert_eq!(unbound.unwrap().together, 64);
    }
}
