//! The admin listener: liveness and readiness by path. Never tokens.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::body::Body;
use super::openapi;
use super::respond::{HttpError, json_response};
use super::service::Service;

impl Service {
    /// Answers one request on the admin listener.
    pub async fn handle_admin(&self, request: Request<Incoming>) -> Response<Body> {
        if !matches!(request.uri().path(), "/healthz" | "/readyz" | "/openapi.json") {
            return HttpError::NotFound.respond("admin");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return HttpError::MethodNotAllowed("GET, HEAD").respond("admin");
        }
        if request.uri().path() == "/healthz" {
            return json_response(StatusCode::OK, &json!({ "status": "alive" }));
        }
        if request.uri().path() == "/openapi.json" {
            return openapi::admin();
        }
        self.readiness().await
    }

    /// Ready when the store answers and this process is not going.
    async fn readiness(&self) -> Response<Body> {
        if self.is_draining() {
            return HttpError::ShuttingDown.respond("admin");
        }
        match self.broker.store().ping().await {
            Ok(()) => json_response(StatusCode::OK, &json!({ "status": "ready" })),
            Err(error) => {
                tracing::warn!(%error, "not ready: the store does not answer");
                HttpError::broker(error.into()).respond("admin")
            }
        }
    }
}
