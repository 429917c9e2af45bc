//! A whole pipeline: a server, its topology, and every service as a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt;
use orfeas_bus::jobs;
use orfeas_bus::topology::{Limits, Topology};
use orfeas_bus::{Bus, Connection, Credentials, objects};
use orfeas_contract::{
    ArtifactRef, Completed, Event, EventBody, EventKind, Format, JobId, JobRecord, Options, subjects,
};
use orfeas_service::config::{ClientConfig, Service, Sources};

use crate::{EventLog, PATIENCE, Process, TestServer, secured};

/// How a pipeline is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The engine.
    pub engine: &'static str,
    /// Cells along the longest side, where a job does not say.
    pub resolution: u32,
    /// How long a silent worker keeps a job.
    pub ack_wait: Duration,
    /// Attempts at a stage.
    pub max_attempts: u64,
    /// How long a service may work on after SIGTERM.
    pub grace: Duration,
    /// Processes of each stage.
    pub replicas: usize,
    /// Whether the topology is made before the services start.
    pub topology: bool,
    /// The services that are started.
    pub services: &'static [Service],
    /// Filter of the services' logs.
    pub log: &'static str,
    /// More flags of every service.
    pub all: Vec<(&'static str, String)>,
    /// More flags of infer.
    pub infer: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            engine: "inflate",
            resolution: 32,
            ack_wait: Duration::from_secs(30),
            max_attempts: 5,
            grace: Duration::from_secs(30),
            replicas: 1,
            topology: true,
            services: &[Service::Ingest, Service::Infer, Service::Export],
            log: "info",
            all: Vec::new(),
            infer: Vec::new(),
        }
    }
}

/// An event as it lies in the stream.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
    /// What it says.
    pub event: Event,
}

/// A running pipeline. Its processes end with it; where its test fails, it prints their logs.
#[derive(Debug)]
pub struct Pipeline {
    /// The service processes.
    pub processes: Vec<Process>,
    /// The events.
    pub events: EventLog,
    /// The client's side of ORFEAS; with users, logged in as `client`.
    pub bus: Bus,
    /// The operator's side, which may do everything; with users, logged in as `admin`.
    pub admin: Bus,
    /// The operator's side without a line of ORFEAS in it.
    pub nats: jetstream::Context,
    /// A client that knows nothing of ORFEAS; with users, logged in as `client`.
    plain: jetstream::Context,
    /// The server.
    pub server: TestServer,
    /// The users' password files, where there are users.
    pub passwords: Option<BTreeMap<String, PathBuf>>,
    setup: Setup,
}

impl Setup {
    /// A killed worker's job soon comes back; so does that of a worker which a busy machine keeps silent as long.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self { ack_wait: Duration::from_secs(2), ..self }
    }

    /// Another engine.
    #[must_use]
    pub fn engine(self, engine: &'static str) -> Self {
        Self { engine, ..self }
    }

    /// Starts everything and waits until it takes work.
    pub async fn start(self) -> Pipeline {
        let mut pipeline = self.start_unready().await;
        for process in &mut pipeline.processes {
            process.ready().await;
        }
        pipeline
    }

    /// Starts everything. With `TEST_LEAST_PRIVILEGE` set, on the repository's own server configuration: every service is its
    /// own user then, and the test is `client`, or `admin` where it does what an operator does.
    pub async fn start_unready(self) -> Pipeline {
        if std::env::var_os("TEST_LEAST_PRIVILEGE").is_none() {
            return self.start_on(TestServer::start()).await;
        }
        let (server, passwords) = TestServer::with_users();
        self.start_as(server, Some(passwords)).await
    }

    /// Starts everything on a server that is there, and may hold something.
    pub async fn start_on(self, server: TestServer) -> Pipeline {
        self.start_as(server, None).await
    }

    async fn start_as(self, server: TestServer, passwords: Option<BTreeMap<String, PathBuf>>) -> Pipeline {
        let (admin, nats) = connected(&server, passwords.as_ref(), "admin").await;
        let (bus, plain) = connected(&server, passwords.as_ref(), "client").await;
        if self.topology {
            self.wired().apply(&admin).await.expect("the topology can be made");
        }
        let events = EventLog::start(bus.clone());
        let mut processes = Vec::new();
        for service in self.services {
            let replicas = if *service == Service::Metrics { 1 } else { self.replicas };
            for replica in 1..=replicas {
                let name = format!("{service}-{replica}");
                let mut process = Process::new(*service, &name, self.flags(*service, &server), server.folder());
                if let Some(passwords) = &passwords {
                    process = process.with_environment(secured::environment(passwords, service.name()));
                }
                process.start();
                processes.push(process);
            }
        }
        Pipeline { processes, events, bus, admin, nats, plain, server, passwords, setup: self }
    }

    /// The topology with this set-up's limits.
    #[must_use]
    pub fn wired(&self) -> Topology {
        Topology::new(Limits { ack_wait: self.ack_wait, max_attempts: self.max_attempts, ..default_limits() })
    }

    fn flags(&self, service: Service, server: &TestServer) -> Vec<String> {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs());
        let mut flags = vec![
            ("--nats-url", server.url()),
            ("--ack-wait", seconds(self.ack_wait)),
            ("--max-attempts", self.max_attempts.to_string()),
            ("--shutdown-grace", seconds(self.grace)),
            ("--log-level", self.log.to_owned()),
        ];
        flags.extend(self.all.iter().cloned());
        match service {
            Service::Infer => {
                flags.push(("--engine", self.engine.to_owned()));
                flags.push(("--resolution", self.resolution.to_string()));
                flags.extend(self.infer.iter().cloned());
            }
            Service::Metrics => {
                flags.push(("--poll-interval", "1s".to_owned()));
                flags.push(("--checkpoint-interval", "1s".to_owned()));
                flags.push(("--nats-monitor-urls", server.monitor()));
                flags.push(("--watch-folders", server.folder().display().to_string()));
            }
            Service::Ingest | Service::Export | Service::Client => {}
        }
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

/// A connection of ours and one that knows nothing of ORFEAS, logged in as this user where there are users.
async fn connected(
    server: &TestServer,
    passwords: Option<&BTreeMap<String, PathBuf>>,
    user: &str,
) -> (Bus, jetstream::Context) {
    let mut connection = Connection::plain(&server.url(), user);
    let mut options = async_nats::ConnectOptions::new().custom_inbox_prefix(format!("_INBOX_{user}"));
    if let Some(passwords) = passwords {
        let password = std::fs::read_to_string(&passwords[user]).expect("a password file");
        connection.credentials = Credentials::Password { user: user.to_owned(), password: password.clone() };
        options = options.user_and_password(user.to_owned(), password);
    }
    let bus = Bus::connect(&connection).await.expect("a connection");
    let client = options.connect(server.url()).await.expect("a connection");
    (bus, jetstream::new(client))
}

/// The limits where nothing is configured.
#[must_use]
pub fn default_limits() -> Limits {
    let config = ClientConfig::load(&Sources::default()).expect("the defaults are a configuration");
    orfeas_stage::limits(&config.topology, &config.work)
}

/// A job id.
#[must_use]
pub fn job(name: &str) -> JobId {
    JobId::parse(name).expect("a job id")
}

/// Options from JSON.
#[must_use]
pub fn options(json: &str) -> Options {
    Options::parse(json).expect("options")
}

/// The job whose accepted or failed event names this message.
#[must_use]
pub fn job_of_sequence(events: &[Event], wanted: u64) -> Option<JobId> {
    let sequence = |event: &Event| match &event.body {
        EventBody::Accepted(accepted) => Some(accepted.sequence),
        EventBody::Failed(failed) => failed.sequence,
        _ => None,
    };
    events.iter().find(|event| sequence(event) == Some(wanted)).map(|event| event.job.clone())
}

impl Pipeline {
    /// The first process of a service.
    pub fn process(&mut self, service: Service) -> &mut Process {
        self.processes.iter_mut().find(|process| process.service == service).expect("the service is part of the set-up")
    }

    /// The topology with this pipeline's limits.
    #[must_use]
    pub fn wired(&self) -> Topology {
        self.setup.wired()
    }

    /// Runs a command of `orfeas` on this pipeline's server as a client's machine would: logged in as `client` where there
    /// are users, and with none of the surroundings' variables.
    pub async fn client(&self, arguments: &[&str]) -> Output {
        self.orfeas("client", arguments).await
    }

    /// The same as an operator would: logged in as `admin` where there are users.
    pub async fn operator(&self, arguments: &[&str]) -> Output {
        self.orfeas("admin", arguments).await
    }

    /// [`Self::client`]'s command, not yet run.
    #[must_use]
    pub fn client_command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = secured::command(arguments, &self.environment("client"));
        command.args(["--nats", &self.server.url()]);
        command
    }

    fn environment(&self, user: &str) -> Vec<(String, String)> {
        let environment = self.passwords.as_ref().map(|passwords| secured::environment(passwords, user));
        environment.unwrap_or_default()
    }

    async fn orfeas(&self, user: &str, arguments: &[&str]) -> Output {
        let environment = self.environment(user);
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let server = ["--nats".to_owned(), self.server.url()];
        let run = move || {
            let all: Vec<&str> = arguments.iter().chain(&server).map(String::as_str).collect();
            secured::orfeas(&all, &environment)
        };
        tokio::task::spawn_blocking(run).await.expect("the command can be waited for")
    }

    /// Publishes a picture as any NATS client would; gives its sequence. Tried until somebody takes it.
    pub async fn publish(&self, headers: &[(&'static str, &str)], payload: Bytes) -> u64 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let sent = self.plain.publish_with_headers(subjects::IMAGES, map.clone(), payload.clone()).await;
            let acknowledged = match sent {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(acknowledgement) => return acknowledgement.sequence,
                Err(error) => assert!(Instant::now() < end, "nobody takes the picture: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Publishes a picture under a job id.
    pub async fn submit(&self, job: &JobId, options: &str, picture: Bytes) -> u64 {
        self.publish(&[(subjects::HEADER_JOB, job.as_str()), (subjects::HEADER_OPTIONS, options)], picture).await
    }

    /// Publishes a picture and waits for its files.
    pub async fn complete(&self, job: &JobId, options: &str, picture: Bytes) -> Completed {
        self.submit(job, options, picture).await;
        self.completed(job).await
    }

    /// Waits for the end of a job, which must be files.
    pub async fn completed(&self, job: &JobId) -> Completed {
        match self.events.outcome(job).await.body {
            EventBody::Completed(completed) => *completed,
            other => panic!("{job} did not complete: {other:?}"),
        }
    }

    /// The job's record.
    pub async fn record(&self, job: &JobId) -> Option<JobRecord> {
        jobs::get(&self.bus, job).await.expect("the records can be read").map(|entry| entry.value)
    }

    /// The bytes of a file, checked.
    pub async fn fetch(&self, artifact: &ArtifactRef) -> Bytes {
        objects::get(&self.bus, artifact).await.unwrap_or_else(|error| panic!("{}: {error}", artifact.object))
    }

    /// SHA-256 of each file's vertices and triangles: the files themselves name their job.
    pub async fn meshes(&self, completed: &Completed) -> BTreeMap<Format, String> {
        let mut hashes = BTreeMap::new();
        for file in &completed.files {
            let bytes = self.fetch(&file.artifact).await;
            let mesh = orfeas_surface::read(&bytes, Some(file.format)).expect("a mesh");
            let numbers = mesh.vertices.as_flattened().iter().map(|value| value.to_bits());
            let words = numbers.chain(mesh.triangles.as_flattened().iter().copied());
            let words: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
            hashes.insert(file.format, objects::sha256_hex(&words));
        }
        hashes
    }

    /// Waits until no message waits or is in hand anywhere: whatever was to happen has happened.
    pub async fn settled(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut left = 0;
            for stream in [subjects::STREAM_IMAGES, subjects::STREAM_WORK] {
                // A server that comes up says nothing yet.
                left += match self.nats.get_stream(stream).await {
                    Ok(stream) => stream.cached_info().state.messages,
                    Err(_) => 1,
                };
            }
            if left == 0 {
                return;
            }
            assert!(Instant::now() < end, "{left} messages are still in the queues");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an object bucket holds nothing: what is not needed any more is removed beside the work.
    pub async fn emptied(&self, bucket: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let stream = self.nats.get_stream(format!("OBJ_{bucket}")).await.expect("the bucket's stream");
            let left = stream.cached_info().state.messages;
            if left == 0 {
                return;
            }
            assert!(Instant::now() < end, "{bucket} still holds {left} messages");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that the event stream holds on a subject filter, in its order.
    pub async fn history(&self, filter: &str) -> Vec<Said> {
        let stream = self.nats.get_stream(subjects::STREAM_EVENTS).await.expect("the event stream");
        let config = pull::Config {
            filter_subject: filter.to_owned(),
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::All,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        let count = usize::try_from(consumer.cached_info().num_pending).expect("a number of messages");
        let mut said = Vec::with_capacity(count);
        if count == 0 {
            return said;
        }
        let mut messages = consumer.batch().max_messages(count).messages().await.expect("messages");
        while said.len() < count {
            let message = tokio::time::timeout(PATIENCE, messages.next()).await.expect("an event in time");
            let message = message.expect("as many events as were promised").expect("an event");
            let event = serde_json::from_slice(&message.payload).expect("an event of the contract");
            said.push(Said {
                subject: message.subject.to_string(),
                headers: message.headers.clone().unwrap_or_default(),
                payload: message.payload.clone(),
                event,
            });
        }
        said
    }

    /// Once everything has settled, the one event that ended a job; more or none fail the test.
    pub async fn only_outcome(&self, job: &JobId) -> Event {
        self.events.outcome(job).await;
        self.settled().await;
        let said = self.history(&subjects::events_of(job)).await;
        let ends: Vec<&Event> =
            said.iter().map(|said| &said.event).filter(|event| event.kind().terminal_state().is_some()).collect();
        assert_eq!(ends.len(), 1, "{job} must end once: {ends:?}");
        let record = self.record(job).await.expect("a job has a record");
        assert_eq!(Some(record.state), ends[0].kind().terminal_state(), "the record and the event of {job} differ");
        assert_eq!(record.outcome.as_ref(), Some(ends[0]), "the record's outcome is the event of {job}");
        for kind in EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Progress) {
            let times = said.iter().filter(|said| said.event.kind() == kind).count();
            assert!(times <= 1, "{job} has {times} events {kind}");
        }
        ends[0].clone()
    }

    /// As [`Self::only_outcome`], for a job that must have files.
    pub async fn only_completed(&self, job: &JobId) -> Completed {
        match self.only_outcome(job).await.body {
            EventBody::Completed(completed) => *completed,
            other => panic!("{job} did not complete: {other:?}"),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in &self.processes {
                eprintln!("{}", process.all_logs());
            }
            eprintln!("---- nats-server\n{}", self.server.log_text());
        } else if self.passwords.is_some() {
            let log = self.server.log_text();
            // Whoever lacks a permission is not told: the call only takes long, and something else may hide it.
            assert!(!log.contains("Violation"), "somebody lacks a permission:\n{log}");
        }
    }
}
