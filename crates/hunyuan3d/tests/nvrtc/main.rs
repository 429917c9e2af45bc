//! Without a GPU or its driver: NVRTC compiles every source for every architecture that takes it, and ptxas finds no
//! kernel over its registers, and none of attention or of matrix products that spills.
//!
//! `make .tools/nvrtc/ready` brings both from PyPI; where they cannot be had, a line says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)] // Helpers of tests fail as tests do.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orfeas_hunyuan3d::kernels::programs::{Generation, Program, Source, all};

/// As CubeCL names them: with the instructions of that architecture alone from sm_90 on.
const HOPPER: &[&str] = &["sm_90a"];
/// A100; RTX 30; RTX 40; Hopper held back by `HUNYUAN3D_KERNELS=mma`; B200; RTX 50.
const AMPERE: &[&str] = &["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"];

#[derive(serde::Serialize)]
struct Job {
    name: String,
    architecture: &'static str,
    source: String,
}

#[derive(serde::Deserialize)]
struct Compiled {
    name: String,
    architecture: String,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    kernels: BTreeMap<String, Kernel>,
}

#[derive(serde::Deserialize)]
struct Kernel {
    registers: u32,
    /// Bytes stored and loaded again.
    spilled: u32,
    stack: u32,
}

/// Registers of a thread at the most: what a block of the kernel leaves each of its threads on a multiprocessor of 65 536,
/// with as many blocks there as its `__launch_bounds__` promises.
fn most_registers(program: &Program, entry: &str) -> u32 {
    match (program.source, entry) {
        // Two blocks of 256.
        (Source::AttentionAmpere | Source::GemmAmpere, _) => 128,
        // One block; multiplying warpgroups take more at run time, of what the one that copies gives up.
        (Source::AttentionHopper | Source::GemmHopper, _) => 65_536 / program.threads / 8 * 8,
        // One block of 1024.
        (Source::Select, _) => 64,
        // A whole row in the registers of a warp: two blocks of 256.
        (Source::Rows, "layer_norm" | "norm_dot") => 128,
        // A matrix in the registers of a warp, likewise.
        (Source::Rows, "fourier_scaled") => 168,
        (Source::Rows | Source::Sets, _) => 48,
    }
}

/// Bytes of a thread's own memory that a kernel may have: none, but for what sine and cosine reduce very large arguments in.
fn most_stack(entry: &str) -> u32 {
    if entry == "fourier" { 32 } else { 0 }
}

/// All of it for the architectures that were measured on; of the others what takes the most registers.
fn is_tried(program: &Program, architecture: &str) -> bool {
    const GELU: u32 = 1;
    const GATE: u32 = 5;
    let epilogue = program.constants.iter().find(|(name, _)| *name == "EPILOGUE").map(|(_, number)| *number);
    let heavy = epilogue.is_none_or(|number| matches!(number, GELU | GATE));
    let heavy = heavy && !program.constants.contains(&("MOST", 1024));
    heavy || architecture == "sm_80" || program.source == Source::GemmHopper
}

fn tools() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tools = repository.join(".tools/nvrtc");
    tools.join("nvidia/cuda_nvrtc/lib/libnvrtc.so.12").exists().then_some(tools)
}

fn compile(tools: &Path, jobs: &[Job]) -> Vec<Compiled> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvrtc/compile.py");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args([script.as_os_str(), tools.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut input = child.stdin.take().unwrap();
    for job in jobs {
        serde_json::to_writer(&input, job).unwrap();
        input.write_all(b"\n").unwrap();
    }
    // The script begins when it has all.
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn nvrtc_compiles_every_source_and_registers_suffice() {
    let Some(tools) = tools() else {
        println!("SKIPPED: there is no NVRTC in .tools/nvrtc (make .tools/nvrtc/ready)");
        return;
    };
    let mut wanted = Vec::new();
    for (generation, architectures) in [(Generation::Hopper, HOPPER), (Generation::Ampere, AMPERE)] {
        for &architecture in architectures {
            let mut programs = all(generation);
            // Rows, selection and sets are the same for both; once for an architecture is enough.
            let shared = |program: &Program| matches!(program.source, Source::Rows | Source::Select | Source::Sets);
            programs.retain(|program| {
                is_tried(program, architecture) && (generation == Generation::Ampere || !shared(program))
            });
            wanted.extend(programs.into_iter().map(|program| (program, architecture)));
        }
    }
    let job = |(program, architecture): &(Program, &'static str)| Job {
        name: format!("{program:?}"),
        architecture,
        source: program.text(),
    };
    let jobs: Vec<Job> = wanted.iter().map(job).collect();
    let mut wrong = Vec::new();
    let results = compile(&tools, &jobs);
    assert_eq!(results.len(), jobs.len());
    for ((program, _), result) in wanted.iter().zip(&results) {
        let what = format!("{} for {}", result.name, result.architecture);
        if let Some(error) = &result.error {
            wrong.push(format!("{what}: {error}"));
        } else if !result.kernels.contains_key(program.entry) {
            wrong.push(format!("{what}: there is no kernel {:?}", program.entry));
        }
        wrong.extend(result.warnings.iter().map(|warning| format!("{what}: {warning}")));
        for (entry, kernel) in &result.kernels {
            let Kernel { registers, spilled, stack } = kernel;
            eprintln!(
                "{:8} {entry:16} {registers:4} registers, {spilled} spilled  {}",
                result.architecture, result.name
            );
            if *registers == 0
                || *registers > most_registers(program, entry)
                || *spilled > 0
                || *stack > most_stack(entry)
            {
                wrong.push(format!(
                    "{what}: {entry} takes {registers} registers, {spilled} bytes spilled, {stack} of stack"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
