//! Publishing so that nothing is lost: every publish awaits its PubAck and is repeated under the same message id.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;

use crate::{Bus, BusError, BusErrorKind};

/// How long a publish is repeated while the server is away, or, by a command, the stream is full, before the caller's own
/// retry (a redelivery) takes over. A service waits for room as long as it takes: that is the backpressure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the answer to a publish may take once there is a new connection: what was written to the old one may be
/// lost, what was still buffered is on its way.
const AFTER_RECONNECT: Duration = Duration::from_millis(250);

/// What guards a publish against happening twice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard<'a> {
    /// The stream's duplicate window, by message id.
    MessageId(&'a str),
    /// The last sequence of the subject: 0 where nothing may be there yet.
    LastSequence(u64),
    /// The last sequence of another subject of the stream.
    LastSequenceOf {
        /// That subject.
        subject: &'a str,
        /// Its last sequence.
        sequence: u64,
    },
    /// Repeating does no harm.
    None,
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Its sequence in the stream, or that of the one whose message id it has.
    pub sequence: u64,
    /// Whether the stream knew its message id already.
    pub duplicate: bool,
}

impl Bus {
    /// As [`Self::publish_once`]; gives the stream sequence alone.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        headers: &HeaderMap,
        payload: Bytes,
        guard: Guard<'_>,
    ) -> Result<u64, BusError> {
        self.publish_once(subject, headers, payload, guard).await.map(|taken| taken.sequence)
    }

    /// Publishes and awaits the PubAck.
    ///
    /// # Errors
    /// [`BusErrorKind::Conflict`] where the guard's last sequence is another one (perhaps by an earlier try of this
    /// very call whose answer was lost: the caller looks); [`BusErrorKind::Limit`] at once where it is too large for the
    /// stream; [`BusErrorKind::Unreachable`] and the like when patience ran out.
    pub(crate) async fn publish_once(
        &self,
        subject: &str,
        headers: &HeaderMap,
        payload: Bytes,
        guard: Guard<'_>,
    ) -> Result<Taken, BusError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(20);
        let mut connects = self.connects.subscribe();
        let mut said: Option<tokio::time::Instant> = None;
        loop {
            let mut message = PublishMessage::build().payload(payload.clone()).headers(headers.clone());
            message = match guard {
                Guard::MessageId(id) => message.message_id(id),
                Guard::LastSequence(sequence) => message.expected_last_subject_sequence(sequence),
                Guard::LastSequenceOf { subject, sequence } => message
                    .expected_last_subject_sequence(sequence)
                    .header("Nats-Expected-Last-Subject-Sequence-Subject", subject),
                Guard::None => message,
            };
            connects.borrow_and_update();
            let answer = async { self.context.send_publish(subject.to_owned(), message).await?.await };
            tokio::pin!(answer);
            let answer = tokio::select! {
                answer = &mut answer => answer,
                // Otherwise whatever was on its way when the server went would be waited for until the time is out.
                _ = connects.changed() => match tokio::time::timeout(AFTER_RECONNECT, answer).await {
                    Ok(answer) => answer,
                    Err(_) if tokio::time::Instant::now() < deadline => continue,
                    Err(_) => {
                        let what = format!("publishing on {subject}: connections do not last");
                        return Err(BusError::new(BusErrorKind::Unreachable, what));
                    }
                },
            };
            let error = match answer {
                Ok(PublishAck { sequence, duplicate, .. }) => return Ok(Taken { sequence, duplicate }),
                Err(error) => error,
            };
            let kind = kind(&error);
            let waits = kind == BusErrorKind::Full && self.waits_for_room;
            let again = kind == BusErrorKind::Refused || kind.transient();
            if !again || (!waits && tokio::time::Instant::now() + pause > deadline) {
                return Err(BusError::caused(kind, format!("publishing on {subject}"), error));
            }
            if waits && said.is_none_or(|said| said.elapsed() > PATIENCE) {
                said = Some(tokio::time::Instant::now());
                tracing::warn!(subject, %error, "waiting for room");
            }
            tracing::debug!(subject, %error, "publish again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

/// What a publish was refused for. Most of what the server says comes as `Other`, with its code in the source.
fn kind(error: &PublishError) -> BusErrorKind {
    let code = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    match (error.kind(), code.map(jetstream::Error::error_code)) {
        (PublishErrorKind::WrongLastSequence, _) => BusErrorKind::Conflict,
        (PublishErrorKind::MaxPayloadExceeded, _) => BusErrorKind::Limit,
        (PublishErrorKind::StreamNotFound, _) => BusErrorKind::Missing,
        (_, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM)) => {
            BusErrorKind::Limit
        }
        // The limit on messages or bytes of a stream, or of the whole store.
        (
            _,
            Some(
                ErrorCode::STREAM_STORE_FAILED
                | ErrorCode::STORAGE_RESOURCES_EXCEEDED
                | ErrorCode::INSUFFICIENT_RESOURCES
                | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
            ),
        ) => BusErrorKind::Full,
        (PublishErrorKind::Other, _) => BusErrorKind::Refused,
        _ => BusErrorKind::Unreachable,
    }
}
