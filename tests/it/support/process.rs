//! A program that a test starts: its output is kept, it can be stopped, continued and ended by signal, and it is killed
//! when the value goes. It never outlives the test, and its output is part of every message about its failure.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::fd::OwnedFd,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::until;

/// A running program.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Captured,
    stderr: Captured,
}

/// What a program has written to one of its outputs. Each look first takes what waits in the pipe, so that whatever the
/// program wrote before it answered a test is there when the test has that answer.
#[derive(Clone)]
struct Captured(Arc<Mutex<Output>>);

struct Output {
    /// Nothing after its end.
    pipe: Option<File>,
    written: Vec<u8>,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        raise_file_limit();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{name} does not start: {error} (`tests/run tools` installs what the tests need)")
        });
        let stdout = Captured::from(child.stdout.take().expect("standard output is piped").into());
        let stderr = Captured::from(child.stderr.take().expect("standard error is piped").into());
        Self { name: name.to_owned(), stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Its standard input, until [`close_stdin`](Self::close_stdin).
    pub(crate) fn stdin(&mut self) -> &mut ChildStdin {
        self.stdin.as_mut().expect("standard input is open until it is closed")
    }

    /// Says that nothing more will come.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// What it has written to standard output up to now.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error up to now.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `found` finds what it wants in the program's output, and panics with that output when the program
    /// ends before, or `limit` passes.
    pub(crate) async fn output<T>(&mut self, what: &str, limit: Duration, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(answer) = found(self) {
                return answer;
            }
            if let Some(status) = self.exited() {
                // Its last words may have come after the look above.
                self.drained().await;
                return found(self).unwrap_or_else(|| panic!("{} before {what}", self.epitaph(status)));
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{}: no {what} within {limit:?}\n{}{}",
                self.name,
                self.stdout(),
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many bytes of memory it occupies now.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of resident memory");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap_or_else(|error| panic!("{} takes no {signal:?}: {error}", self.name));
    }

    /// The exit status, if it has ended.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", self.name))
    }

    /// Waits for the end.
    pub(crate) async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                self.drained().await;
                return status;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} still runs after {limit:?}\n{}",
                self.name,
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if self.exited().is_none() {
            // It may end by itself between the look and the blow: then both calls say so, and that is what was wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    async fn drained(&self) {
        let outputs = [self.stdout.clone(), self.stderr.clone()];
        until("the outputs of an ended program close", Duration::from_secs(5), || async {
            outputs.iter().all(Captured::closed).then_some(())
        })
        .await;
    }

    fn epitaph(&self, status: ExitStatus) -> String {
        format!("{} ended with {status}\n{}{}\n", self.name, self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Captured {
    // A thread of its own keeps the pipe empty even while a test's runtime is busy: a full pipe would stop the program.
    fn from(pipe: OwnedFd) -> Self {
        ioctl_fionbio(&pipe, true).expect("a pipe can be read without waiting");
        let arrivals = pipe.try_clone().expect("a file more can be opened");
        let captured = Self(Arc::new(Mutex::new(Output { pipe: Some(pipe.into()), written: Vec::new() })));
        let kept_empty = captured.clone();
        thread::spawn(move || {
            while !kept_empty.closed() {
                match poll(&mut [PollFd::new(&arrivals, PollFlags::IN)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => panic!("a program's output cannot be waited for: {error}"),
                }
            }
        });
        captured
    }

    /// Everything up to now.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.up_to_now().written).into_owned()
    }

    fn closed(&self) -> bool {
        self.up_to_now().pipe.is_none()
    }

    fn up_to_now(&self) -> MutexGuard<'_, Output> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chunk = [0; 16 * 1024];
        while let Some(pipe) = &mut output.pipe {
            match pipe.read(&mut chunk) {
                Ok(length @ 1..) => output.written.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => output.pipe = None,
            }
        }
        output
    }
}

// A thousand calls at once need more files than many shells allow; the programs started inherit the limit.
fn raise_file_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let limit = getrlimit(Resource::Nofile);
        // Refused only where the hard limit is what we have already.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    });
}
