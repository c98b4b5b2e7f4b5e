//! What lies between an event and standard error, or the file of audit events: lines in memory and a thread that writes
//! them, many at a time, so that nobody who logs waits for whoever reads. When that one stops reading, lines of calls are
//! left out first, and counted.

mod output;

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

pub(super) use self::output::{Left, Output};

use super::metric::Counter;
use super::{audit, calls};

/// How many bytes may wait before lines of calls are left out, before others are, and before audit events are.
const MOST_OF_CALLS: usize = 1024 * 1024;
pub(super) const MOST: usize = 16 * MOST_OF_CALLS;
const MOST_OF_ALL: usize = 64 * MOST_OF_CALLS;

/// How long lines of calls are gathered, so that a busy log costs a hundred wake-ups a second and not one for each call.
/// Every other line goes at once, and takes along what waits.
const GATHERED: Duration = Duration::from_millis(10);

/// Lines on their way to one place.
pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
    written: Condvar,
    left_out: Counter,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Whether something waits that is not to be gathered.
    is_urgent: bool,
    is_writing: bool,
    /// Nothing comes any more: the thread ends with what waits.
    is_closed: bool,
}

impl Queue {
    /// A queue whose lines a thread of that name gives to `write`, which says how many of them are lost.
    pub(super) fn start(thread: &str, write: impl FnMut(&[u8]) -> u64 + Send + 'static) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            more: Condvar::new(),
            written: Condvar::new(),
            left_out: Counter::default(),
        });
        let writing = Arc::clone(&queue);
        std::thread::Builder::new().name(thread.into()).spawn(move || writing.run(write))?;
        Ok(queue)
    }

    /// How many lines were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.get()
    }

    /// Waits until everything is written, and for so long at most: nobody may be reading.
    pub(super) fn flush(&self, limit: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let mut state = self.state();
        state.is_urgent = true;
        self.more.notify_one();
        let _ = self.written.wait_timeout_while(state, limit, is_busy);
    }

    /// The thread ends, once what waits is written.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.more.notify_one();
    }

    /// Takes a line, unless more than `most` bytes would wait.
    pub(super) fn push(&self, line: &[u8], most: usize) -> bool {
        let mut state = self.state();
        if state.is_closed || state.waiting.len().saturating_add(line.len()) > most {
            return false;
        }
        let is_news = state.waiting.is_empty() || (most != MOST_OF_CALLS && !state.is_urgent);
        state.is_urgent |= most != MOST_OF_CALLS;
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_news {
            self.more.notify_one();
        }
        true
    }

    fn run(&self, mut write: impl FnMut(&[u8]) -> u64) {
        let mut lines = Vec::new();
        loop {
            let state = self.more.wait_while(self.state(), |state| state.waiting.is_empty() && !state.is_closed);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            let is_gathering = |state: &mut State| !state.is_urgent && !state.is_closed;
            let gathering = self.more.wait_timeout_while(state, GATHERED, is_gathering);
            let mut state = gathering.unwrap_or_else(PoisonError::into_inner).0;
            state.is_urgent = false;
            std::mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            self.left_out.add(write(&lines));
            lines.clear();
            lines.shrink_to(MOST_OF_CALLS);
            self.state().is_writing = false;
            self.written.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way into a queue, for one line.
#[derive(Clone)]
pub(super) struct Entrance {
    queue: Arc<Queue>,
    most: usize,
}

impl Entrance {
    /// For a line that is left out last of all.
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, most: MOST_OF_ALL }
    }
}

impl MakeWriter<'_> for Entrance {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }

    fn make_writer_for(&self, event: &Metadata<'_>) -> Self {
        let most = match event.target() {
            calls::TARGET => MOST_OF_CALLS,
            audit::TARGET => MOST_OF_ALL,
            _ => MOST,
        };
        Self { queue: Arc::clone(&self.queue), most }
    }
}

impl Write for Entrance {
    /// Takes a whole event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if !self.queue.push(event, self.most) {
            self.queue.left_out.add(1);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_reader_that_stops_costs_lines_of_calls_and_no_time() {
        let (began, beginning) = channel();
        let (let_go, go_on) = channel::<()>();
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let taking = Arc::clone(&taken);
        // Says when it is written to, and takes nothing until it is let.
        let stuck = move |lines: &[u8]| {
            let _ = began.send(());
            let _ = go_on.recv();
            taking.lock().expect("nobody panics with the lock").extend_from_slice(lines);
            0
        };
        let queue = Queue::start("log", stuck).expect("a thread");
        let of = |most| Entrance { queue: Arc::clone(&queue), most };
        let push = |line: &[u8], most| of(most).write_all(line).expect("it takes every line");
        push(b"first\n", MOST);
        beginning.recv().expect("it is being written");

        // From here on nobody reads.
        let call = [b'c'; 1024];
        let fitting = MOST_OF_CALLS / call.len();
        for _ in 0..fitting + 7 {
            push(&call, MOST_OF_CALLS);
        }
        assert_eq!(queue.left_out(), 7);
        push(b"other\n", MOST);
        assert_eq!(queue.left_out(), 7, "only calls are left out so soon");
        let audit = [b'a'; MOST_OF_CALLS];
        let audited = MOST_OF_ALL / MOST_OF_CALLS - 2;
        for _ in 0..audited + 3 {
            push(&audit, MOST_OF_ALL);
        }
        push(b"other\n", MOST);
        assert_eq!(queue.left_out(), 7 + 3 + 1, "audit events are left out last");
        queue.flush(Duration::from_millis(1));

        // And now somebody does.
        drop(let_go);
        queue.flush(Duration::from_secs(20));
        let taken = taken.lock().expect("nobody panics with the lock");
        assert!(taken.starts_with(b"first\nccc") && taken.ends_with(b"aaa"));
        assert_eq!(taken.len(), 6 + fitting * call.len() + 6 + audited * audit.len());
    }

    #[test]
    fn a_queue_that_is_closed_ends_with_what_waits() {
        let (written, writing) = channel();
        let queue = Queue::start("log", move |lines| {
            written.send(lines.to_vec()).expect("somebody reads");
            3
        });
        let queue = queue.expect("a thread");
        assert!(queue.push(b"call\n", MOST_OF_CALLS));
        queue.close();
        assert!(!queue.push(b"late\n", MOST));
        assert_eq!(writing.recv().expect("it was written"), b"call\n");
        assert!(writing.recv().is_err(), "the thread is gone");
        assert_eq!(queue.left_out(), 3, "what could not be written is counted");
    }
}
