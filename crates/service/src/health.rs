//! The health server: `/livez`, `/readyz`, `/metrics`, `/loglevel`, and what pages a service adds.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus::{IntGauge, Registry, TextEncoder};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{metrics::Metric, pages::Pages, readiness::Readiness, shutdown::Shutdown, telemetry};

/// Why the health server did not start.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error("{}", bind_advice(.address, .source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The registry has the server's own metric already.
    #[error("the health server's metric cannot be registered: {0}")]
    Metric(#[from] prometheus::Error),
}

/// One sentence that says what to change.
fn bind_advice(address: &SocketAddr, error: &std::io::Error) -> String {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has the port; set http_listen (ORFEAS_HTTP_LISTEN) to another, to port 0, or to off"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; set http_listen (ORFEAS_HTTP_LISTEN) to 127.0.0.1 or 0.0.0.0 with a port"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root; set http_listen (ORFEAS_HTTP_LISTEN) to a higher one"
        }
        _ => "set http_listen (ORFEAS_HTTP_LISTEN) to another address, or to off",
    };
    format!("cannot serve health and metrics on {address} ({error}): {advice}")
}

/// A running health server.
#[derive(Debug)]
pub struct HealthServer {
    /// Where it listens: the real port where 0 was asked for.
    pub address: SocketAddr,
    /// Ends after the shutdown was requested.
    pub task: JoinHandle<()>,
}

#[derive(Clone)]
struct Served {
    registry: Registry,
    readiness: Readiness,
    pages: Pages,
    ready: IntGauge,
}

/// Serves until `shutdown`. Registers [`Metric::Ready`].
///
/// # Errors
/// [`HealthError`] says what to change.
pub async fn serve(
    address: SocketAddr,
    registry: Registry,
    readiness: Readiness,
    pages: Pages,
    shutdown: Shutdown,
) -> Result<HealthServer, HealthError> {
    let bind = |source| HealthError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let bound = listener.local_addr().map_err(bind)?;
    let ready = Metric::Ready.int_gauge(&registry)?;
    let router = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/loglevel", get(async || telemetry::level() + "\n").put(set_level))
        .fallback(page)
        .with_state(Served { registry, readiness, pages, ready });
    let task = tokio::spawn(async move {
        let end = async move { shutdown.requested().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
            tracing::error!(%error, "the health server ended");
        }
    });
    Ok(HealthServer { address: bound, task })
}

async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    match served.readiness.reason() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Takes effect at once and until the service ends; the configuration is what the next start goes by.
async fn set_level(directives: String) -> impl IntoResponse {
    match telemetry::set_level(directives.trim()) {
        Ok(()) => (StatusCode::OK, format!("{}\n", telemetry::level())),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

async fn page(State(served): State<Served>, uri: Uri) -> impl IntoResponse {
    match served.pages.get(uri.path()) {
        Some(json) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], json),
        None => (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/plain")], "there is no such page\n".to_owned()),
    }
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    served.ready.set(i64::from(served.readiness.is_ready()));
    match TextEncoder::new().encode_to_string(&served.registry.gather()) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain; charset=utf-8")], error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_tells_life_readiness_and_metrics_until_it_is_ended() {
        let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
        let any = "127.0.0.1:0".parse().unwrap();
        let pages = Pages::default();
        let server = serve(any, Registry::new(), readiness.clone(), pages.clone(), shutdown.clone()).await.unwrap();
        assert!(get(server.address, "/livez").await.ends_with("\r\n\r\nok"));
        readiness.not_ready("engine", "the model loads");
        let answer = get(server.address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("engine: the model loads\n"), "{answer}");
        assert!(get(server.address, "/metrics").await.contains("orfeas_ready 0"));
        readiness.ready("engine");
        assert!(get(server.address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let answer = get(server.address, "/metrics").await;
        assert!(answer.contains("orfeas_ready 1") && answer.contains("text/plain; version=0.0.4"), "{answer}");

        assert!(get(server.address, "/jobs").await.starts_with("HTTP/1.1 404"));
        pages.show("/jobs", "[]");
        let answer = get(server.address, "/jobs").await;
        assert!(answer.contains("application/json") && answer.ends_with("[]"), "{answer}");

        let taken =
            serve(server.address, Registry::new(), readiness, pages, shutdown.clone()).await.unwrap_err().to_string();
        assert!(taken.contains("another program has the port") && taken.contains("ORFEAS_HTTP_LISTEN"), "{taken}");
        shutdown.request();
        server.task.await.unwrap();
    }
}
