//! The log: text or JSON on standard error, and panics in it.

use std::{io::IsTerminal, panic::PanicHookInfo, sync::Once};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// Starts the log. A second call, as when several services share a process, changes nothing.
pub fn init(config: &LogConfig) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The configuration has checked the directives already; a filter that is wrong all the same logs at info.
        let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let registry = tracing_subscriber::registry().with(filter);
        let started = match config.format {
            LogFormat::Text => {
                let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(ansi)).try_init()
            }
            LogFormat::Json => {
                let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
                registry.with(layer).try_init()
            }
        };
        // A test or an embedding program may have a log of its own, which then stays; panics go there too.
        if started.is_err() {
            tracing::debug!("the log was started by someone else");
        }
        std::panic::set_hook(Box::new(log_panic));
    });
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
