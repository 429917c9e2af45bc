//! What `docker-compose.yml` reads besides the services' own settings. No service reads these, so their names have no
//! `ORFEAS_` in front: such a name that is not in the table of settings is a mistake to a service.

/// Variable, default, what it does.
pub(super) const DEPLOYMENT: &[(&str, &str, &str)] = &[
    ("COMPOSE_PROFILES", "cpu", "cpu runs infer, gpu runs infer-gpu with one NVIDIA GPU. Unset, no infer runs."),
    ("ENV_FILE", ".env", "This file, where it lies elsewhere: the services read it too."),
    ("RUN_AS_UID", "1000", "User that the containers run as: the one who owns the secrets and the data folders."),
    ("RUN_AS_GID", "1000", "Its group."),
    ("DATA_DIR", "./data", "Folder of NATS' store, Prometheus' and Grafana's data."),
    ("SECRETS_DIR", "./secrets", "Folder of the password files that `orfeas nats credentials` makes."),
    ("MODELS_DIR", "./data/models", "Folder of checkpoints, seen as /models: ORFEAS_MODEL_DIR=/models/… names one."),
    (
        "BIND_ADDRESS",
        "127.0.0.1",
        "Where the ports are open. Anything else but this machine wants TLS in front (nats/tls.conf).",
    ),
    ("NATS_PORT", "4222", "Port for clients."),
    ("METRICS_PORT", "9100", "Port of the metrics service; Grafana's table of jobs links to it."),
    ("PROMETHEUS_PORT", "9090", "Port of Prometheus."),
    ("GRAFANA_PORT", "3000", "Port of Grafana; user admin, password in SECRETS_DIR/grafana-admin."),
    (
        "IMAGE_PREFIX",
        "orfeas",
        "Images are IMAGE_PREFIX-ingest and so on; with a registry in front they can be pulled.",
    ),
    ("IMAGE_TAG", "latest", "Their tag."),
    ("METRICS_RUNTIME", "runc", "nvidia lets metrics look at the GPUs, which reserves none."),
    ("NATS_MEMORY", "1g", "Memory limit."),
    (
        "INGEST_MEMORY",
        "2g",
        "Memory limit; a decoder alone may take ORFEAS_IMAGE_MAX_DECODER_BYTES for each picture in hand.",
    ),
    ("INFER_MEMORY", "12g", "Memory limit; BENCHMARKS.md has what hunyuan3d takes on the host."),
    ("EXPORT_MEMORY", "4g", "Memory limit."),
    ("PROMETHEUS_MEMORY", "2g", "Memory limit."),
    ("PROMETHEUS_RETENTION", "15d", "How long Prometheus keeps what it saw."),
    ("LOG_MAX_SIZE", "10m", "A container's log is begun anew at this size."),
    ("LOG_MAX_FILE", "5", "Logs of a container that are kept."),
];
