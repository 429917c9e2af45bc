//! What `docker-compose.yml` reads besides the services' own settings. No service reads these, so their names have no
//! `ORFEAS_` in front: such a name that is not in the table of settings is a mistake to a service.

/// Variable, default, what it does.
pub(super) const DEPLOYMENT: &[(&str, &str, &str)] = &[
    (
        "COMPOSE_PROFILES",
        "cpu",
        "cpu or gpu: what infer runs on; each is an image, and gpu reserves a GPU. Unset, no infer runs.",
    ),
    (
        "COMPOSE_FILE",
        "docker-compose.yml",
        "What Compose reads, with colons between: deploy/compose.gpus.yml, compose.tls.yml, compose.cluster.yml, \
         compose.alertmanager.yml go with it.",
    ),
    ("ENV_FILE", ".env", "This file, where it lies elsewhere: the services read it too."),
    ("RUN_AS_UID", "1000", "User that the containers run as: the one who owns the secrets and the data folders."),
    ("RUN_AS_GID", "1000", "Its group."),
    ("DATA_DIR", "./data", "Folder of NATS' store, Prometheus' and Grafana's data."),
    ("SECRETS_DIR", "./secrets", "Folder of the password files that `orfeas nats credentials` makes."),
    (
        "INFER_REPLICAS",
        "1",
        "Replicas of infer, as `--scale infer=N` sets them for once. Each wants a GPU's memory with profile gpu.",
    ),
    ("EXPORT_REPLICAS", "1", "Replicas of export, as `--scale export=N` sets them for once."),
    ("MODELS_DIR", "./data/models", "Folder of checkpoints, seen as /models: ORFEAS_MODEL_DIR=/models/… names one."),
    (
        "BIND_ADDRESS",
        "127.0.0.1",
        "Where the ports are open. Anything else but this machine wants TLS (deploy/compose.tls.yml for NATS).",
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
    (
        "CUDA_IMAGE",
        "nvidia/cuda:12.2.2-devel-ubuntu22.04",
        "Where the CUDA image takes the compiler of kernels from. 12.2 goes with every driver from 535 on; GPUs newer than \
         Hopper want 12.8 (nvidia/cuda:12.8.1-devel-ubuntu24.04), which goes with drivers from 570 on.",
    ),
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
    ("ALERTMANAGER_PORT", "9093", "Port of Alertmanager (deploy/compose.alertmanager.yml)."),
    ("PROMETHEUS_RETENTION", "15d", "How long Prometheus keeps what it saw."),
    ("LOG_MAX_SIZE", "10m", "A container's log is begun anew at this size."),
    ("LOG_MAX_FILE", "5", "Logs of a container that are kept."),
];
