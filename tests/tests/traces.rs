//! One trace a job, told by every service to a collector, and the same ids in every service's log.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]

use std::time::{Duration, Instant};

use orfeas_contract::{TraceParent, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{PATIENCE, Setup, job, pictures};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Takes OTLP as JSON and keeps the spans, each with its service's name.
async fn collector() -> (String, watch::Receiver<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, spans) = watch::channel(Vec::new());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let body = loop {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "half a request");
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break body.to_owned();
                }
            };
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            let body: Value = serde_json::from_str(&body).unwrap();
            let resource = &body["resourceSpans"][0];
            let service = resource["resource"]["attributes"][0]["value"]["stringValue"].as_str().unwrap().to_owned();
            let told = resource["scopeSpans"][0]["spans"].as_array().unwrap().clone();
            sender.send_modify(|spans| spans.extend(told.into_iter().map(|span| (service.clone(), span))));
        }
    });
    (address, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_one_trace_across_all_services_and_their_logs() {
    let (address, mut spans) = collector().await;
    let all = vec![("--otel-exporter-otlp-endpoint", address), ("--log-format", "json".to_owned())];
    let pipeline = Setup { all, log: "debug", ..Setup::default() }.start().await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [(subjects::HEADER_JOB, "given"), (subjects::HEADER_TRACEPARENT, given)];
    pipeline.publish(&headers, pictures::disc(64)).await;
    pipeline.completed(&job("given")).await;
    pipeline.complete(&job("own"), "{}", pictures::disc(64)).await;
    pipeline.submit(&job("bad"), "{}", pictures::flat(64)).await;
    pipeline.events.outcome(&job("bad")).await;

    let of = |spans: &[(String, Value)], name: &str| -> Vec<(String, Value)> {
        let mine = |span: &Value| span["attributes"][0]["value"]["stringValue"] == name;
        spans.iter().filter(|(_, span)| mine(span)).cloned().collect()
    };
    let all =
        |spans: &Vec<(String, Value)>| of(spans, "given").len() + of(spans, "own").len() + of(spans, "bad").len() >= 10;
    let waited = tokio::time::timeout(PATIENCE, spans.wait_for(all)).await;
    let spans = waited.expect("every span in time").unwrap().clone();

    for (name, expected) in [("given", 4), ("own", 4), ("bad", 2)] {
        let told = of(&spans, name);
        let traces: std::collections::BTreeSet<_> = told.iter().map(|(_, span)| span["traceId"].to_string()).collect();
        assert_eq!((told.len(), traces.len()), (expected, 1), "{told:#?}");
        let (_, root) = told.iter().find(|(_, span)| span["name"] == "orfeas.job").unwrap();
        assert_eq!(root["spanId"], TraceParent::span_of(&job(name)));
        for (service, span) in told.iter().filter(|(_, span)| span["name"] != "orfeas.job") {
            assert_eq!(span["parentSpanId"], root["spanId"]);
            assert_eq!(span["name"].as_str().unwrap().replace('.', "-"), *service);
        }
    }
    let (_, root) = of(&spans, "given").into_iter().find(|(_, span)| span["name"] == "orfeas.job").unwrap();
    assert_eq!((root["traceId"].as_str(), root["parentSpanId"].as_str()), (given.get(3..35), given.get(36..52)));
    let (_, own) = of(&spans, "own").into_iter().find(|(_, span)| span["name"] == "orfeas.job").unwrap();
    assert_eq!(own["parentSpanId"], Value::Null, "nobody is above a trace that began here");
    assert!(of(&spans, "bad").iter().all(|(_, span)| span["status"]["code"] == 2));
    // A client that gave no trace finds the one that was made for its job in every event.
    for said in pipeline.history("orfeas.events.completed.own").await {
        let header = said.headers.get(subjects::HEADER_TRACEPARENT).unwrap().as_str();
        assert_eq!(TraceParent::parse(header).unwrap().trace_id(), own["traceId"]);
    }

    // The lines of the logs within a job name it and its trace.
    let end = Instant::now() + PATIENCE;
    let failed = loop {
        let ingest = pipeline.processes.iter().find(|process| process.service == Service::Ingest).unwrap().log_text();
        let lines = ingest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(line) = lines.into_iter().find(|line| line["code"] == "no_subject") {
            break line;
        }
        assert!(Instant::now() < end, "{ingest}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((failed["span"]["job"].as_str(), failed["span"]["stage"].as_str()), (Some("bad"), Some("ingest")));
    assert_eq!(failed["span"]["trace"], of(&spans, "bad")[0].1["traceId"]);
}
