//! A picture in, files out.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use orfeas_bus::client;
use orfeas_contract::{Code, Event, EventBody, EventKind, Format, PrintReport, Stage, State, subjects};
use orfeas_service::config::Service;
use orfeas_tests::{Setup, job, job_of_sequence, pictures};

const ALL_FORMATS: &str = r#"{"formats":["stl","obj","ply","glb","gltf","3mf"]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_becomes_files_of_every_format() {
    let pipeline = Setup::default().start().await;
    let duck = job("duck");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        (subjects::HEADER_JOB, "duck"),
        (subjects::HEADER_OPTIONS, ALL_FORMATS),
        (subjects::HEADER_TRACEPARENT, trace),
        (subjects::HEADER_MESSAGE_ID, "duck-1"),
    ];
    let sequence = pipeline.publish(&headers, pictures::disc(96)).await;
    let completed = pipeline.only_completed(&duck).await;

    assert_eq!(completed.provenance.engine, "inflate");
    assert!(completed.report.printable(), "{:?}", completed.report);
    assert_eq!(completed.report.components, 1);
    let longest = completed.report.bounds_mm.into_iter().fold(0.0, f64::max);
    assert!((longest - 100.0).abs() < 0.1, "{longest} mm");
    assert!(Stage::ALL.iter().all(|stage| completed.timings.of(*stage).is_some()), "{:?}", completed.timings);
    assert!(completed.total_seconds > 0.0);

    assert_eq!(completed.files.len(), Format::ALL.len());
    for format in Format::ALL {
        let file = completed.file(format).unwrap();
        assert_eq!(file.artifact.bucket, subjects::BUCKET_MESHES);
        assert_eq!(file.file_name, format!("duck.{format}"));
        let bytes = pipeline.fetch(&file.artifact).await;
        let mesh = orfeas_surface::read(&bytes, Some(format)).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!(mesh.triangles.len() as u64, completed.report.triangles, "{format}");
        if format == Format::Stl {
            // Not by our own reader alone: 80 bytes of heading, a count, 50 bytes a triangle.
            let count = u32::from_le_bytes(bytes[80..84].try_into().unwrap());
            assert_eq!(u64::from(count), completed.report.triangles);
            assert_eq!(bytes.len() as u64, 84 + 50 * completed.report.triangles);
        }
    }
    let report: PrintReport = serde_json::from_slice(&pipeline.fetch(&completed.report_file).await).unwrap();
    assert_eq!(report, completed.report);
    let picture = pipeline.fetch(completed.thumbnail.as_ref().unwrap()).await;
    assert_eq!(image::load_from_memory(&picture).unwrap().width(), 512);
    // The one that keeps every bit, and it says whose it is.
    assert_eq!(completed.mesh.as_ref(), completed.file(Format::Ply));
    let ply = pipeline.fetch(&completed.file(Format::Ply).unwrap().artifact).await;
    let line = format!("comment job duck, engine inflate, model none, seed {}\n", completed.provenance.seed);
    assert!(ply.windows(line.len()).any(|window| window == line.as_bytes()), "{line}");

    // A client that knows only NATS' own object store gets the same bytes.
    let stl = &completed.file(Format::Stl).unwrap().artifact;
    let bucket = pipeline.nats.get_object_store(&stl.bucket).await.unwrap();
    let mut object = bucket.get(&stl.object).await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut object, &mut bytes).await.unwrap();
    assert_eq!(orfeas_bus::objects::sha256_hex(&bytes), stl.sha256);

    let said = pipeline.history(&subjects::events_of(&duck)).await;
    let mut kinds: Vec<EventKind> = said.iter().map(|said| said.event.kind()).collect();
    assert!(kinds.contains(&EventKind::Progress));
    kinds.retain(|kind| *kind != EventKind::Progress);
    assert_eq!(kinds, [EventKind::Accepted, EventKind::Prepared, EventKind::Generated, EventKind::Completed]);
    for said in &said {
        let kind = said.event.kind();
        let header = |name: &str| said.headers.get(name).unwrap_or_else(|| panic!("{name} of {kind}")).as_str();
        assert_eq!(said.subject, subjects::event(kind, &duck));
        assert_eq!(header("ce-specversion"), "1.0");
        assert_eq!(header("ce-type"), format!("orfeas.job.{kind}"));
        assert_eq!(header("ce-subject"), "duck");
        assert_eq!(header("ce-source"), "/orfeas");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header(subjects::HEADER_TRACEPARENT), trace);
        assert!(!header("ce-id").is_empty() && !header("ce-time").is_empty());
    }
    let EventBody::Accepted(accepted) = &said[0].event.body else { panic!("{:?}", said[0].event) };
    assert_eq!((accepted.sequence, accepted.message_id.as_deref()), (sequence, Some("duck-1")));

    let record = pipeline.record(&duck).await.unwrap();
    assert_eq!(record.state, State::Completed);

    // What was only on the way goes.
    for bucket in [subjects::BUCKET_PREPARED, subjects::BUCKET_FIELDS] {
        pipeline.emptied(bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_mesh_serves_every_format_later() {
    let mut pipeline = Setup::default().start().await;
    let everything = job("everything");
    let all = pipeline.complete(&everything, ALL_FORMATS, pictures::disc(96)).await;
    let (one, metres) = (job("one"), job("metres"));
    let stl = pipeline.complete(&one, "{}", pictures::disc(96)).await;
    assert_eq!(stl.mesh.as_ref(), stl.file(Format::Stl), "an STL file is exact, so nothing else is stored");
    let glb = r#"{"formats":["glb"],"glb_compression":"meshopt"}"#;
    let glb = pipeline.complete(&metres, glb, pictures::disc(96)).await;
    let kept = glb.mesh.as_ref().unwrap();
    assert_eq!((kept.format, kept.file_name.as_str()), (Format::Ply, "metres.mesh.ply"));
    assert!(glb.files[0].artifact.bytes * 2 < all.file(Format::Glb).unwrap().artifact.bytes);

    // Without any service: what is stored is enough.
    for service in [Service::Ingest, Service::Infer, Service::Export] {
        pipeline.process(service).kill();
    }
    let folder = pipeline.server.folder().to_owned();
    let export =
        async |job: &str, file: &std::path::Path| pipeline.client(&["export", job, "-o", file.to_str().unwrap()]).await;
    for format in Format::ALL {
        let promised = pipeline.fetch(&all.file(format).unwrap().artifact).await;
        let file = folder.join(format!("later.{format}"));
        let output = export("everything", &file).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&file).unwrap() == promised, "{format}: not the file that the job wrote");
        // The same of the other jobs, whose meshes are the same but for what made them.
        for job in ["one", "metres"] {
            assert!(export(job, &file).await.status.success());
            let mesh = orfeas_surface::read(&std::fs::read(&file).unwrap(), Some(format)).unwrap();
            assert_eq!(mesh, orfeas_surface::read(&promised, Some(format)).unwrap(), "{job} as {format}");
        }
    }
    let none = export("nobody", &folder.join("none.stl")).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no job nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_suffix_object_and_derived_id() {
    let pipeline = Setup::default().start().await;

    // No job id: one is derived, and the accepted event says which by the message's sequence.
    let sequence = pipeline.publish(&[], pictures::photo_jpeg(96)).await;
    let derived = pipeline.events.wait("the job without a name", |events| job_of_sequence(events, sequence)).await;
    assert!(derived.as_str().starts_with(&format!("{sequence}-")), "{derived}");
    let completed = pipeline.only_completed(&derived).await;
    assert_eq!(completed.files.len(), 1);
    assert_eq!(completed.files[0].format, Format::Stl);

    // The suffix of the wanted file name chooses the format; a folder in it leads nowhere.
    let named = job("named");
    let wish = r#"{"file_name":"../out/duck.GLB","size_mm":40,"target_faces":500}"#;
    let completed = pipeline.complete(&named, wish, pictures::disc(64)).await;
    assert_eq!((completed.files.len(), completed.files[0].format), (1, Format::Glb));
    assert_eq!(completed.files[0].file_name, "duck.glb");
    assert!(completed.report.triangles <= 550, "{}", completed.report.triangles);
    let longest = completed.report.bounds_mm.into_iter().fold(0.0, f64::max);
    assert!((longest - 40.0).abs() < 0.1, "{longest} mm");

    // A picture that lies in the bucket, put there by NATS' own object store.
    let bucket = pipeline.nats.get_object_store(subjects::BUCKET_IMAGES).await.unwrap();
    let picture = pictures::disc(96);
    bucket.put("holiday/duck.png", &mut &picture[..]).await.unwrap();
    let headers = [(subjects::HEADER_JOB, "by-reference"), (subjects::HEADER_OBJECT, "holiday/duck.png")];
    pipeline.publish(&headers, Bytes::new()).await;
    let completed = pipeline.only_completed(&job("by-reference")).await;
    assert!(completed.report.printable());

    // Another's engine is not used in place of the wanted one.
    let wanted = job("wanted-engine");
    pipeline.submit(&wanted, r#"{"engine":"hunyuan3d"}"#, picture).await;
    let EventBody::Failed(failed) = pipeline.only_outcome(&wanted).await.body else { panic!("it must fail") };
    assert_eq!((failed.stage, failed.code), (Stage::Infer, Code::EngineUnavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_cancelled_queued_running_and_not_when_it_has_ended() {
    let mut pipeline = Setup { resolution: 384, ..Setup::default() }.start().await;
    let mut heard = pipeline.nats.client().subscribe("orfeas.events.*.*").await.unwrap();

    let running = job("running");
    pipeline.submit(&running, r#"{"resolution":512}"#, pictures::ring(256, 1)).await;
    pipeline.events.progress(&running, Stage::Infer).await;
    client::cancel(&pipeline.bus, &running).await.unwrap();
    let ended = pipeline.only_outcome(&running).await;
    assert_eq!(ended.kind(), EventKind::Cancelled, "{ended:?}");

    pipeline.process(Service::Infer).kill();
    let queued = job("queued");
    pipeline.submit(&queued, "{}", pictures::disc(64)).await;
    pipeline.events.event(&queued, EventKind::Prepared).await;
    client::cancel(&pipeline.bus, &queued).await.unwrap();
    let ended: Event = pipeline.events.outcome(&queued).await;
    assert_eq!(ended.kind(), EventKind::Cancelled, "{ended:?}");
    pipeline.process(Service::Infer).start();
    assert_eq!(pipeline.only_outcome(&queued).await, ended);

    let done = job("done");
    let options = r#"{"resolution":32}"#;
    let completed = pipeline.complete(&done, options, pictures::disc(64)).await;
    client::cancel(&pipeline.bus, &done).await.unwrap();
    assert_eq!(pipeline.only_completed(&done).await, completed);
    // The stream takes an event once; who only listens must not hear it twice either. What ends a job is said by two: by who
    // works on it, and by who takes the stored wish. Once the wishes are settled, all that is to be heard was.
    pipeline.settled().await;
    pipeline.nats.client().flush().await.unwrap();
    let mut ends = Vec::new();
    while let Some(Some(message)) = heard.next().now_or_never() {
        let event: Event = serde_json::from_slice(&message.payload).unwrap();
        ends.extend(event.kind().terminal_state().map(|_| event.job));
    }
    assert_eq!(ends, [running, queued, done], "each once");

    // A wish about nothing harms nothing, and a plain client's publish is a wish too.
    pipeline.nats.publish(subjects::cancel(&job("nobody")), Bytes::new()).await.unwrap().await.unwrap();
    pipeline.complete(&job("after"), options, pictures::disc(64)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_watched_from_before_its_picture() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let pipeline = Setup::default().start().await;
    let mut command = pipeline.client_command(&["watch", "early"]);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    // Its log stands before that; what ends without it gives nothing.
    let said = tokio::task::spawn_blocking(move || {
        let found = said.any(|line| line.unwrap().contains("there is no job early yet"));
        found.then_some(said)
    });
    let said = said.await.unwrap().expect("it says that the job is not there");
    pipeline.complete(&job("early"), "{}", pictures::disc(64)).await;
    let ended = tokio::task::spawn_blocking(move || watch.wait_with_output()).await.unwrap().unwrap();
    drop(said);
    assert!(ended.status.success());
    let lines = String::from_utf8(ended.stdout).unwrap();
    assert!(lines.contains("accepted") && lines.lines().last().unwrap().contains("completed"), "{lines}");
}
