//! The tables of ARCHITECTURE.md that show the topology, made from the topology.

use std::fmt::Write as _;

use orfeas_bus::topology::Topology;

/// Where the tables begin in ARCHITECTURE.md.
pub const BEGIN: &str = "<!-- topology:begin -->";
/// Where they end.
pub const END: &str = "<!-- topology:end -->";

/// The tables of streams, buckets and consumers.
#[must_use]
pub fn tables(topology: &Topology) -> String {
    let mut text = String::from(
        "| stream | subjects | retention | holds at most | for at most | when full |\n|---|---|---|---|---|---|\n",
    );
    for stream in topology.streams() {
        let (name, subjects) = match (stream.name.strip_prefix("OBJ_"), stream.name.strip_prefix("KV_")) {
            (Some(bucket), _) => (format!("bucket `{bucket}`"), "objects".to_owned()),
            (_, Some(bucket)) => (format!("bucket `{bucket}`"), "keys".to_owned()),
            _ => {
                let subjects: Vec<String> = stream.subjects.iter().map(|subject| format!("`{subject}`")).collect();
                (format!("`{}`", stream.name), subjects.join(", "))
            }
        };
        let capacity = match (stream.max_bytes, stream.max_messages) {
            (0, 0) => "–".to_owned(),
            (0, messages) => format!("{messages} messages"),
            (bytes, 0) => size(bytes),
            (bytes, messages) => format!("{}, {messages} messages", size(bytes)),
        };
        let age = age(stream.max_age_seconds);
        // Nothing that has no bound is ever full.
        let full = if capacity == "–" { "–" } else { stream.when_full };
        let _ = writeln!(text, "| {name} | {subjects} | {} | {capacity} | {age} | {full} |", stream.retention);
    }
    text += "\n| consumer | stream | takes |\n|---|---|---|\n";
    for consumer in topology.consumers() {
        let _ = writeln!(text, "| `{}` | `{}` | `{}` |", consumer.name, consumer.stream, consumer.filter);
    }
    text
}

fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    match bytes {
        _ if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        _ if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ => format!("{bytes} bytes"),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0 => "–".to_owned(),
        _ if seconds.is_multiple_of(86_400) && seconds > 86_400 => format!("{} days", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ => format!("{seconds} s"),
    }
}

/// The text between the marks; none where they are not there.
#[must_use]
pub fn marked(document: &str) -> Option<&str> {
    let (_, rest) = document.split_once(BEGIN)?;
    rest.split_once(END).map(|(text, _)| text)
}

/// The document with other text between the marks.
#[must_use]
pub fn with_marked(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}{END}{after}"))
}
