//! The service `infer` as a process of its own.

fn main() -> std::process::ExitCode {
    orfeas_service::run_service(std::env::args_os(), orfeas_infer::run)
}
