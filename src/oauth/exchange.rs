//! Requests after the code exchange whose answers are token answers too: a short-lived token for a long-lived one, a
//! token for a session.

use std::collections::BTreeMap;

use super::request::{Table, authenticate, render_headers};
use super::{
    AuthMethod, Endpoints, HttpRequest, Parameters, Protocol, SigningError, TokenCapture, TokenRequestFormat,
    TokenResponse, Values,
};
use crate::mapping::Template;
use crate::model::Secret;

/// One `[[oauth.token_exchange]]` of a provider file.
#[derive(Clone, Debug)]
pub struct TokenExchange {
    /// Where it goes.
    pub url: Template,
    /// `POST` or `GET`.
    pub method: &'static str,
    /// Where the parameters stand.
    pub format: TokenRequestFormat,
    /// Client authentication; `None` sends what `params` say and nothing else.
    pub auth_method: Option<AuthMethod>,
    /// All parameters.
    pub params: Parameters,
    /// More headers.
    pub headers: Parameters,
    /// Whether each refresh is followed by it too, and not only the code exchange.
    pub after_refresh: bool,
    /// Where the answer keeps its fields.
    pub token_response: TokenResponse,
    /// Values kept from the answer.
    pub capture: BTreeMap<String, TokenCapture>,
}

/// The request, with the tokens so far among its values.
pub fn token_exchange_request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    exchange: &TokenExchange,
    url: &str,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let mut parameters = Table::new();
    parameters.apply(&exchange.params, values);
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    if let Some(method) = exchange.auth_method {
        authenticate(method, protocol, endpoints, values, &[&exchange.params], &mut parameters, &mut headers)?;
    }
    render_headers(&exchange.headers, values, &mut headers);
    Ok(parameters.into_request(exchange.method, url, exchange.format, headers))
}
