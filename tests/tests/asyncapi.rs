//! docs/asyncapi.yaml is what the code does: its names and enums are the contract's, and its schemas fit what a running
//! pipeline says.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests too; clippy only knows functions marked so")]
#![allow(clippy::print_stdout, reason = "a test that could not run must say so")]

use std::process::Command;

use orfeas_bus::client;
use orfeas_contract::{Code, EventKind, Format, JobId, Options, Stage, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{Setup, job, paths, pictures};
use serde_json::{Value, json};

fn document() -> Value {
    let text = std::fs::read_to_string(paths::repository().join("docs/asyncapi.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn names_and_enums_are_the_contracts() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    assert_eq!(names(&schemas["code"]["enum"]), Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
    assert_eq!(names(&schemas["format"]["enum"]), Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>());
    assert_eq!(names(&schemas["stage"]["enum"]), Stage::ALL.iter().map(|stage| stage.name()).collect::<Vec<_>>());
    let channels = &document["channels"];
    let kinds = names(&channels["events"]["parameters"]["kind"]["enum"]);
    assert_eq!(kinds, EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>());

    let duck = JobId::parse("duck").unwrap();
    let address = |channel: &str| channels[channel]["address"].as_str().unwrap().replace("{job}", "duck");
    assert_eq!(address("images"), subjects::IMAGES);
    assert_eq!(address("cancel"), subjects::cancel(&duck));
    for kind in EventKind::ALL {
        assert_eq!(address("events").replace("{kind}", kind.name()), subjects::event(kind, &duck));
    }
    let headers = document["components"]["messages"]["picture"]["headers"]["properties"].as_object().unwrap();
    let mut headers: Vec<&str> = headers.keys().map(String::as_str).collect();
    let mut known = [
        subjects::HEADER_MESSAGE_ID,
        subjects::HEADER_JOB,
        subjects::HEADER_OPTIONS,
        subjects::HEADER_OBJECT,
        subjects::HEADER_TRACEPARENT,
    ];
    headers.sort_unstable();
    known.sort_unstable();
    assert_eq!(headers, known);

    // Options: the same fields, none more and none less. An unknown one is refused, so each can be tried.
    for (field, schema) in schemas["options"]["properties"].as_object().unwrap() {
        let values = match (schema["type"].as_str(), schema["enum"].as_array()) {
            (_, Some(words)) => words.clone(),
            (Some("array"), _) => vec![json!(["stl"])],
            (Some("string"), _) => vec![json!("duck")],
            // Both ends of the range are in it, and what is beyond is not.
            _ => ["minimum", "maximum"].iter().filter_map(|end| schema.get(end).cloned()).collect(),
        };
        for value in values {
            Options::parse(&json!({ field: value }).to_string()).unwrap_or_else(|error| panic!("{field}: {error}"));
        }
        if let Some(most) = schema["maximum"].as_u64() {
            assert!(Options::parse(&json!({ field: most + 1 }).to_string()).is_err(), "{field}");
        }
    }
    let all = serde_json::to_string(&json!({"nonsense": 1})).unwrap();
    let error = Options::parse(&all).unwrap_err().to_string();
    let expected = error.split("expected one of ").nth(1).unwrap().matches('`').count() / 2;
    assert_eq!(expected, schemas["options"]["properties"].as_object().unwrap().len(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_fit_what_a_pipeline_says() {
    let python = paths::repository().join(".tools/deploy/bin/python");
    let runs = Command::new(&python).args(["-c", "import jsonschema, yaml"]).output();
    if !runs.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: {} has no jsonschema; `make .tools/deploy/ready` installs it", python.display());
        return;
    }
    let mut pipeline = Setup::default().start().await;
    let all = r#"{"formats":["stl","3mf"],"file_name":"a.stl","seed":1,"size_mm":40,"resolution":48}"#;
    let headers =
        [(subjects::HEADER_JOB, "good"), (subjects::HEADER_OPTIONS, all), (subjects::HEADER_MESSAGE_ID, "m1")];
    pipeline.publish(&headers, pictures::photo(96)).await;
    pipeline.completed(&job("good")).await;
    pipeline.submit(&job("bad"), "{}", pictures::flat(64)).await;
    pipeline.events.outcome(&job("bad")).await;
    pipeline.process(Service::Infer).kill();
    pipeline.submit(&job("unwanted"), "{}", pictures::disc(64)).await;
    pipeline.events.event(&job("unwanted"), EventKind::Prepared).await;
    client::cancel(&pipeline.bus, &job("unwanted")).await.unwrap();
    pipeline.events.outcome(&job("unwanted")).await;

    let said: Vec<Value> = pipeline
        .history(subjects::EVENTS_ALL)
        .await
        .iter()
        .map(|said| {
            let headers = said.headers.iter().map(|(name, values)| (name.to_string(), json!(values[0].as_str())));
            let payload: Value = serde_json::from_slice(&said.payload).unwrap();
            json!({"subject": said.subject, "headers": headers.collect::<serde_json::Map<_, _>>(), "payload": payload})
        })
        .collect();
    let bucket = pipeline.nats.get_key_value(subjects::BUCKET_JOBS).await.unwrap();
    let mut records: Vec<Value> = Vec::new();
    for name in ["good", "bad", "unwanted"] {
        records.push(serde_json::from_slice(&bucket.get(name).await.unwrap().unwrap()).unwrap());
    }
    let events = pipeline.server.folder().join("said.json");
    std::fs::write(&events, serde_json::to_vec(&json!({"events": said, "records": records})).unwrap()).unwrap();
    let mut check = Command::new(python);
    check.arg(paths::repository().join("deploy/tests/check_asyncapi.py"));
    check.arg(paths::repository().join("docs/asyncapi.yaml")).arg(events);
    // AsyncAPI's own schema comes with npm's packages.
    let schema = paths::repository().join(".tools/node/node_modules/@asyncapi/specs/schemas/3.0.0.json");
    if schema.is_file() {
        check.arg(schema);
    } else {
        println!("SKIPPED in part: {} is not here (make .tools/node/ready)", schema.display());
    }
    let checked = check.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
