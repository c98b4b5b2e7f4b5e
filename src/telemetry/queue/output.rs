//! What lines are written to: a pipe, a terminal, a file. Nothing is lost because somebody else has made it non-blocking,
//! and a line of which only a part got through is never continued by the next one.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Lines go there in whole batches.
pub(in crate::telemetry) struct Output<W> {
    to: W,
    /// How long it may take nothing before lines are given back; `None` for as long as it likes.
    patience: Option<Duration>,
    /// It has used the patience up, and is not waited for again until it takes something.
    is_stuck: bool,
    /// What it took last ends within a line.
    is_torn: bool,
}

/// Lines that were not written, and why. The first of them may have been written in part.
#[derive(Debug)]
pub(in crate::telemetry) struct Left<'a> {
    pub(in crate::telemetry) lines: &'a [u8],
    pub(in crate::telemetry) why: io::Error,
}

impl Left<'_> {
    /// How many they are.
    pub(in crate::telemetry) fn count(&self) -> u64 {
        self.lines.iter().filter(|byte| **byte == b'\n').count().try_into().unwrap_or(u64::MAX)
    }
}

impl<W: Write + AsFd> Output<W> {
    /// Waits for whoever reads, however long that takes.
    pub(in crate::telemetry) fn patient(to: W) -> Self {
        Self { to, patience: None, is_stuck: false, is_torn: false }
    }

    /// Waits for so long. `is_torn`: what is there already ends within a line.
    pub(in crate::telemetry) fn impatient(to: W, patience: Duration, is_torn: bool) -> Self {
        Self { to, patience: Some(patience), is_stuck: false, is_torn }
    }

    /// Writes whole lines, and gives back those from the first that could not be written.
    pub(in crate::telemetry) fn write<'a>(&mut self, lines: &'a [u8]) -> Result<(), Left<'a>> {
        if self.is_torn {
            if let (_, Err(why)) = self.put(b"\n") {
                return Err(Left { lines, why });
            }
            self.is_torn = false;
        }
        let (written, put) = self.put(lines);
        put.map_err(|why| {
            let begun = lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.is_torn = begun < written;
            Left { lines: &lines[begun..], why }
        })
    }

    /// How much was written, and what came in the way of the rest.
    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            let put = match self.to.write(&bytes[written..]) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    self.is_stuck = false;
                    Ok(())
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(error) => Err(error),
            };
            if put.is_err() {
                return (written, put);
            }
        }
        (written, Ok(()))
    }

    /// Until it takes something again, or fails.
    fn wait(&mut self) -> io::Result<()> {
        let until = match self.patience {
            None => None,
            Some(_) if self.is_stuck => return Err(ErrorKind::TimedOut.into()),
            Some(patience) => Some(Instant::now() + patience),
        };
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec::try_from(left).expect("patience is no longer than seconds"));
            match poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], timeout.as_ref()) {
                Ok(0) => {
                    self.is_stuck = true;
                    return Err(ErrorKind::TimedOut.into());
                }
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read as _, pipe};
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn non_blocking() -> (PipeReader, PipeWriter) {
        let (reader, writer) = pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&writer, true).expect("it does not block");
        (reader, writer)
    }

    /// More than a pipe holds.
    fn many() -> Vec<u8> {
        (0..20_000).flat_map(|number| format!("line {number:05}\n").into_bytes()).collect()
    }

    #[test]
    fn a_pipe_that_does_not_block_loses_nothing() {
        let (mut reader, mut writer) = non_blocking();
        // Full before it begins.
        let full =
            std::iter::repeat_with(|| writer.write(&[b'.'; 4096])).take_while(Result::is_ok).flatten().sum::<usize>();
        let written = std::thread::spawn(move || Output::patient(writer).write(&many()).is_ok());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("it ends with its writer");
        assert!(written.join().expect("it writes"));
        assert!(read[full..] == many(), "{} bytes", read.len());
    }

    #[test]
    fn what_is_not_taken_is_given_back_and_what_follows_begins_anew() {
        let (mut reader, writer) = non_blocking();
        let mut output = Output::impatient(writer, SOON, false);
        let lines = many();
        let left = output.write(&lines).expect_err("nobody reads");
        assert_eq!(left.why.kind(), ErrorKind::TimedOut);
        assert!(lines.ends_with(left.lines) && left.lines.starts_with(b"line ") && left.count() > 10_000);
        let whole = lines.len() - left.lines.len();
        assert!(output.is_stuck, "it is not waited for twice");
        assert_eq!(output.write(b"lost\n").expect_err("still nobody reads").count(), 1);

        let mut read = vec![0; whole];
        reader.read_exact(&mut read).expect("what was written");
        assert!(lines.starts_with(&read));
        output.write(b"after\n").expect("there is room again");
        drop(output);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).expect("the rest");
        assert!(rest == "after\n" || rest.starts_with("line ") && rest.ends_with("\nafter\n"), "{rest:?}");
    }

    /// A disk that is full after so many bytes.
    struct Disk {
        room: usize,
        pipe: PipeWriter,
        taken: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Disk {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.pipe.as_fd()
        }
    }

    #[test]
    fn a_torn_line_is_not_continued() {
        let (_reader, pipe) = pipe().expect("a pipe");
        let mut output = Output::impatient(Disk { room: 9, pipe, taken: Vec::new() }, SOON, true);
        let left = output.write(b"one\ntwo-two\nthree\n").expect_err("it is full");
        assert_eq!((left.lines, left.count()), (&b"two-two\nthree\n"[..], 2));
        assert_eq!(output.write(b"four\n").expect_err("it still is").lines, b"four\n");
        output.to.room = 100;
        output.write(b"five\n").expect("there is room");
        output.write(b"six\n").expect("there is room");
        assert_eq!(output.to.taken, b"\none\ntwo-\nfive\nsix\n");
    }
}
