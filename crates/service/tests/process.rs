//! A whole service process: arguments, mistakes, signals, exit codes. Started with `serve` this program is a service;
//! started by cargo it starts itself so and watches.

#![allow(clippy::unwrap_used, reason = "a test panics where its ground is not there")]
#![allow(clippy::print_stdout, reason = "a test without a harness says itself what it runs")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitCode, Output, Stdio},
    time::{Duration, Instant},
};

use orfeas_service::{Context, config::ExportConfig, run_service};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "serve") {
        return run_service(arguments[at..].to_vec(), service);
    }
    let tests: [(&str, fn()); 7] = [
        ("mistakes_end_with_2_and_are_all_listed", mistakes_end_with_2_and_are_all_listed),
        ("the_configuration_is_printed_without_secrets", the_configuration_is_printed_without_secrets),
        ("an_error_ends_with_1_and_one_sentence", an_error_ends_with_1_and_one_sentence),
        ("a_panic_is_logged_and_ends_with_1", a_panic_is_logged_and_ends_with_1),
        ("a_signal_ends_it_well", a_signal_ends_it_well),
        ("a_second_signal_ends_it_at_once", a_second_signal_ends_it_at_once),
        ("the_log_level_changes_while_it_runs", the_log_level_changes_while_it_runs),
    ];
    for (name, test) in tests {
        println!("test {name}");
        test();
    }
    ExitCode::SUCCESS
}

/// What it does, its NATS user says: there is no server here.
async fn service(config: ExportConfig, context: Context) -> Result<(), String> {
    context.readiness.ready("nats");
    match config.common.nats.user.as_deref() {
        Some("fail") => Err("the server has no bucket orfeas-meshes; run `orfeas topology apply`".to_owned()),
        Some("panic") => panic!("on purpose"),
        Some("stubborn") => std::future::pending().await,
        _ => {
            context.shutdown.requested().await;
            Ok(())
        }
    }
}

fn command(user: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("serve").args(arguments).env_clear().env("ORFEAS_HTTP_LISTEN", "127.0.0.1:0");
    command.env("ORFEAS_NATS_USER", user).env("ORFEAS_NATS_PASSWORD", "hunter2");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(user: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(user, arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Starts a service and waits for the line that names its address.
fn started(user: &str) -> (Child, String, BufReader<std::process::ChildStderr>) {
    let mut child = command(user, &["--log-format", "json"]).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"address\"") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it served");
    }
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, line["address"].as_str().unwrap().to_owned(), log)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(90), "{what} did not come about in 90 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn mistakes_end_with_2_and_are_all_listed() {
    let (code, out, error) = run("x", &["--ack-wait", "soon", "--export-concurrency", "0"]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
    assert!(error.contains("2 mistakes") && error.contains("--ack-wait") && error.contains("--export-concurrency"));
    let (code, _, error) = run("x", &["--resolution", "64"]);
    assert!(code == Some(2) && error.contains("--resolution"), "{error}");
}

fn the_configuration_is_printed_without_secrets() {
    let (code, out, _) = run("x", &["--print-config"]);
    assert!(code == Some(0) && out.contains("\"password\": \"***\"") && !out.contains("hunter2"), "{out}");
    let (code, out, _) = run("x", &["--help"]);
    assert!(code == Some(0) && out.contains("--export-concurrency") && out.contains("[default: 2]"), "{out}");
}

fn an_error_ends_with_1_and_one_sentence() {
    let (code, _, error) = run("fail", &["--log-level", "off"]);
    assert_eq!(code, Some(1));
    assert_eq!(error, "orfeas-export: the server has no bucket orfeas-meshes; run `orfeas topology apply`\n");
}

fn a_panic_is_logged_and_ends_with_1() {
    let (code, _, error) = run("panic", &[]);
    assert!(code == Some(1) && error.contains("panic: on purpose") && error.contains("process.rs"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

fn a_signal_ends_it_well() {
    for name in ["TERM", "INT"] {
        let (mut child, address, _log) = started("x");
        wait_for("readiness", || get(&address, "/readyz").starts_with("HTTP/1.0 200"));
        assert!(get(&address, "/metrics").contains("orfeas_build_info{service=\"export\""));
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

fn a_second_signal_ends_it_at_once() {
    let (mut child, address, _log) = started("stubborn");
    wait_for("readiness", || get(&address, "/readyz").starts_with("HTTP/1.0 200"));
    signal(&child, "TERM");
    // It still serves while it drains, and says that it takes no more work.
    wait_for("the end's announcement", || get(&address, "/readyz").contains("shutdown: the service is ending"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

fn the_log_level_changes_while_it_runs() {
    let (mut child, address, mut log) = started("x");
    let put = |level: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "PUT /loglevel HTTP/1.0\r\nContent-Length: {}\r\n\r\n{level}", level.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get(&address, "/loglevel").ends_with("\r\n\r\ninfo\n"));
    let refused = put("inof");
    assert!(refused.starts_with("HTTP/1.0 400") && refused.contains("is no log level"), "{refused}");
    assert!(put("orfeas_service=debug,warn").starts_with("HTTP/1.0 200"));
    let level = get(&address, "/loglevel");
    assert!(level.contains("orfeas_service=debug"), "{level}");
    let mut line = String::new();
    while !line.contains("the log level was changed") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the change is not in the log");
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
