//! What cannot become a mesh: one failed event each, with its own code, soon, and the services go on.

use bytes::Bytes;
use orfeas_contract::{Code, EventBody, EventKind, Stage, subjects};
use orfeas_tests::{Setup, job, job_of_sequence, pictures};

/// What is wrong, the headers and payload that are sent, and the code that must come back.
type Case<'a> = (&'a str, Vec<(&'static str, &'a str)>, Bytes, Code);

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_code_and_harms_nobody() {
    let mut pipeline = Setup::default().start().await;
    let long = "x".repeat(10_000);
    let longer = format!("{{\"file_name\":\"{}\"}}", "x".repeat(20_000));
    let good = pictures::disc(64);
    let bomb = pictures::bomb();
    assert!(bomb.len() < 32 * 1024, "{} bytes", bomb.len());
    let (job_header, options, object) = (subjects::HEADER_JOB, subjects::HEADER_OPTIONS, subjects::HEADER_OBJECT);
    let cases: Vec<Case<'_>> = vec![
        ("text", vec![], Bytes::from_static(b"this is a letter, no picture"), Code::NotAnImage),
        ("half a PNG", vec![], pictures::cut_off(), Code::DamagedImage),
        ("one pixel", vec![], pictures::pixel(), Code::ImageTooSmall),
        ("a decompression bomb", vec![], bomb, Code::ImageTooLarge),
        ("nothing", vec![], Bytes::new(), Code::EmptyPicture),
        ("one colour", vec![], pictures::flat(64), Code::NoSubject),
        ("options that are not JSON", vec![(options, "size=big")], good.clone(), Code::InvalidOptions),
        ("options without names", vec![(options, r#"[["glb"],"duck"]"#)], good.clone(), Code::InvalidOptions),
        ("an unknown option", vec![(options, r#"{"colour":"red"}"#)], good.clone(), Code::InvalidOptions),
        ("a size below zero", vec![(options, r#"{"size_mm":-1}"#)], good.clone(), Code::InvalidOptions),
        ("an unknown format", vec![(options, r#"{"formats":["step"]}"#)], good.clone(), Code::UnknownFormat),
        ("an unknown suffix", vec![(options, r#"{"file_name":"duck.step"}"#)], good.clone(), Code::UnknownFormat),
        ("a job id of dots", vec![(job_header, "..")], good.clone(), Code::InvalidJobId),
        ("a job id with a dot", vec![(job_header, "a.b")], good.clone(), Code::InvalidJobId),
        ("an empty job id", vec![(job_header, "")], good.clone(), Code::InvalidJobId),
        ("a job id of 10 kB", vec![(job_header, &long)], good.clone(), Code::InvalidJobId),
        ("options of 20 kB", vec![(options, &longer)], good.clone(), Code::InvalidOptions),
        ("a missing object", vec![(object, "nowhere.png")], Bytes::new(), Code::ObjectMissing),
        ("an object name of 10 kB", vec![(object, &long)], Bytes::new(), Code::ObjectMissing),
    ];
    for (name, headers, payload, code) in cases {
        let sequence = pipeline.publish(&headers, payload).await;
        let what = format!("the refusal of {name}");
        let refused = pipeline.events.wait(&what, |events| {
            let failed = |kind: EventKind| kind == EventKind::Failed;
            let job = job_of_sequence(events, sequence)?;
            events.iter().find(|event| event.job == job && failed(event.kind())).cloned()
        });
        let refused = refused.await;
        let EventBody::Failed(failed) = &refused.body else { panic!("{refused:?}") };
        assert_eq!(failed.code, code, "{name}: {}", failed.message);
        assert_eq!((failed.stage, failed.attempts, failed.sequence), (Stage::Ingest, 1, Some(sequence)), "{name}");
        assert!(!failed.message.is_empty() && failed.message.len() < 500 && !failed.message.contains('\n'), "{name}");
        assert_eq!(pipeline.only_outcome(&refused.job).await, refused, "{name}");
    }
    let dead = pipeline.nats.get_stream(subjects::STREAM_DEAD).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 0, "what a client got wrong is no dead letter");
    let completed = pipeline.complete(&job("after"), "{}", good).await;
    assert!(completed.report.printable());
    for process in &mut pipeline.processes {
        assert!(process.running());
        assert!(!process.log_text().contains("panic"), "{}", process.log_text());
    }
}
