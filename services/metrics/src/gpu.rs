//! The GPUs of this machine, through NVML. Where there is none, one metric says why and no other is shown.

use std::convert::Infallible;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use orfeas_service::metrics::Metric;
use orfeas_service::prometheus::{Error, Registry};
use tokio::time::{MissedTickBehavior, timeout};

use crate::gauges::Family;

/// A driver that is silent for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one GPU says; what it does not say is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// NVML's index.
    pub index: u32,
    /// Name, uuid and driver.
    pub identity: Option<[String; 3]>,
    /// Bytes used and bytes there are.
    pub memory: Option<(u64, u64)>,
    /// 0 to 1.
    pub utilisation: Option<f64>,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
}

/// The GPUs, or why they cannot be watched.
pub type Sample = Result<Vec<Device>, String>;

/// Watches the GPUs.
pub struct Gpus {
    available: Family,
    info: Family,
    used: Family,
    total: Family,
    utilisation: Family,
    temperature: Family,
    /// What was logged last.
    said: Option<String>,
}

impl Gpus {
    /// Registers the gauges, without series.
    ///
    /// # Errors
    /// Where the registry has them already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            available: Family::new(Metric::GpuAvailable, registry)?,
            info: Family::new(Metric::GpuInfo, registry)?,
            used: Family::new(Metric::GpuMemoryUsed, registry)?,
            total: Family::new(Metric::GpuMemoryTotal, registry)?,
            utilisation: Family::new(Metric::GpuUtilisation, registry)?,
            temperature: Family::new(Metric::GpuTemperature, registry)?,
            said: None,
        })
    }

    /// Looks again and again, for ever. A driver that comes later, or goes, is noticed.
    pub async fn run(mut self, every: Duration) -> Infallible {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut nvml = None;
        loop {
            tick.tick().await;
            // NVML can block for seconds, and for ever on a broken driver; then this one thread waits, no others.
            let mut look = tokio::task::spawn_blocking(move || {
                let sample = sample(&mut nvml);
                (nvml, sample)
            });
            let looked = match timeout(PATIENCE, &mut look).await {
                Ok(looked) => looked,
                Err(_) => {
                    self.show(&Err("the NVIDIA driver does not answer".to_owned()));
                    look.await
                }
            };
            nvml = match looked {
                Ok((nvml, sample)) => {
                    self.show(&sample);
                    nvml
                }
                Err(error) => {
                    self.show(&Err("looking at the GPUs failed".to_owned()));
                    tracing::error!(%error, "looking at the GPUs failed");
                    None
                }
            };
        }
    }

    /// Shows a sample and nothing older.
    pub fn show(&mut self, sample: &Sample) {
        let reason = sample.as_ref().err().cloned().unwrap_or_default();
        if self.said.as_ref() != Some(&reason) {
            match sample {
                Ok(devices) => tracing::info!(devices = devices.len(), "GPUs are watched"),
                Err(reason) => tracing::info!(reason, "no GPU is watched"),
            }
            self.said = Some(reason.clone());
        }
        self.available.show([([reason], if sample.is_ok() { 1.0 } else { 0.0 })]);
        let devices = sample.as_deref().unwrap_or_default();
        self.info.show(devices.iter().filter_map(|device| {
            let [name, uuid, driver] = device.identity.clone()?;
            Some(([device.index.to_string(), name, uuid, driver], 1.0))
        }));
        let each = |value: fn(&Device) -> Option<f64>| {
            devices.iter().filter_map(move |device| Some(([device.index.to_string()], value(device)?)))
        };
        self.used.show(each(|device| device.memory.map(|(used, _)| bytes(used))));
        self.total.show(each(|device| device.memory.map(|(_, total)| bytes(total))));
        self.utilisation.show(each(|device| device.utilisation));
        self.temperature.show(each(|device| device.temperature.map(f64::from)));
    }
}

/// Asks every GPU, opening NVML where that has not happened. Blocks.
pub fn sample(opened: &mut Option<Nvml>) -> Sample {
    if opened.is_none() {
        *opened = Some(Nvml::init().map_err(|error| reason(&error))?);
    }
    let Some(nvml) = opened else { return Ok(Vec::new()) };
    match devices(nvml) {
        Ok(devices) => Ok(devices),
        Err(reason) => {
            // A driver that was exchanged under us answers a fresh start only.
            *opened = None;
            Err(reason)
        }
    }
}

fn devices(nvml: &Nvml) -> Sample {
    let count = nvml.device_count().map_err(|error| reason(&error))?;
    if count == 0 {
        return Err("the NVIDIA driver sees no GPU".to_owned());
    }
    let driver = nvml.sys_driver_version().ok();
    let device = |index| {
        let Ok(device) = nvml.device_by_index(index) else { return Device { index, ..Device::default() } };
        let identity = || Some([device.name().ok()?, device.uuid().ok()?, driver.clone()?]);
        Device {
            index,
            identity: identity(),
            memory: device.memory_info().ok().map(|memory| (memory.used, memory.total)),
            utilisation: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
            temperature: device.temperature(TemperatureSensor::Gpu).ok(),
        }
    };
    Ok((0..count).map(device).collect())
}

/// A fixed sentence for each cause: the reason is a label's value, and must not vary with paths or addresses.
fn reason(error: &NvmlError) -> String {
    let known = match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => "the NVIDIA driver library is not installed",
        NvmlError::DriverNotLoaded => "the NVIDIA driver is not loaded",
        NvmlError::LibRmVersionMismatch => "the NVIDIA driver and its library are of different versions",
        NvmlError::NoPermission => "this user may not ask the NVIDIA driver",
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => "the NVIDIA driver library is too old",
        NvmlError::GpuLost => "a GPU fell off the bus",
        NvmlError::Timeout => "the NVIDIA driver does not answer",
        other => return format!("the NVIDIA driver says: {other}"),
    };
    known.to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in f64")]
fn bytes(number: u64) -> f64 {
    number as f64
}
