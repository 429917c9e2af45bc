//! Job records: the compare-and-swap that makes every job end exactly once.
//!
//! Acknowledgements are no fence (a late one removes a message that another worker runs), so who ends a job is decided
//! here alone: the one whose swap puts the terminal event into the record. The event on the bus follows the record, and
//! whoever meets an ended job again looks whether its event is there, and says it where it is not.

use orfeas_contract::{
    ArtifactRef, Event, EventKind, JobId, JobRecord, Options, Source, State, Timestamp, TraceParent, WorkCommon,
    subjects,
};
use serde::{Deserialize, Serialize};

use crate::kv::{self, Entry};
use crate::objects::sha256_hex;
use crate::topology::BUCKET_REQUESTS;
use crate::{Bus, BusError, BusErrorKind, events};

/// What became of a client's message.
#[derive(Debug)]
pub enum Acceptance {
    /// The job is ours to work on: new, or taken in by an attempt before this one.
    Ours,
    /// The job came from another message; this one is a repetition and adds nothing.
    Repetition,
    /// The job has ended.
    Ended,
}

/// What a stage may do with a job.
#[derive(Debug)]
pub enum Admission {
    /// Work on it.
    Go,
    /// It has ended; nothing is left to do.
    Ended,
}

#[derive(Serialize, Deserialize)]
struct Request {
    job: JobId,
    source: Source,
}

/// Takes a job in: by its message id where the client gave one, then by its job id.
///
/// # Errors
/// [`BusError`] when the server stayed away.
pub async fn accept(
    bus: &Bus,
    job: &JobId,
    source: &Source,
    options: &Options,
    message_id: Option<&str>,
) -> Result<Acceptance, BusError> {
    if let Some(id) = message_id {
        // The stream's own duplicate window forgets after a restart and after ten minutes; this does not.
        let key = sha256_hex(id.as_bytes());
        let request = Request { job: job.clone(), source: source.clone() };
        match kv::create(bus, BUCKET_REQUESTS, &key, &request).await {
            Ok(_) => {}
            Err(error) if error.kind() == BusErrorKind::Conflict => {
                let earlier: Option<Entry<Request>> = kv::get(bus, BUCKET_REQUESTS, &key).await?;
                if earlier.is_some_and(|earlier| earlier.value.source != *source) {
                    return Ok(Acceptance::Repetition);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let record = JobRecord::accepted(job.clone(), source.clone(), options.clone(), orfeas_contract::now());
    // Not over a deleted record: whether that one's job has ended is asked first.
    match kv::update(bus, subjects::BUCKET_JOBS, job.as_str(), &record, 0).await {
        Ok(_) => Ok(Acceptance::Ours),
        Err(error) if error.kind() == BusErrorKind::Conflict => match get(bus, job).await? {
            Some(entry) if entry.value.source != *source => Ok(Acceptance::Repetition),
            Some(entry) => match entry.value.outcome {
                Some(outcome) => events::publish_missing(bus, &outcome, None).await.map(|_| Acceptance::Ended),
                None => Ok(Acceptance::Ours),
            },
            None => accept_again(bus, &record, error).await,
        },
        Err(error) => Err(error),
    }
}

/// Takes a job in whose record somebody deleted. One that has ended stays so: its id is spent.
async fn accept_again(bus: &Bus, record: &JobRecord, error: BusError) -> Result<Acceptance, BusError> {
    if ended_with(bus, &record.job).await?.is_some() {
        return Ok(Acceptance::Ended);
    }
    match kv::create(bus, subjects::BUCKET_JOBS, record.job.as_str(), record).await {
        Ok(_) => Ok(Acceptance::Ours),
        // It is there after all: a server of several was behind.
        Err(conflict) if conflict.kind() == BusErrorKind::Conflict => {
            Err(BusError::caused(BusErrorKind::Unreachable, format!("the record of {} vanished", record.job), error))
        }
        Err(error) => Err(error),
    }
}

/// The event that a job ended with, as the stream of events has it.
async fn ended_with(bus: &Bus, job: &JobId) -> Result<Option<Event>, BusError> {
    for kind in EventKind::ALL.into_iter().filter(|kind| kind.terminal_state().is_some()) {
        if let Some(event) = events::find(bus, kind, job).await? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// The record of a job, or none.
///
/// # Errors
/// [`BusErrorKind::Damaged`] where it is no record of ours.
pub async fn get(bus: &Bus, job: &JobId) -> Result<Option<Entry<JobRecord>>, BusError> {
    kv::get(bus, subjects::BUCKET_JOBS, job.as_str()).await
}

/// Whether the job has ended: by its client's wish, say, while a stage worked on it.
///
/// # Errors
/// [`BusErrorKind::Damaged`] where its record is none of ours.
pub async fn ended(bus: &Bus, job: &JobId) -> Result<bool, BusError> {
    Ok(get(bus, job).await?.is_some_and(|entry| entry.value.outcome.is_some()))
}

/// When the picture that has waited longest to be taken in was stored; none where none waits.
///
/// # Errors
/// [`BusErrorKind::Unreachable`] where the server does not answer.
pub async fn waiting_since(bus: &Bus) -> Result<Option<Timestamp>, BusError> {
    let images = bus.context.get_stream(subjects::STREAM_IMAGES).await;
    let images = images.map_err(|error| BusError::caused(BusErrorKind::Unreachable, subjects::STREAM_IMAGES, error))?;
    let state = &images.cached_info().state;
    Ok((state.messages > 0).then_some(state.first_timestamp))
}

/// Notes that a stage begins (or begins again) with a job, unless the job has ended.
///
/// A job that waited until its record had aged, or that others had pushed it out, is worked on all the same: what the stage needs is in its
/// message, and the record is made anew.
///
/// # Errors
/// [`BusErrorKind::Damaged`] where its record is none of ours.
pub async fn begin(bus: &Bus, work: &WorkCommon, state: State, attempt: u64) -> Result<Admission, BusError> {
    let job = &work.job;
    loop {
        let now = orfeas_contract::now();
        let noted = match get(bus, job).await? {
            Some(Entry { value: JobRecord { outcome: Some(outcome), .. }, .. }) => {
                events::publish_missing(bus, &outcome, None).await?;
                return Ok(Admission::Ended);
            }
            Some(entry) => {
                let begun = entry.value.at(state, attempt, now);
                kv::update(bus, subjects::BUCKET_JOBS, job.as_str(), &begun, entry.revision).await
            }
            None if ended_with(bus, job).await?.is_some() => return Ok(Admission::Ended),
            None => {
                tracing::warn!(%job, "its record is gone; going on with a new one");
                // Which message it came from, nobody knows any more.
                let stored_nanos = i64::try_from(work.submitted.unix_timestamp_nanos()).unwrap_or(i64::MAX);
                let source = Source { sequence: 0, stored_nanos };
                let accepted = JobRecord::accepted(job.clone(), source, work.options.clone(), now);
                kv::create(bus, subjects::BUCKET_JOBS, job.as_str(), &accepted.at(state, attempt, now)).await
            }
        };
        match noted {
            Ok(_) => return Ok(Admission::Go),
            Err(error) if error.kind() == BusErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
}

/// Notes what a later attempt can go on from, in place of what was noted before, which is given back to be discarded.
/// A job that has ended takes no note.
///
/// # Errors
/// [`BusErrorKind::NotFound`] where the job has no record.
pub async fn note_checkpoint(
    bus: &Bus,
    job: &JobId,
    checkpoint: Option<ArtifactRef>,
) -> Result<Option<ArtifactRef>, BusError> {
    loop {
        let entry = get(bus, job).await?;
        let entry = entry.ok_or_else(|| BusError::new(BusErrorKind::NotFound, format!("job {job} has no record")))?;
        let mut record = entry.value;
        if record.outcome.is_some() || record.checkpoint == checkpoint {
            return Ok(checkpoint.filter(|_| record.outcome.is_some()));
        }
        let before = std::mem::replace(&mut record.checkpoint, checkpoint.clone());
        match kv::update(bus, subjects::BUCKET_JOBS, job.as_str(), &record, entry.revision).await {
            Ok(_) => return Ok(before),
            Err(error) if error.kind() == BusErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends a job with a terminal event, unless it has ended already; gives the event that it ended with. Where the job has no record, the
/// stream of events alone says whether it has: its client hears of its end in any case.
///
/// # Errors
/// [`BusErrorKind::Refused`] for an event that ends nothing.
pub async fn finish(bus: &Bus, event: Event, trace: Option<&TraceParent>) -> Result<Event, BusError> {
    let job = event.job.clone();
    let state = event.kind().terminal_state().ok_or_else(|| {
        BusError::new(BusErrorKind::Refused, format!("a {} event does not end job {job}", event.kind()))
    })?;
    loop {
        let Some(entry) = get(bus, &job).await? else {
            return match ended_with(bus, &job).await? {
                Some(there) => Ok(there),
                None => events::publish_once(bus, &event, trace).await,
            };
        };
        if let Some(outcome) = &entry.value.outcome {
            return events::publish_missing(bus, outcome, trace).await;
        }
        let ended = entry.value.ended(state, event.clone(), orfeas_contract::now());
        match kv::update(bus, subjects::BUCKET_JOBS, job.as_str(), &ended, entry.revision).await {
            Ok(_) => return events::publish_once(bus, &event, trace).await,
            // Perhaps our own swap whose answer was lost: then the record now holds our event, and the loop ends.
            Err(error) if error.kind() == BusErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends a job as cancelled, unless it has ended already; none where there is no such job.
///
/// # Errors
/// [`BusError`] when the server stayed away.
pub async fn cancel(bus: &Bus, job: &JobId) -> Result<Option<EventKind>, BusError> {
    let Some(entry) = get(bus, job).await? else { return Ok(None) };
    let body = orfeas_contract::EventBody::Cancelled(orfeas_contract::Cancelled { state: entry.value.state });
    let event = Event::new(job.clone(), orfeas_contract::now(), body);
    finish(bus, event, None).await.map(|event| Some(event.kind()))
}
