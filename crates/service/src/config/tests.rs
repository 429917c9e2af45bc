//! The configuration as a whole: layers, mistakes, redaction, and the table against the structs.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("orfeas.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn mistakes<T: std::fmt::Debug>(result: Result<T, ConfigErrors>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn defaults_are_a_whole_configuration() {
    let ingest = IngestConfig::load(&Sources::default()).unwrap();
    assert_eq!(ingest.common.http.listen, "127.0.0.1:9101".parse().ok());
    assert_eq!(ingest.common.nats.inbox_prefix, "_INBOX_ingest");
    assert_eq!(ingest.common.nats.urls[0].expose(), "nats://127.0.0.1:4222");
    assert_eq!(ingest.common.topology.events_max_age, Duration::from_secs(7 * 86_400));
    let infer = InferConfig::load(&Sources::default()).unwrap();
    assert_eq!((infer.engine, infer.resolution, infer.max_concurrent_jobs), (EngineName::Hunyuan3d, None, 3));
    assert_eq!((infer.precision, infer.gpu_memory_limit), (Precision::Auto, Some(MemoryLimit::Share(0.85))));
    assert_eq!((infer.low_vram, infer.batch), (LowVram::Auto, Batch::Auto));
    ExportConfig::load(&Sources::default()).unwrap();
    MetricsConfig::load(&Sources::default()).unwrap();
    ClientConfig::load(&Sources::default()).unwrap();
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "resolution = 64\nmax_concurrent_jobs = 4\nack_wait = \"10s\"\nnats_url = [\"a:1\", \"b:2\"]\n";
    let sources = Sources {
        file: Some(file(&folder, text)),
        ..environment(&[("ORFEAS_RESOLUTION", "128"), ("MAX_CONCURRENT_JOBS", "5"), ("ORFEAS_ACK_WAIT", "")])
    }
    .with("resolution", "192");
    let config = InferConfig::load(&sources).unwrap();
    assert_eq!((config.resolution, config.max_concurrent_jobs), (Some(192), 5));
    assert_eq!(config.common.work.ack_wait, Duration::from_secs(10), "an empty variable is none");
    assert_eq!(config.common.nats.urls.len(), 2);
    assert_eq!(config.common.work.max_attempts, 5, "what nobody sets keeps its default");
}

#[test]
fn every_mistake_is_reported_at_once_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "resolution = 7\nengin = \"inflate\"\n[nats]\nurl = \"x\"\n");
    let sources = Sources {
        file: Some(path.clone()),
        ..environment(&[
            ("ORFEAS_ACK_WAIT", "soon"),
            ("ORFEAS_NATS_ULR", "x"),
            ("GPU_MEMORY_LIMIT", "24"),
            ("HUNYUAN3D_PRECISION", "int4"),
            ("ORFEAS_INGEST_CONCURRENCY", "not our matter"),
        ])
    }
    .with("http_listen", "everywhere");
    let text = mistakes(InferConfig::load(&sources));
    let path = path.display();
    for line in [
        "the configuration has 8 mistakes:".to_owned(),
        format!("file {path}, key resolution: \"7\" is not allowed; it must be a whole number from 16 to 1024"),
        format!("file {path}, key engin: no such key; did you mean engine?"),
        format!("file {path}, key nats: no such key"),
        "environment variable ORFEAS_ACK_WAIT: \"soon\" is not allowed; it must be a duration like".to_owned(),
        "environment variable ORFEAS_NATS_ULR: no such variable; did you mean ORFEAS_NATS_URL?".to_owned(),
        "environment variable GPU_MEMORY_LIMIT: \"24\" is not allowed".to_owned(),
        "environment variable HUNYUAN3D_PRECISION: \"int4\" is not allowed; it must be one of auto, float16, bfloat16, float32"
            .to_owned(),
        "flag --http-listen: \"everywhere\" is not allowed; it must be an address like".to_owned(),
    ] {
        assert!(text.contains(&line), "{line:?} is not in:\n{text}");
    }
}

#[test]
fn a_file_that_is_not_there_or_not_toml_is_a_mistake() {
    let missing = Sources { file: Some("/nowhere/orfeas.toml".into()), ..Sources::default() };
    assert!(mistakes(ExportConfig::load(&missing)).contains("file /nowhere/orfeas.toml: cannot be read"));
    let folder = tempfile::tempdir().unwrap();
    let broken = Sources { file: Some(file(&folder, "resolution = \n")), ..Sources::default() };
    assert!(mistakes(ExportConfig::load(&broken)).contains("is not valid TOML"));
}

#[test]
fn settings_that_go_together_are_held_together() {
    let alone = environment(&[("ORFEAS_NATS_USER", "ingest")]);
    assert!(
        mistakes(IngestConfig::load(&alone))
            .contains("ORFEAS_NATS_USER: goes with nats_password or nats_password_file")
    );
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("nats-ingest");
    std::fs::write(&password, "hunter2\n").unwrap();
    let path = password.display().to_string();
    let from_file = [("ORFEAS_NATS_USER", "ingest"), ("ORFEAS_NATS_PASSWORD_FILE", &path)];
    let nats = IngestConfig::load(&environment(&from_file)).unwrap().common.nats;
    assert_eq!(nats.password.unwrap().expose(), "hunter2");
    std::fs::write(&password, "\n").unwrap();
    assert!(mistakes(IngestConfig::load(&environment(&from_file))).contains("holds no password in its first line"));
    let two = environment(&[("ORFEAS_NATS_TOKEN", "a"), ("ORFEAS_NATS_USER", "b"), ("ORFEAS_NATS_PASSWORD", "c")]);
    assert!(mistakes(ClientConfig::load(&two)).contains("set one way to log in"));
    let pair = environment(&[("ORFEAS_REPLICAS", "2")]);
    assert!(mistakes(ClientConfig::load(&pair)).contains("use 1, 3 or 5"));
    let gpu = Sources::default().with("cuda_visible_devices", "1");
    assert!(mistakes(InferConfig::load(&gpu)).contains("set the variable CUDA_VISIBLE_DEVICES"));
    for key in ["hunyuan3d_kernels", "hunyuan3d_kernel_cache"] {
        let kernels = Sources::default().with(key, if key == "hunyuan3d_kernels" { "mma" } else { "/cache" });
        let variable = key.to_uppercase();
        assert!(mistakes(InferConfig::load(&kernels)).contains(&format!("set the variable {variable}")), "{key}");
    }
    let kernels = environment(&[("HUNYUAN3D_KERNELS", "plain"), ("HUNYUAN3D_KERNEL_CACHE", "off")]);
    let kernels = InferConfig::load(&kernels).unwrap();
    assert_eq!((kernels.kernels, kernels.kernel_cache.as_deref()), (Kernels::Plain, Some("off")));
    let wrong = environment(&[("HUNYUAN3D_KERNELS", "fast")]);
    assert!(mistakes(InferConfig::load(&wrong)).contains("HUNYUAN3D_KERNELS"));
    // Whoever has set where models lie can start a service all the same.
    InferConfig::load(&environment(&[(MODELS_ENV, "/models")])).unwrap();
    let gpu = environment(&[("CUDA_VISIBLE_DEVICES", "1")]);
    assert_eq!(InferConfig::load(&gpu).unwrap().cuda_visible_devices.as_deref(), Some("1"));
}

#[test]
fn no_secret_is_printed_by_anything() {
    let sources = environment(&[
        ("ORFEAS_NATS_URL", "nats://me:hunter2@host"),
        ("ORFEAS_NATS_USER", "me"),
        ("ORFEAS_NATS_PASSWORD", "hunter2"),
    ]);
    let config = IngestConfig::load(&sources).unwrap();
    let printed = format!("{config:?} {}", serde_json::to_string_pretty(&config).unwrap());
    assert!(!printed.contains("hunter2") && printed.contains("***"), "{printed}");
    assert_eq!(config.common.nats.password.unwrap().expose(), "hunter2");
    let wrong = environment(&[("ORFEAS_NATS_URL", "http://me:hunter2@host"), ("ORFEAS_NATS_TOKEN", "hunter2")])
        .with("nats_password", "hunter2");
    assert!(!mistakes(ClientConfig::load(&wrong)).contains("hunter2"));
}

#[test]
fn every_setting_is_read_by_the_programs_that_it_names_and_by_no_other() {
    let sources = Sources::default();
    let read: [(Service, BTreeSet<&'static str>); 5] = [
        (Service::Ingest, IngestConfig::load_and_list(&sources).unwrap().1),
        (Service::Infer, InferConfig::load_and_list(&sources).unwrap().1),
        (Service::Export, ExportConfig::load_and_list(&sources).unwrap().1),
        (Service::Metrics, MetricsConfig::load_and_list(&sources).unwrap().1),
        (Service::Client, ClientConfig::load_and_list(&sources).unwrap().1),
    ];
    for (service, read) in read {
        let named = SETTINGS.iter().filter(|setting| setting.concerns(service)).map(|setting| setting.key).collect();
        assert_eq!(read, named, "{service}");
    }
}

#[test]
fn the_command_line_gives_flags_help_and_version() {
    let run = Sources::from_process(Service::Infer, ["infer", "--resolution", "64", "--config", "/x.toml"]).unwrap();
    let Invocation::Run(sources) = run else { panic!("{run:?}") };
    assert_eq!(sources.flags, [("resolution".to_owned(), "64".to_owned())]);
    assert_eq!(sources.file, Some("/x.toml".into()));
    let print = Sources::from_process(Service::Infer, ["infer", "--print-config"]).unwrap();
    assert!(matches!(print, Invocation::PrintConfig(_)));
    let Ok(Invocation::Print(help)) = Sources::from_process(Service::Infer, ["infer", "--help"]) else { panic!() };
    for setting in SETTINGS {
        assert_eq!(
            help.contains(&format!("--{} ", setting.flag())),
            setting.concerns(Service::Infer),
            "{}",
            setting.key
        );
    }
    assert!(Sources::from_process(Service::Export, ["export", "--resolution", "64"]).is_err());
    for service in Service::ALL {
        command(service).debug_assert();
    }
}

#[test]
fn events_may_not_outlive_the_records_of_their_jobs() {
    let wrong = mistakes(IngestConfig::load(&environment(&[("ORFEAS_EVENTS_MAX_AGE", "30d")])));
    assert!(wrong.contains("EVENTS_MAX_AGE") && wrong.contains("jobs_max_age"), "{wrong}");
    IngestConfig::load(&environment(&[("ORFEAS_EVENTS_MAX_AGE", "30d"), ("ORFEAS_JOBS_MAX_AGE", "30d")])).unwrap();
}
