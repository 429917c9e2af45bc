//! How the typed configurations are read, and what holds between their settings.

use std::collections::BTreeSet;

use super::{
    Batch, ClientConfig, CommonConfig, DecoderName, EngineName, ExportConfig, HttpConfig, ImageLimits, InferConfig,
    IngestConfig, Kernels, LogConfig, LogFormat, LowVram, MetricsConfig, NatsConfig, Precision, Secret, ServiceConfig,
    TopologyConfig, WorkConfig, error::ConfigErrors, reader::Reader, service::Service, sources::Sources,
};
use crate::http::HttpUrl;

impl NatsConfig {
    fn read(reader: &mut Reader) -> Self {
        let ways = ["nats_password", "nats_password_file", "nats_token", "nats_creds_file"];
        let set: Vec<_> = ways.into_iter().filter(|key| reader.is_set(key)).collect();
        if let [first, .., last] = set.as_slice() {
            reader.mistake(last, format!("{first} is set too; set one way to log in, not {}", set.len()));
        }
        for (one, other) in [
            ("nats_password", "nats_user"),
            ("nats_password_file", "nats_user"),
            ("nats_tls_cert_file", "nats_tls_key_file"),
            ("nats_tls_key_file", "nats_tls_cert_file"),
        ] {
            if reader.is_set(one) && !reader.is_set(other) {
                reader.mistake(one, format!("goes with {other}, which is not set"));
            }
        }
        if reader.is_set("nats_user") && !reader.is_set("nats_password") && !reader.is_set("nats_password_file") {
            reader.mistake("nats_user", "goes with nats_password or nats_password_file, and neither is set");
        }
        let password = reader.secret("nats_password");
        let from_file = reader.path("nats_password_file").and_then(|path| password_in(&path, reader));
        Self {
            urls: reader.urls("nats_url").unwrap_or_default(),
            user: reader.text("nats_user"),
            password: password.or(from_file),
            token: reader.secret("nats_token"),
            creds_file: reader.path("nats_creds_file"),
            tls_ca_file: reader.path("nats_tls_ca_file"),
            tls_cert_file: reader.path("nats_tls_cert_file"),
            tls_key_file: reader.path("nats_tls_key_file"),
            inbox_prefix: reader.text("nats_inbox_prefix").unwrap_or_default(),
        }
    }
}

/// The first line of a password file.
fn password_in(path: &std::path::Path, reader: &mut Reader) -> Option<Secret> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        reader.mistake("nats_password_file", format!("{} holds no password in its first line", path.display()));
        return None;
    }
    Some(Secret::new(line))
}

impl LogConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.text("log_level").unwrap_or_default(),
            format: reader.choice("log_format", LogFormat::named),
        }
    }
}

impl WorkConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            ack_wait: reader.duration("ack_wait").unwrap_or_default(),
            max_attempts: reader.number("max_attempts").unwrap_or_default(),
        }
    }
}

impl TopologyConfig {
    fn read(reader: &mut Reader) -> Self {
        let replicas = reader.narrow("replicas");
        if replicas == 2 || replicas == 4 {
            reader.mistake(
                "replicas",
                format!("{replicas} copies outlive no more servers than {}; use 1, 3 or 5", replicas - 1),
            );
        }
        let (events, jobs) = (reader.duration("events_max_age"), reader.duration("jobs_max_age"));
        if events > jobs {
            // A job id whose record is forgotten may be used again; an old event of it would then count as the new job's.
            reader.mistake(
                "events_max_age",
                "events may not be kept longer than the records of their jobs (jobs_max_age)",
            );
        }
        Self {
            replicas,
            images_max_bytes: reader.number("images_max_bytes").unwrap_or_default(),
            uploads_max_bytes: reader.number("uploads_max_bytes").unwrap_or_default(),
            prepared_max_bytes: reader.number("prepared_max_bytes").unwrap_or_default(),
            fields_max_bytes: reader.number("fields_max_bytes").unwrap_or_default(),
            meshes_max_bytes: reader.number("meshes_max_bytes").unwrap_or_default(),
            events_max_bytes: reader.number("events_max_bytes").unwrap_or_default(),
            jobs_max_bytes: reader.number("jobs_max_bytes").unwrap_or_default(),
            requests_max_bytes: reader.number("requests_max_bytes").unwrap_or_default(),
            work_max_messages: reader.number("work_max_messages").unwrap_or_default(),
            dead_max_bytes: reader.number("dead_max_bytes").unwrap_or_default(),
            dead_max_age: reader.duration("dead_max_age").unwrap_or_default(),
            events_max_age: events.unwrap_or_default(),
            artifacts_max_age: reader.duration("artifacts_max_age").unwrap_or_default(),
            meshes_max_age: reader.duration("meshes_max_age").unwrap_or_default(),
            jobs_max_age: jobs.unwrap_or_default(),
        }
    }
}

/// A setting that may name one address, not several.
fn one_url(reader: &mut Reader, key: &'static str) -> Option<HttpUrl> {
    let mut urls = reader.http_urls(key)?;
    if urls.len() > 1 {
        reader.mistake(key, "it must be one address");
    }
    urls.pop()
}

impl CommonConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            nats: NatsConfig::read(reader),
            http: HttpConfig { listen: reader.listen("http_listen").flatten() },
            log: LogConfig::read(reader),
            work: WorkConfig::read(reader),
            topology: TopologyConfig::read(reader),
            otlp_endpoint: one_url(reader, "otel_exporter_otlp_endpoint"),
            shutdown_grace: reader.duration("shutdown_grace").unwrap_or_default(),
        }
    }
}

impl InferConfig {
    fn read(reader: &mut Reader) -> Self {
        let config = Self {
            common: CommonConfig::read(reader),
            engine: reader.choice("engine", EngineName::named),
            model_dir: reader.path("model_dir"),
            vae_dir: reader.path("vae_dir"),
            device: reader.text("device"),
            decoder: reader.choice("decoder", DecoderName::named),
            decode_chunk: reader.narrow("decode_chunk"),
            checkpoint_every: reader.narrow("checkpoint_every"),
            resolution: reader.number("resolution").and_then(|cells| u32::try_from(cells).ok()),
            max_concurrent_jobs: reader.narrow("max_concurrent_jobs"),
            gpu_memory_limit: reader.memory("gpu_memory_limit"),
            precision: reader.choice("hunyuan3d_precision", Precision::named),
            low_vram: reader.choice("hunyuan3d_low_vram", LowVram::named),
            batch: reader.choice("hunyuan3d_batch", Batch::named),
            kernels: reader.choice("hunyuan3d_kernels", Kernels::named),
            kernel_cache: reader.text("hunyuan3d_kernel_cache"),
            cuda_visible_devices: reader.text("cuda_visible_devices"),
        };
        let known = |device: &str| {
            device == "cpu" || device == "cuda" || device.strip_prefix("cuda:").is_some_and(|n| n.parse::<u8>().is_ok())
        };
        if config.device.as_deref().is_some_and(|device| !known(device)) {
            reader.mistake("device", "it must be cpu, cuda or cuda:N");
        }
        for (key, sentence) in [
            (
                "cuda_visible_devices",
                "the CUDA driver reads it from the environment only; set the variable CUDA_VISIBLE_DEVICES",
            ),
            ("hunyuan3d_kernels", "the model reads it from the environment only; set the variable HUNYUAN3D_KERNELS"),
            (
                "hunyuan3d_kernel_cache",
                "the model reads it from the environment only; set the variable HUNYUAN3D_KERNEL_CACHE",
            ),
        ] {
            if reader.is_set(key) && !reader.is_from_environment(key) {
                reader.mistake(key, sentence);
            }
        }
        config
    }
}

/// Gives each struct its `load`, and the services' structs their trait.
macro_rules! loaders {
    ($($config:ident, $service:ident, $reader:ident => $read:expr;)*) => {$(
        impl $config {
            /// Reads the configuration.
            ///
            /// # Errors
            /// [`ConfigErrors`] lists every mistake, each with where it stands and what is allowed.
            pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
                Self::load_and_list(sources).map(|(config, _)| config)
            }

            /// Also the settings that were read.
            pub(super) fn load_and_list(sources: &Sources) -> Result<(Self, BTreeSet<&'static str>), ConfigErrors> {
                let mut reader = Reader::new(Service::$service, sources);
                let config = { let $reader = &mut reader; $read };
                reader.finish(config)
            }
        }
    )*};
}

loaders! {
    IngestConfig, Ingest, reader => IngestConfig {
        common: CommonConfig::read(reader),
        concurrency: reader.narrow("ingest_concurrency"),
        images: ImageLimits {
            max_bytes: reader.number("image_max_bytes").unwrap_or_default(),
            max_pixels: reader.number("image_max_pixels").unwrap_or_default(),
            max_side: reader.narrow("image_max_side"),
            max_decoder_bytes: reader.number("image_max_decoder_bytes").unwrap_or_default(),
        },
    };
    InferConfig, Infer, reader => InferConfig::read(reader);
    ExportConfig, Export, reader => ExportConfig {
        common: CommonConfig::read(reader),
        concurrency: reader.narrow("export_concurrency"),
    };
    MetricsConfig, Metrics, reader => MetricsConfig {
        common: CommonConfig::read(reader),
        poll_interval: reader.duration("poll_interval").unwrap_or_default(),
        checkpoint_interval: reader.duration("checkpoint_interval").unwrap_or_default(),
        nats_monitor_urls: reader.http_urls("nats_monitor_urls").unwrap_or_default(),
        watch_folders: reader.paths("watch_folders").unwrap_or_default(),
    };
    ClientConfig, Client, reader => ClientConfig {
        nats: NatsConfig::read(reader),
        log: LogConfig::read(reader),
        work: WorkConfig::read(reader),
        topology: TopologyConfig::read(reader),
    };
}

macro_rules! services {
    ($($config:ident, $service:ident;)*) => {$(
        impl ServiceConfig for $config {
            const SERVICE: Service = Service::$service;

            fn common(&self) -> &CommonConfig {
                &self.common
            }

            fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
                Self::load(sources)
            }
        }
    )*};
}

services! { IngestConfig, Ingest; InferConfig, Infer; ExportConfig, Export; MetricsConfig, Metrics; }
