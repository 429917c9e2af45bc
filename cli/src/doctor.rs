//! `orfeas doctor`: what is there, what is missing, and the mend for each.

use std::path::{Path, PathBuf};

use clap::Args;
use orfeas_bus::Bus;
use orfeas_bus::topology::Needs;
use orfeas_contract::Stage;
use orfeas_engine::starter_model;
use serde::Serialize;

use crate::connect::{Server, block_on, topology};
use crate::exit::{Ended, Exit, say, say_json};
use crate::private_server;

/// Say what is there and what is missing
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    server: Server,
    /// A Hunyuan3D-2 checkpoint folder to look for
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    /// There.
    Ok,
    /// Not there, and only some ways of running need it.
    Optional,
    /// Not there, and nothing runs without it.
    Missing,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    health: Health,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'static str>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Ok, found: found.into(), mend: None }
    }

    fn bad(what: &'static str, health: Health, found: impl Into<String>, mend: &'static str) -> Self {
        Self { what, health, found: found.into(), mend: Some(mend) }
    }
}

impl Doctor {
    pub fn run(self) -> Ended {
        block_on(async move {
            let mut findings = vec![nats_server()];
            findings.extend(self.bus().await);
            findings.extend([gpu(), nvrtc(), self.weights(), disk()]);
            let missing = findings.iter().filter(|finding| finding.health == Health::Missing).count();
            if self.json {
                say_json(&findings)?;
            } else {
                for finding in &findings {
                    let mark = match finding.health {
                        Health::Ok => "ok      ",
                        Health::Optional => "optional",
                        Health::Missing => "MISSING ",
                    };
                    let mend = finding.mend.map_or_else(String::new, |mend| format!("; {mend}"));
                    say(format!("{mark} {:<12} {}{mend}", finding.what, finding.found));
                }
            }
            if missing > 0 { Err(Exit::missing("")) } else { Ok(()) }
        })
    }

    /// A running server is needed only where one was named; otherwise it is told as what it is.
    async fn bus(&self) -> Vec<Finding> {
        let health = if self.server.named() { Health::Missing } else { Health::Optional };
        let config = match self.server.config() {
            Ok(config) => config,
            Err(error) => {
                let mend = "correct the configuration; .env.example lists every variable";
                return vec![Finding::bad("config", Health::Missing, error.message, mend)];
            }
        };
        let bus = match Bus::connect(&orfeas_stage::connection(&config.nats, "doctor", false)).await {
            Ok(bus) => bus,
            Err(error) => {
                return vec![Finding::bad(
                    "nats",
                    health,
                    error.to_string(),
                    "start one with `orfeas up`, or name it by --nats",
                )];
            }
        };
        let reached = Finding::ok("nats", format!("server {} answers", bus.server_version()));
        let mut needs = Needs::default();
        for stage in Stage::ALL {
            let of = Needs::of(stage);
            needs.streams.extend(of.streams);
            needs.consumers.extend(of.consumers);
        }
        needs.streams.sort();
        needs.streams.dedup();
        let streams = match topology(&config).missing(&bus, &needs).await {
            Ok(None) => Finding::ok("topology", "every stream, consumer and bucket is there"),
            Ok(Some(sentence)) => Finding::bad("topology", Health::Missing, sentence, "`orfeas topology apply`"),
            Err(error) => {
                let mend = "is JetStream on (nats-server -js), and may this user see it?";
                Finding::bad("topology", Health::Missing, error.to_string(), mend)
            }
        };
        vec![reached, streams]
    }

    fn weights(&self) -> Finding {
        let mend = "name a checkpoint folder (--model DIR); engine inflate needs none";
        let (folder, whose) = match &self.model {
            Some(folder) => (folder.clone(), ""),
            None => match starter_model() {
                Ok(folder) => (folder, "the starter model at "),
                Err(_) => {
                    let mend = "copy models/starter to share/orfeas/models beside bin, or name a checkpoint folder (--model DIR)";
                    return Finding::bad("weights", Health::Missing, "the starter model is not there", mend);
                }
            },
        };
        let needed = |names: &[&str]| names.iter().any(|name| folder.join(name).is_file());
        if !needed(&["config.yaml"]) {
            return Finding::bad("weights", Health::Missing, format!("{} has no config.yaml", folder.display()), mend);
        }
        if !needed(&["model.fp16.safetensors", "model.safetensors"]) {
            let found = format!("{} has no model.fp16.safetensors", folder.display());
            return Finding::bad("weights", Health::Missing, found, mend);
        }
        Finding::ok("weights", format!("{whose}{}", folder.display()))
    }
}

fn nats_server() -> Finding {
    match private_server::find() {
        Some(path) => {
            let version = private_server::version(&path).unwrap_or_default();
            Finding::ok("nats-server", format!("{version} at {}", path.display()))
        }
        None => {
            let mend = "`make setup` installs one; a pipeline on a running server (--nats) needs none";
            Finding::bad("nats-server", Health::Missing, "no nats-server 2.11 or newer was found", mend)
        }
    }
}

fn gpu() -> Finding {
    let mend = "the CPU is enough for the starter model; for a GPU install NVIDIA's driver";
    let look = || -> Result<String, nvml_wrapper::error::NvmlError> {
        let nvml = nvml_wrapper::Nvml::init()?;
        let driver = nvml.sys_driver_version()?;
        let mut names = Vec::new();
        for index in 0..nvml.device_count()? {
            let device = nvml.device_by_index(index)?;
            let memory = device.memory_info()?;
            names.push(format!("{} with {} MiB", device.name()?, memory.total >> 20));
        }
        Ok(format!("{}; driver {driver}", names.join(", ")))
    };
    match look() {
        Ok(found) => Finding::ok("gpu", found),
        Err(error) => Finding::bad("gpu", Health::Optional, format!("no NVIDIA GPU can be seen ({error})"), mend),
    }
}

/// NVRTC compiles the kernels at run time.
fn nvrtc() -> Finding {
    let mut folders: Vec<PathBuf> = ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .map(PathBuf::from)
        .collect();
    for (variable, below) in [("LD_LIBRARY_PATH", ""), ("CUDA_PATH", "lib64"), ("CUDA_HOME", "lib64")] {
        if let Some(paths) = std::env::var_os(variable) {
            folders.extend(std::env::split_paths(&paths).map(|path| path.join(below)));
        }
    }
    let holds = |folder: &Path| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc.so")))
    };
    match folders.iter().find_map(|folder| holds(folder)) {
        Some(path) => Finding::ok("nvrtc", path.display().to_string()),
        None => {
            let mend = "the CPU needs none; for a GPU install the CUDA toolkit's NVRTC";
            Finding::bad("nvrtc", Health::Optional, "no libnvrtc.so was found", mend)
        }
    }
}

/// Room for the private server's store.
fn disk() -> Finding {
    const NEEDED_MIB: u64 = 2048;
    let output = std::process::Command::new("df").args(["-Pk", "."]).output();
    let free = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    match free.map(|kib| kib / 1024) {
        Some(mib) if mib >= NEEDED_MIB => Finding::ok("disk", format!("{mib} MiB free here")),
        Some(mib) => Finding::bad(
            "disk",
            Health::Missing,
            format!("only {mib} MiB free here"),
            "make room: the streams want 2 GiB at least",
        ),
        None => Finding::bad("disk", Health::Optional, "free space could not be read", "see `df -h .`"),
    }
}
