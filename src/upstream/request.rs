//! The body of a request on its way to a provider: streamed from the caller as it comes, or sent a second time from the
//! few pieces that were kept. Watches its own progress, so that a silent caller is told from a silent provider.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::route::headers::{Direction, trailers};

/// Most bytes of a body that are kept so that the request can be sent again.
pub const KEPT_BYTES: usize = 64 * 1024;

/// What is sent to a provider.
pub struct RequestBody(Kind);

enum Kind {
    Empty,
    Streamed { incoming: Incoming, progress: Arc<Progress> },
    Again { frames: std::vec::IntoIter<Frame<Bytes>>, size: SizeHint },
}

/// How far a streamed body has come.
pub struct Progress {
    start: Instant,
    /// Microseconds from `start` to the last frame.
    last: AtomicU64,
    /// Bytes of content that have gone by.
    bytes: AtomicU64,
    done: AtomicBool,
    awaits_caller: AtomicBool,
    kept: Option<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    chunks: Vec<Bytes>,
    bytes: usize,
    trailers: Option<HeaderMap>,
    is_whole: bool,
    is_too_large: bool,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body of our own, whole.
    pub fn full(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let size = SizeHint::with_exact(content.len() as u64);
        Self(Kind::Again { frames: vec![Frame::data(content)].into_iter(), size })
    }

    /// The caller's body. With `keep`, up to [`KEPT_BYTES`] of it can be sent again; the pieces are shared, not copied.
    /// The progress is `None` when there is no body at all.
    pub fn streamed(incoming: Incoming, keep: bool) -> (Self, Option<Arc<Progress>>) {
        if incoming.is_end_stream() {
            return (Self::empty(), None);
        }
        let too_large = incoming.size_hint().lower() > KEPT_BYTES as u64;
        let progress = Arc::new(Progress {
            start: Instant::now(),
            last: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            done: AtomicBool::new(false),
            awaits_caller: AtomicBool::new(false),
            kept: (keep && !too_large).then(Mutex::default),
        });
        (Self(Kind::Streamed { incoming, progress: Arc::clone(&progress) }), Some(progress))
    }

    /// How far a streamed body has come; `None` when it is no such body.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        match &self.0 {
            Kind::Streamed { progress, .. } => Some(Arc::clone(progress)),
            Kind::Empty | Kind::Again { .. } => None,
        }
    }
}

impl Progress {
    /// The body once more, when all of it has gone by and was small enough to keep.
    pub fn again(&self) -> Option<RequestBody> {
        let mut kept = self.kept.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.is_whole || kept.is_too_large {
            return None;
        }
        // With trailers the length has to stay open: HTTP/1.1 carries them behind chunks alone.
        let is_plain = kept.trailers.is_none();
        let size = if is_plain { SizeHint::with_exact(kept.bytes as u64) } else { SizeHint::default() };
        let mut frames: Vec<_> = std::mem::take(&mut kept.chunks).into_iter().map(Frame::data).collect();
        frames.extend(kept.trailers.take().map(Frame::trailers));
        *kept = Kept::default();
        Some(RequestBody(Kind::Again { frames: frames.into_iter(), size }))
    }

    /// How many bytes of content have gone by.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last piece went by.
    pub(super) fn last(&self) -> Instant {
        self.start + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// True when it is the caller who lets everybody wait.
    pub(super) fn awaits_caller(&self) -> bool {
        !self.is_done() && self.awaits_caller.load(Ordering::Relaxed)
    }

    fn note(&self) {
        let elapsed = self.start.elapsed().as_micros();
        self.last.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn finish(&self) {
        self.note();
        self.done.store(true, Ordering::Relaxed);
        self.keep(|kept| kept.is_whole = true);
    }

    fn keep(&self, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = &self.kept {
            change(&mut kept.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Kept {
    fn add(&mut self, chunk: &Bytes) {
        self.bytes += chunk.len();
        if self.bytes > KEPT_BYTES {
            self.is_too_large = true;
            self.chunks = Vec::new();
        } else if !self.is_too_large {
            self.chunks.push(chunk.clone());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let (incoming, progress) = match &mut self.0 {
            Kind::Empty => return Poll::Ready(None),
            Kind::Again { frames, .. } => return Poll::Ready(frames.next().map(Ok)),
            Kind::Streamed { incoming, progress } => (incoming, progress),
        };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => {
                progress.awaits_caller.store(true, Ordering::Relaxed);
                Poll::Pending
            }
            Poll::Ready(None) => {
                progress.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(cause))) => Poll::Ready(Some(Err(cause))),
            Poll::Ready(Some(Ok(mut frame))) => {
                progress.awaits_caller.store(false, Ordering::Relaxed);
                if let Some(chunk) = frame.data_ref() {
                    progress.note();
                    progress.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    progress.keep(|kept| kept.add(chunk));
                    if incoming.is_end_stream() {
                        progress.finish();
                    }
                } else if let Some(fields) = frame.trailers_mut() {
                    trailers(fields, Direction::Outbound);
                    progress.keep(|kept| kept.trailers = Some(fields.clone()));
                    progress.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Streamed { incoming, .. } => incoming.is_end_stream(),
            Kind::Again { frames, .. } => frames.len() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Streamed { incoming, .. } => incoming.size_hint(),
            Kind::Again { size, .. } => *size,
        }
    }
}
