//! How the command ends: one sentence on standard error, and an exit code that a script can act on.

use std::process::ExitCode;

use orfeas_bus::{BusError, BusErrorKind};
use orfeas_service::config::ConfigErrors;

/// Shown under `--help`.
pub const HELP: &str = "Exit codes:\n  0  all is well\n  1  another error\n  2  wrong arguments or configuration\n  \
3  NATS cannot be reached, or its streams are missing\n  4  the job failed\n  5  the job was cancelled\n  \
6  doctor found something missing";

/// An end that is not a good one.
#[derive(Debug)]
pub struct Exit {
    pub code: u8,
    pub message: String,
}

impl Exit {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn other(message: impl std::fmt::Display) -> Self {
        Self::new(1, message.to_string())
    }

    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(2, message.to_string())
    }

    /// Of a configuration, whose flags this command may have under other names than the services have.
    pub fn configuration(mut errors: ConfigErrors) -> Self {
        for mistake in &mut errors.mistakes {
            let name = match mistake.origin.as_str() {
                "flag --nats-url" => "flag --nats",
                "flag --model-dir" => "flag --model",
                _ => continue,
            };
            mistake.origin = name.to_owned();
        }
        Self::usage(errors)
    }

    pub fn job_failed(message: impl std::fmt::Display) -> Self {
        Self::new(4, message.to_string())
    }

    pub fn cancelled(message: impl std::fmt::Display) -> Self {
        Self::new(5, message.to_string())
    }

    pub fn missing(message: impl std::fmt::Display) -> Self {
        Self::new(6, message.to_string())
    }
}

impl From<BusError> for Exit {
    fn from(error: BusError) -> Self {
        let code = match error.kind() {
            BusErrorKind::Unreachable | BusErrorKind::Missing => 3,
            BusErrorKind::Config => 2,
            _ => 1,
        };
        let mut message = error.to_string();
        const MEND: &str = "`orfeas topology apply` creates it";
        if error.kind() == BusErrorKind::Missing && !message.contains(MEND) {
            message = format!("{message}; {MEND}");
        }
        Self::new(code, message)
    }
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        Self::other(error)
    }
}

pub type Ended = Result<(), Exit>;

/// Prints what is to be said and gives the code.
pub fn code(result: Ended) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit { code, message }) => {
            if !message.is_empty() {
                eprintln!("orfeas: {message}");
            }
            ExitCode::from(code)
        }
    }
}

/// A line for people or scripts on standard output. A reader that has gone (`| head`) is no error.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One value as JSON on standard output.
pub fn say_json(value: &impl serde::Serialize) -> Ended {
    say(serde_json::to_string_pretty(value).map_err(Exit::other)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use orfeas_service::config::{ExportConfig, InferConfig, Sources};

    use super::*;

    #[test]
    fn every_mistake_is_told_once_and_by_the_flag_that_was_given() {
        let sources = Sources::default().with("nats_url", "http://nowhere").with("ack_wait", "never");
        let infer = InferConfig::load(&sources.clone().with("model_dir", "/nowhere/at/all")).unwrap_err();
        let export = ExportConfig::load(&sources).unwrap_err();
        let told = Exit::configuration(ConfigErrors::of_all([infer, export])).message;
        assert!(told.starts_with("the configuration has 3 mistakes:"), "{told}");
        for origin in ["- flag --nats: ", "- flag --ack-wait: ", "- flag --model: "] {
            assert_eq!(told.matches(origin).count(), 1, "{origin}: {told}");
        }
    }
}
