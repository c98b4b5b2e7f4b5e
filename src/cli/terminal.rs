//! What the operator reads. The one place that writes to standard output and, but for the log, to standard error. A
//! closed pipe (`keyferry check | head`) ends nothing and panics nothing: there is nobody left to tell.

use std::fmt::Display;
use std::io::{self, Write as _};

/// A result, on standard output.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Lines of data, each with its end, on standard output; false once nobody reads any more.
pub(super) fn print(lines: &[u8]) -> bool {
    let mut output = io::stdout().lock();
    output.write_all(lines).and_then(|()| output.flush()).is_ok()
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
