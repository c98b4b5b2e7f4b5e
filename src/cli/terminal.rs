//! What the operator reads. The one place that writes to standard output and, but for the log, to standard error. A
//! closed pipe (`keyferry check | head`) ends nothing and panics nothing: there is nobody left to tell. Any other output
//! that takes nothing, such as a full disk, is a failure: what was asked for is not there.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use super::{Failure, Outcome};

/// A result, on standard output.
pub(super) fn say(line: impl Display) -> Outcome {
    let mut output = io::stdout().lock();
    is_read(writeln!(output, "{line}").and_then(|()| output.flush())).map(|_| ())
}

/// Lines of data, each with its end, on standard output; false once nobody reads any more.
pub(super) fn print(lines: &[u8]) -> Result<bool, Failure> {
    let mut output = io::stdout().lock();
    is_read(output.write_all(lines).and_then(|()| output.flush()))
}

/// Whether somebody still reads what was written to standard output.
pub(super) fn is_read(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::other(format!("standard output cannot be written: {error}"))),
    }
}

/// How far it is, on standard error, in place of what was said of that before.
pub(super) fn progress(text: impl Display) {
    let _ = write!(io::stderr().lock(), "\r{text}");
}

/// A failure or a hint, on standard error.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Asks for one line, and gives it without white space around it; `None` when there is no more input. On standard error:
/// a question in the file that takes the result would be seen by nobody, and make the result something else.
pub(super) fn ask(question: &str) -> io::Result<Option<String>> {
    write!(io::stderr().lock(), "{question}")?;
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}
