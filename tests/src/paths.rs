//! Where the programs are that the tests run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use orfeas_service::config::Service;

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// A service's program, beside the test's own in the target folder.
#[must_use]
pub fn service(service: Service) -> PathBuf {
    program(&format!("orfeas-{service}"))
}

/// The `orfeas` command, beside the test's own program.
#[must_use]
pub fn orfeas() -> PathBuf {
    program("orfeas")
}

fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test is a program");
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not beside the tests; build it with `cargo build --release --workspace` (make test does)")
    })
}

/// The nats-server: `NATS_SERVER`, the one that `make` set up, or one on `PATH`.
#[must_use]
pub fn nats_server() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "NATS_SERVER is set to {}, which is no file", path.display());
        return path;
    }
    let own = repository().join(".tools/nats/bin/nats-server");
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(own)
        .chain(std::env::split_paths(&on_path).map(|folder| folder.join("nats-server")))
        .find(|path| path.is_file());
    found.expect("there is no nats-server; `make test` sets one up, or name one in NATS_SERVER")
}

/// `PATH` with the nats-server's folder before all others, for programs that look for one there.
#[must_use]
pub fn path_to_nats_server() -> OsString {
    let server = nats_server();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = server.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&others));
    std::env::join_paths(folders).expect("folders of PATH")
}

/// The Python with the plain client's packages: `PYTHON`, or the one that `make` set up.
#[must_use]
pub fn python() -> PathBuf {
    let own = || repository().join(".venv/bin/python");
    let path = std::env::var_os("PYTHON").map_or_else(own, PathBuf::from);
    let runs = std::process::Command::new(&path).args(["-c", "import nats"]).output();
    assert!(
        runs.is_ok_and(|output| output.status.success()),
        "{} cannot import nats-py; `make test` sets up .venv from tests/plain_client/requirements.txt, or name another \
         Python in PYTHON",
        path.display()
    );
    path
}
