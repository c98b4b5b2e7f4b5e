//! Revocation requests (RFC 7009), or what the provider has instead.

use super::request::{Table, authenticate, render_headers};
use super::{Client, Endpoints, HttpRequest, Parameters, Protocol, SigningError, TokenRequestFormat, Values};
use crate::model::{Grant, Secret};

/// The requests that end a grant at its provider, in the order to send them; none when the provider has no revocation.
///
/// By RFC 7009 section 2.1 revoking the refresh token should end the access tokens too, and not every server does so:
/// both are sent.
pub fn revocation_requests(
    protocol: &Protocol,
    endpoints: &Endpoints,
    client: &Client,
    grant: &Grant,
    values: Values<'_>,
) -> Result<Vec<HttpRequest>, SigningError> {
    let values = Values { client: Some(client), ..values }.with_grant(grant);
    let Some(endpoint) = &endpoints.revocation else { return Ok(Vec::new()) };
    if let Some(table) = &protocol.revocation.params {
        let mut parameters = Table::new();
        parameters.apply(table, values);
        return Ok(vec![request(protocol, endpoints, endpoint, table, parameters, values)?]);
    }
    if protocol.revocation.format == TokenRequestFormat::Nothing {
        return Ok(vec![request(protocol, endpoints, endpoint, &Parameters::new(), Table::new(), values)?]);
    }
    let tokens = [("refresh_token", grant.refresh_token.as_ref()), ("access_token", Some(&grant.access_token))];
    let build = |(hint, token): (&str, Option<&Secret>)| {
        let mut parameters = Table::new();
        parameters.set("token", token?.expose());
        parameters.set("token_type_hint", hint);
        Some(request(protocol, endpoints, endpoint, &Parameters::new(), parameters, values))
    };
    tokens.into_iter().filter_map(build).collect()
}

fn request(
    protocol: &Protocol,
    endpoints: &Endpoints,
    endpoint: &str,
    table: &Parameters,
    mut parameters: Table,
    values: Values<'_>,
) -> Result<HttpRequest, SigningError> {
    let rules = &protocol.revocation;
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    let auth_method = rules.auth_method.unwrap_or(endpoints.auth_method);
    authenticate(auth_method, protocol, endpoints, values, &[table], &mut parameters, &mut headers)?;
    render_headers(&rules.headers, values, &mut headers);
    let method = match rules.method.as_str() {
        "DELETE" => "DELETE",
        "GET" => "GET",
        _ => "POST",
    };
    let format = match rules.format {
        TokenRequestFormat::Nothing => TokenRequestFormat::Nothing,
        _ if method == "GET" => TokenRequestFormat::Query,
        format => format,
    };
    Ok(parameters.into_request(method, endpoint, format, headers))
}
