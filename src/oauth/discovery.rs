//! Requests that learn, once there is a token, where it is good for: a site's id, an account's own host. What they find
//! is captured with the connection.

use std::collections::BTreeMap;

use serde_json::Value;

use super::capture::captured;
use super::request::render_headers;
use super::{HttpRequest, Parameters, TokenCapture, Values};
use crate::mapping::{Encoding, Path, Template};
use crate::model::{Grant, Secret};

/// One `[[oauth.discovery]]` of a provider file.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Where it goes.
    pub url: Template,
    /// `GET` or `POST`, without a body.
    pub method: &'static str,
    /// More headers, or others than `Authorization: Bearer {access_token}`.
    pub headers: Parameters,
    /// Where the candidates are; without it the whole answer is the only one.
    pub records: Option<Path>,
    /// What a candidate has to say where. A template that renders to nothing does not count.
    pub matches: Vec<(Path, Template)>,
    /// Values kept from the first candidate that matches.
    pub capture: BTreeMap<String, TokenCapture>,
}

/// Why a discovery found nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The status says failure.
    #[error("the discovery request was answered {0}")]
    Status(u16),
    /// The body cannot be read.
    #[error("the discovery request was answered with what is not JSON")]
    NotJson,
    /// The answer has no candidate, or none of them matches.
    #[error("the discovery request found nothing that fits")]
    NothingFits,
    /// A value that has no default.
    #[error("the discovery request found no `{0}` that is let through")]
    Missing(String),
}

impl DiscoveryError {
    /// Whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Status(429 | 500..))
    }
}

/// The request, with the tokens among its values.
pub fn discovery_request(discovery: &Discovery, url: &str, values: Values<'_>) -> HttpRequest {
    let mut headers = vec![("accept".to_owned(), Secret::new("application/json"))];
    if let Some(token) = values.access_token {
        headers.push(("authorization".to_owned(), Secret::new(format!("Bearer {}", token.expose()))));
    }
    render_headers(&discovery.headers, values, &mut headers);
    HttpRequest { method: discovery.method, url: url.to_owned(), headers, body: Secret::new("") }
}

/// The values that an answer brings.
pub fn discovered(
    discovery: &Discovery,
    status: u16,
    body: &[u8],
    grant: &Grant,
    values: Values<'_>,
) -> Result<BTreeMap<String, String>, DiscoveryError> {
    if !(200..300).contains(&status) {
        return Err(DiscoveryError::Status(status));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| DiscoveryError::NotJson)?;
    let record = candidate(discovery, &answer, values).ok_or(DiscoveryError::NothingFits)?;
    let mut found = captured(&discovery.capture, record, &grant.tokens().collect::<Vec<_>>());
    for (name, capture) in &discovery.capture {
        if !found.contains_key(name) {
            let value = capture.rule.fallback().ok_or_else(|| DiscoveryError::Missing(name.clone()))?;
            found.insert(name.clone(), value);
        }
    }
    Ok(found)
}

/// The first candidate that says everything that was asked for.
fn candidate<'a>(discovery: &Discovery, answer: &'a Value, values: Values<'_>) -> Option<&'a Value> {
    let mut wanted = Vec::new();
    for (path, template) in &discovery.matches {
        // A value that never came fits nothing; an empty one asks for nothing.
        let text = template.render(Encoding::Raw, |name| values.get(name))?;
        if !text.is_empty() {
            wanted.push((path, text));
        }
    }
    let fits = |record: &Value| wanted.iter().all(|(path, text)| path.text(record).as_deref() == Some(text.as_str()));
    let Some(records) = &discovery.records else { return fits(answer).then_some(answer) };
    let mut found = None;
    records.visit(answer, &mut |record| {
        found = fits(record).then_some(record);
        found.is_none()
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::CaptureRule;

    fn discovery(records: Option<&str>, matches: &[(&str, &str)], capture: &[(&str, &str)]) -> Discovery {
        let path = |text: &str| Path::parse(text).expect("a path");
        let template = |text: &str| Template::parse(text).expect("a template");
        Discovery {
            url: template("https://api.example/me"),
            method: "GET",
            headers: Parameters::new(),
            records: records.map(path),
            matches: matches.iter().map(|(at, text)| (path(at), template(text))).collect(),
            capture: capture
                .iter()
                .map(|(name, at)| ((*name).into(), TokenCapture { path: path(at), rule: CaptureRule::default() }))
                .collect(),
        }
    }

    fn find(discovery: &Discovery, status: u16, body: &str) -> Result<BTreeMap<String, String>, DiscoveryError> {
        let variables = BTreeMap::from([("site".into(), "blue".into()), ("none".into(), String::new())]);
        let grant = Grant { access_token: Secret::new("AT"), ..Grant::default() };
        let values = Values { variables: Some(&variables), ..Values::default() };
        discovered(discovery, status, body.as_bytes(), &grant, values)
    }

    #[test]
    fn the_record_that_fits() {
        fn check(records: Option<&str>, matches: &[(&str, &str)], expected: Result<&str, DiscoveryError>) {
            let body = json!([
                { "id": 1, "name": "red", "default": false },
                { "id": 2, "name": "blue", "default": true },
                { "id": 3, "name": "blue", "default": false },
            ]);
            let found = find(&discovery(records, matches, &[("id", "$.id")]), 200, &body.to_string());
            assert_eq!(found.map(|found| found["id"].clone()), expected.map(str::to_owned), "{records:?} {matches:?}");
        }
        check(Some("$[*]"), &[], Ok("1"));
        check(Some("$[*]"), &[("$.name", "{site}")], Ok("2"));
        check(Some("$[*]"), &[("$.default", "true")], Ok("2"));
        check(Some("$[*]"), &[("$.name", "{site}"), ("$.default", "false")], Ok("3"));
        check(Some("$[*]"), &[("$.name", "{none}")], Ok("1"));
        check(Some("$[*]"), &[("$.name", "{unset}")], Err(DiscoveryError::NothingFits));
        check(Some("$[*]"), &[("$.name", "green")], Err(DiscoveryError::NothingFits));
        check(Some("$.sites[*]"), &[], Err(DiscoveryError::NothingFits));
        check(None, &[], Err(DiscoveryError::Missing("id".into())));
        check(None, &[("$.name", "blue")], Err(DiscoveryError::NothingFits));
    }

    #[test]
    fn answers_that_bring_nothing() {
        let plain = discovery(None, &[], &[("id", "$.id")]);
        assert_eq!(find(&plain, 503, r#"{"id":1}"#), Err(DiscoveryError::Status(503)));
        assert_eq!(find(&plain, 302, r#"{"id":1}"#), Err(DiscoveryError::Status(302)));
        assert_eq!(find(&plain, 200, "id=1"), Err(DiscoveryError::NotJson));
        // A token is never shown.
        assert_eq!(find(&plain, 200, r#"{"id":"AT"}"#), Err(DiscoveryError::Missing("id".into())));
        let transient = [429, 500, 503].map(|status| DiscoveryError::Status(status).is_transient());
        assert_eq!((transient, DiscoveryError::Status(403).is_transient()), ([true; 3], false));
    }

    #[test]
    fn a_default_fills_in() {
        let mut plain = discovery(None, &[], &[("region", "$.region")]);
        plain.capture.get_mut("region").expect("it is there").rule.default = Some("us".into());
        assert_eq!(find(&plain, 200, "{}"), Ok(BTreeMap::from([("region".into(), "us".into())])));
    }
}
