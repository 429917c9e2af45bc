//! Traces: one a job, across all services, to an OpenTelemetry collector.
//!
//! A job's trace is its `traceparent`. Its root span and the spans of its attempts are told when they end, by whichever
//! process ended them; the root's id follows from the job, so that nobody has to be asked for it. They go as OTLP in
//! JSON over HTTP, from a task of their own: a collector that is slow or away costs spans, never a job.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use orfeas_contract::{JobId, Timestamp, TraceParent};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::Service,
    http::{self, HttpUrl},
};

/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 4096;
/// Spans of one request.
const BATCH: usize = 256;
/// How long a span waits for others.
const LINGER: Duration = Duration::from_millis(500);
/// How long the end of a service waits for its last spans.
const LAST: Duration = Duration::from_secs(2);

/// What is told of a job or of an attempt at a stage.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// The job.
    pub job: &'a JobId,
    /// Its trace.
    pub trace: &'a TraceParent,
    /// `orfeas.infer`, say.
    pub name: String,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// More facts.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it did not end well.
    pub error: Option<String>,
}

enum Told {
    Span(Box<Value>),
    Flush(oneshot::Sender<()>),
}

/// Where spans are told. Clones share it; without a collector it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<mpsc::Sender<Told>>>);

impl Tracer {
    /// Begins to send to a collector, where there is one. Needs a runtime.
    #[must_use]
    pub fn start(service: Service, collector: Option<&HttpUrl>) -> Self {
        let Some(collector) = collector else { return Self::default() };
        let url = collector.at(&format!("{}/v1/traces", collector.path().trim_end_matches('/')));
        let (sender, told) = mpsc::channel(WAITING);
        tokio::spawn(send(service, url, told));
        Self(Some(Arc::new(sender)))
    }

    /// Tells of an attempt at a stage.
    pub fn attempt(&self, span: &Span<'_>) {
        self.tell(|| span.json(&random_id(), Some(&root_id(span.job)), 5));
    }

    /// Tells of a whole job, once it has ended.
    pub fn job(&self, span: &Span<'_>) {
        let own = root_id(span.job);
        // A trace that began here has no span of a client's above it.
        let parent = Some(span.trace.parent_id()).filter(|parent| *parent != own);
        self.tell(|| span.json(&own, parent, 2));
    }

    fn tell(&self, span: impl FnOnce() -> Value) {
        if let Some(sender) = &self.0
            && sender.try_send(Told::Span(Box::new(span()))).is_err()
        {
            tracing::debug!("a span finds no room");
        }
    }

    /// Waits a moment until what was told is sent; for the end of a service.
    pub async fn flush(&self) {
        let Some(sender) = &self.0 else { return };
        let (done, flushed) = oneshot::channel();
        if sender.try_send(Told::Flush(done)).is_ok() {
            // A collector that is away does not hold the end up.
            let _ = tokio::time::timeout(LAST, flushed).await;
        }
    }
}

impl Span<'_> {
    fn json(&self, id: &str, parent: Option<&str>, kind: u8) -> Value {
        let text = |value: &Value| match value {
            Value::String(text) => json!({"stringValue": text}),
            Value::Bool(flag) => json!({"boolValue": flag}),
            Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
            other => json!({"intValue": other.to_string()}),
        };
        let mut attributes = vec![json!({"key": "orfeas.job", "value": {"stringValue": self.job.as_str()}})];
        attributes.extend(self.attributes.iter().map(|(key, value)| json!({"key": key, "value": text(value)})));
        let mut span = json!({
            "traceId": self.trace.trace_id(),
            "spanId": id,
            "name": self.name,
            "kind": kind,
            "startTimeUnixNano": self.begun.unix_timestamp_nanos().to_string(),
            "endTimeUnixNano": self.ended.unix_timestamp_nanos().to_string(),
            "attributes": attributes,
            "status": match &self.error {
                Some(why) => json!({"code": 2, "message": why}),
                None => json!({"code": 1}),
            },
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = parent.into();
        }
        span
    }
}

/// The id of a job's root span.
fn root_id(job: &JobId) -> String {
    TraceParent::span_of(job)
}

/// RandomState is seeded by the operating system, and differs with every use.
fn random_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish().max(1))
}

async fn send(service: Service, url: HttpUrl, mut told: mpsc::Receiver<Told>) {
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": format!("orfeas-{service}")}},
        {"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}},
        {"key": "process.pid", "value": {"intValue": std::process::id().to_string()}},
    ]});
    let mut away = false;
    loop {
        let Some(first) = told.recv().await else { return };
        let (mut spans, mut flushed) = (Vec::new(), Vec::new());
        let mut take = |one: Told| match one {
            Told::Span(span) => {
                spans.push(*span);
                false
            }
            Told::Flush(done) => {
                flushed.push(done);
                true
            }
        };
        if !take(first) {
            let linger = tokio::time::sleep(LINGER);
            tokio::pin!(linger);
            for _ in 1..BATCH {
                tokio::select! {
                    one = told.recv() => {
                        let last = one.is_none_or(&mut take);
                        if last {
                            break;
                        }
                    }
                    () = &mut linger => break,
                }
            }
        }
        if !spans.is_empty() {
            let scope = json!({"name": "orfeas"});
            let body =
                json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]});
            let answer = http::send("POST", &url, "application/json", body.to_string().as_bytes()).await;
            let trouble = match answer {
                Ok(answer) if answer.status < 300 => None,
                Ok(answer) => Some(format!("{url} answers {}", answer.status)),
                Err(error) => Some(error.to_string()),
            };
            // Said once when it begins, not for every batch.
            match &trouble {
                Some(error) if !away => tracing::warn!(error, "traces cannot be sent; jobs go on without"),
                None if away => tracing::info!("traces are sent again"),
                _ => {}
            }
            away = trouble.is_some();
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_otlp_and_a_job_hangs_under_its_client() {
        let job = JobId::parse("duck").unwrap();
        let trace = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let now = orfeas_contract::now();
        let attributes = vec![("orfeas.attempt", json!(2)), ("orfeas.queued_seconds", json!(0.5))];
        let error = Some("The engine broke off.".to_owned());
        let span =
            Span { job: &job, trace: &trace, name: "orfeas.infer".into(), begun: now, ended: now, attributes, error };
        let json = span.json("00000000000000aa", Some(&root_id(&job)), 5);
        assert_eq!(json["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(json["parentSpanId"], root_id(&job));
        assert_eq!(json["attributes"][1]["value"]["intValue"], "2");
        assert_eq!(json["attributes"][2]["value"]["doubleValue"], 0.5);
        assert_eq!((json["status"]["code"].as_u64(), json["kind"].as_u64()), (Some(2), Some(5)));
        assert_eq!(root_id(&job).len(), 16);
        assert_ne!(random_id(), random_id());
    }
}
