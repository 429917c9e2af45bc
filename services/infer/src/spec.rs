//! From the configuration to the engine that it asks for.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use orfeas_engine::{
    Batching, Budget, Decoder, DeviceName, EngineSpec, LowVram, ModelSpec, Precision, device_memory, starter_model,
};
use orfeas_service::config::{self, DecoderName, EngineName, InferConfig};
use orfeas_stage::ServiceError;

/// Queries at a time where nobody says: enough to fill the device, few enough for its caches.
const CPU_CHUNK: usize = 8_192;
const GPU_CHUNK: usize = 65_536;

/// What the configuration asks for.
///
/// # Errors
/// [`ServiceError::Own`] for a GPU whose memory cannot be told, so that its limit cannot be kept, and for a model that is neither named
/// nor brought along.
pub fn of(config: &InferConfig) -> Result<EngineSpec, ServiceError> {
    let model = match config.engine {
        EngineName::Hunyuan3d => Some(model(config, &folder(config.model_dir.as_deref(), starter_model)?)?),
        EngineName::Inflate | EngineName::Noop => None,
    };
    Ok(EngineSpec { name: config.engine.name().to_owned(), resolution: config.resolution, model })
}

/// The checkpoint folder that was named, else the starter model's. Another engine is never taken instead.
fn folder(
    named: Option<&Path>,
    starter: impl FnOnce() -> Result<PathBuf, Vec<PathBuf>>,
) -> Result<PathBuf, ServiceError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    starter().map_err(|places| {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        ServiceError::Own(format!(
            "engine hunyuan3d has no model: model_dir is not set, and the starter model is not in {}",
            places.join(" or ")
        ))
    })
}

fn model(config: &InferConfig, folder: &Path) -> Result<ModelSpec, ServiceError> {
    let own = if cfg!(feature = "cuda") { DeviceName::Cuda(0) } else { DeviceName::Cpu };
    let device = match &config.device {
        Some(name) => DeviceName::from_str(name).map_err(|error| ServiceError::Own(error.to_string()))?,
        None => own,
    };
    if matches!(device, DeviceName::Cuda(_)) && !cfg!(feature = "cuda") {
        let sentence =
            format!("the device is {device}, and this binary was built without CUDA (cargo feature cuda); use cpu");
        return Err(ServiceError::Own(sentence));
    }
    let memory = match (device, config.gpu_memory_limit) {
        (DeviceName::Cuda(number), Some(limit)) => {
            let total = memory_of(device).map_err(|why| {
                ServiceError::Own(format!(
                    "the memory of cuda:{number} cannot be told; is NVIDIA's driver installed? {why}"
                ))
            })?;
            Some(Budget { limit: limit.of_device(total), card: total })
        }
        _ => None,
    };
    let chunk = match (config.decode_chunk, device) {
        (0, DeviceName::Cpu) => CPU_CHUNK,
        (0, DeviceName::Cuda(_)) => GPU_CHUNK,
        (chunk, _) => chunk,
    };
    Ok(ModelSpec {
        folder: folder.to_owned(),
        vae: config.vae_dir.clone(),
        device,
        precision: match config.precision {
            config::Precision::Auto => None,
            config::Precision::Float16 => Some(Precision::Float16),
            config::Precision::Bfloat16 => Some(Precision::Bfloat16),
            config::Precision::Float32 => Some(Precision::Float32),
        },
        decoder: match config.decoder {
            DecoderName::Auto => None,
            DecoderName::Dense => Some(Decoder::Dense),
            DecoderName::Hierarchical => Some(Decoder::Hierarchical),
            DecoderName::FlashVdm => Some(Decoder::FlashVdm),
            DecoderName::NarrowBand => Some(Decoder::NarrowBand),
        },
        chunk,
        memory,
        low_vram: match config.low_vram {
            config::LowVram::Auto => LowVram::Auto,
            config::LowVram::Off => LowVram::Off,
            config::LowVram::On => LowVram::On,
        },
        batching: match config.batch {
            config::Batch::Auto => Batching::Auto,
            config::Batch::Off => Batching::Off,
            config::Batch::On => Batching::On,
        },
        jobs: config.max_concurrent_jobs,
    })
}

/// Bytes of a GPU's memory.
fn memory_of(device: DeviceName) -> Result<u64, String> {
    // NVML says in a sentence where there is no driver; CUDA's library breaks off.
    nvml_wrapper::Nvml::init().map_err(|error| error.to_string())?;
    device_memory(device).ok_or_else(|| "CUDA shows no such GPU; CUDA_VISIBLE_DEVICES may leave it out".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_named_wins_over_the_starter_model_and_none_is_an_error() {
        let named = Path::new("/models/one");
        assert_eq!(folder(Some(named), || panic!("not asked for")).unwrap(), named);
        assert_eq!(folder(None, || Ok("/share/starter".into())).unwrap(), Path::new("/share/starter"));
        let error = folder(None, || Err(vec!["/bin/models".into(), "/share".into()])).unwrap_err().to_string();
        assert!(error.contains("model_dir is not set") && error.contains("/bin/models or /share"), "{error}");
    }

    #[test]
    fn where_nothing_is_configured_the_starter_model_runs() {
        let spec = of(&InferConfig::load(&config::Sources::default()).unwrap()).unwrap();
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/starter").canonicalize().unwrap();
        assert_eq!((spec.name.as_str(), spec.resolution), ("hunyuan3d", None));
        assert_eq!(spec.model.unwrap().folder.canonicalize().unwrap(), starter);
    }
}
