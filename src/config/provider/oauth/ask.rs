//! Keys of `[oauth]` about what is asked for, and how: response type, resource, the method of token requests, the two
//! halves of HTTP Basic.

use url::Url;

use super::super::names::{Names, Stage};
use crate::config::problem::{Fault, quoted};
use crate::config::reader::Table;
use crate::mapping::{Encoding, Template};
use crate::oauth::{AuthMethod, Parameters, TokenRequestFormat, TokenRequestMethod};

pub(super) fn response_type(table: &mut Table<'_>) -> Option<String> {
    let doc = "What is asked for at the authorization endpoint; `code` by default.";
    table.parsed("response_type", doc, |text| {
        if text.split(' ').any(|word| word.is_empty() || word.chars().any(char::is_control)) {
            return Err(Fault::new(
                "is empty or holds more than words with single spaces",
                "write for example \"code\"",
            ));
        }
        if text.split(' ').any(|word| word == "token") {
            let fault = "asks for a token in the redirect, where browsers and logs see it";
            return Err(Fault::new(fault, "write a type that brings a code"));
        }
        Ok(text.to_owned())
    })
}

pub(super) fn resource(table: &mut Table<'_>, names: &Names) -> Option<Template> {
    let doc = "Whose tokens they are to be (RFC 8707); sent with authorization, exchange and refresh.";
    table.parsed("resource", doc, |text| {
        let template = names.template(text, Stage::AuthorizationUrl)?;
        let filled = template.render(Encoding::Url, |_| Some("x".into())).unwrap_or_default();
        let is_root = template.literal_prefix().is_empty() && template.names().next().is_some();
        if text.contains('#') || !is_root && Url::parse(&filled).is_err() {
            let fault = format!("{} is not an absolute URI without a fragment", quoted(text));
            return Err(Fault::new(fault, "write for example \"https://api.example.com\""));
        }
        Ok(template)
    })
}

/// The methods of token requests and of refreshes. A GET of the former leaves no choice of a format.
pub(super) fn methods(
    table: &mut Table<'_>,
    format: Option<TokenRequestFormat>,
) -> (Option<TokenRequestMethod>, Option<TokenRequestMethod>) {
    let words = [("POST", TokenRequestMethod::Post), ("GET", TokenRequestMethod::Get)];
    let doc = "POST (the default), or GET, which puts the parameters into the query.";
    let method = table.word("token_request_method", doc, &words);
    if method == Some(TokenRequestMethod::Get) && format.is_some_and(|format| format != TokenRequestFormat::Query) {
        let fault = "stands beside a GET, which has no body";
        table.mistake("token_request_format", fault, "remove it, or write \"query\"");
    }
    let doc = "The same for refreshes; by default as `token_request_method`.";
    let refresh = table.word("refresh_request_method", doc, &words);
    (method, refresh.or(method))
}

/// User name and password of HTTP Basic, where they are not the client's id and secret.
pub(super) fn basic(
    table: &mut Table<'_>,
    names: &Names,
    method: Option<AuthMethod>,
) -> (Option<Template>, Option<Template>) {
    let mut part = |name, doc| {
        let template = table.parsed(name, doc, |text| names.template(text, Stage::TokenHeaders));
        if table.has(name) && method != Some(AuthMethod::ClientSecretBasic) {
            let remedy = "write `token_endpoint_auth_method = \"client_secret_basic\"`, or remove it";
            table.mistake(name, "is for client_secret_basic alone", remedy);
        }
        template
    };
    let username = part("basic_username", "The user name of client_secret_basic; `{client_id}` by default.");
    let password = part("basic_password", "Its password; `{client_secret}` by default.");
    (username, password)
}

/// A constant `nonce` protects nothing: it has to be fresh for each authorization (OpenID Connect Core section 3.1.2.1).
pub(super) fn check_nonce(table: &Table<'_>, params: &Parameters) {
    let Some((_, template)) = params.iter().find(|(name, _)| name == "nonce") else { return };
    if !template.is_empty() && !template.names().any(|name| name == "random") {
        let fault = "is the same for every authorization, so that it protects none";
        mistake_in(table, "authorization_params", "nonce", Fault::new(fault, "write `{random}`"));
    }
}

/// A person's or operator's secret is never sent in a query: URLs stand in logs.
pub(super) fn check_query(table: &Table<'_>, names: &Names, key: &str, params: &Parameters) {
    for (parameter, template) in params {
        if let Some(name) = template.names().find(|name| names.is_secret(name)) {
            let fault = format!("puts the secret `{{{name}}}` into a query");
            mistake_in(table, key, parameter, Fault::new(fault, "send it in a header or a body"));
        }
    }
}

/// Notes a mistake at a key of a table of this table.
pub(super) fn mistake_in(table: &Table<'_>, name: &str, key: &str, fault: Fault) {
    let mut place = table.place(name);
    place.key = format!("{}.{key}", place.key);
    table.context().report.mistake(place.problem(fault));
}
