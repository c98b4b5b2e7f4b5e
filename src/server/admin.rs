//! The admin listener: liveness, readiness and metrics by path; and, for whoever has the admin key, another look at the
//! configuration, everybody's connections, and another key of the store. Never tokens.

mod connections;
mod endpoint;
mod key;
mod rekey;

use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::Body;
use super::listen::Peer;
use super::metrics;
use super::openapi;
use super::origin;
use super::requests::Place;
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::broker::{Phase, Standing};
use crate::telemetry::audit::Asked;

use self::connections::Query;
pub(crate) use self::endpoint::AdminEndpoint;
pub use self::rekey::Progress;

impl Service {
    /// Answers one request on the admin listener.
    pub async fn handle_admin(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let request_id = self.next_request_id();
        let (head, _body) = request.into_parts();
        let asked = Asked::by(request_id.clone(), peer.address.ip());
        let answer = asked.during(self.answer_admin(&head, &request_id)).await;
        let response = answer.unwrap_or_else(|error| self.refuse(&error, &request_id, peer));
        self.process.requests.count(Place::Admin, &response, true);
        response
    }

    async fn answer_admin(&self, head: &request::Parts, request_id: &str) -> Result<Response<Body>, HttpError> {
        origin::check_admin_host(head, &self.settings)?;
        let endpoint = AdminEndpoint::parse(head.uri.path()).ok_or(HttpError::NotFound)?;
        let methods = endpoint.methods();
        if !methods.split(", ").any(|method| method == head.method.as_str()) {
            return Err(HttpError::MethodNotAllowed(methods));
        }
        // Before anything else of the request is read.
        if endpoint.is_for_the_operator() {
            self.check_admin_key(&head.headers)?;
        }
        match endpoint {
            AdminEndpoint::Health => Ok(json_response(StatusCode::OK, &json!({ "status": "alive" }))),
            AdminEndpoint::Readiness => self.readiness(request_id).await,
            AdminEndpoint::Metrics => Ok(metrics::page(self, &head.headers)),
            AdminEndpoint::OpenApi => Ok(openapi::admin()),
            AdminEndpoint::Reload => {
                Query::read(head, &[])?;
                self.reload().await
            }
            // Boxed, so that the future of a health check stays small.
            AdminEndpoint::Connections => self.connection_list(head).boxed().await,
            AdminEndpoint::Connection(id) => self.connection_by_id(id, head).boxed().await,
            AdminEndpoint::People => self.delete_person(head).boxed().await,
            AdminEndpoint::Rekey => self.rekey(head).boxed().await,
        }
    }

    /// Ready when the store answers and this process is not going. A provider that fails is told and changes nothing:
    /// another replica would reach it no better.
    async fn readiness(&self, request_id: &str) -> Result<Response<Body>, HttpError> {
        if self.process.is_draining() {
            return Err(HttpError::ShuttingDown);
        }
        match self.broker.store().ping().await {
            Ok(()) => {
                if self.process.note_store_away(false) {
                    tracing::info!("the store answers again");
                }
                let circuits: Vec<Value> = self.broker.standings().iter().filter_map(circuit).collect();
                Ok(json_response(StatusCode::OK, &json!({ "status": "ready", "circuits": circuits })))
            }
            // The application's own traffic needs no store.
            Err(error) if self.settings.app.upstream.is_some() && !self.settings.app.require_store => {
                if self.process.note_store_away(true) {
                    tracing::warn!(%error, "the store does not answer; the application is served without it");
                }
                let detail = "The store cannot be reached: the application is served, connections are not.";
                let circuits: Vec<Value> = self.broker.standings().iter().filter_map(circuit).collect();
                let answer = json!({ "status": "ready", "detail": detail, "circuits": circuits });
                Ok(json_response(StatusCode::OK, &answer))
            }
            Err(error) => {
                // Said once, however often it is asked, and not as a request that failed.
                if self.process.note_store_away(true) {
                    tracing::warn!(%error, "not ready: the store does not answer");
                }
                Ok(HttpError::broker(error.into()).respond(request_id))
            }
        }
    }
}

/// A circuit that is not closed: where it stands, and in how many seconds the provider is asked again.
fn circuit(standing: &Standing) -> Option<Value> {
    let (state, wait) = match standing.circuit {
        Phase::Closed => return None,
        Phase::HalfOpen => ("half_open", 0),
        Phase::Open(wait) => ("open", wait.as_millis().div_ceil(1000)),
    };
    let wait = u64::try_from(wait).unwrap_or(u64::MAX);
    Some(json!({ "integration": standing.integration.as_str(), "state": state, "retry_after": wait }))
}
