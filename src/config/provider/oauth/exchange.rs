//! One `[[oauth.token_exchange]]`.

use super::super::names::{Chooser, Stage};
use super::super::tables::{headers, parameters};
use super::super::{capture, token_response};
use super::answers::Following;
use super::{FORMATS, ask, auth_method, once, text_names};
use crate::config::reader::Table;
use crate::oauth::{AuthMethod, TokenExchange, TokenRequestFormat};

/// Reads the table, and defines the names that its answer brings.
pub(super) fn read(table: &mut Table<'_>, following: &mut Following<'_>) -> Option<TokenExchange> {
    let url = following.url(table);
    let doc = "The request's method; POST by default.";
    let method = table.word("method", doc, &[("POST", "POST"), ("GET", "GET")]).unwrap_or("POST");
    let doc = "Where the parameters stand; form by default, query for a GET. Secrets go into a query only where the API \
               demands it.";
    let format = table.word("format", doc, &FORMATS);
    if method == "GET" && format.is_some_and(|format| format != TokenRequestFormat::Query) {
        table.mistake("format", "is a body's, which a GET has not", "write `query`, or `method = \"POST\"`");
    }
    let doc = "How we authenticate beside `params`; by default by nothing else.";
    let auth_method = auth_method(table, "auth_method", doc);
    let params =
        parameters(table, "params", "All parameters of the request.", following.names, Stage::ExchangeParams, &[]);
    let headers = text_names(headers(table, "headers", "More headers.", following.names, Stage::ExchangeParams, &[]));
    let request = once::Written {
        method: Some(auth_method.unwrap_or(AuthMethod::None)),
        basic: [&None, &None],
        params: ("params", &params),
        headers: ("headers", &headers),
        drops: &[&params],
    };
    once::check(table, &request);
    if method == "GET" || format == Some(TokenRequestFormat::Query) {
        ask::check_query(table, following.names, "params", &params);
    }
    let doc = "When it is sent: once when connecting (connect, the default), or after every refresh too (refresh).";
    let after_refresh = table.word("after", doc, &[("connect", false), ("refresh", true)]);
    let doc = "JSONPaths when the answer is not RFC 6749's; an access token in it takes the old one's place.";
    let token_response = table.table("token_response", doc, |table| token_response::read(table, following.names));
    let doc = "Values kept from the answer: a JSONPath, or a table with `path`, `pattern`, `map`, `default`.";
    let capture = capture::from_answer(table, "capture", doc, following.names, Chooser::Discovery);
    Some(TokenExchange {
        url: url?,
        method,
        format: match (method, format) {
            ("GET", _) => TokenRequestFormat::Query,
            (_, format) => format.unwrap_or(TokenRequestFormat::Form),
        },
        auth_method,
        params,
        headers,
        after_refresh: after_refresh.unwrap_or(false),
        token_response,
        capture,
    })
}
