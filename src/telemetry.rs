//! Logs: the subscriber and its settings. Every event is one line on standard error, whatever text it carries, so that
//! nobody can forge a line by what he sends; audit events may go to a file of their own. No log holds a secret; the panic
//! hook leaves a panic's message out for that.

pub mod audit;
pub mod calls;
pub mod gauge;
pub mod metric;
mod one_line;
mod queue;
pub mod trace;

use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use self::audit::{Destination, Sink};
use self::calls::Calls;
use self::one_line::OneLine;
use self::queue::{Entrance, Output, Queue};

/// How long the end of the process waits for somebody to read the last lines, of the file of audit events and of the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long the last lines may take altogether.
pub const LAST_OF_ALL: Duration = LAST_LINES.saturating_mul(2);

/// The `[log]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `None`: readable on a terminal, JSON lines elsewhere.
    pub format: Option<Format>,
    /// A `tracing-subscriber` filter: `info`, or `keyferry=debug,warn`.
    pub level: String,
    /// Which calls have a line.
    pub calls: Calls,
    /// Where audit events go.
    pub audit: Destination,
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
#[derive(Clone)]
pub struct Logs {
    set: Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
    audit: Sink,
    queue: Option<Arc<Queue>>,
}

impl Logs {
    /// From now on this is logged, as far as it can change while the process lives. The file of audit events is opened
    /// anew, so that one that was moved away is left alone.
    ///
    /// # Errors
    ///
    /// The filter cannot be read or the file not be opened; then everything stays as it is.
    pub fn follow(&self, settings: &Settings) -> Result<(), TelemetryError> {
        let filter = filter(settings)?;
        let file = self.open(&settings.audit)?;
        // Fails only when the subscriber is gone, and then nobody logs any more.
        let set = || drop((self.set)(filter));
        // The new destination first: an event in between has two lines rather than none.
        if settings.audit == Destination::Log {
            set();
            self.audit.goes_to(file);
        } else {
            self.audit.goes_to(file);
            set();
        }
        Ok(())
    }

    /// How many lines are lost, because nobody read them in time or standard error did not take them.
    pub fn left_out(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.left_out())
    }

    /// How many audit events their file did not take; the log has them.
    pub fn audit_errors(&self) -> u64 {
        self.audit.errors()
    }

    /// Sees to it that the last lines are written, once it is dropped.
    pub fn to_the_end(&self) -> LastLines {
        LastLines(self.clone())
    }

    fn open(&self, destination: &Destination) -> Result<Option<Arc<Queue>>, TelemetryError> {
        let Destination::File(path) = destination else { return Ok(None) };
        let failed = |source| TelemetryError::Audit { path: path.display().to_string(), source };
        let file = audit::open(path).map_err(failed)?;
        self.audit.queue(file).map(Some).map_err(TelemetryError::Thread)
    }
}

/// Writes what is left when it goes.
pub struct LastLines(Logs);

impl Drop for LastLines {
    fn drop(&mut self) {
        // What the file does not take is the log's.
        self.0.audit.flush(LAST_LINES);
        if let Some(queue) = &self.0.queue {
            queue.flush(LAST_LINES);
        }
    }
}

/// Why logging could not be started, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.level  is not a filter: {0}; write for example \"info\" or \"keyferry=debug,warn\"")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The file of audit events cannot be opened.
    #[error("log.audit  {path} cannot be opened for appending: {source}; check the path and its rights")]
    Audit {
        /// As configured.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A subscriber is there already.
    #[error("logging was started twice")]
    Twice(#[from] TryInitError),
    /// The system gives no thread to write with.
    #[error("there is no thread to write the log with: {0}")]
    Thread(io::Error),
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: None, level: "info".into(), calls: Calls::default(), audit: Destination::default() }
    }
}

/// Whether logging could be started so, as far as that can be known without making a file.
pub fn check(settings: &Settings) -> Result<(), TelemetryError> {
    filter(settings)?;
    match &settings.audit {
        Destination::File(path) => {
            audit::check(path).map_err(|source| TelemetryError::Audit { path: path.display().to_string(), source })
        }
        Destination::Log | Destination::Off => Ok(()),
    }
}

/// Starts logging for the rest of the process. Fields stand at the top level of a JSON line, beside `timestamp` (RFC
/// 3339, UTC), `level`, `target` and `message`.
pub fn start(settings: &Settings) -> Result<Logs, TelemetryError> {
    let filter = filter(settings)?;
    let colours = io::stderr().is_terminal();
    let format = settings.format.unwrap_or(if colours { Format::Text } else { Format::Json });
    let mut output = Output::patient(io::stderr());
    // Standard error that takes nothing leaves nobody to tell but whoever reads the counter.
    let write = move |lines: &[u8]| output.write(lines).map_or_else(|left| left.count(), |()| 0);
    let queue = Queue::start("log", write).map_err(TelemetryError::Thread)?;
    let (subscriber, logs) = subscriber(format, filter, colours, Entrance::new(Arc::clone(&queue)));
    logs.audit.goes_to(logs.open(&settings.audit)?);
    subscriber.try_init()?;
    Ok(Logs { queue: Some(queue), ..logs })
}

/// What goes to the log: by the level, but for audit events, which go there or do not.
fn filter(settings: &Settings) -> Result<EnvFilter, TelemetryError> {
    let audit = match settings.audit {
        Destination::Log => LevelFilter::INFO,
        Destination::Off | Destination::File(_) => LevelFilter::OFF,
    };
    let filter = EnvFilter::try_new(&settings.level)?;
    Ok(filter.add_directive(format!("{}={audit}", audit::TARGET).parse()?))
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
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(filter);
    let set = Arc::new(move |filter| handle.reload(filter));
    let instead = writer.clone();
    // Nobody is left to tell when that fails too.
    let audit = Sink::new(move |line| drop(instead.make_writer().write_all(line)));
    let log: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Json => json().with_writer(OneLine(writer)).with_filter(filter).boxed(),
        Format::Text => {
            let layer = fmt::layer().with_timer(SystemTime).with_ansi(colours);
            layer.with_writer(OneLine(writer)).with_filter(filter).boxed()
        }
    };
    // The last of them: a file that takes nothing is told to the log from within.
    let sink = audit.clone();
    let to_file = json().with_writer(move || sink.clone());
    let to_file = to_file.with_filter(Targets::new().with_target(audit::TARGET, LevelFilter::INFO));
    let subscriber = Registry::default().with(log).with(to_file);
    (Box::new(subscriber), Logs { set, audit, queue: None })
}

/// JSON lines with every field at the top.
fn json<S>() -> fmt::Layer<S, fmt::format::JsonFields, fmt::format::Format<fmt::format::Json, SystemTime>>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fmt::layer().with_timer(SystemTime).with_ansi(false).json().flatten_event(true).with_span_list(false)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl MakeWriter<'_> for Heard {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with the lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: &str, log: impl FnOnce()) -> String {
        let sink = Heard::default();
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
        let sink = Heard::default();
        let (subscriber, logs) = subscriber(Format::Text, EnvFilter::new("warn"), false, sink.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("unheard");
            let level = |level: &str| Settings { level: level.into(), ..Settings::default() };
            assert!(logs.follow(&level("keyferry=loud")).is_err());
            logs.follow(&level("info")).expect("a level");
            tracing::info!("heard");
        });
        let log = String::from_utf8(sink.0.lock().expect("nobody panics with the lock").clone()).expect("text");
        assert!(log.contains("heard") && !log.contains("unheard"), "{log}");
    }

    #[test]
    fn audit_events_go_where_they_are_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let sink = Heard::default();
        let by = |level: &str, audit: Destination| Settings { level: level.into(), audit, ..Settings::default() };
        let first = filter(&by("off", Destination::Log)).expect("a filter");
        let (subscriber, logs) = subscriber(Format::Json, first, false, sink.clone());
        let said = |reason: &str| audit::write(audit::Event::Denied, &audit::About::default().because(reason));
        tracing::subscriber::with_default(subscriber, || {
            said("one");
            tracing::error!("unheard");
            logs.follow(&by("info", Destination::Off)).expect("settings");
            said("two");
            logs.follow(&by("info", Destination::File(path.clone()))).expect("settings");
            said("three");
            std::fs::rename(&path, &moved).expect("it is moved away, as logrotate does");
            said("four");
            logs.follow(&by("info", Destination::File(path.clone()))).expect("settings");
            said("five");
            // A folder is no file, and a device that is full takes nothing.
            let refused = logs
                .follow(&by("info", Destination::File(folder.path().to_owned())))
                .expect_err("that is a folder")
                .to_string();
            assert!(refused.starts_with("log.audit  "), "{refused}");
            // And a pipe that nobody reads is not waited for.
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
            assert!(logs.follow(&by("info", Destination::File(pipe))).is_err());
            drop(logs.to_the_end());
            logs.follow(&by("info", Destination::File("/dev/full".into()))).expect("settings");
            said("six");
        });
        drop(logs.to_the_end());
        let reasons = |text: &str| {
            let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line");
            text.lines().map(|text| line(text)["reason"].as_str().unwrap_or("none").to_owned()).collect::<Vec<_>>()
        };
        let read = |path| reasons(&std::fs::read_to_string(path).expect("it was written"));
        assert_eq!(read(&moved), ["three", "four"]);
        assert_eq!(read(&path), ["five"]);
        let log = String::from_utf8(sink.0.lock().expect("nobody panics with the lock").clone()).expect("text");
        assert_eq!(reasons(&log), ["one", "six"], "{log}");
        assert_eq!(logs.audit_errors(), 1);
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
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
