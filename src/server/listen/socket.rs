//! The socket of one caller, plain or under TLS. Tells the connection's meter what happens on it, gives back the bytes
//! that were read to find out the HTTP version, and puts a readable answer in the place of the bare one that hyper
//! writes by itself when a request head cannot be read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::meter::Meter;
use crate::telemetry::metric::Counter;
use crate::upstream::Wire;

/// What every HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Answers requests whose head could not be read, and counts them.
#[derive(Clone)]
pub(super) struct Malformed {
    pub(super) answer: fn(StatusCode) -> Response<Bytes>,
    pub(super) count: Arc<Counter>,
}

impl Malformed {
    pub(super) fn answer(&self, status: StatusCode) -> Response<Bytes> {
        self.count.add(1);
        (self.answer)(status)
    }
}

/// One caller's connection.
pub(crate) struct Socket {
    wire: Wire,
    meter: Arc<Meter>,
    /// Read already, and not yet taken by HTTP.
    read_ahead: Bytes,
    /// To be written in place of what hyper wrote.
    instead: Bytes,
    /// How many requests had begun when all that was written for them had gone out; `None` once the bytes are a
    /// tunnel's.
    settled: Option<u64>,
    malformed: Malformed,
}

impl Socket {
    pub(super) fn new(wire: Wire, meter: Arc<Meter>, malformed: Malformed) -> Self {
        Self { wire, meter, read_ahead: Bytes::new(), instead: Bytes::new(), settled: Some(0), malformed }
    }

    /// True when the peer speaks HTTP/2: by ALPN, or by beginning with its preface. Reads no further than needed to
    /// know.
    pub(super) async fn detect_http2(&mut self) -> io::Result<bool> {
        if let Some(protocol) = self.wire.alpn() {
            return Ok(protocol == b"h2");
        }
        let mut buffer = [0; PREFACE.len()];
        let mut filled = 0;
        while filled < PREFACE.len() {
            let count = self.wire.read(&mut buffer[filled..]).await?;
            filled += count;
            if count == 0 || buffer[..filled] != PREFACE[..filled] {
                break;
            }
        }
        self.read_ahead = Bytes::copy_from_slice(&buffer[..filled]);
        Ok(buffer[..filled] == PREFACE[..])
    }

    /// From now on it carries bytes that are not HTTP's, and none of them is ours to change.
    pub(crate) fn carry_anything(&mut self) {
        self.settled = None;
    }

    /// The socket underneath.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.wire.tcp()
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let count = ready!(Pin::new(&mut self.wire).poll_write(cx, &self.instead))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what hyper says by itself and keeps our own words for it. hyper does so only where no request is being
    /// answered and the last answer is all out: anything else that looks so is a provider's content, and passes.
    fn takes_bare_answer(&mut self, bytes: &[u8]) -> bool {
        if self.settled != Some(self.meter.begun()) || self.meter.is_busy() {
            return false;
        }
        let Some(status) = bare_answer(bytes) else { return false };
        self.instead = written_out(status, &self.malformed.answer(status));
        true
    }
}

/// The status of an answer that hyper made: a 4xx that closes, without content, and with nothing but its date.
fn bare_answer(bytes: &[u8]) -> Option<StatusCode> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let status = StatusCode::from_bytes(&[b'4', *rest.first()?, *rest.get(1)?]).ok()?;
    let fields = std::str::from_utf8(bytes).ok()?.split_once("\r\n")?.1.strip_suffix("\r\n\r\n")?;
    let is_bare = fields
        .split("\r\n")
        .all(|field| matches!(field, "connection: close" | "content-length: 0") || field.starts_with("date: "));
    (is_bare && fields.contains("connection: close")).then_some(status)
}

/// The answer as bytes of HTTP/1.1, closing the connection.
fn written_out(status: StatusCode, answer: &Response<Bytes>) -> Bytes {
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("connection: close\r\ncontent-length: {}\r\n\r\n", answer.body().len()).as_bytes());
    bytes.extend_from_slice(answer.body());
    bytes.into()
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if !socket.read_ahead.is_empty() {
            let count = socket.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&socket.read_ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut socket.wire).poll_read(cx, buffer);
        if outcome.is_ready() && buffer.filled().len() > before {
            socket.meter.received();
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if !socket.instead.is_empty() {
            ready!(socket.poll_instead(cx))?;
        }
        if socket.takes_bare_answer(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut socket.wire).poll_write(cx, bytes);
        socket.meter.wrote(outcome.is_ready());
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if !socket.instead.is_empty() {
            ready!(socket.poll_instead(cx))?;
        }
        if let [bytes] = slices
            && socket.takes_bare_answer(bytes)
        {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut socket.wire).poll_write_vectored(cx, slices);
        socket.meter.wrote(outcome.is_ready());
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        ready!(socket.poll_instead(cx))?;
        ready!(Pin::new(&mut socket.wire).poll_flush(cx))?;
        // hyper flushes once its own buffer is empty, so everything that was handed over has gone.
        if !socket.meter.is_busy() {
            socket.settled = socket.settled.map(|_| socket.meter.begun());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        ready!(socket.poll_instead(cx))?;
        Pin::new(&mut socket.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hyper_says_by_itself() {
        fn check(text: &str, expected: Option<u16>) {
            assert_eq!(bare_answer(text.as_bytes()).map(|status| status.as_u16()), expected, "{text:?}");
        }
        let date = "date: Thu, 01 Jan 1970 00:00:00 GMT";
        check(&format!("HTTP/1.1 431 X\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"), Some(431));
        check(&format!("HTTP/1.1 400 X\r\ncontent-length: 0\r\nconnection: close\r\n{date}\r\n\r\n"), Some(400));
        check(&format!("HTTP/1.1 400 X\r\ncontent-length: 0\r\n{date}\r\n\r\n"), None);
        check(&format!("HTTP/1.1 400 X\r\nconnection: close\r\nx-a: 1\r\ncontent-length: 0\r\n{date}\r\n\r\n"), None);
        check(&format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 0\r\n{date}\r\n\r\n"), None);
        check(&format!("HTTP/1.1 400 X\r\nconnection: close\r\ncontent-length: 2\r\n{date}\r\n\r\n{{}}"), None);
        check("HTTP/1.1 4", None);
        check("HTTP/1.1 4xx\r\n\r\n", None);
        check("", None);
    }
}
