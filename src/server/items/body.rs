//! The body of a list that is still being read: pages go out as they arrive, and nothing is asked of the provider that
//! the client has not taken. Dropped with its connection, it cancels the request that it waits for.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::{KEYFERRY_PROBLEMS, json};
use crate::broker::Loading;
use crate::model::Item;
use crate::upstream::UpstreamError;

/// A piece goes out when it has so many bytes, or when the next item has to be waited for.
const PIECE_BYTES: usize = 16 * 1024;

type Pieces = Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, UpstreamError>> + Send>>;

/// The pieces of a list.
pub struct ItemStream(Pieces);

/// How the list is written.
enum Shape {
    /// One item a line, and a last line about the list.
    Lines { left: Option<u64> },
    /// A JSON array, and a trailer that counts the problems.
    Array,
}

struct Writer {
    loading: Loading,
    shape: Shape,
    piece: Vec<u8>,
    /// The next item, when it has been read already.
    ahead: Option<Item>,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Items,
    Trailers,
    /// What came has no end, so that nobody takes it for the whole.
    Broken,
    Over,
}

impl ItemStream {
    /// Lines from the first item on, at most `limit` of them.
    pub(super) fn lines(loading: Loading, first: Option<Item>, limit: Option<u64>) -> Self {
        Self::new(Writer {
            loading,
            shape: Shape::Lines { left: limit },
            piece: Vec::new(),
            ahead: first,
            stage: Stage::Items,
        })
    }

    /// The rest of an array of which something is written already.
    pub(super) fn array(loading: Loading, begun: Vec<u8>) -> Self {
        Self::new(Writer { loading, shape: Shape::Array, piece: begun, ahead: None, stage: Stage::Items })
    }

    fn new(writer: Writer) -> Self {
        let pieces = futures_util::stream::unfold(writer, |mut writer| async move {
            let frame = writer.next_frame().await?;
            Some((frame, writer))
        });
        Self(Box::pin(pieces))
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Writer {
    async fn next_frame(&mut self) -> Option<Result<Frame<Bytes>, UpstreamError>> {
        match self.stage {
            Stage::Items => Some(Ok(Frame::data(self.next_piece().await))),
            Stage::Trailers => {
                self.stage = Stage::Over;
                let problems = json::problems(&self.loading).len();
                let fields = [(KEYFERRY_PROBLEMS, HeaderValue::from(problems))];
                Some(Ok(Frame::trailers(fields.into_iter().collect::<HeaderMap>())))
            }
            Stage::Broken => {
                self.stage = Stage::Over;
                Some(Err(UpstreamError::Caller { source: "the load ended before the list was whole".into() }))
            }
            Stage::Over => None,
        }
    }

    /// What can be had without waiting; waits only where there would be nothing.
    async fn next_piece(&mut self) -> Bytes {
        while self.piece.len() < PIECE_BYTES {
            if matches!(self.shape, Shape::Lines { left: Some(0) }) {
                self.finish();
                break;
            }
            let at_hand = self.ahead.take().or_else(|| self.loading.ready());
            let item = match at_hand {
                Some(item) => item,
                None if !self.piece.is_empty() => break,
                None => match self.loading.next().await {
                    Some(item) => item,
                    None => {
                        self.finish();
                        break;
                    }
                },
            };
            self.write(&item);
        }
        std::mem::take(&mut self.piece).into()
    }

    fn write(&mut self, item: &Item) {
        match &mut self.shape {
            Shape::Lines { left } => {
                json::append_line(&mut self.piece, item);
                *left = left.map(|left| left - 1);
            }
            Shape::Array => {
                // What was written before ended in an element.
                self.piece.push(b',');
                json::append(&mut self.piece, item);
            }
        }
    }

    fn finish(&mut self) {
        match self.shape {
            Shape::Lines { .. } => {
                self.piece.extend_from_slice(json::ending(&self.loading).as_bytes());
                self.piece.push(b'\n');
                self.stage = Stage::Over;
            }
            // Front ends see no trailers, and the head has gone: an end would say that this is all.
            Shape::Array if self.loading.failure().is_some() => self.stage = Stage::Broken,
            Shape::Array => {
                self.piece.push(b']');
                self.stage = Stage::Trailers;
            }
        }
    }
}
