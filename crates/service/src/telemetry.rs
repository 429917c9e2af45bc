//! The log: text or JSON on standard error, its level changeable while the service runs, and panics in it.

use std::{
    io::IsTerminal,
    panic::PanicHookInfo,
    sync::{Once, OnceLock},
};

use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat, is_log_filter};

/// The way to the running log's filter.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Why the level was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// The text is no filter.
    #[error("{0:?} is no log level (error, warn, info, debug, trace, off) or directives like info,orfeas_bus=debug")]
    NotAFilter(String),
    /// The log is not ours.
    #[error("this program's log was started by someone else")]
    NotOurs,
}

/// Starts the log. A second call, as when several services share a process, changes nothing.
pub fn init(config: &LogConfig) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The configuration has checked the directives already; a filter that is wrong all the same logs at info.
        let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        let started = match config.format {
            LogFormat::Text => {
                let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(ansi)).try_init()
            }
            LogFormat::Json => {
                // The job and its trace stand in `span`, once.
                let layer = fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr);
                registry.with(layer).try_init()
            }
        };
        match started {
            Ok(()) => drop(FILTER.set(handle)),
            // A test or an embedding program may have a log of its own, which then stays; panics go there too.
            Err(_) => tracing::debug!("the log was started by someone else"),
        }
        std::panic::set_hook(Box::new(log_panic));
    });
}

/// The filter that holds now.
#[must_use]
pub fn level() -> String {
    let current = FILTER.get().and_then(|filter| filter.with_current(ToString::to_string).ok());
    current.unwrap_or_else(|| "unknown".to_owned())
}

/// Changes what is logged from now on.
///
/// # Errors
/// [`LevelError`]; then the filter is as it was.
pub fn set_level(directives: &str) -> Result<(), LevelError> {
    let no_filter = || LevelError::NotAFilter(directives.to_owned());
    if !is_log_filter(directives) {
        return Err(no_filter());
    }
    let filter = EnvFilter::try_new(directives).map_err(|_| no_filter())?;
    let handle = FILTER.get().ok_or(LevelError::NotOurs)?;
    handle.reload(filter).map_err(|_| LevelError::NotOurs)?;
    tracing::warn!(level = directives, "the log level was changed");
    Ok(())
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = panic_message(info.payload());
    let location = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    // Captured only where RUST_BACKTRACE asks for it.
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(location, thread = thread.name(), backtrace, "panic: {message}");
}

/// The text of a panic's payload.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
