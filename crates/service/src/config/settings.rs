//! The one table of settings. Environment names, flags, `.env.example` and the check for unknown keys derive from it.

use super::{
    kind::Kind,
    service::Service::{self, Client, Export, Infer, Ingest, Metrics},
};

/// Where a setting's default comes from.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// There is none: unset means unset.
    None,
    /// The same for every program.
    Same(&'static str),
    /// One for each program.
    Each(&'static [(Service, &'static str)]),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key in the file; the flag is the same with `-` for `_`.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// What holds where nothing is set.
    pub default: Fallback,
    /// What may be set.
    pub kind: Kind,
    /// What it does, in a line or two.
    pub help: &'static str,
    /// Whether its value must never be printed.
    pub secret: bool,
    /// The programs that read it.
    pub services: &'static [Service],
    /// The heading it stands under in the documentation.
    pub group: &'static str,
}

impl Setting {
    /// The setting of a key.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The default for a program.
    #[must_use]
    pub fn default_for(&self, service: Service) -> Option<&'static str> {
        match self.default {
            Fallback::None => None,
            Fallback::Same(text) => Some(text),
            Fallback::Each(each) => each.iter().find(|(of, _)| *of == service).map(|(_, text)| *text),
        }
    }

    /// The flag without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether a program reads it.
    #[must_use]
    pub fn concerns(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Names the configuration file; no setting itself, since it cannot stand in the file.
pub const CONFIG_ENV: &str = "ORFEAS_CONFIG";

/// Folder of models of `orfeas model`; no setting of a service, and no mistake in its environment.
pub const MODELS_ENV: &str = "ORFEAS_MODELS";

const ALL: &[Service] = &Service::ALL;
const SERVICES: &[Service] = &Service::SERVICES;
const NATS: &str = "NATS";
const SERVING: &str = "Every service";
const TOPOLOGY: &str = "Streams and buckets";
const HOUR: u64 = 3_600;
const YEAR: u64 = 365 * 24 * HOUR;

/// A row of the table.
const fn row(
    group: &'static str,
    services: &'static [Service],
    (key, env): (&'static str, &'static str),
    kind: Kind,
    default: Fallback,
    help: &'static str,
) -> Setting {
    Setting { key, env, default, kind, help, secret: false, services, group }
}

/// A key whose variable is `ORFEAS_` and the key in capitals.
macro_rules! own {
    ($key:ident, $env:ident) => {
        (stringify!($key), concat!("ORFEAS_", stringify!($env)))
    };
}

use Fallback::{Each, None as Unset, Same};

/// Every setting of every program.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    row(NATS, ALL, own!(nats_url, NATS_URL), Kind::Urls, Same("nats://127.0.0.1:4222"),
        "The servers, several with commas between. tls:// asks for TLS."),
    row(NATS, ALL, own!(nats_user, NATS_USER), Kind::Text, Unset,
        "User name; goes with the password. nats/users.conf has one user for each service."),
    row(NATS, ALL, own!(nats_password, NATS_PASSWORD), Kind::Text, Unset, "Password of the user.").secret(),
    row(NATS, ALL, own!(nats_password_file, NATS_PASSWORD_FILE), Kind::File, Unset,
        "File with the password, as `orfeas nats credentials` writes one for each user; in place of nats_password."),
    row(NATS, ALL, own!(nats_token, NATS_TOKEN), Kind::Text, Unset, "Token, where the server asks for one.").secret(),
    row(NATS, ALL, own!(nats_creds_file, NATS_CREDS_FILE), Kind::File, Unset,
        "Credentials file (JWT and key) as nsc writes it."),
    row(NATS, ALL, own!(nats_tls_ca_file, NATS_TLS_CA_FILE), Kind::File, Unset,
        "PEM file of the authority that signed the server's certificate, where the system does not know it."),
    row(NATS, ALL, own!(nats_tls_cert_file, NATS_TLS_CERT_FILE), Kind::File, Unset,
        "PEM file of the client's certificate; goes with its key."),
    row(NATS, ALL, own!(nats_tls_key_file, NATS_TLS_KEY_FILE), Kind::File, Unset,
        "PEM file of the client's private key; goes with its certificate."),
    row(NATS, ALL, own!(nats_inbox_prefix, NATS_INBOX_PREFIX), Kind::Subject,
        Each(&[(Ingest, "_INBOX_ingest"), (Infer, "_INBOX_infer"), (Export, "_INBOX_export"),
            (Metrics, "_INBOX_metrics"), (Client, "_INBOX_client")]),
        "Prefix of reply subjects. The permissions of nats/users.conf name it, so leave it alone with them."),

    row(SERVING, SERVICES, own!(http_listen, HTTP_LISTEN), Kind::Listen,
        Each(&[(Ingest, "127.0.0.1:9101"), (Infer, "127.0.0.1:9102"), (Export, "127.0.0.1:9103"),
            (Metrics, "127.0.0.1:9100")]),
        "Where /livez, /readyz and /metrics are served. One value holds for every service that reads this file, so set \
         it only where each service has a host or container of its own."),
    row(SERVING, ALL, own!(log_level, LOG_LEVEL), Kind::Directives, Same("info"), "What is logged."),
    row(SERVING, ALL, own!(log_format, LOG_FORMAT), Kind::Choice(super::LogFormat::NAMES), Same("text"),
        "How the log, which goes to standard error, is written."),
    row(SERVING, SERVICES, ("otel_exporter_otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"), Kind::HttpUrls, Unset,
        "An OpenTelemetry collector that takes OTLP as JSON over HTTP (http://collector:4318). Unset: no traces are sent."),
    row(SERVING, SERVICES, own!(shutdown_grace, SHUTDOWN_GRACE), Kind::Duration(0, HOUR), Same("30s"),
        "How long the work in hand may go on after SIGTERM or SIGINT."),
    row(SERVING, ALL, own!(ack_wait, ACK_WAIT), Kind::Duration(2, HOUR), Same("30s"),
        "How long a silent worker keeps a job; then another gets it. Workers report every third of it."),
    row(SERVING, ALL, own!(max_attempts, MAX_ATTEMPTS), Kind::Integer(1, 100), Same("5"),
        "How often a stage is tried before the job fails."),

    row("Ingest", &[Ingest], own!(ingest_concurrency, INGEST_CONCURRENCY), Kind::Integer(1, 256), Same("2"),
        "Pictures in hand at once."),
    row("Ingest", &[Ingest], own!(image_max_bytes, IMAGE_MAX_BYTES), Kind::Bytes(1 << 10), Same("64MiB"),
        "Largest encoded picture."),
    row("Ingest", &[Ingest], own!(image_max_pixels, IMAGE_MAX_PIXELS), Kind::Integer(64, 4_000_000_000),
        Same("64000000"), "Most pixels of a picture."),
    row("Ingest", &[Ingest], own!(image_max_side, IMAGE_MAX_SIDE), Kind::Integer(8, 65_535), Same("16384"),
        "Longest side of a picture in pixels."),
    row("Ingest", &[Ingest], own!(image_max_decoder_bytes, IMAGE_MAX_DECODER_BYTES), Kind::Bytes(1 << 20),
        Same("512MiB"), "Most memory that decoding a picture may take."),

    row("Infer", &[Infer], own!(engine, ENGINE), Kind::Choice(super::EngineName::NAMES), Same("hunyuan3d"),
        "What turns pictures into fields: hunyuan3d, the neural model; inflate, the silhouette as a solid; noop, for measuring."),
    row("Infer", &[Infer], own!(model_dir, MODEL_DIR), Kind::Folder, Unset,
        "Checkpoint folder of hunyuan3d in Hunyuan3D-2's own layout (config.yaml and model.fp16.safetensors). Unset: the starter \
         model that ORFEAS brings along."),
    row("Infer", &[Infer], own!(resolution, RESOLUTION), Kind::Integer(16, 1_024), Unset,
        "Cells of the field along its longest side, where the job does not say. Unset means what the model says of itself, \
         else 256."),
    row("Infer", &[Infer], own!(vae_dir, VAE_DIR), Kind::Folder, Unset,
        "Folder of a shape decoder to use instead of the checkpoint's own (hunyuan3d-vae-v2-0-turbo, say)."),
    row("Infer", &[Infer], own!(device, DEVICE), Kind::Text, Unset,
        "Where hunyuan3d runs: cpu, cuda or cuda:N. Unset means cuda in a binary that was built with it, else cpu."),
    row("Infer", &[Infer], own!(decoder, DECODER), Kind::Choice(super::DecoderName::NAMES), Same("auto"),
        "How hunyuan3d reads fields. auto is what the checkpoint says, else flashvdm for the shape decoders made for it (turbo), \
         else hierarchical."),
    row("Infer", &[Infer], own!(decode_chunk, DECODE_CHUNK), Kind::Integer(0, 4_000_000), Same("0"),
        "Queries of the field at a time, at the most; less where memory is short. 0 chooses by the device."),
    row("Infer", &[Infer], own!(checkpoint_every, CHECKPOINT_EVERY), Kind::Integer(0, 200), Same("0"),
        "Store hunyuan3d's latents after every so many steps, so that a job whose worker died goes on from there; 0: never."),
    row("Infer", &[Infer], ("max_concurrent_jobs", "MAX_CONCURRENT_JOBS"), Kind::Integer(1, 64), Same("3"),
        "Jobs in hand at once. One computes, or several together (HUNYUAN3D_BATCH); the others' pictures are fetched and their \
         fields stored meanwhile."),
    row("Infer", &[Infer], ("gpu_memory_limit", "GPU_MEMORY_LIMIT"), Kind::Memory, Same("0.85"),
        "Most GPU memory that hunyuan3d may take. GB is 1000³ and GiB 1024³ bytes."),
    row("Infer", &[Infer], ("hunyuan3d_precision", "HUNYUAN3D_PRECISION"), Kind::Choice(super::Precision::NAMES),
        Same("auto"), "Numbers that the network computes with. auto is float16 on a GPU and float32 on the CPU, which has no other."),
    row("Infer", &[Infer], ("hunyuan3d_low_vram", "HUNYUAN3D_LOW_VRAM"), Kind::Choice(super::LowVram::NAMES), Same("auto"),
        "Whether only the part of hunyuan3d that computes is on the GPU; the others are fetched again for every job. auto \
         does so where it does not fit otherwise."),
    row("Infer", &[Infer], ("hunyuan3d_batch", "HUNYUAN3D_BATCH"), Kind::Choice(super::Batch::NAMES), Same("auto"),
        "Whether jobs in hand with equal steps and guidance advance together in one batch, as many as GPU_MEMORY_LIMIT holds. \
         auto does so on a GPU that one job does not fill, or where parts are fetched for every job."),
    row("Infer", &[Infer], ("hunyuan3d_kernels", "HUNYUAN3D_KERNELS"), Kind::Choice(super::Kernels::NAMES), Same("auto"),
        "Kernels on a GPU. auto is the fastest that it has; mma leaves out Hopper's own and plain is Burn's, both for \
         finding faults. Read where the GPU is opened, so it can be set only in the environment."),
    row("Infer", &[Infer], ("hunyuan3d_kernel_cache", "HUNYUAN3D_KERNEL_CACHE"), Kind::Text, Unset,
        "Folder where kernels that were compiled for the GPU are kept for the next start, or off. Unset: orfeas/kernels in \
         XDG_CACHE_HOME or ~/.cache. Read where the GPU is opened, so it can be set only in the environment."),
    row("Infer", &[Infer], ("cuda_visible_devices", "CUDA_VISIBLE_DEVICES"), Kind::Text, Unset,
        "GPUs that the driver shows, by index or UUID. The CUDA driver itself reads this variable, so it can be set \
         only in the environment."),

    row("Export", &[Export], own!(export_concurrency, EXPORT_CONCURRENCY), Kind::Integer(1, 256), Same("2"),
        "Meshes in hand at once."),

    row("Metrics", &[Metrics], own!(poll_interval, POLL_INTERVAL), Kind::Duration(1, HOUR), Same("5s"),
        "How often queues, buckets and GPUs are looked at."),
    row("Metrics", &[Metrics], own!(checkpoint_interval, CHECKPOINT_INTERVAL), Kind::Duration(1, HOUR), Same("10s"),
        "How often the counts are stored, so that a restart counts on and counts nothing twice."),

    row("Metrics", &[Metrics], own!(nats_monitor_urls, NATS_MONITOR_URLS), Kind::HttpUrls, Unset,
        "Monitoring ports of the NATS servers (their `http:`), whose own figures are then shown as orfeas_nats_…"),
    row("Metrics", &[Metrics], own!(watch_folders, WATCH_FOLDERS), Kind::Folders, Unset,
        "Folders whose disks are watched for room: the server's store, say."),

    row(TOPOLOGY, ALL, own!(replicas, REPLICAS), Kind::Integer(1, 5), Same("1"),
        "Copies of every stream and bucket; 3 for a cluster of three servers."),
    row(TOPOLOGY, ALL, own!(images_max_bytes, IMAGES_MAX_BYTES), Kind::Bytes(1 << 20), Same("1GiB"),
        "Pictures that wait in the stream IMAGES. A full stream refuses what is published."),
    row(TOPOLOGY, ALL, own!(uploads_max_bytes, UPLOADS_MAX_BYTES), Kind::Bytes(1 << 20), Same("1GiB"),
        "Bucket orfeas-images, for pictures over the payload limit."),
    row(TOPOLOGY, ALL, own!(prepared_max_bytes, PREPARED_MAX_BYTES), Kind::Bytes(1 << 20), Same("1GiB"),
        "Bucket orfeas-prepared."),
    row(TOPOLOGY, ALL, own!(fields_max_bytes, FIELDS_MAX_BYTES), Kind::Bytes(1 << 20), Same("2GiB"),
        "Bucket orfeas-fields."),
    row(TOPOLOGY, ALL, own!(meshes_max_bytes, MESHES_MAX_BYTES), Kind::Bytes(1 << 20), Same("4GiB"),
        "Bucket orfeas-meshes."),
    row(TOPOLOGY, ALL, own!(work_max_messages, WORK_MAX_MESSAGES), Kind::Integer(100, 10_000_000), Same("10000"),
        "Jobs that wait between stages in the stream WORK. New ones fill nine tenths of it, and make ingest wait then."),
    row(TOPOLOGY, ALL, own!(events_max_bytes, EVENTS_MAX_BYTES), Kind::Bytes(1 << 20), Same("1GiB"),
        "Events in the stream EVENTS; a full stream drops its oldest."),
    row(TOPOLOGY, ALL, own!(events_max_age, EVENTS_MAX_AGE), Kind::Duration(60, 10 * YEAR), Same("7d"),
        "How long events can be read again; not longer than jobs_max_age."),
    row(TOPOLOGY, ALL, own!(dead_max_bytes, DEAD_MAX_BYTES), Kind::Bytes(1 << 20), Same("1GiB"),
        "Dead letters in the stream DEAD; a full stream drops its oldest."),
    row(TOPOLOGY, ALL, own!(dead_max_age, DEAD_MAX_AGE), Kind::Duration(60, 10 * YEAR), Same("30d"),
        "How long dead letters are kept."),
    row(TOPOLOGY, ALL, own!(artifacts_max_age, ARTIFACTS_MAX_AGE), Kind::Duration(60, 10 * YEAR), Same("7d"),
        "How long uploads, prepared pictures and fields are kept; a job that waits longer fails. They go with their job; what is left over goes with this age or `orfeas gc`."),
    row(TOPOLOGY, ALL, own!(meshes_max_age, MESHES_MAX_AGE), Kind::Duration(60, 10 * YEAR), Same("7d"),
        "How long mesh files are kept."),
    row(TOPOLOGY, ALL, own!(jobs_max_bytes, JOBS_MAX_BYTES), Kind::Bytes(16 << 20), Same("1GiB"),
        "Bucket orfeas-jobs, some 2 kB a job. A full one drops the records that were touched longest ago, so keep it far \
         above what the jobs that wait need (work_max_messages)."),
    row(TOPOLOGY, ALL, own!(requests_max_bytes, REQUESTS_MAX_BYTES), Kind::Bytes(1 << 20), Same("256MiB"),
        "Bucket orfeas-requests, some 250 bytes for every Nats-Msg-Id. A full one forgets the oldest."),
    row(TOPOLOGY, ALL, own!(jobs_max_age, JOBS_MAX_AGE), Kind::Duration(60, 10 * YEAR), Same("7d"),
        "How long job records, and with them the guard against a job done twice, are kept."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_one_rule() {
        let keys: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        let variables: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.env).collect();
        assert_eq!((keys.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
        for setting in SETTINGS {
            let bare = setting.env.strip_prefix("ORFEAS_").unwrap_or(setting.env);
            assert_eq!(bare, setting.key.to_ascii_uppercase());
        }
    }

    #[test]
    fn every_default_is_allowed() {
        for setting in SETTINGS {
            for service in setting.services {
                if let Some(text) = setting.default_for(*service) {
                    assert!(setting.kind.read(text).is_some(), "{}={text}", setting.key);
                }
            }
        }
    }
}
