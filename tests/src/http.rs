//! As much HTTP as a health check needs.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Gets a path.
///
/// # Errors
/// Where nobody answers, or not in HTTP.
pub async fn get(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split_whitespace().nth(1)?.parse().ok()?;
            // axum sends a body of known length as it is.
            Some(Answer { status, body: body.to_owned() })
        });
        parsed.ok_or_else(|| std::io::Error::other("no HTTP answer"))
    };
    tokio::time::timeout(crate::PATIENCE, talk).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// The value of a series in Prometheus' text format: the sum over all series of the name whose labels contain all of
/// `labels` (written `key="value"`); none where there is no such series.
#[must_use]
pub fn series(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut sum = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (found, of) = series.split_once('{').unwrap_or((series, ""));
        if found == name && labels.iter().all(|label| of.contains(label)) {
            sum = Some(sum.unwrap_or(0.0) + value.parse::<f64>().unwrap_or(f64::NAN));
        }
    }
    sum
}
