//! Connecting, with the settings that were seen to survive restarts and frozen servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{BusError, BusErrorKind};

/// How long one call to the server may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end waits for what is done beside the work: within the margin that a service has after its grace time.
const TIDY_TIMEOUT: Duration = Duration::from_secs(3);

/// Who we are to the server. Secrets stay out of `Debug`.
#[derive(Clone, Default)]
pub enum Credentials {
    /// The server asks for nothing.
    #[default]
    None,
    /// User and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// A `.creds` file (JWT and nkey seed).
    CredentialsFile(PathBuf),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password { user, .. } => write!(f, "Password({user}, ***)"),
            Self::Token(_) => f.write_str("Token(***)"),
            Self::CredentialsFile(path) => write!(f, "CredentialsFile({})", path.display()),
        }
    }
}

/// TLS files; all optional.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and key, where the server wants one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Server addresses, `nats://host:port`; one of them is enough to find a cluster.
    pub urls: Vec<String>,
    /// The client's name, seen in the server's connection list.
    pub name: String,
    /// Prefix of reply subjects; least-privilege users may subscribe to nothing else.
    pub inbox_prefix: String,
    /// Who we are.
    pub credentials: Credentials,
    /// TLS files.
    pub tls: Tls,
    /// Keep trying where the first connection fails (a service), or say so at once (a command).
    pub wait_for_server: bool,
}

impl Connection {
    /// A connection without credentials that fails at once when nobody answers.
    #[must_use]
    pub fn plain(url: &str, name: &str) -> Self {
        Self {
            urls: vec![url.to_owned()],
            name: name.to_owned(),
            inbox_prefix: format!("_INBOX_{name}"),
            credentials: Credentials::None,
            tls: Tls::default(),
            wait_for_server: false,
        }
    }
}

fn servers(settings: &Connection) -> String {
    // An address may carry a password.
    let shown = |url: &String| url.rsplit_once('@').map_or_else(|| url.clone(), |(_, host)| host.to_owned());
    settings.urls.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn unreachable(settings: &Connection, error: ConnectError) -> BusError {
    BusError::caused(BusErrorKind::Unreachable, format!("cannot connect to NATS at {}", servers(settings)), error)
}

/// Whether the TLS handshake failed. Most of its errors come as I/O errors with invalid data.
fn about_tls(error: &ConnectError) -> bool {
    use std::error::Error as _;
    let invalid = |source: &std::io::Error| source.kind() == std::io::ErrorKind::InvalidData;
    error.kind() == ConnectErrorKind::Tls
        || (error.kind() == ConnectErrorKind::Io && error.source().and_then(|e| e.downcast_ref()).is_some_and(invalid))
}

/// What to change where a server answered and will not have us; none for a server that is away.
fn refusal(settings: &Connection, error: &ConnectError) -> Option<String> {
    let server = servers(settings);
    match (error.kind(), &settings.credentials) {
        (ConnectErrorKind::AuthorizationViolation, Credentials::None) => {
            Some(format!("NATS at {server} asks who we are; set ORFEAS_NATS_USER and ORFEAS_NATS_PASSWORD_FILE"))
        }
        (ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication, _) => {
            Some(format!("NATS at {server} does not accept our user and password"))
        }
        _ if about_tls(error) => Some(format!(
            "the TLS connection to NATS at {server} fails; ORFEAS_NATS_TLS_CA_FILE names the authority to trust, and \
             ORFEAS_NATS_TLS_CERT_FILE and _KEY_FILE our own certificate where the server asks for one"
        )),
        _ => None,
    }
}

/// A connection to the bus. Clones share it.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) context: jetstream::Context,
    /// How often a connection came to stand: whoever holds something that a server forgets looks at it anew then.
    pub(crate) connects: Arc<watch::Sender<u64>>,
    /// What is done beside the work and nobody waits for, except the end.
    pub(crate) chores: TaskTracker,
    /// Whether a publish waits for room in a full stream as long as it takes: a service's does, a command's says so.
    pub(crate) waits_for_room: bool,
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    /// [`BusErrorKind::Unreachable`] where nobody answers and `wait_for_server` is off; [`BusErrorKind::Config`] for
    /// unusable addresses or files.
    pub async fn connect(settings: &Connection) -> Result<Self, BusError> {
        let config = |what: String| move |error: std::io::Error| BusError::caused(BusErrorKind::Config, what, error);
        let connects = Arc::new(watch::Sender::new(0));
        let counted = connects.clone();
        let mut options = ConnectOptions::new()
            .name(&settings.name)
            .custom_inbox_prefix(&settings.inbox_prefix)
            // The default of 60 s shows a frozen server as connected for two minutes.
            .ping_interval(Duration::from_secs(10))
            .connection_timeout(CALL_TIMEOUT)
            .request_timeout(Some(CALL_TIMEOUT))
            .reconnect_delay_callback(|attempts| Duration::from_millis(if attempts < 2 { 20 } else { 200 }))
            // The server does not tell a caller that it lacks a permission: the call times out and the text comes here.
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    counted.send_modify(|count| *count += 1);
                }
                async move {
                    match event {
                        Event::ServerError(error) => tracing::error!(%error, "nats"),
                        Event::SlowConsumer(id) => tracing::warn!(subscription = id, "nats: slow consumer"),
                        event => tracing::info!(%event, "nats"),
                    }
                }
            });
        options = match &settings.credentials {
            Credentials::None => options,
            Credentials::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::CredentialsFile(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(config(format!("cannot read the credentials {}", path.display())))?;
                options.credentials(&text).map_err(config(format!("unusable credentials in {}", path.display())))?
            }
        };
        if let Some(ca) = &settings.tls.ca_file {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((certificate, key)) = &settings.tls.client {
            options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
        }
        let mut addresses = Vec::new();
        for url in &settings.urls {
            let address: async_nats::ServerAddr =
                url.parse().map_err(config(format!("{url:?} is no NATS address (nats://host:port)")))?;
            addresses.push(address);
        }
        let client = match options.clone().connect(addresses.clone()).await {
            Ok(client) => client,
            Err(error) => match refusal(settings, &error) {
                None if settings.wait_for_server => {
                    let waits = options.retry_on_initial_connect().connect(addresses).await;
                    waits.map_err(|error| unreachable(settings, error))?
                }
                None => return Err(unreachable(settings, error)),
                // Waiting would not mend it.
                Some(sentence) => return Err(BusError::caused(BusErrorKind::Config, sentence, error)),
            },
        };
        Ok(Self { waits_for_room: settings.wait_for_server, ..Self::over(client, connects) })
    }

    fn over(client: async_nats::Client, connects: Arc<watch::Sender<u64>>) -> Self {
        let context = jetstream::context::ContextBuilder::new()
            .timeout(CALL_TIMEOUT)
            .ack_timeout(CALL_TIMEOUT)
            .build(client.clone());
        Self { client, context, connects, chores: TaskTracker::new(), waits_for_room: false }
    }

    /// Whether the connection stands at this moment.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// The server's version, once connected.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Waits for what is done beside the work. A server that is away does not hold the end up for long.
    pub(crate) async fn finish_chores(&self) {
        self.chores.close();
        if tokio::time::timeout(TIDY_TIMEOUT, self.chores.wait()).await.is_err() {
            tracing::warn!(left = self.chores.len(), "ending before everything was tidied up");
        }
    }

    /// Sends what is still buffered (acknowledgements above all) to the server.
    pub async fn flush(&self) {
        // A server that is gone cannot be flushed to; what it did not get, it will deliver again.
        if let Ok(Err(error)) = tokio::time::timeout(CALL_TIMEOUT, self.client.flush()).await {
            tracing::warn!(%error, "flush");
        }
    }
}
