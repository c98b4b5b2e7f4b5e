//! The body of a provider's answer, streamed as it comes. It holds the connection it comes on, gives it back to the
//! pool at its end, and closes it when the caller goes away before that: the provider then sees the exchange cancelled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::AbortHandle;

use super::lane::{Alarm, Lane};
use super::pool::{Host, Share};
use super::request::Progress;
use super::{UpstreamError, Waiting};

/// A provider's body. Ends with an error, never cleanly, when the provider breaks off or falls silent.
pub struct UpstreamBody {
    incoming: Incoming,
    carrier: Carrier,
    host: Arc<Host>,
    idle: Duration,
    /// Since when nothing has come.
    silent_since: Option<Instant>,
}

/// What brings the body.
pub(super) enum Carrier {
    /// Everything has been read already.
    Nothing,
    /// An HTTP/1.1 connection that this body drives.
    Lane(Box<Lane>),
    /// An HTTP/1.1 connection that still takes the caller's body, driven by a task of its own.
    Task { _driver: AbortOnDrop, alarm: Alarm, progress: Option<Arc<Progress>> },
    /// A stream of an HTTP/2 connection.
    Stream { _share: Share, alarm: Alarm, progress: Option<Arc<Progress>> },
}

/// A task that nobody needs once this is gone.
pub(super) struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    pub(super) fn new(task: AbortHandle) -> Self {
        Self(Some(task))
    }

    /// Leaves the task to itself.
    pub(super) fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, carrier: Carrier, host: Arc<Host>, idle: Duration) -> Self {
        Self { incoming, carrier, host, idle, silent_since: None }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let frame = match &mut self.carrier {
            Carrier::Lane(lane) => {
                lane.drive(cx);
                // What comes, comes through the connection just driven: no second waker is needed.
                Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
            }
            _ => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        match frame {
            Poll::Ready(frame) => Poll::Ready(
                frame.map(|outcome| outcome.map_err(|cause| UpstreamError::broken(self.host.name(), cause))),
            ),
            Poll::Pending => {
                ready!(self.poll_silence(cx));
                Poll::Ready(Some(Err(UpstreamError::timeout(self.host.name(), Waiting::Body))))
            }
        }
    }

    /// Ready when nothing has moved for too long, in either direction.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut moved = *self.silent_since.get_or_insert_with(Instant::now);
        let alarm = match &mut self.carrier {
            Carrier::Nothing => return Poll::Pending,
            Carrier::Lane(lane) => lane.alarm(),
            Carrier::Task { alarm, progress, .. } | Carrier::Stream { alarm, progress, .. } => {
                moved = moved.max(progress.as_ref().map_or(moved, |progress| progress.last()));
                alarm
            }
        };
        alarm.poll_until(moved + self.idle, cx)
    }

    /// The body is over: the connection goes back to the pool, or away when it cannot be used again.
    fn release(&mut self) {
        if let Carrier::Lane(lane) = std::mem::replace(&mut self.carrier, Carrier::Nothing) {
            self.host.give_back(lane);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let body = self.get_mut();
        let frame = ready!(body.poll_incoming(cx));
        body.silent_since = None;
        match &frame {
            Some(Ok(_)) if body.incoming.is_end_stream() => body.release(),
            None => body.release(),
            Some(Ok(_)) => {}
            // Whatever broke is not used again.
            Some(Err(_)) => body.carrier = Carrier::Nothing,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
