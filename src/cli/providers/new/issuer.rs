//! What an issuer publishes about itself: found as the running sidecar would find it, under the same address rules, and
//! read leniently, since a person looks the result over.

use std::error::Error as _;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use url::{Host, Url};

use crate::cli::Failure;
use crate::oauth::{Metadata, may_take_a_secret};
use crate::upstream::{Fetch, FetchRequest, Settings, UpstreamError};

/// What is stripped from an issuer that was copied from a browser's address bar.
const WELL_KNOWN: &str = "/.well-known/";

/// An issuer's own description.
#[derive(Debug)]
pub(super) struct Found {
    /// The issuer identifier, exactly as the document has it.
    pub(super) issuer: String,
    /// The document.
    pub(super) document: Value,
}

impl Found {
    /// A text of the document that can stand on a line.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.document[key].as_str().filter(|text| is_one_line(text))
    }

    /// A list of texts; `None` when the document has none.
    pub(super) fn list(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.document[key].as_array()?;
        Some(values.iter().filter_map(Value::as_str).filter(|text| is_one_line(text)).collect())
    }
}

fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Asks both well-known addresses of the issuer, OpenID's first.
pub(super) async fn ask(typed: &str, settings: &Settings) -> Result<Found, Failure> {
    let (issuer, url) = issuer(typed, settings.allow_http)?;
    let fetch = Fetch::new(settings).map_err(|error| Failure::other(error.to_string()))?;
    // It will stand literally in the provider file.
    let trusted_as_written = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        _ => true,
    };
    let mut answers = Vec::new();
    for address in Metadata::addresses(&issuer) {
        let url = Url::parse(&address).map_err(|error| Failure::other(format!("{address} is not a URL: {error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let request = FetchRequest {
            method: Method::GET,
            url,
            headers,
            body: bytes::Bytes::new(),
            trusted_as_written,
            certificate: None,
        };
        let answer = fetch.send(request).await.map_err(|error| unreachable(&issuer, &error))?;
        match read(answer.status, &answer.body, &issuer) {
            Ok(found) => return Ok(found),
            Err(why) => answers.push(format!("\n  {address} {why}")),
        }
    }
    Err(Failure::other(format!(
        "{issuer} publishes no metadata under that name:{}\nIs it the issuer? Vendors name it in their OAuth or OpenID \
         pages. Without --issuer, a skeleton is written to fill in.",
        answers.concat()
    )))
}

/// The issuer as it was meant, and as a URL.
fn issuer(typed: &str, allow_http: bool) -> Result<(String, Url), Failure> {
    let typed = typed.trim();
    let wrong = |why: &str| Failure::other(format!("--issuer {why}; write for example https://login.example.com"));
    let mut text = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    if let Some(at) = text.find(WELL_KNOWN) {
        // OpenID puts the suffix behind the issuer's path, RFC 8414 between its host and its path.
        let path = text[at + WELL_KNOWN.len()..].split_once('/').map(|(_, path)| format!("/{path}"));
        text.truncate(at);
        text.push_str(&path.unwrap_or_default());
    }
    let url = Url::parse(&text).map_err(|_| wrong("is not a URL"))?;
    if !is_one_line(&text) || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds white space, a query or a fragment, which an issuer never has"));
    }
    if !may_take_a_secret(&text, allow_http) {
        return Err(wrong("is not an https URL without a user name (plain http only towards this machine)"));
    }
    Ok((text, url))
}

/// The document, or what came instead as the end of a sentence.
fn read(status: StatusCode, body: &[u8], issuer: &str) -> Result<Found, String> {
    if status != StatusCode::OK {
        return Err(format!("answered {}", status.as_u16()));
    }
    let document: Value = serde_json::from_slice(body).map_err(|_| "answered something else than JSON".to_owned())?;
    let Some(own) = document["issuer"].as_str() else {
        return Err("answered JSON without an `issuer`".to_owned());
    };
    // RFC 8414 section 3.3 asks for identity, which the running sidecar holds it to. A slash at the end is easily mistyped.
    if own.trim_end_matches('/') != issuer.trim_end_matches('/') {
        let shown: String = own.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(format!("is the document of another issuer; if that is who you mean, say --issuer {shown}"));
    }
    Ok(Found { issuer: own.to_owned(), document })
}

fn unreachable(issuer: &str, error: &UpstreamError) -> Failure {
    let mut text = format!("{issuer} cannot be asked: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    if let UpstreamError::Blocked { .. } = error {
        text.push_str("; where that is right, name the host in `allow` under [net] of config.toml");
    }
    Failure::other(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(failure: Failure) -> String {
        match failure {
            Failure::Configuration(text) | Failure::Other(text) => text,
            Failure::Impatient => unreachable!("nothing is served"),
        }
    }

    #[test]
    fn issuers_as_people_type_them() {
        fn check(typed: &str, expected: Result<&str, &str>) {
            match (issuer(typed, false), expected) {
                (Ok((text, _)), Ok(expected)) => assert_eq!(text, expected, "{typed}"),
                (Err(failure), Err(expected)) => assert!(words(failure).contains(expected), "{typed}"),
                (other, _) => panic!("{typed}: {other:?}"),
            }
        }
        check("https://as.example/", Ok("https://as.example/"));
        check("as.example/realms/a", Ok("https://as.example/realms/a"));
        check("https://as.example/a/.well-known/openid-configuration", Ok("https://as.example/a"));
        check("https://as.example/.well-known/oauth-authorization-server/a", Ok("https://as.example/a"));
        check("http://127.0.0.1:9", Ok("http://127.0.0.1:9"));
        check("http://as.example", Err("plain http only towards this machine"));
        check("https://me:pw@as.example", Err("without a user name"));
        check("https://as.example/?a=b", Err("a query"));
        check("ftp://as.example", Err("is not an https URL"));
        check("https://", Err("is not a URL"));
    }

    #[test]
    fn what_answers_may_be_no_document() {
        fn check(status: u16, body: &str, expected: Result<&str, &str>) {
            let status = StatusCode::from_u16(status).expect("a status");
            let read = read(status, body.as_bytes(), "https://as.example").map(|found| found.issuer);
            assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{body}");
        }
        check(404, "", Err("answered 404"));
        check(200, "<html>", Err("answered something else than JSON"));
        check(200, "[]", Err("answered JSON without an `issuer`"));
        check(200, r#"{"issuer":"https://as.example/"}"#, Ok("https://as.example/"));
        check(
            200,
            r#"{"issuer":"https://other.example"}"#,
            Err("is the document of another issuer; if that is who you mean, say --issuer https://other.example"),
        );
    }
}
