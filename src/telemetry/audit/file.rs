//! The file of the stream: a thread of its own writes it, so that nobody who is refused something waits for a disk or for
//! whoever reads a pipe. A line that it does not take goes to the log instead, and is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::telemetry::metric::Counter;
use crate::telemetry::queue::{Left, MOST, Output, Queue};

/// How long a pipe may be full before its lines go to the log. The end of the process waits longer than that.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file of the stream, while it goes to one.
#[derive(Clone)]
pub(in crate::telemetry) struct Sink(Arc<Inner>);

type Instead = dyn Fn(&[u8]) + Send + Sync;

struct Inner {
    ways: Mutex<Ways>,
    refused: Arc<Refused>,
}

/// For so long events go to the file that was in force as well as to the log: those under way were kept from the log
/// when they began.
const BOTH: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Ways {
    /// Into the file that is in force.
    current: Option<Arc<Queue>>,
    /// When `current` is to be closed, where no other file follows it.
    ends_at: Option<Instant>,
    /// Into those before it, as long as something waits for them.
    closed: Vec<Weak<Queue>>,
}

/// Where lines go that a file does not take.
struct Refused {
    count: Counter,
    instead: Box<Instead>,
    is_failing: AtomicBool,
}

impl Refused {
    fn take(&self, lines: &[u8], count: u64, why: &io::Error) {
        self.count.add(count);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %why, "an audit event could not be written to its file; the log has those instead");
        }
        // One by one, as the log counts what it leaves out.
        lines.split_inclusive(|byte| *byte == b'\n').for_each(&*self.instead);
    }

    /// A file has taken what it was given.
    fn end(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!(errors = self.count.get(), "audit events are written to their file again");
        }
    }
}

impl Sink {
    /// Without a file. A line that one does not take later on is given to `instead`.
    pub(in crate::telemetry) fn new(instead: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        let refused = Arc::new(Refused {
            count: Counter::default(),
            instead: Box::new(instead),
            is_failing: AtomicBool::new(false),
        });
        Self(Arc::new(Inner { ways: Mutex::default(), refused }))
    }

    /// A queue into this file, for `goes_to`.
    pub(in crate::telemetry) fn queue(&self, file: Opened) -> io::Result<Arc<Queue>> {
        let refused = Arc::clone(&self.0.refused);
        let mut output = Output::impatient(file.file, PATIENCE, file.is_torn);
        Queue::start("audit", move |lines| match output.write(lines) {
            Ok(()) => {
                refused.end();
                0
            }
            Err(left) => {
                let count = left.count();
                let Left { lines, why } = left;
                refused.take(lines, count, &why);
                count
            }
        })
    }

    /// From now on lines go there. Those that wait for the file before it are written to that one.
    pub(in crate::telemetry) fn goes_to(&self, queue: Option<Arc<Queue>>) {
        let mut ways = self.ways();
        if queue.is_none() {
            ways.ends_at.get_or_insert_with(|| Instant::now() + BOTH);
        } else {
            ways.follow(queue);
        }
    }

    /// How many lines could not be written.
    pub(in crate::telemetry) fn errors(&self) -> u64 {
        self.0.refused.count.get()
    }

    /// Waits until everything is written, here or instead, and for so long at most.
    pub(in crate::telemetry) fn flush(&self, limit: Duration) {
        let ways = self.ways();
        let queues: Vec<_> = ways.closed.iter().filter_map(Weak::upgrade).chain(ways.current.clone()).collect();
        drop(ways);
        let until = Instant::now() + limit;
        queues.iter().for_each(|queue| queue.flush(until.saturating_duration_since(Instant::now())));
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.0.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ways {
    fn follow(&mut self, queue: Option<Arc<Queue>>) {
        self.ends_at = None;
        self.closed.retain(|before| before.strong_count() > 0);
        if let Some(before) = std::mem::replace(&mut self.current, queue) {
            before.close();
            self.closed.push(Arc::downgrade(&before));
        }
    }
}

/// A file that lines can be appended to.
#[derive(Debug)]
pub(in crate::telemetry) struct Opened {
    file: File,
    /// Whoever wrote last did not end their line: their process was killed, or the disk full.
    is_torn: bool,
}

/// Opens the file of a stream for appending, and makes it where it is not there. Nobody else may read it. A pipe that
/// nobody reads cannot be opened: waiting for somebody would hold up whoever opens it.
pub(in crate::telemetry) fn open(path: &Path) -> io::Result<Opened> {
    let file = append(path, true)?;
    let is_torn = file.metadata()?.is_file() && ends_within_a_line(path).unwrap_or(false);
    Ok(Opened { file, is_torn })
}

/// Whether [`open`] would open it, without making it.
pub(in crate::telemetry) fn check(path: &Path) -> io::Result<()> {
    if path.exists() {
        return append(path, false).map(drop);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.metadata()?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

fn append(path: &Path, make: bool) -> io::Result<File> {
    let never_waits = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(make).mode(0o600).custom_flags(never_waits).open(path);
    file.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => io::Error::other("it is a pipe that nobody reads, or no file at all"),
        _ => error,
    })
}

/// Fails where the file is empty, or may be written and not be read.
fn ends_within_a_line(path: &Path) -> io::Result<bool> {
    let mut last = [0];
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Write for Sink {
    /// Takes a whole event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // Held for as long as it is pushed: a queue that is closed meanwhile would not write it.
        let mut ways = self.ways();
        if ways.ends_at.is_some_and(|moment| moment <= Instant::now()) {
            ways.follow(None);
        }
        let has_room = ways.current.as_ref().is_none_or(|queue| queue.push(event, MOST));
        drop(ways);
        if !has_room {
            self.0.refused.take(event, 1, &io::Error::other("too many wait for it"));
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_ends_within_a_line_goes_on_with_another() {
        fn check(before: &str, expected: &str) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("audit.log");
            std::fs::write(&path, before).expect("it can be written");
            let mut sink = Sink::new(|_| ());
            let queue = sink.queue(open(&path).expect("a file")).expect("a thread");
            sink.goes_to(Some(queue));
            sink.write_all(b"next\n").expect("it takes every line");
            sink.flush(Duration::from_secs(20));
            assert_eq!(std::fs::read_to_string(&path).expect("text"), expected, "{before:?}");
            assert_eq!(sink.errors(), 0);
        }
        check("", "next\n");
        check("whole\n", "whole\nnext\n");
        check("who", "who\nnext\n");
    }
}
