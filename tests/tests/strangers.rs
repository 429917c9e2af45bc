//! What one client sends harms no other client's job.

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use orfeas_contract::{Code, EventBody, subjects};
use orfeas_tests::{Setup, job, pictures};
use tokio::io::AsyncReadExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_id_that_a_stranger_has_taken_stops_no_job() {
    let pipeline = Setup::default().start().await;
    // Cancel wishes lie in the stream of work, which remembers ids whatever the subject.
    for id in ["duck.infer", "duck.export"] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let wish = pipeline.nats.publish_with_headers(subjects::cancel(&job("nobody")), headers, Bytes::new());
        assert!(!wish.await.unwrap().await.unwrap().duplicate);
    }
    let completed = pipeline.complete(&job("duck"), "{}", pictures::disc(64)).await;
    assert!(completed.report.printable());
    pipeline.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_claims_everybody_s_bytes_gets_and_removes_none() {
    let pipeline = Setup::default().start().await;
    let bucket = pipeline.nats.get_object_store(subjects::BUCKET_IMAGES).await.unwrap();
    let picture = pictures::disc(96);
    bucket.put("holiday/duck.png", &mut &picture[..]).await.unwrap();
    let claims = [">", "*", "", "a.b", "a b"];
    let evil = |number: usize| job(&format!("evil{number}"));
    for (number, nuid) in claims.into_iter().enumerate() {
        // Within the job's own folder, so that it is removed with the job.
        let name = format!("{}/x", evil(number));
        let description = serde_json::json!({
            "name": name, "bucket": "orfeas-images", "nuid": nuid, "size": picture.len(), "chunks": 1,
        });
        let subject = format!("$O.orfeas-images.M.{}", URL_SAFE.encode(&name));
        pipeline.nats.publish(subject, description.to_string().into()).await.unwrap().await.unwrap();
        let evil = evil(number);
        let headers = [(subjects::HEADER_JOB, evil.as_str()), (subjects::HEADER_OBJECT, name.as_str())];
        pipeline.publish(&headers, Bytes::new()).await;
    }
    // What is damaged is tried again for a while, since an upload may be on its way.
    for (number, nuid) in claims.into_iter().enumerate() {
        let EventBody::Failed(failed) = pipeline.only_outcome(&evil(number)).await.body else {
            panic!("{nuid:?} must fail")
        };
        assert_eq!(failed.code, Code::ObjectDamaged, "{nuid:?}: {}", failed.message);
    }
    pipeline.settled().await;
    let mut bytes = Vec::new();
    bucket.get("holiday/duck.png").await.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, picture);
}
