//! What lies between an event and standard error: lines in memory and a thread that writes them, many at a time, so that
//! nobody who logs waits for whoever reads. When that one stops reading, lines of calls are left out first, and counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::metric::Counter;
use super::{audit, calls};

/// How many bytes may wait before lines of calls are left out, and before others are.
const MOST_OF_CALLS: usize = 1024 * 1024;
const MOST: usize = 16 * MOST_OF_CALLS;

/// How long lines of calls are gathered, so that a busy log costs a hundred wake-ups a second and not one for each call.
/// Every other line goes at once, and takes along what waits.
const GATHERED: Duration = Duration::from_millis(10);

/// Lines on their way to one writer.
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
}

impl Queue {
    /// A queue whose lines a thread of its own writes to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            more: Condvar::new(),
            written: Condvar::new(),
            left_out: Counter::default(),
        });
        let writing = Arc::clone(&queue);
        std::thread::Builder::new().name("log".into()).spawn(move || writing.run(output))?;
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

    fn push(&self, line: &[u8], most: usize) {
        let mut state = self.state();
        if state.waiting.len().saturating_add(line.len()) > most {
            drop(state);
            return self.left_out.add(1);
        }
        let is_news = state.waiting.is_empty() || (most != MOST_OF_CALLS && !state.is_urgent);
        state.is_urgent |= most != MOST_OF_CALLS;
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_news {
            self.more.notify_one();
        }
    }

    fn run(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        loop {
            let state = self.more.wait_while(self.state(), |state| state.waiting.is_empty());
            let state = state.unwrap_or_else(PoisonError::into_inner);
            let gathering = self.more.wait_timeout_while(state, GATHERED, |state| !state.is_urgent);
            let mut state = gathering.unwrap_or_else(PoisonError::into_inner).0;
            state.is_urgent = false;
            std::mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            // Standard error that is closed leaves nobody to tell.
            let _ = output.write_all(&lines);
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
    /// For a line that is never left out.
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, most: usize::MAX }
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
            // Never left out: they are few.
            audit::TARGET => usize::MAX,
            _ => MOST,
        };
        Self { queue: Arc::clone(&self.queue), most }
    }
}

impl Write for Entrance {
    /// Takes a whole event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.queue.push(event, self.most);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A pipe that says when it is written to, and takes nothing until it is let.
    struct Stuck {
        began: Sender<()>,
        go_on: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.began.send(());
            let _ = self.go_on.recv();
            self.taken.lock().expect("nobody panics with the lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_lines_of_calls_and_no_time() {
        let (began, beginning) = channel();
        let (let_go, go_on) = channel();
        let taken = Arc::new(Mutex::default());
        let queue = Queue::start(Stuck { began, go_on, taken: Arc::clone(&taken) }).expect("a thread");
        queue.push(b"first\n", MOST);
        beginning.recv().expect("it is being written");

        // From here on nobody reads.
        let call = [b'c'; 1024];
        let fitting = MOST_OF_CALLS / call.len();
        for _ in 0..fitting + 7 {
            queue.push(&call, MOST_OF_CALLS);
        }
        assert_eq!(queue.left_out(), 7);
        queue.push(b"other\n", MOST);
        queue.push(b"audit\n", usize::MAX);
        assert_eq!(queue.left_out(), 7, "only calls are left out so soon");
        queue.flush(Duration::from_millis(1));

        // And now somebody does.
        drop(let_go);
        queue.flush(Duration::from_secs(20));
        let taken = taken.lock().expect("nobody panics with the lock");
        assert!(taken.starts_with(b"first\nccc") && taken.ends_with(b"cother\naudit\n"));
        assert_eq!(taken.len(), 6 + fitting * call.len() + 12);
    }
}
