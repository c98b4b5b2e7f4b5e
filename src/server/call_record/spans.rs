//! The spans of a call that is traced: the call's own, and one for each time that it was sent to the provider. They hang
//! on the record, and so end with the last byte of the answer.

use std::borrow::Cow;

use http::{Request, Response, Version};

use super::{CallRecord, Known, Outcome};
use crate::route::Destination;
use crate::server::listen::Peer;
use crate::telemetry::trace::{Begun, Kind, Span, TraceId, Tracer, attribute, method};
use crate::upstream::{RequestBody, UpstreamBody, UpstreamError};

/// Every call's, as a pattern.
const ROUTE: &str = "/proxy/{integration}/{path}";

#[derive(Default)]
pub(super) struct Spans {
    call: Span,
    /// Of the request that the provider has been sent last.
    upstream: Span,
    sent: i64,
    /// The trace that the call belongs to, whoever records it.
    trace: Option<TraceId>,
}

impl CallRecord {
    /// Begins its span, when the caller's trace or chance says so.
    pub(in crate::server) fn begins_spans<B>(&mut self, tracer: &Tracer, request: &mut Request<B>, peer: Peer) {
        let Some(known) = &mut self.0 else { return };
        let method = method(request.method());
        let name = || {
            let word = if method == "_OTHER" { "HTTP" } else { method };
            Cow::Owned(format!("{word} {ROUTE}"))
        };
        let Begun { mut span, trace } = tracer.begin(request.headers_mut(), name);
        span.set(attribute::METHOD, method);
        span.set(attribute::ROUTE, ROUTE);
        span.set(attribute::PROTOCOL_VERSION, protocol(request.version()));
        span.set(attribute::URL_SCHEME, if peer.is_tls { "https" } else { "http" });
        known.spans = Spans { call: span, trace, ..Spans::default() };
    }

    /// The span of getting a token for it.
    pub(in crate::server) fn token(&self) -> Span {
        self.0.as_ref().map_or_else(Span::none, |known| known.spans.call.child(Kind::Internal, "token"))
    }

    /// The request goes to the provider, for the first time or once more, and names its span there as the parent.
    pub(in crate::server) fn sends(&mut self, destination: &Destination, request: &mut Request<RequestBody>) {
        let Some(known) = &mut self.0 else { return };
        let spans = &mut known.spans;
        if !spans.call.is_recorded() {
            return;
        }
        let method = method(request.method());
        let mut upstream = spans.call.child(Kind::Client, if method == "_OTHER" { "HTTP" } else { method });
        upstream.set(attribute::METHOD, method);
        upstream.asks(destination.host(), destination.port());
        if spans.sent > 0 {
            upstream.set(attribute::RESEND_COUNT, spans.sent);
        }
        upstream.put_into(request.headers_mut());
        spans.sent += 1;
        spans.upstream = upstream;
    }

    /// What came of it, as far as its span says it.
    pub(in crate::server) fn hears(
        &mut self,
        answer: Result<Response<UpstreamBody>, UpstreamError>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let Some(known) = &mut self.0 else { return answer };
        let upstream = &mut known.spans.upstream;
        match &answer {
            Ok(answer) => {
                upstream.set(attribute::PROTOCOL_VERSION, protocol(answer.version()));
                upstream.status(answer.status().as_u16());
            }
            Err(error) => upstream.fail(error.word()),
        }
        answer
    }

    /// The provider does not take the token; what follows is another request.
    pub(in crate::server) fn renews(&mut self) {
        if let Some(known) = &mut self.0 {
            known.spans.upstream = Span::none();
        }
    }
}

impl Known {
    /// The trace that it belongs to, for the log.
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.spans.trace
    }

    pub(super) fn end_spans(&mut self) {
        let Spans { mut call, mut upstream, .. } = std::mem::take(&mut self.spans);
        if !call.is_recorded() {
            return;
        }
        if self.outcome == Outcome::BROKEN {
            upstream.fail(Outcome::BROKEN.as_str());
        }
        drop(upstream);
        call.set(attribute::OUTCOME, self.outcome.as_str());
        call.set(attribute::REQUEST_ID, self.process.request_id(self.number));
        if let Some(integration) = &self.integration {
            call.set(attribute::INTEGRATION, integration.name.to_string());
        }
        if let Some(live) = &self.connection {
            call.set(attribute::CONNECTION_ID, live.connection.id.to_string());
        }
        if let Some(status) = self.status {
            call.status(status.as_u16());
            if status.is_server_error() && !self.outcome.is_by_status() {
                call.fail(self.outcome.as_str());
            }
        }
        if self.outcome == Outcome::BROKEN {
            call.fail(Outcome::BROKEN.as_str());
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
