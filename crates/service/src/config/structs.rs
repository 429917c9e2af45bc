//! The typed configurations.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    MemoryLimit, Secret, ServerUrl, error::ConfigErrors, service::Service, sources::Sources, units::serialize_duration,
};
use crate::http::HttpUrl;

/// Addresses as people write them.
fn serialize_urls<'a, S: serde::Serializer>(
    urls: impl IntoIterator<Item = &'a HttpUrl>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(urls.into_iter().map(ToString::to_string))
}

/// An enum that is one word in a configuration.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every word.
            pub const NAMES: &'static [&'static str] = &[$($word,)*];

            /// The word.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(super) fn named(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// How the log is written.
    LogFormat {
        /// Lines for people.
        #[default]
        Text => "text",
        /// One JSON object a line.
        Json => "json",
    }
}

words! {
    /// What turns pictures into fields.
    EngineName {
        /// Poisson inflation of the silhouette; needs no weights.
        Inflate => "inflate",
        /// A fixed small field, for measuring the pipeline.
        Noop => "noop",
        /// The neural model.
        #[default]
        Hunyuan3d => "hunyuan3d",
    }
}

words! {
    /// Numbers that the network computes with.
    Precision {
        /// What the device is for.
        #[default]
        Auto => "auto",
        /// IEEE half.
        Float16 => "float16",
        /// bfloat16.
        Bfloat16 => "bfloat16",
        /// IEEE single.
        Float32 => "float32",
    }
}

words! {
    /// Whether the parts of the network that do not compute leave the GPU.
    LowVram {
        /// Where it does not fit otherwise.
        #[default]
        Auto => "auto",
        /// Never.
        Off => "off",
        /// Always.
        On => "on",
    }
}

words! {
    /// Whether jobs of the neural engine advance together.
    Batch {
        /// Where that should raise a GPU's throughput.
        #[default]
        Auto => "auto",
        /// Never.
        Off => "off",
        /// Always.
        On => "on",
    }
}

words! {
    /// Kernels of the neural engine on a GPU.
    Kernels {
        /// The fastest that the GPU has.
        #[default]
        Auto => "auto",
        /// Those of sm_80 and later, on newer ones too.
        Mma => "mma",
        /// Burn's own.
        Plain => "plain",
    }
}

words! {
    /// How the neural engine reads a field.
    DecoderName {
        /// What the shape decoder was made for.
        #[default]
        Auto => "auto",
        /// Every sample.
        Dense => "dense",
        /// Coarse to fine along the surface.
        Hierarchical => "hierarchical",
        /// The same, with adaptive key selection.
        FlashVdm => "flashvdm",
        /// Coarse to fine, only in cells that the surface passes through.
        NarrowBand => "narrowband",
    }
}

/// How to reach NATS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NatsConfig {
    /// The servers; printed without the credentials that an address may carry.
    pub urls: Vec<ServerUrl>,
    /// User name, only together with [`NatsConfig::password`].
    pub user: Option<String>,
    /// Password, also where it came from a file.
    pub password: Option<Secret>,
    /// Token.
    pub token: Option<Secret>,
    /// Credentials file.
    pub creds_file: Option<PathBuf>,
    /// PEM file of the authority to trust beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate, only together with [`NatsConfig::tls_key_file`].
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file of the client's key.
    pub tls_key_file: Option<PathBuf>,
    /// Prefix of reply subjects.
    pub inbox_prefix: String,
}

/// Where the health server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HttpConfig {
    /// The address; none: off.
    pub listen: Option<SocketAddr>,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogConfig {
    /// Filter directives.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// The work loop's terms; the consumers are made with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WorkConfig {
    /// How long a silent worker keeps a job.
    #[serde(serialize_with = "serialize_duration")]
    pub ack_wait: Duration,
    /// How often a stage is tried.
    pub max_attempts: u64,
}

/// Limits of streams and buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TopologyConfig {
    /// Copies of every stream and bucket.
    pub replicas: usize,
    /// Stream of clients' pictures.
    pub images_max_bytes: u64,
    /// Bucket of large pictures.
    pub uploads_max_bytes: u64,
    /// Bucket of prepared pictures.
    pub prepared_max_bytes: u64,
    /// Bucket of fields.
    pub fields_max_bytes: u64,
    /// Bucket of mesh files.
    pub meshes_max_bytes: u64,
    /// Messages in the stream of work.
    pub work_max_messages: u64,
    /// Stream of dead letters.
    pub dead_max_bytes: u64,
    /// Age of dead letters.
    #[serde(serialize_with = "serialize_duration")]
    pub dead_max_age: Duration,
    /// Stream of events.
    pub events_max_bytes: u64,
    /// Age of events.
    #[serde(serialize_with = "serialize_duration")]
    pub events_max_age: Duration,
    /// Bucket of job records.
    pub jobs_max_bytes: u64,
    /// Bucket of message ids.
    pub requests_max_bytes: u64,
    /// Age of uploads, prepared pictures and fields.
    #[serde(serialize_with = "serialize_duration")]
    pub artifacts_max_age: Duration,
    /// Age of mesh files.
    #[serde(serialize_with = "serialize_duration")]
    pub meshes_max_age: Duration,
    /// Age of job records.
    #[serde(serialize_with = "serialize_duration")]
    pub jobs_max_age: Duration,
}

/// What every service has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommonConfig {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// The health server.
    pub http: HttpConfig,
    /// The log.
    pub log: LogConfig,
    /// The work loop.
    pub work: WorkConfig,
    /// Streams and buckets.
    pub topology: TopologyConfig,
    /// Where traces are sent.
    #[serde(serialize_with = "serialize_urls")]
    pub otlp_endpoint: Option<HttpUrl>,
    /// How long the work in hand may go on after a signal.
    #[serde(serialize_with = "serialize_duration")]
    pub shutdown_grace: Duration,
}

/// Limits that a picture is held to before and while it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ImageLimits {
    /// Encoded bytes.
    pub max_bytes: u64,
    /// Width times height.
    pub max_pixels: u64,
    /// Longest side.
    pub max_side: u32,
    /// Memory of the decoder.
    pub max_decoder_bytes: u64,
}

/// Configuration of ingest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IngestConfig {
    /// What every service has.
    pub common: CommonConfig,
    /// Pictures in hand at once.
    pub concurrency: usize,
    /// Limits of a picture.
    pub images: ImageLimits,
}

/// Configuration of infer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InferConfig {
    /// What every service has.
    pub common: CommonConfig,
    /// The engine.
    pub engine: EngineName,
    /// Checkpoint folder; always there for [`EngineName::Hunyuan3d`].
    pub model_dir: Option<PathBuf>,
    /// Folder of another shape decoder.
    pub vae_dir: Option<PathBuf>,
    /// Where the neural engine runs; none: the binary's own choice.
    pub device: Option<String>,
    /// How it reads fields.
    pub decoder: DecoderName,
    /// Queries of a field at a time; 0: by the device.
    pub decode_chunk: usize,
    /// Steps between stored latents; 0: none are stored.
    pub checkpoint_every: u32,
    /// Cells along the longest side where the job does not say; none: as many as the engine's model was made for.
    pub resolution: Option<u32>,
    /// Jobs in hand at once.
    pub max_concurrent_jobs: usize,
    /// Most GPU memory to take; none: all.
    pub gpu_memory_limit: Option<MemoryLimit>,
    /// Numbers of the network.
    pub precision: Precision,
    /// Whether its parts leave the GPU when they are done.
    pub low_vram: LowVram,
    /// Whether its jobs advance together.
    pub batch: Batch,
    /// What `HUNYUAN3D_KERNELS` says, for the log: the model reads the variable itself.
    pub kernels: Kernels,
    /// What `HUNYUAN3D_KERNEL_CACHE` says, for the log: the model reads the variable itself.
    pub kernel_cache: Option<String>,
    /// What `CUDA_VISIBLE_DEVICES` says, for the log: the driver reads the variable itself.
    pub cuda_visible_devices: Option<String>,
}

/// Configuration of export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportConfig {
    /// What every service has.
    pub common: CommonConfig,
    /// Meshes in hand at once.
    pub concurrency: usize,
}

/// Configuration of metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsConfig {
    /// What every service has.
    pub common: CommonConfig,
    /// How often queues, buckets and GPUs are looked at.
    #[serde(serialize_with = "serialize_duration")]
    pub poll_interval: Duration,
    /// How often the counts are stored.
    #[serde(serialize_with = "serialize_duration")]
    pub checkpoint_interval: Duration,
    /// Monitoring ports of the NATS servers.
    #[serde(serialize_with = "serialize_urls")]
    pub nats_monitor_urls: Vec<HttpUrl>,
    /// Folders whose disks are watched.
    pub watch_folders: Vec<PathBuf>,
}

/// Configuration of the `orfeas` command towards a running pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientConfig {
    /// How to reach NATS.
    pub nats: NatsConfig,
    /// The log.
    pub log: LogConfig,
    /// The work loop, for `topology apply`.
    pub work: WorkConfig,
    /// Streams and buckets, for `topology apply`.
    pub topology: TopologyConfig,
}

/// A service's configuration, as [`crate::run_service`] takes it.
pub trait ServiceConfig: std::fmt::Debug + Serialize + Sized + Send + 'static {
    /// The service.
    const SERVICE: Service;

    /// The part that every service has.
    fn common(&self) -> &CommonConfig;

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigErrors`] lists every mistake.
    fn load(sources: &Sources) -> Result<Self, ConfigErrors>;
}
