//! `POST /store/rekey`: begins to seal every record with the newest store key, and tells how far it is in lines of JSON.
//! The work does not hang on whoever listens.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, request};
use http_body::Frame;
use serde_json::json;

use super::super::body::Body;
use super::super::respond::HttpError;
use super::super::service::Service;
use super::connections::Query;
use crate::broker::{Rekeyed, Rekeying};
use crate::upstream::UpstreamError;

/// Lines about something that goes on.
pub struct Progress(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl Progress {
    fn new(rekeying: Rekeying) -> Self {
        let lines = stream::unfold(rekeying, |mut rekeying| async move {
            let line = line(&rekeying.next().await?);
            Some((line, rekeying))
        });
        Self(Box::pin(lines))
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.0.as_mut().poll_next(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

impl Service {
    /// Begins, and answers at once; the answer lasts until the end.
    pub(super) async fn rekey(&self, head: &request::Parts) -> Result<Response<Body>, HttpError> {
        Query::read(head, &[])?;
        let rekeying = self.broker.rekey().await?.ok_or(HttpError::AlreadyRunning)?;
        let mut response = Response::new(Body::Progress(Progress::new(rekeying)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// How far it is. The last one says whether that is all, and otherwise why not, as an error of ours does.
fn line(rekeyed: &Rekeyed) -> Bytes {
    let Rekeyed { seen, resealed, unopenable, end } = rekeyed;
    let counts = json!({ "seen": seen, "resealed": resealed, "unopenable": unopenable });
    let mut line = match end {
        None => counts,
        Some(end) => json!({ "done": end.is_ok(), "seen": seen, "resealed": resealed, "unopenable": unopenable }),
    };
    if let Some(Err(error)) = end {
        let problem = HttpError::broker(error.clone()).problem();
        line["code"] = problem.code.into();
        line["detail"] = problem.detail.into();
    }
    Bytes::from(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::BrokerError;

    #[test]
    fn lines() {
        fn check(end: Option<Result<(), BrokerError>>, expected: &str) {
            let rekeyed = Rekeyed { seen: 3, resealed: 2, unopenable: 1, end };
            assert_eq!(line(&rekeyed), format!("{expected}\n"));
        }
        check(None, r#"{"seen":3,"resealed":2,"unopenable":1}"#);
        check(Some(Ok(())), r#"{"done":true,"seen":3,"resealed":2,"unopenable":1}"#);
        check(
            Some(Err(BrokerError::ShuttingDown)),
            r#"{"done":false,"seen":3,"resealed":2,"unopenable":1,"code":"shutting_down","detail":"Keyferry is shutting down; try again."}"#,
        );
    }
}
