//! The body of every answer: nothing, a few bytes of our own, or what a provider streams. Never buffered, and boxed only
//! where lines are written while there is more to tell.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::admin::Progress;
use super::call_record::CallRecord;
use super::items::ItemStream;
use crate::route::headers::{Direction, trailers};
use crate::upstream::{UpstreamBody, UpstreamError};

/// An answer's body.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// Content of our own.
    Full(Bytes),
    /// A provider's, as it comes.
    Upstream(Streamed),
    /// A list of items that is still being read.
    Items(Box<ItemStream>),
    /// Lines about something that goes on.
    Progress(Progress),
}

/// A provider's body on its way to the caller, with the record of the call that it ends. Its trailers are cleaned.
pub struct Streamed {
    body: UpstreamBody,
    record: CallRecord,
}

impl Streamed {
    pub(super) fn new(body: UpstreamBody, record: CallRecord) -> Self {
        Self { body, record }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(content: T) -> Self {
        let content = content.into();
        if content.is_empty() { Self::Empty } else { Self::Full(content) }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(content) => {
                let content = std::mem::take(content);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Items(items) => items.poll_frame(cx),
            Self::Progress(progress) => progress.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) | Self::Items(_) | Self::Progress(_) => false,
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(content) => SizeHint::with_exact(content.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Items(_) | Self::Progress(_) => SizeHint::default(),
        }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let Self { body, record } = self.get_mut();
        let mut frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        match &mut frame {
            None => record.ends(),
            Some(Err(_)) => record.breaks(),
            Some(Ok(frame)) => {
                if let Some(content) = frame.data_ref() {
                    record.passes(content.len());
                } else if let Some(fields) = frame.trailers_mut() {
                    trailers(fields, Direction::Inbound);
                }
                if body.is_end_stream() {
                    // Nobody asks again.
                    record.ends();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.body.is_end_stream() { self.record.ends() } else { self.record.abandons() }
    }
}
