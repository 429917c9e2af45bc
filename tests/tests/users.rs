//! The repository's own server configuration, with a user for each service that may do what it does and nothing more: a
//! job gets through, and what is not a user's business is refused.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use orfeas_bus::{Bus, client, objects};
use orfeas_contract::{EventBody, EventKind, Format, Options, subjects};
use orfeas_service::config::Service;
use orfeas_tests::secured::{environment, orfeas};
use orfeas_tests::{EventLog, PATIENCE, Secured, TestServer, job, pictures};
use tokio::sync::mpsc;

/// Publishes and subscribes to what a user may not, and waits until the server has refused each.
async fn refused(secured: &Secured, user: &str, publishes: &[&str], subscribes: &[&str]) {
    let (sender, mut said) = mpsc::unbounded_channel();
    let options = async_nats::ConnectOptions::new()
        .user_and_password(user.to_owned(), secured.password(user))
        .event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event.to_string())) }
        });
    let client = options.connect(secured.server.url()).await.unwrap();
    let mut waited_for = std::collections::BTreeSet::new();
    for subject in publishes {
        client.publish((*subject).to_owned(), Bytes::from_static(b"{}")).await.unwrap();
        waited_for.insert(format!("for publish to \"{}\"", subject.to_lowercase()));
    }
    let mut subscriptions = Vec::new();
    for subject in subscribes {
        subscriptions.push(client.subscribe((*subject).to_owned()).await.unwrap());
        waited_for.insert(format!("for subscription to \"{}\"", subject.to_lowercase()));
    }
    client.flush().await.unwrap();
    let refusals = async {
        while !waited_for.is_empty() {
            let event = said.recv().await.unwrap().to_lowercase();
            waited_for.retain(|refusal| !event.contains(refusal.as_str()));
        }
    };
    let waited = tokio::time::timeout(orfeas_tests::PATIENCE, refusals).await;
    assert!(waited.is_ok(), "{user} was not refused: {waited_for:?}");
}

/// What nobody but the admin may do: make, change, empty, copy or stop things, or be somebody else.
const NOBODY: [&str; 11] = [
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.PURGE.KV_orfeas-jobs",
    "$JS.API.STREAM.SNAPSHOT.EVENTS",
    "$JS.API.STREAM.RESTORE.MINE",
    "$JS.API.CONSUMER.DELETE.WORK.infer",
    "$JS.API.CONSUMER.PAUSE.WORK.infer",
    "$SYS.REQ.SERVER.PING",
    "_INBOX_admin.x",
];

/// Fails with one sentence that holds these words.
fn fails_with(arguments: &[&str], environment: &[(String, String)], words: &[&str]) {
    let output = orfeas(arguments, environment);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?}");
    let sentence: Vec<&str> = said.lines().filter(|line| line.starts_with("orfeas")).collect();
    assert_eq!(sentence.len(), 1, "{said}");
    for word in words {
        assert!(sentence[0].contains(word), "{word:?} is not in: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_through_under_least_privilege_and_nobody_may_do_more() {
    let mut secured = Secured::start().await;
    let bus = Bus::connect(&secured.connection("client")).await.unwrap();
    let events = EventLog::start(bus.clone());
    let duck = job("duck");
    let options = Options { formats: vec![Format::Stl, Format::Glb], ..Options::default() };
    client::submit(&bus, &duck, pictures::photo(128), &options).await.unwrap();
    let EventBody::Completed(completed) = events.outcome(&duck).await.body else {
        panic!("{}", secured.logs());
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
    let admin = Bus::connect(&secured.connection("admin")).await.unwrap();
    let topology = orfeas_bus::topology::Topology::new(orfeas_tests::default_limits());
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let streams = orfeas_bus::observe::streams(&admin, &topology).await.unwrap();
        let messages = |name: &str| streams.iter().find(|stream| stream.stream == name).unwrap().messages;
        let metrics = secured.processes.iter_mut().find(|process| process.service == Service::Metrics).unwrap();
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
    let log = secured.server.log_text();
    assert!(!log.contains("Violation"), "somebody lacks a permission:\n{log}");
    for process in &secured.processes {
        assert!(!process.log_text().contains("violation"), "{}", process.log_text());
    }

    // What one user may, the others may not, unless it is theirs too.
    let own: [(&str, &[&str]); 9] = [
        ("orfeas.images", &["client"]),
        ("orfeas.work.infer.forged", &["ingest"]),
        ("orfeas.work.export.forged", &["infer"]),
        ("orfeas.events.accepted.forged", &["ingest"]),
        ("orfeas.events.generated.forged", &["infer"]),
        ("orfeas.events.completed.forged", &["ingest", "infer", "export"]),
        ("$KV.orfeas-jobs.forged", &["ingest", "infer", "export"]),
        ("$O.orfeas-meshes.M.forged", &["export"]),
        ("$KV.orfeas-metrics.forged", &["metrics"]),
    ];
    for user in ["ingest", "infer", "export", "metrics", "client"] {
        let others = own.iter().filter(|(_, users)| !users.contains(&user)).map(|(subject, _)| *subject);
        let publishes: Vec<&str> = NOBODY.into_iter().chain(others).collect();
        let other = if user == "client" { "_INBOX_ingest.>" } else { "_INBOX_client.>" };
        refused(&secured, user, &publishes, &[">", "$JS.ACK.>", "orfeas.work.>", "orfeas.images", other]).await;
    }
    let forged = orfeas_bus::events::find(&admin, EventKind::Completed, &job("forged")).await.unwrap();
    assert_eq!(forged, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_none_fail_with_a_sentence() {
    let (server, passwords) = TestServer::with_users();
    let (url, wrong) = (server.url(), server.folder().join("wrong"));
    std::fs::write(&wrong, "guess").unwrap();
    let as_client = |file: &PathBuf| {
        vec![
            ("ORFEAS_NATS_USER".to_owned(), "client".to_owned()),
            ("ORFEAS_NATS_PASSWORD_FILE".to_owned(), file.display().to_string()),
        ]
    };
    let status = ["status", "duck", "--nats", &url];
    fails_with(&status, &as_client(&wrong), &["does not accept our user and password"]);
    fails_with(&status, &as_client(&passwords["ingest"]), &["does not accept our user and password"]);
    fails_with(&status, &[], &["asks who we are", "ORFEAS_NATS_PASSWORD_FILE"]);
    // A service that waited would wait for ever.
    let serve = ["serve", "ingest", "--http-listen", "127.0.0.1:0", "--log-level", "off", "--nats-url", &url];
    fails_with(&serve, &as_client(&wrong), &["does not accept our user and password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_port_takes_those_who_trust_it_and_show_a_certificate_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let variables = [("NATS_TLS_CERT", 1), ("NATS_TLS_KEY", 2), ("NATS_TLS_CA", 0)];
    let variables = variables.map(|(name, file)| (name, files[file].clone()));
    let (server, passwords) = TestServer::with_config("tls.conf", &variables);
    let mut environment = environment(&passwords, "admin");
    let url = server.url();
    let apply = ["topology", "apply", "--nats", &url];
    fails_with(&apply, &environment, &["TLS connection", "ORFEAS_NATS_TLS_CA_FILE"]);
    environment.push(("ORFEAS_NATS_TLS_CA_FILE".to_owned(), files[0].clone()));
    fails_with(&apply, &environment, &["NATS"]);
    environment.push(("ORFEAS_NATS_TLS_CERT_FILE".to_owned(), files[1].clone()));
    environment.push(("ORFEAS_NATS_TLS_KEY_FILE".to_owned(), files[2].clone()));
    let applied = orfeas(&apply, &environment);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));

    // Who speaks without TLS is not spoken to.
    let address = url.trim_start_matches("nats://").to_owned();
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"CONNECT {\"verbose\":true}\r\nPING\r\n").unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset; what counts is that no PONG came before it.
    let _ = plain.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("INFO") && answer.contains("\"tls_required\":true"), "{answer}");
    assert!(!answer.contains("PONG"), "{answer}");
}

/// An authority, and a certificate of it with its key, good for this machine: as PEM files in that order.
fn certificates(folder: &Path) -> [String; 3] {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = parameters.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    leaf.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    [("ca.pem", root.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())].map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    })
}
