//! The service `infer` as a process of its own.

/// The network's tensors come and go by the megabyte; the system's allocator gives each back to the kernel and pays for
/// its pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    orfeas_service::run_service(std::env::args_os(), orfeas_infer::run)
}
