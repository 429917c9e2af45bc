//! The repository's own server configuration, with a user for each service that may do what it does and nothing more: a
//! job gets through, and what is not a user's business is refused.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use orfeas_bus::{Bus, Connection, Credentials, client, objects};
use orfeas_contract::{EventBody, EventKind, Format, Options, Stage, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{EventLog, PATIENCE, Process, TestServer, job, paths, pictures, without_settings};
use tokio::sync::mpsc;

type Passwords = BTreeMap<String, String>;

fn password(passwords: &Passwords, user: &str) -> String {
    passwords[&format!("NATS_{}_PASSWORD", user.to_uppercase())].clone()
}

/// What a container of that user has in its environment.
fn environment(passwords: &Passwords, user: &str) -> Vec<(String, String)> {
    vec![
        ("ORFEAS_NATS_USER".to_owned(), user.to_owned()),
        ("ORFEAS_NATS_PASSWORD".to_owned(), password(passwords, user)),
    ]
}

fn connection(server: &TestServer, passwords: &Passwords, user: &str) -> Connection {
    let password = password(passwords, user);
    Connection {
        credentials: Credentials::Password { user: user.to_owned(), password },
        ..Connection::plain(&server.url(), user)
    }
}

/// Publishes what a user may not, and waits for the server's word that it was refused.
async fn refused(server: &TestServer, passwords: &Passwords, user: &str, subject: &str) {
    let (sender, mut said) = mpsc::unbounded_channel();
    let options = async_nats::ConnectOptions::new()
        .user_and_password(user.to_owned(), password(passwords, user))
        .event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event.to_string())) }
        });
    let client = options.connect(server.url()).await.unwrap();
    client.publish(subject.to_owned(), Bytes::from_static(b"{}")).await.unwrap();
    client.flush().await.unwrap();
    let refusal = async {
        loop {
            let event = said.recv().await.unwrap().to_lowercase();
            if event.contains("permissions violation for publish") && event.contains(&subject.to_lowercase()) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), refusal).await;
    assert!(waited.is_ok(), "{user} may publish on {subject}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_through_under_least_privilege_and_nobody_may_do_more() {
    let (server, passwords) = TestServer::with_users();
    let mut apply = Command::new(paths::orfeas());
    without_settings(&mut apply);
    let applied = apply
        .args(["topology", "apply", "--nats", &server.url()])
        .envs(environment(&passwords, "admin"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));

    let mut processes = Vec::new();
    for service in Service::SERVICES {
        let mut flags = vec!["--nats-url".to_owned(), server.url()];
        let more: &[&str] = match service {
            Service::Infer => &["--resolution", "32"],
            Service::Metrics => &["--poll-interval", "1s", "--checkpoint-interval", "1s"],
            _ => &[],
        };
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let process = Process::new(service, service.name(), flags, server.folder());
        let mut process = process.with_environment(environment(&passwords, service.name()));
        process.start();
        processes.push(process);
    }
    for process in &mut processes {
        process.ready().await;
    }

    let bus = Bus::connect(&connection(&server, &passwords, "client")).await.unwrap();
    let events = EventLog::start(bus.clone());
    let duck = job("duck");
    let options = Options { formats: vec![Format::Stl, Format::Glb], ..Options::default() };
    client::submit(&bus, &duck, pictures::photo(128), &options).await.unwrap();
    let EventBody::Completed(completed) = events.outcome(&duck).await.body else {
        panic!("{}", processes.iter().map(Process::all_logs).collect::<String>());
    };
    assert!(completed.report.printable());
    for file in &completed.files {
        objects::get(&bus, &file.artifact).await.unwrap();
    }
    // A failure and a cancel take other ways through the permissions.
    client::submit(&bus, &job("flat"), pictures::flat(64), &Options::default()).await.unwrap();
    assert_eq!(events.outcome(&job("flat")).await.kind(), EventKind::Failed);
    client::cancel(&bus, &duck).await.unwrap();

    // The bytes of the way were removed, the records and the counts are there.
    let admin = Bus::connect(&connection(&server, &passwords, "admin")).await.unwrap();
    let topology = orfeas_bus::topology::Topology::new(orfeas_tests::default_limits());
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let streams = orfeas_bus::observe::streams(&admin, &topology).await.unwrap();
        let messages = |name: &str| streams.iter().find(|stream| stream.stream == name).unwrap().messages;
        let metrics = processes.iter_mut().find(|process| process.service == Service::Metrics).unwrap();
        let text = metrics.get("/metrics").await.body;
        let left = [subjects::STREAM_IMAGES, subjects::STREAM_WORK, "OBJ_orfeas-prepared", "OBJ_orfeas-fields"];
        let count = |state: &str| orfeas_tests::http::series(&text, "orfeas_jobs_total", &[state]);
        let counted = count(r#"state="completed""#) == Some(1.0) && count(r#"state="failed""#) == Some(1.0);
        if left.iter().all(|name| messages(name) == 0) && counted && messages("KV_orfeas-metrics") == 1 {
            break;
        }
        assert!(std::time::Instant::now() < end, "{streams:?}\n{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = server.log_text();
    assert!(!log.contains("Violation"), "somebody lacks a permission:\n{log}");
    for process in &processes {
        assert!(!process.log_text().contains("violation"), "{}", process.log_text());
    }

    let work = |stage| subjects::work(stage, &duck);
    let completed = subjects::event(EventKind::Completed, &job("forged"));
    refused(&server, &passwords, "ingest", &work(Stage::Export)).await;
    refused(&server, &passwords, "infer", subjects::IMAGES).await;
    refused(&server, &passwords, "export", &work(Stage::Infer)).await;
    refused(&server, &passwords, "metrics", &completed).await;
    refused(&server, &passwords, "client", &completed).await;
    let forged = orfeas_bus::events::find(&admin, EventKind::Completed, &job("forged")).await.unwrap();
    assert_eq!(forged, None);
}
