//! `/proxy/{i}/…`: from the caller to the live token of their connection, and on to the provider.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::body::Body;
use super::caller::Named;
use super::forward::forward;
use super::respond::{FORWARDED, HttpError};
use super::service::Service;
use crate::broker::LiveKey;
use crate::model::ConnectionKey;
use crate::route::Target;

/// A 401 to a younger token than this is not a sign of age: refreshing it would change nothing.
const RENEWABLE_AGE: Duration = Duration::from_secs(30);

impl Service {
    pub(super) async fn call(
        &self,
        target: Target<'_>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, HttpError> {
        // One is no request and the other reflects the token; refused before anybody is asked who they are.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(HttpError::MethodNotAllowed(FORWARDED));
        }
        let name = target.integration;
        let place = self.broker.integration(name).map(|integration| &integration.provider.api.auth);
        let caller = self.identify(request.headers(), request.uri(), request.extensions(), place).await?;
        let integration = self.permitted(&caller, name)?;
        caller.require_method(request.method().as_str(), request.headers())?;
        let person = caller.person(Named::from_headers(request.headers())?)?;
        caller.require(integration.name.as_str(), person)?;

        let name = LiveKey { integration: integration.name.as_str(), org: person.org, user: person.user };
        let live = match self.broker.live(&name) {
            Some(live) => live,
            None => {
                let key = ConnectionKey { integration: integration.name.clone(), person: person.parse()? };
                self.broker.access(&key).boxed().await.map_err(|error| self.failed(error, integration))?
            }
        };
        let renew = {
            let (broker, failed) = (&self.broker, &live);
            move || async move {
                match broker.renew(failed).await {
                    Ok(renewed) => renewed.map(|live| Arc::clone(&live.ready)),
                    Err(error) => {
                        tracing::info!(integration = %failed.connection.key.integration, %error, "a 401 was not healed");
                        None
                    }
                }
            }
        };
        let may_renew = live.age(self.broker.now()) > RENEWABLE_AGE;
        Ok(forward(&self.upstream, &self.via, &live.ready, request, &target, may_renew, renew).await?)
    }
}
