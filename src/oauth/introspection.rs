//! Token introspection (RFC 7662), for one thing: when a token ends, where its answer does not say.

use serde::Deserialize;

use super::request::{Table, authenticate};
use super::{Endpoints, HttpRequest, Protocol, SigningError, TokenRequestFormat, Values};
use crate::model::{Grant, Secret, Timestamp};

#[derive(Deserialize)]
struct Introspection {
    active: bool,
    exp: Option<f64>,
}

/// The request of RFC 7662 section 2.1, by the client authentication of the token endpoint.
pub fn introspection_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    url: &str,
    grant: &Grant,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let mut parameters = Table::new();
    parameters.set("token", grant.access_token.expose());
    parameters.set("token_type_hint", "access_token");
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    authenticate(endpoints.auth_method, protocol, endpoints, values, &[], &mut parameters, &mut headers)?;
    Ok(parameters.into_request("POST", url, TokenRequestFormat::Form, headers))
}

/// The end that the answer names (section 2.2), or why there is none.
pub fn introspected_end(status: u16, body: &[u8]) -> Result<Timestamp, &'static str> {
    if status != 200 {
        return Err("the status says failure");
    }
    let answer: Introspection = serde_json::from_slice(body).map_err(|_| "the body is not RFC 7662's")?;
    if !answer.active {
        return Err("it says that the token is not active");
    }
    let seconds = answer.exp.filter(|seconds| *seconds > 0.0).ok_or("it does not say either")?;
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates, and Timestamp clamps")]
    Ok(Timestamp::from_unix_millis((seconds * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        fn check(status: u16, body: &str, expected: Option<i64>) {
            let end = introspected_end(status, body.as_bytes()).ok().map(Timestamp::unix_millis);
            assert_eq!(end, expected, "{status} {body}");
        }
        check(200, r#"{"active":true,"exp":1700000000}"#, Some(1_700_000_000_000));
        check(200, r#"{"active":true,"exp":1.7e9,"scope":"a"}"#, Some(1_700_000_000_000));
        check(200, r#"{"active":true}"#, None);
        check(200, r#"{"active":true,"exp":0}"#, None);
        check(200, r#"{"active":false}"#, None);
        check(200, "nonsense", None);
        check(401, r#"{"active":true,"exp":1700000000}"#, None);
    }
}
