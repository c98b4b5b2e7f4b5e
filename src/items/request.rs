//! The request for one page.

use http::{HeaderName, HeaderValue, Method, header};
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use super::page::{Insert, PageState, Turning, is_below_base};
use super::plan::{Body, Plan, Stream};
use crate::mapping::{Scope, UNRESERVED_KEPT};

/// One request for a page, below the base URL.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The stream's name, for the log.
    pub stream: String,
    /// `GET` or `POST`.
    pub method: Method,
    /// Path and query behind the base URL: begins with `/`.
    pub path_and_query: String,
    /// Headers of the stream, `content-type` included where there is a body.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The JSON body.
    pub body: Option<Vec<u8>>,
    /// Which rate budget of the connection it draws on; empty for the connection's own.
    pub budget: String,
}

impl Plan {
    /// Builds the request for a page; `None` when a value is missing that must not be.
    pub(super) fn request(&self, stream: &Stream, state: &PageState, scope: &Scope<'_>) -> Option<PageRequest> {
        let path_and_query = match state {
            PageState::Url(url) => url.clone(),
            _ => path_and_query(stream, state, scope)?,
        };
        if !is_below_base(&path_and_query) {
            return None;
        }
        let mut headers = Vec::with_capacity(stream.headers.len() + 1);
        for (name, source) in &stream.headers {
            if let Some(value) = source.text(scope) {
                headers.push((name.clone(), HeaderValue::from_str(&value).ok()?));
            }
        }
        let body = body(stream, state, scope);
        if body.is_some() && !headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let budget = self.budget.as_ref().and_then(|budget| budget.fill(scope)).unwrap_or_default();
        let (stream, method) = (stream.name.clone(), stream.method.clone());
        Some(PageRequest { stream, method, path_and_query, headers, body, budget })
    }
}

/// What goes into the request for this page besides what the stream always sends.
fn inserts<'a>(stream: &'a Stream, state: &PageState) -> Vec<(&'a Insert, Value)> {
    let Some(paging) = &stream.paging else { return Vec::new() };
    let mut inserts = Vec::new();
    let alone = paging.only && *state != PageState::First;
    if let (Some(size), Some(n), false) = (&paging.size, paging.n, alone) {
        inserts.push((size, Value::from(n)));
    }
    match (&paging.turning, state) {
        (Turning::Cursor { into, .. }, PageState::Cursor(cursor)) => inserts.push((into, cursor.clone())),
        (Turning::Offset(into), PageState::Offset(offset)) => inserts.push((into, (*offset).into())),
        (Turning::Number { into, .. }, PageState::Number { number, .. }) => inserts.push((into, (*number).into())),
        // A cursor is not sent with the first request: null or empty ones may be refused.
        _ => {}
    }
    inserts
}

fn path_and_query(stream: &Stream, state: &PageState, scope: &Scope<'_>) -> Option<String> {
    let paging = stream.paging.as_ref().filter(|_| *state != PageState::First);
    let path = paging.and_then(|paging| paging.path.as_ref()).unwrap_or(&stream.path);
    let mut text = path.fill_path(scope)?;
    let mut separator = if text.contains('?') { '&' } else { '?' };
    let mut pair = |name: &str, value: &str| {
        text.push(std::mem::replace(&mut separator, '&'));
        text.extend(utf8_percent_encode(name, UNRESERVED_KEPT));
        text.push('=');
        text.extend(utf8_percent_encode(value, UNRESERVED_KEPT));
    };
    let inserts = inserts(stream, state);
    let inserted =
        |name: &str| inserts.iter().any(|(insert, _)| matches!(insert, Insert::Query(other) if other == name));
    if !paging.is_some_and(|paging| paging.only) {
        for (name, source) in stream.query.iter().filter(|(name, _)| !inserted(name)) {
            match source.text(scope) {
                Some(value) => pair(name, &value),
                None if is_nested(&source.evaluate(scope)) => return None,
                None => {}
            }
        }
    }
    for (insert, value) in &inserts {
        if let Insert::Query(name) = insert {
            match value {
                Value::String(value) => pair(name, value),
                value => pair(name, &value.to_string()),
            }
        }
    }
    Some(text)
}

fn body(stream: &Stream, state: &PageState, scope: &Scope<'_>) -> Option<Vec<u8>> {
    let inserts = inserts(stream, state);
    let inserts: Vec<(&[String], Value)> = inserts
        .into_iter()
        .filter_map(|(insert, value)| match insert {
            Insert::Body(way) => Some((way.as_slice(), value)),
            Insert::Query(_) => None,
        })
        .collect();
    let alone = *state != PageState::First && stream.paging.as_ref().is_some_and(|paging| paging.only);
    let written = stream.body.as_ref().filter(|_| !alone).map(|body| Body::render(body, scope));
    if written.is_none() && inserts.is_empty() {
        return None;
    }
    let mut body = written.unwrap_or_else(|| Value::Object(Map::new()));
    for (way, value) in inserts {
        set(&mut body, way, value);
    }
    Some(body.to_string().into_bytes())
}

/// Whether the value cannot stand in a query.
fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// Sets a member, making the tables on the way to it.
fn set(mut body: &mut Value, way: &[String], value: Value) {
    for name in way {
        if !body.is_object() {
            *body = Value::Object(Map::new());
        }
        let Value::Object(members) = body else { return };
        body = members.entry(name.clone()).or_insert(Value::Null);
    }
    *body = value;
}
