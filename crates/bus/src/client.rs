//! The client's side: submit a picture, follow a job, fetch its files.

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use orfeas_contract::{Event, JobId, Options, subjects};

use crate::follow::{self, Anew, Begin};
use crate::publish::Guard;
use crate::{Bus, BusError, BusErrorKind, objects};

/// A picture over this many bytes travels through the object store.
const DIRECT_LIMIT: usize = 16 * 1024 * 1024;

/// Publishes a picture as a job; gives its sequence in the stream `IMAGES`. Doing it again with the same job id adds
/// nothing.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where nobody took it within the publisher's patience.
pub async fn submit(bus: &Bus, job: &JobId, picture: Bytes, options: &Options) -> Result<u64, BusError> {
    let json = serde_json::to_string(options)
        .map_err(|error| BusError::caused(BusErrorKind::Refused, "the options", error))?;
    let mut headers = HeaderMap::new();
    headers.insert(subjects::HEADER_JOB, job.as_str());
    headers.insert(subjects::HEADER_OPTIONS, json.as_str());
    let limit = DIRECT_LIMIT.min(bus.client.max_payload().saturating_sub(64 * 1024));
    let payload = if picture.len() > limit {
        let name = format!("{job}-{}", orfeas_contract::now().unix_timestamp_nanos());
        let upload = objects::put(bus, subjects::BUCKET_IMAGES, &name, picture).await?;
        headers.insert(subjects::HEADER_OBJECT, upload.object.as_str());
        Bytes::new()
    } else {
        picture
    };
    bus.publish(subjects::IMAGES, &headers, payload, Guard::MessageId(&format!("orfeas-job-{job}"))).await
}

/// Wishes a job away. The wish is stored: it counts even when no service is up.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where nobody took it within the publisher's patience.
pub async fn cancel(bus: &Bus, job: &JobId) -> Result<(), BusError> {
    bus.publish(&subjects::cancel(job), &HeaderMap::new(), Bytes::new(), Guard::None).await.map(drop)
}

/// All events of a subject filter, those already there first, then as they come. Survives reconnects and restarts of
/// the server, after which it goes on with the next event.
///
/// # Errors
/// [`BusErrorKind::Missing`] where there is no event stream.
pub async fn follow(
    bus: &Bus,
    filter: String,
    from_start: bool,
) -> Result<impl Stream<Item = Result<Event, BusError>> + Unpin + use<>, BusError> {
    let begin = if from_start { Begin::At(1) } else { Begin::Now };
    let messages = follow::follow(bus, filter, begin, Anew::GoOn).await?;
    Ok(messages.map(|message| {
        serde_json::from_slice(&message.payload).map_err(|error| {
            BusError::caused(BusErrorKind::Damaged, format!("the event on {}", message.subject), error)
        })
    }))
}

/// Queues a job for a stage; queueing it again adds nothing.
///
/// # Errors
/// [`BusErrorKind::Refused`] where the queue stayed full for longer than the publisher's patience.
pub async fn queue<T: serde::Serialize>(
    bus: &Bus,
    stage: orfeas_contract::Stage,
    job: &JobId,
    work: &T,
) -> Result<(), BusError> {
    let subject = subjects::work(stage, job);
    let payload =
        serde_json::to_vec(work).map_err(|error| BusError::caused(BusErrorKind::Refused, subject.clone(), error))?;
    bus.publish(&subject, &HeaderMap::new(), payload.into(), Guard::MessageId(&format!("{job}.{stage}")))
        .await
        .map(drop)
}
