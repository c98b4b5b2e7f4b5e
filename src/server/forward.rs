//! Forwarding one call: the caller's request becomes the provider's, the provider's answer becomes ours. Decides
//! nothing about who may call and knows no store; a new token comes from the function that is handed in.

mod tunnel;

use std::future::Future;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::{Body, Streamed};
use super::call_record::CallRecord;
use super::listen::Tether;
use crate::route::headers::{self, asks_for_upgrade};
use crate::route::{LoopDetected, Ready, Target, TargetError, Via};
use crate::telemetry::trace::Span;
use crate::upstream::{Progress, RequestBody, Upstream, UpstreamBody, UpstreamError};

/// Why a call got no answer from the provider.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// CONNECT and TRACE are not forwarded: one is no request, the other reflects the token (RFC 9110 section 9.3.8).
    #[error("{0} is not forwarded")]
    Method(Method),
    /// The call has been here before.
    #[error(transparent)]
    Loop(#[from] LoopDetected),
    /// The path and query are not those of a URI.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The provider gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Forwards one call and answers with the provider's answer, whatever it is.
///
/// When the provider answers 401 and there is a `renew` (the token is older than 30 s), that is asked once for the
/// grant with a new token. With it the request is sent again if it had no body, or one of at most 64 KiB that has gone
/// by whole; otherwise the 401 is passed on, and the new token serves the next call.
///
/// Dropped, it cancels the exchange with the provider, and so does the answer's body. `record` goes with the answer.
pub fn forward<'a, R, F>(
    upstream: &'a Upstream,
    via: &Via,
    ready: &'a Ready,
    request: Request<Incoming>,
    target: &'a Target<'a>,
    renew: Option<R>,
    record: &'a mut CallRecord,
) -> impl Future<Output = Result<Response<Body>, ForwardError>> + use<'a, R, F>
where
    R: FnOnce(Span) -> F,
    F: Future<Output = Option<Arc<Ready>>>,
{
    // Done before the future begins, so that it carries one request and not the one that came beside the one that goes.
    let prepared = Prepared::new(via, ready, request, target, renew.is_some());
    async move {
        let Prepared { mut request, again, upgrade } = prepared?;
        record.brings(request.body().progress().as_ref());
        record.asks();
        record.sends(ready.destination(), &mut request);
        let answer = match &upgrade {
            None => upstream.send(ready.destination(), request).await,
            // Boxed, because it is rare and large.
            Some(_) => Box::pin(upstream.send_upgrade(ready.destination(), request)).await,
        };
        let answer = record.hears(answer)?;
        match again.zip(renew) {
            Some((again, renew)) if answer.status() == StatusCode::UNAUTHORIZED => {
                Box::pin(once_more(upstream, answer, *again, target, upgrade, renew, record)).await
            }
            _ => Ok(answered(upstream, answer, upgrade, record)),
        }
    }
}

/// The token was refused: gets a new one, and with it sends what can be sent a second time.
async fn once_more<R, F>(
    upstream: &Upstream,
    refusal: Response<UpstreamBody>,
    again: Again,
    target: &Target<'_>,
    upgrade: Option<Upgrade>,
    renew: R,
    record: &mut CallRecord,
) -> Result<Response<Body>, ForwardError>
where
    R: FnOnce(Span) -> F,
    F: Future<Output = Option<Arc<Ready>>>,
{
    record.renews();
    let body = match &again.progress {
        None => Some(RequestBody::empty()),
        Some(progress) => progress.again(),
    };
    let (Some(renewed), Some(body)) = (renew(record.token()).await, body) else {
        return Ok(answered(upstream, refusal, upgrade, record));
    };
    drop(refusal);
    let mut headers = again.headers;
    headers::replace_token(&mut headers, &renewed);
    let mut request = outgoing(again.method, Uri::from(renewed.path_and_query(target)?), headers, body);
    record.sends(renewed.destination(), &mut request);
    let answer = match &upgrade {
        None => upstream.send(renewed.destination(), request).await,
        Some(_) => upstream.send_upgrade(renewed.destination(), request).await,
    };
    let answer = record.hears(answer)?;
    Ok(answered(upstream, answer, upgrade, record))
}

/// A call that is ready to be sent.
struct Prepared {
    request: Request<RequestBody>,
    again: Option<Box<Again>>,
    upgrade: Option<Upgrade>,
}

impl Prepared {
    fn new(
        via: &Via,
        ready: &Ready,
        request: Request<Incoming>,
        target: &Target<'_>,
        may_renew: bool,
    ) -> Result<Self, ForwardError> {
        let (mut head, body) = request.into_parts();
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(ForwardError::Method(head.method));
        }
        let upgrade = Upgrade::asked_for(&mut head);
        headers::outbound(&mut head.headers, ready, via, head.version, upgrade.is_some())?;
        head.uri = Uri::from(ready.path_and_query(target)?);
        let (body, progress) = RequestBody::streamed(body, may_renew);
        let again =
            may_renew.then(|| Box::new(Again { method: head.method.clone(), headers: head.headers.clone(), progress }));
        Ok(Self { request: outgoing(head.method, head.uri, head.headers, body), again, upgrade })
    }
}

/// What is kept of a request so that it can be sent a second time with a new token.
struct Again {
    method: Method,
    headers: HeaderMap,
    progress: Option<Arc<Progress>>,
}

/// The caller's side of a change of protocol.
pub(super) struct Upgrade {
    caller: OnUpgrade,
    tether: Option<Tether>,
}

impl Upgrade {
    /// Only HTTP/1.1 changes the protocol of a connection (RFC 9110 section 7.8).
    pub(super) fn asked_for(head: &mut Parts) -> Option<Self> {
        if head.extensions.is_empty() || head.version != Version::HTTP_11 || !asks_for_upgrade(&head.headers) {
            return None;
        }
        let caller = head.extensions.remove::<OnUpgrade>()?;
        Some(Self { caller, tether: head.extensions.remove::<Tether>() })
    }
}

/// A request of these parts.
pub(super) fn outgoing(method: Method, uri: Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

/// The provider's answer as ours.
fn answered(
    upstream: &Upstream,
    answer: Response<UpstreamBody>,
    upgrade: Option<Upgrade>,
    record: &mut CallRecord,
) -> Response<Body> {
    record.answered(answer.status(), answer.body().size_hint().exact());
    passed_on(upstream, answer, upgrade, std::mem::take(record), headers::inbound)
}

/// An answer as ours, its fields turned by `inbound`. After a 101 the two connections are joined.
pub(super) fn passed_on(
    upstream: &Upstream,
    answer: Response<UpstreamBody>,
    upgrade: Option<Upgrade>,
    record: CallRecord,
    inbound: impl FnOnce(&mut HeaderMap, bool),
) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    head.version = Version::HTTP_11;
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    inbound(&mut head.headers, switches);
    match (upgrade, head.extensions.remove::<OnUpgrade>()) {
        (Some(Upgrade { caller, tether }), Some(provider)) if switches => {
            tokio::spawn(tunnel::join(caller, provider, upstream.idle_timeout(), tether, record));
            Response::from_parts(head, Body::Empty)
        }
        _ => Response::from_parts(head, Body::Upstream(Streamed::new(body, record))),
    }
}
