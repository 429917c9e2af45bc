//! One file over the network, going on from the bytes that are there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write as _};
use std::path::Path;
use std::thread;

use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::error::{ModelError, ModelErrorKind};
use crate::http::{Ask, Follow, Http, broken, host, protocol, text};
use crate::hub::Remote;
use crate::observe::{Event, Observer, Phase};

/// A try that gets this much further than all before it starts the count of failed tries anew.
const PROGRESS: u64 = 1 << 20;

/// Brings `part` to the size that the hub promised. Its digest is not looked at.
pub(crate) fn download(
    http: &Http,
    name: &str,
    remote: &Remote,
    part: &Path,
    observer: &mut dyn Observer,
) -> Result<(), ModelError> {
    let retry = http.options().retry;
    let mut failed = 0;
    // Not the last try's end: where a server knows no ranges, tries of changing luck would go on for ever.
    let mut furthest = 0;
    loop {
        let before = length(part, remote.size)?;
        furthest = before.max(furthest);
        observer.event(Event::Begin { file: name, phase: Phase::Download, size: remote.size, have: before });
        if before == remote.size {
            return Ok(());
        }
        let Err(error) = once(http, name, remote, part, before, observer) else {
            return Ok(());
        };
        if length(part, remote.size)? >= furthest + PROGRESS {
            failed = 0;
        }
        if !error.transient() || failed >= retry.tries {
            return Err(error);
        }
        observer.event(Event::Retry { file: name, error: &error });
        thread::sleep(retry.pause.saturating_mul(1 << failed.min(10)));
        failed += 1;
    }
}

/// The bytes that are there; more than the file has are none.
fn length(part: &Path, size: u64) -> Result<u64, ModelError> {
    match std::fs::metadata(part) {
        Ok(metadata) if metadata.len() <= size => Ok(metadata.len()),
        Ok(_) => discard(part).map(|()| 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(ModelError::io("read", part, error)),
    }
}

fn discard(part: &Path) -> Result<(), ModelError> {
    std::fs::remove_file(part).map_err(|error| ModelError::io("remove", part, error))
}

/// One transfer: the rest of the file, or all of it where the server knows no ranges.
fn once(
    http: &Http,
    name: &str,
    remote: &Remote,
    part: &Path,
    have: u64,
    observer: &mut dyn Observer,
) -> Result<(), ModelError> {
    let (response, start) = match request(http, name, remote, have) {
        // A bad answer to a range would be as bad the next time. What is there stays until the whole file really comes.
        Err(error) if have > 0 && error.kind() == ModelErrorKind::Protocol => request(http, name, remote, 0)?,
        answer => answer?,
    };
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).append(start > 0).truncate(start == 0).open(part);
    let mut file = file.map_err(|error| ModelError::io("write", part, error))?;
    if start < have {
        observer.event(Event::Begin { file: name, phase: Phase::Download, size: remote.size, have: start });
    }
    let result = receive(response.into_body().into_reader(), &mut file, remote, name, part, start, observer);
    if result.as_ref().is_err_and(|error| error.kind() == ModelErrorKind::Protocol) {
        discard(part)?;
    }
    result
}

/// Asks for the file behind the bytes that are there; the answer, and the first byte that it brings.
fn request(http: &Http, name: &str, remote: &Remote, have: u64) -> Result<(Response<Body>, u64), ModelError> {
    let from = (have > 0).then_some(have);
    let ask = Ask {
        what: name,
        url: remote.url.clone(),
        head: false,
        from,
        most: remote.size - have,
        follow: Follow::Everywhere,
    };
    let response = http.send(&ask)?;
    let start = starts_at(&response, name, remote, from)?;
    Ok((response, start))
}

/// The first byte that the answer brings, checked against what was asked for and promised.
fn starts_at(response: &Response<Body>, name: &str, remote: &Remote, from: Option<u64>) -> Result<u64, ModelError> {
    let server = host(&remote.url);
    let start = match (response.status(), from) {
        (StatusCode::PARTIAL_CONTENT, Some(from)) => {
            let range = text(response.headers(), "content-range").and_then(content_range);
            if range.is_none_or(|(start, total)| start != from || total.is_some_and(|total| total != remote.size)) {
                return Err(protocol(format!("{name}: {server} sends another part than byte {from} and on")));
            }
            from
        }
        (StatusCode::OK, _) => 0,
        (status, _) => return Err(protocol(format!("{name}: {server} answers with HTTP {}", status.as_u16()))),
    };
    let length = response.body().content_length();
    if let Some(length) = length.filter(|length| *length != remote.size - start) {
        let size = remote.size;
        return Err(protocol(format!(
            "{name}: the hub said that it has {size} bytes, and {server} sends {length} from byte {start} on"
        )));
    }
    Ok(start)
}

/// `bytes 5-9/10` as (5, 10).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, if total == "*" { None } else { Some(total.parse().ok()?) }))
}

fn receive(
    mut body: impl Read,
    file: &mut File,
    remote: &Remote,
    name: &str,
    part: &Path,
    start: u64,
    observer: &mut dyn Observer,
) -> Result<(), ModelError> {
    let mut buffer = vec![0; 1 << 18];
    let mut have = start;
    loop {
        // One byte more than promised is asked for, to hear of a body that does not end there.
        let most = usize::try_from(remote.size - have + 1).unwrap_or(usize::MAX).min(buffer.len());
        let count = match body.read(&mut buffer[..most]) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // The last byte is here: a bad end behind it changes nothing.
            Err(_) if have == remote.size => 0,
            Err(error) => return Err(broken(&progress(name, have, remote), &remote.url, error)),
        };
        if count == 0 {
            break;
        }
        if have + count as u64 > remote.size {
            let server = host(&remote.url);
            return Err(protocol(format!("{name}: {server} sends more than the {} bytes promised", remote.size)));
        }
        file.write_all(&buffer[..count]).map_err(|error| ModelError::io("write", part, error))?;
        have += count as u64;
        observer.event(Event::Advance(count as u64));
    }
    if have < remote.size {
        let ended = std::io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed");
        return Err(broken(&progress(name, have, remote), &remote.url, ended));
    }
    file.sync_all().map_err(|error| ModelError::io("write", part, error))
}

fn progress(name: &str, have: u64, remote: &Remote) -> String {
    format!("{name}: after {have} of {} bytes", remote.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */10", "items 5-9/10", "bytes 5-9/x", "bytes -9/10"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
