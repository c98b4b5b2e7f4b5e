//! The admin listener: liveness, readiness and metrics by path; another look at the configuration. Never tokens.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::Body;
use super::metrics;
use super::openapi;
use super::origin;
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::broker::{Phase, Standing};

impl Service {
    /// Answers one request on the admin listener.
    pub async fn handle_admin(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, _body) = request.into_parts();
        if let Err(misdirected) = origin::check_admin_host(&head, &self.settings) {
            return HttpError::from(misdirected).respond("admin");
        }
        let path = head.uri.path();
        let (is_taken, methods) = match path {
            "/healthz" | "/readyz" | "/metrics" | "/openapi.json" => {
                (matches!(head.method, Method::GET | Method::HEAD), "GET, HEAD")
            }
            "/reload" => (head.method == Method::POST, "POST"),
            _ => return HttpError::NotFound.respond("admin"),
        };
        if !is_taken {
            return HttpError::MethodNotAllowed(methods).respond("admin");
        }
        match path {
            "/readyz" => self.readiness().await,
            "/metrics" => {
                let (reloads, calls) = (self.process.reloads.counts(), self.process.calls.samples());
                metrics::page(&self.broker.standings(), reloads, &calls, self.process.spans())
            }
            "/openapi.json" => openapi::admin(),
            "/reload" => self.reload(&head.headers).await.unwrap_or_else(|error| error.respond("admin")),
            _ => json_response(StatusCode::OK, &json!({ "status": "alive" })),
        }
    }

    /// Ready when the store answers and this process is not going. A provider that fails is told and changes nothing:
    /// another replica would reach it no better.
    async fn readiness(&self) -> Response<Body> {
        if self.process.is_draining() {
            return HttpError::ShuttingDown.respond("admin");
        }
        match self.broker.store().ping().await {
            Ok(()) => {
                let circuits: Vec<Value> = self.broker.standings().iter().filter_map(circuit).collect();
                json_response(StatusCode::OK, &json!({ "status": "ready", "circuits": circuits }))
            }
            // The application's own traffic needs no store.
            Err(error) if self.settings.app.upstream.is_some() && !self.settings.app.require_store => {
                tracing::warn!(%error, "the store does not answer; the application is served without it");
                let detail = "The store cannot be reached: the application is served, connections are not.";
                let circuits: Vec<Value> = self.broker.standings().iter().filter_map(circuit).collect();
                json_response(StatusCode::OK, &json!({ "status": "ready", "detail": detail, "circuits": circuits }))
            }
            Err(error) => {
                tracing::warn!(%error, "not ready: the store does not answer");
                HttpError::broker(error.into()).respond("admin")
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
