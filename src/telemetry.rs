//! Logs: the subscriber and its settings. Every event is one line on standard error, whatever text it carries, so that
//! nobody can forge a line by what he sends. No log holds a secret; the panic hook leaves a panic's message out for
//! that.

pub mod metric;
pub mod trace;

use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The `[log]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `None`: readable on a terminal, JSON lines elsewhere.
    pub format: Option<Format>,
    /// A `tracing-subscriber` filter: `info`, or `keyferry=debug,warn`.
    pub level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Logging that was started.
pub struct Logs {
    set: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

impl Logs {
    /// From now on this is logged.
    ///
    /// # Errors
    ///
    /// The filter cannot be read; then everything stays as it is.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = EnvFilter::try_new(level)?;
        // Fails only when the subscriber is gone, and then nobody logs any more.
        let _ = (self.set)(filter);
        Ok(())
    }
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.level  is not a filter: {0}; write for example \"info\" or \"keyferry=debug,warn\"")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber is there already.
    #[error("logging was started twice")]
    Twice(#[from] TryInitError),
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: None, level: "info".into() }
    }
}

/// Starts logging for the rest of the process. Fields stand at the top level of a JSON line, beside `timestamp` (RFC
/// 3339, UTC), `level`, `target` and `message`.
pub fn start(settings: &Settings) -> Result<Logs, TelemetryError> {
    let filter = EnvFilter::try_new(&settings.level)?;
    let colours = io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if colours { Format::Text } else { Format::Json });
    let (subscriber, logs) = subscriber(format, filter, colours, Stderr);
    subscriber.try_init()?;
    Ok(logs)
}

/// Logs where a panic happened, and never what it said: a message may quote the value that it choked on.
pub fn log_panics() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(location, thread, "panicked; this is a mistake in Keyferry");
    } else {
        // Before logging has started. A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "keyferry: panicked at {location}; this is a mistake in Keyferry");
    }
}

fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> (Box<dyn Subscriber + Send + Sync>, Logs)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_timer(SystemTime).with_writer(OneLine(writer));
    match format {
        Format::Json => {
            let builder = builder.with_ansi(false).json().flatten_event(true).with_span_list(false);
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Logs { set: Box::new(move |filter| handle.reload(filter)) })
        }
        Format::Text => {
            let builder = builder.with_ansi(colours).with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Logs { set: Box::new(move |filter| handle.reload(filter)) })
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = io::Stderr;

    fn make_writer(&self) -> io::Stderr {
        io::stderr()
    }
}

/// Keeps an event on its line: line breaks inside of it are written as `\n` and `\r`.
#[derive(Clone, Copy, Debug)]
struct OneLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> Self::Writer {
        OneLine(self.0.make_writer_for(metadata))
    }
}

impl<W: Write> Write for OneLine<W> {
    /// Takes a whole event: the subscriber hands over each in one piece.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let mut escaped = Vec::with_capacity(event.len());
        for byte in line {
            match byte {
                b'\n' => escaped.extend_from_slice(b"\\n"),
                b'\r' => escaped.extend_from_slice(b"\\r"),
                byte => escaped.push(*byte),
            }
        }
        escaped.push(b'\n');
        self.0.write_all(&escaped)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl MakeWriter<'_> for Sink {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with the lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: &str, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let (subscriber, _) = subscriber(format, EnvFilter::new(level), false, sink.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().expect("nobody panics with the lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_lines_are_flat() {
        let log = logged(Format::Json, "info", || tracing::info!(address = %"127.0.0.1:1", count = 2, "listening"));
        let line: serde_json::Value = serde_json::from_str(&log).expect("one JSON object");
        assert_eq!((&line["message"], &line["address"]), (&"listening".into(), &"127.0.0.1:1".into()));
        assert_eq!((&line["level"], &line["count"]), (&"INFO".into(), &2.into()));
        let timestamp = line["timestamp"].as_str().expect("a timestamp");
        assert!(humantime::parse_rfc3339(timestamp).is_ok(), "{timestamp}");
    }

    #[test]
    fn one_event_is_one_line() {
        for format in [Format::Json, Format::Text] {
            let log = logged(format, "info", || {
                tracing::warn!(path = "/a\r\n2026-01-01 INFO forged", "odd\nmessage");
            });
            assert_eq!(log.matches(['\n', '\r']).count(), 1, "{log:?}");
            assert!(log.ends_with('\n'), "{log:?}");
        }
    }

    #[test]
    fn the_level_may_change() {
        let sink = Sink::default();
        let (subscriber, logs) = subscriber(Format::Text, EnvFilter::new("warn"), false, sink.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("unheard");
            assert!(logs.set_level("keyferry=loud").is_err());
            logs.set_level("info").expect("a level");
            tracing::info!("heard");
        });
        let log = String::from_utf8(sink.0.lock().expect("nobody panics with the lock").clone()).expect("text");
        assert!(log.contains("heard") && !log.contains("unheard"), "{log}");
    }

    #[test]
    fn the_level_filters() {
        let log = logged(Format::Text, "warn", || {
            tracing::info!("unheard");
            tracing::warn!("heard");
        });
        assert!(log.contains("heard") && !log.contains("unheard"), "{log}");
        let wrong = start(&Settings { level: "keyferry=loud".into(), ..Settings::default() });
        assert!(wrong.is_err_and(|error| error.to_string().starts_with("log.level  is not a filter")));
    }
}
