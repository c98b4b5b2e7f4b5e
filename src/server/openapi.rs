//! What the endpoints take and answer, as OpenAPI documents that are written by hand. A test holds them to the endpoints
//! and to the errors; another lets schemathesis look for an answer that they do not foresee.

use http::{Response, StatusCode};

use super::body::Body;
use super::respond::json_text;

const INTEGRATIONS: &str = include_str!("openapi/integrations.json");
const ADMIN: &str = include_str!("openapi/admin.json");

/// Everything under `/integrations`. It says nothing about this installation, so nobody has to prove anything for it.
pub(crate) fn integrations(base_path: &str) -> Response<Body> {
    json_text(StatusCode::OK, filled(INTEGRATIONS, if base_path.is_empty() { "/" } else { base_path }))
}

/// The admin listener.
pub(crate) fn admin() -> Response<Body> {
    json_text(StatusCode::OK, filled(ADMIN, "/"))
}

/// A base path is of letters that mean nothing in JSON, which configuration sees to.
fn filled(document: &str, base: &str) -> String {
    document.replacen("{version}", env!("CARGO_PKG_VERSION"), 1).replacen("{base}", base, 1)
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
