//! The `orfeas` command: the whole pipeline in one program, and its client.

mod connect;
mod doctor;
mod exit;
mod export;
mod files;
mod generate;
mod guard;
mod jobs;
mod mesh;
mod model;
mod ops;
mod private_server;
mod request;
mod topology;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// The network's tensors come and go by the megabyte; the system's allocator gives each back to the kernel and pays for
/// its pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One picture in, one printable mesh out.
#[derive(Parser)]
#[command(name = "orfeas", version, about, after_help = exit::HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole pipeline in this process, with a private nats-server unless `--nats` is given; Ctrl-C drains
    Up(up::Up),
    /// Make mesh files of a picture and wait for them
    Generate(generate::Generate),
    /// Publish a picture as a job and print the job's id
    Submit(jobs::Submit),
    /// Print events as they come
    Watch(jobs::Watch),
    /// Say where a job stands
    Status(jobs::Status),
    /// Cancel a job
    Cancel(jobs::Cancel),
    /// Write a finished job's mesh in any format, without making it anew
    Export(export::Export),
    /// Say what is there and what is missing, with the mend for each
    Doctor(doctor::Doctor),
    /// Look into meshes, turn them into other files, mend them, and make them of raw grids
    #[command(subcommand)]
    Mesh(mesh::Mesh),
    /// Fetch, list and check the checkpoints of engine hunyuan3d
    #[command(subcommand)]
    Model(model::Model),
    /// Create or show the streams, consumers and buckets
    #[command(subcommand)]
    Topology(topology::TopologyCommand),
    /// Run one service; `orfeas serve ingest --help` lists its settings
    #[command(disable_help_flag = true)]
    Serve {
        /// Which service
        service: ServiceName,
        /// The service's own flags
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<OsString>,
    },
    #[command(flatten)]
    Ops(ops::Ops),
    #[command(hide = true)]
    GuardServer(guard::GuardServer),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ServiceName {
    Ingest,
    Infer,
    Export,
    Metrics,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Submit(command) => command.run(),
        Command::Watch(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Cancel(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Mesh(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Topology(command) => command.run(),
        Command::Ops(command) => command.run(),
        Command::GuardServer(command) => command.run(),
        Command::Serve { service, flags } => return serve(service, flags),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "orfeas", &mut std::io::stdout());
            Ok(())
        }
    };
    exit::code(result)
}

/// A service with its own command line, as the binaries `orfeas-ingest`, … have it.
fn serve(service: ServiceName, flags: Vec<OsString>) -> ExitCode {
    let name = match service {
        ServiceName::Ingest => "ingest",
        ServiceName::Infer => "infer",
        ServiceName::Export => "export",
        ServiceName::Metrics => "metrics",
    };
    let args = std::iter::once(OsString::from(format!("orfeas serve {name}"))).chain(flags);
    match service {
        ServiceName::Ingest => orfeas_service::run_service(args, orfeas_ingest::run),
        ServiceName::Infer => orfeas_service::run_service(args, orfeas_infer::run),
        ServiceName::Export => orfeas_service::run_service(args, orfeas_export::run),
        ServiceName::Metrics => orfeas_service::run_service(args, orfeas_metrics::run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
