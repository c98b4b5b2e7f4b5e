//! `/proxy/{i}/…`: from the caller to the live token of their connection, and on to the provider.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, COOKIE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;

use super::admit::usable;
use super::body::Body;
use super::call_record::CallRecord;
use super::caller::{Caller, Named};
use super::forward::{ForwardError, forward};
use super::identity::check_destination;
use super::listen::Peer;
use super::respond::{FORWARDED, HttpError};
use super::service::Service;
use crate::broker::LimitMode;
use crate::model::ConnectionKey;
use crate::route::Target;
use crate::telemetry::trace::Span;

/// A 401 to a younger token than this is not a sign of age: refreshing it would change nothing.
const RENEWABLE_AGE: Duration = Duration::from_secs(30);

impl Service {
    /// Answers a call. Its record goes with the provider's answer, or with ours when there is none.
    pub(super) async fn call(
        &self,
        target: Target<'_>,
        mut request: Request<Incoming>,
        peer: Peer,
        number: u64,
    ) -> Response<Body> {
        let mut record = CallRecord::begin(&self.process, number, request.method());
        if let Some(tracer) = &self.tracer {
            record.begins_spans(tracer, &mut request, peer);
        }
        let answer = self.forwarded(target, request, &mut record).await;
        answer.unwrap_or_else(|error| self.refused_call(&error, number, peer, record))
    }

    /// The answer to a call that is not made.
    pub(super) fn refused_call(
        &self,
        error: &HttpError,
        number: u64,
        peer: Peer,
        mut record: CallRecord,
    ) -> Response<Body> {
        if error.is_for_nobody() {
            record.abandons();
            return error.respond(&self.process.request_id(number));
        }
        let answer = self.refused(error, number, peer);
        record.refuses(&answer);
        answer
    }

    async fn forwarded(
        &self,
        target: Target<'_>,
        request: Request<Incoming>,
        record: &mut CallRecord,
    ) -> Result<Response<Body>, HttpError> {
        // One is no request and the other reflects the token; refused before anybody is asked who they are.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(HttpError::MethodNotAllowed(FORWARDED));
        }
        if !self.settings.app.is_absent() {
            check_destination(request.headers())?;
        }
        let name = target.integration;
        let known = self.broker.integration(name);
        record.names(known.as_ref());
        record.goes_to(target.path);
        let place = known.as_ref().map(|integration| &integration.provider.api.auth);
        let caller = self.identify(request.headers(), request.uri(), request.extensions(), place).await?;
        record.comes_from(caller.name());
        let integration = usable(known, &caller, name)?;
        caller.require_method(request.method().as_str(), request.headers(), &integration.name)?;
        let person = caller.person(Named::from_headers(request.headers())?)?;
        caller.require(integration.name.as_str(), person).inspect_err(|_| record.concerns_named(person))?;

        if integration.holder.is_some() {
            // The connection is nobody's, and the call is somebody's all the same.
            record.concerns_named(person);
        }
        let name = integration.live_key(person.org, person.user);
        let mut token = record.token();
        let live = match self.broker.live(&name, &mut token) {
            Some(live) => live,
            None => {
                let key = ConnectionKey { integration: integration.name.clone(), person: person.parse()? };
                record.concerns(key.person.clone());
                let access = self.broker.access(&key, &mut token).boxed().await;
                access
                    .inspect_err(|error| token.fail(error.word()))
                    .map_err(|error| self.failed(error, &integration))?
            }
        };
        drop(token);
        record.uses(&live);
        let renew = {
            let (broker, failed) = (&self.broker, &live);
            move |mut token: Span| async move {
                match broker.renew(failed, &mut token).await {
                    Ok(renewed) => renewed.map(|live| Arc::clone(&live.ready)),
                    Err(error) => {
                        token.fail(error.word());
                        tracing::info!(integration = %failed.connection.key.integration, %error, "a 401 was not healed");
                        None
                    }
                }
            }
        };
        let now = self.broker.now();
        match integration.limits {
            LimitMode::Observe => self.broker.note(&live, now),
            // Boxed, as it may ask the store.
            LimitMode::Delay | LimitMode::Reject => {
                self.broker.keep_to_limits(&live).boxed().await.map_err(|error| self.failed(error, &integration))?;
            }
        }
        let is_of_a_browser = matches!(caller, Caller::Login(_)) || comes_from_a_browser(request.headers());
        let renew = (live.age(now) > RENEWABLE_AGE).then_some(renew);
        let answer = forward(&self.upstream, &self.via, &live.ready, request, &target, renew, record).await;
        match &answer {
            Ok(answer) => self.broker.answered(&live, answer.status(), answer.headers()),
            Err(ForwardError::Upstream(error)) => self.broker.unanswered(&live, error),
            Err(ForwardError::Method(_) | ForwardError::Loop(_) | ForwardError::Target(_)) => {}
        }
        let mut answer = answer?;
        if is_of_a_browser {
            // Who logs in next in that browser asks for the same address.
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        }
        Ok(answer)
    }
}

/// Browsers send one of these with every request that they may answer from their cache.
fn comes_from_a_browser(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site") || headers.contains_key(COOKIE) || headers.contains_key(ORIGIN)
}
