//! What follows a change of protocol: bytes both ways between caller and provider, unread. The end of one direction is
//! passed on as an end, a broken connection as a reset, and silence has a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use crate::server::CallRecord;
use crate::server::listen::{Socket, Stage, Tether};
use crate::upstream::Wire;

/// Bytes read at a time, in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Waits for both sides to have changed their protocol, and carries bytes until both are done, one breaks, neither says
/// anything for `idle`, or the listener's time is over.
///
/// The call's record ends with the tunnel.
pub(super) async fn join(
    caller: OnUpgrade,
    provider: OnUpgrade,
    idle: Duration,
    mut tether: Option<Tether>,
    // Let go before the tether, which the end of the listener waits for: it is told whatever ends the call.
    mut record: CallRecord,
) {
    let Ok((caller, provider)) = tokio::try_join!(caller, provider) else {
        // One of them went away before anything was said.
        return;
    };
    let activity = Arc::new(Activity { start: Instant::now(), last: AtomicU64::new(0) });
    // Both sides were made by us, so they are what we made them from.
    let (Some(mut caller), Some(mut provider)) =
        (Side::<Socket>::of(caller, &activity), Side::<Wire>::of(provider, &activity))
    else {
        return;
    };
    caller.stream.carry_anything();
    let is_whole = tokio::select! {
        outcome = copy_bidirectional_with_sizes(&mut caller, &mut provider, BUFFER_BYTES, BUFFER_BYTES) => outcome.is_ok(),
        () = activity.silence(idle) => true,
        // Cut off by us, which the record sees by the time.
        () = over(&mut tether) => return record.tunnelled(caller.read, provider.read),
    };
    record.tunnelled(caller.read, provider.read);
    if is_whole {
        return record.ends();
    }
    // A peer that takes the option or not: the socket is closed in either case.
    let _ = caller.stream.tcp().set_zero_linger();
    let _ = provider.stream.tcp().set_zero_linger();
    if provider.is_broken {
        record.breaks();
    }
}

/// When anything was last said.
struct Activity {
    start: Instant,
    /// Milliseconds from `start`.
    last: AtomicU64,
}

impl Activity {
    fn note(&self) {
        self.last.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 4), Ordering::Relaxed);
    }

    /// Ends once nothing has been said for that long.
    async fn silence(&self, idle: Duration) {
        loop {
            let over = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + idle;
            if over <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(over.into()).await;
        }
    }
}

async fn over(tether: &mut Option<Tether>) {
    match tether {
        Some(tether) => drop(tether.stages.wait_for(|stage| *stage == Stage::Over).await),
        None => std::future::pending().await,
    }
}

/// One end of the tunnel.
struct Side<S> {
    stream: S,
    /// Came together with the head that changed the protocol.
    read_ahead: Bytes,
    activity: Arc<Activity>,
    /// Bytes that have come from this end.
    read: u64,
    /// Whether reading from it or writing to it has failed.
    is_broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Side<S> {
    fn of(upgraded: Upgraded, activity: &Arc<Activity>) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<S>>().ok()?;
        let (stream, read_ahead) = (parts.io.into_inner(), parts.read_buf);
        Some(Self { stream, read_ahead, activity: Arc::clone(activity), read: 0, is_broken: false })
    }
}

impl<S> Side<S> {
    fn noted<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.is_broken |= matches!(outcome, Poll::Ready(Err(_)));
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let side = self.get_mut();
        if !side.read_ahead.is_empty() {
            let count = side.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&side.read_ahead.split_to(count));
            side.read += count as u64;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut side.stream).poll_read(cx, buffer);
        if outcome.is_ready() {
            side.read += (buffer.filled().len() - before) as u64;
            side.activity.note();
        }
        side.noted(outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.noted(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.noted(outcome)
    }
}
