//! A client's message, read: which job it is, and what is asked for.

use orfeas_bus::work::Delivery;
use orfeas_contract::{Code, Failure, JobId, Options, Source, Stage, TraceParent, subjects};

/// What a client sent, as far as its headers say.
#[derive(Debug)]
pub struct Submission {
    /// The message it came with.
    pub source: Source,
    /// The client's idempotency key.
    pub message_id: Option<String>,
    /// The options, or why they cannot be followed; then the job fails with that, and still exists.
    pub options: Result<Options, Failure>,
    /// The object that stands for the payload.
    pub object: Option<String>,
}

/// The longest object name that is looked for.
const OBJECT_NAME_LIMIT: usize = 512;
/// The longest message id that is taken: it comes back in the `accepted` event.
const MESSAGE_ID_LIMIT: usize = 1024;

impl Submission {
    /// Reads a delivery. Whatever is wrong with its headers, there is a job: a refused job id is replaced by the derived
    /// one, so that the client can be told.
    #[must_use]
    pub fn read(delivery: &Delivery) -> (JobId, Option<TraceParent>, Self) {
        let derived = || JobId::derive(delivery.sequence, delivery.stored);
        let (job, refused) = match delivery.header(subjects::HEADER_JOB).map(JobId::parse) {
            None => (derived(), None),
            Some(Ok(job)) => (job, None),
            Some(Err(error)) => {
                let sentence = format!("The job was refused: {error}.");
                (derived(), Some(Failure::new(Stage::Ingest, Code::InvalidJobId, sentence)))
            }
        };
        let message_id = delivery.header(subjects::HEADER_MESSAGE_ID);
        let refused = refused.or_else(|| {
            let length = message_id.map(str::len).filter(|length| *length > MESSAGE_ID_LIMIT)?;
            let sentence = format!("The message id has {length} bytes; at most {MESSAGE_ID_LIMIT} are taken.");
            Some(Failure::new(Stage::Ingest, Code::InvalidOptions, sentence))
        });
        let options = match (refused, delivery.header(subjects::HEADER_OPTIONS)) {
            (Some(refused), _) => Err(refused),
            (None, None) => Ok(Options::default()),
            (None, Some(json)) => Options::parse(json).map_err(orfeas_contract::InvalidOptions::into_failure),
        };
        let trace = delivery.header(subjects::HEADER_TRACEPARENT).and_then(TraceParent::parse);
        let stored_nanos = i64::try_from(delivery.stored.unix_timestamp_nanos()).unwrap_or(i64::MAX);
        let submission = Self {
            source: Source { sequence: delivery.sequence, stored_nanos },
            message_id: message_id.filter(|id| id.len() <= MESSAGE_ID_LIMIT).map(str::to_owned),
            options,
            object: delivery.header(subjects::HEADER_OBJECT).map(str::to_owned),
        };
        (job, trace, submission)
    }

    /// The object's name where it is in the job's own folder, `<job>/…`: such a one serves this job alone.
    #[must_use]
    pub fn own_object(&self, job: &JobId) -> Option<&str> {
        self.object.as_deref().filter(|name| name.split_once('/').is_some_and(|(folder, _)| folder == job.as_str()))
    }

    /// The object's name, checked.
    ///
    /// # Errors
    /// [`Code::ObjectMissing`] for a name that no object has.
    pub fn object_name(&self) -> Result<Option<&str>, Failure> {
        match self.object.as_deref() {
            Some(name) if name.is_empty() || name.len() > OBJECT_NAME_LIMIT => {
                let sentence =
                    format!("The object name has {} bytes; it must have 1 to {OBJECT_NAME_LIMIT}.", name.len());
                Err(Failure::new(Stage::Ingest, Code::ObjectMissing, sentence))
            }
            name => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn delivery(headers: &[(&'static str, &str)]) -> Delivery {
        let mut map = orfeas_bus::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        Delivery {
            subject: subjects::IMAGES.into(),
            headers: map,
            payload: Bytes::new(),
            attempt: 1,
            sequence: 8,
            stored: orfeas_contract::now(),
        }
    }

    #[test]
    fn a_refused_job_id_still_gives_a_job() {
        for bad in ["..", "a.b", "", &"x".repeat(10_000)] {
            let (job, _, submission) = Submission::read(&delivery(&[("Orfeas-Job", bad)]));
            assert!(job.as_str().starts_with("8-"), "{job}");
            assert_eq!(submission.options.unwrap_err().code, Code::InvalidJobId);
        }
    }

    #[test]
    fn a_good_id_is_kept_whatever_the_options_say() {
        let (job, _, submission) = Submission::read(&delivery(&[("Orfeas-Job", "duck"), ("Orfeas-Options", "{")]));
        assert_eq!(job.as_str(), "duck");
        assert_eq!(submission.options.unwrap_err().code, Code::InvalidOptions);
    }

    #[test]
    fn message_ids_have_a_limit() {
        let (job, _, long) = Submission::read(&delivery(&[("Orfeas-Job", "duck"), ("Nats-Msg-Id", &"x".repeat(1025))]));
        assert_eq!((job.as_str(), long.message_id), ("duck", None));
        let failure = long.options.unwrap_err();
        assert!(failure.message.contains("1025 bytes"), "{}", failure.message);
        let (_, _, longest) = Submission::read(&delivery(&[("Nats-Msg-Id", &"x".repeat(1024))]));
        assert!(longest.message_id.is_some() && longest.options.is_ok());
    }

    #[test]
    fn object_names_have_a_limit() {
        let (_, _, long) = Submission::read(&delivery(&[("Orfeas-Object", &"x".repeat(600))]));
        assert_eq!(long.object_name().unwrap_err().code, Code::ObjectMissing);
        let (_, _, none) = Submission::read(&delivery(&[]));
        assert_eq!(none.object_name().unwrap(), None);
    }
}
