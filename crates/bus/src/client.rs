//! The client's side: submit a picture, follow a job, fetch its files.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use orfeas_contract::{Event, JobId, Options, Stage, subjects};

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
        // In the job's folder it is the job's, and goes once that is taken in.
        let name = format!("{job}/{}", orfeas_contract::now().unix_timestamp_nanos());
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

/// Queues a job for a stage; queueing it again adds nothing. New jobs leave room in the queue for those that are in it: a stage
/// hands its job over before it lets go of its own message, so a queue full of one stage's jobs would never move again.
///
/// # Errors
/// [`BusErrorKind::Full`] where the queue stayed full for longer than a command's patience.
pub async fn queue<T: serde::Serialize>(bus: &Bus, stage: Stage, job: &JobId, work: &T) -> Result<(), BusError> {
    let subject = subjects::work(stage, job);
    let payload =
        serde_json::to_vec(work).map_err(|error| BusError::caused(BusErrorKind::Refused, subject.clone(), error))?;
    if stage == Stage::Infer {
        room_for_new_jobs(bus).await?;
    }
    let (headers, payload) = (HeaderMap::new(), Bytes::from(payload));
    let id = format!("{job}.{stage}");
    let taken = bus.publish_once(&subject, &headers, payload.clone(), Guard::MessageId(&id)).await?;
    if taken.duplicate && !is_queued(bus, &subject).await {
        tracing::info!(%job, %stage, "the queue knows the message id but has no such message: queued without one");
        bus.publish(&subject, &headers, payload, Guard::None).await?;
    }
    Ok(())
}

/// Whether a message that the queue calls a repetition is there. It remembers ids across subjects, and clients may publish on one of its: a
/// cancel wish can have taken the id. A message that was worked on is gone too; then one more finds a job that has gone on, and ends.
async fn is_queued(bus: &Bus, subject: &str) -> bool {
    match bus.last_of(subjects::STREAM_WORK, subject).await {
        Ok(message) => message.is_some(),
        Err(error) => {
            tracing::debug!(subject, %error, "the queue cannot be read");
            true
        }
    }
}

/// Waits while the work queue is as full as new jobs may make it. What is left free is a tenth, and more than as many as may look
/// at the same time and all find room.
async fn room_for_new_jobs(bus: &Bus) -> Result<(), BusError> {
    const LEAST_FREE: u64 = 32;
    /// A job takes seconds; a queue this long need not be looked at more often.
    const LOOK_AGAIN: Duration = Duration::from_millis(500);
    let trouble =
        |error| BusError::caused(BusErrorKind::Unreachable, format!("looking at {}", subjects::STREAM_WORK), error);
    let mut said = false;
    loop {
        let stream = bus.context.get_stream(subjects::STREAM_WORK).await.map_err(|error| trouble(Box::new(error)))?;
        let info = stream.cached_info();
        let most = u64::try_from(info.config.max_messages).unwrap_or(u64::MAX);
        let free = (most / 10).max(LEAST_FREE).min(most / 2);
        if info.state.messages < most - free {
            return Ok(());
        }
        if !said {
            tracing::warn!(waiting = info.state.messages, most, "the work queue is full; waiting for room");
            said = true;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
