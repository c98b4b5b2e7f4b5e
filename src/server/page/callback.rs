//! The end of an authorization as its browser sees it: tells the window that opened it, closes, and otherwise says what
//! happened and what to do. Plain HTML whose own script alone may run, which no cache keeps and which passes no address
//! on.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::escape;
use crate::broker::Integration;
use crate::server::Settings;
use crate::server::body::Body;
use crate::server::origin::message_origins;

const SCRIPT: &str = include_str!("callback.js");
const STYLE: &str = include_str!("callback.css");

/// Nothing loads, nothing frames it, and only what stands here runs.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    HeaderValue::try_from(policy).expect("the policy is ASCII")
});

/// What the window that opened the popup hears.
pub(crate) struct Message {
    /// `active`, `unconfirmed`, or the code of an error.
    pub(crate) status: &'static str,
    /// The connection's id once there is one.
    pub(crate) connection: Option<String>,
    /// The one-time code for `confirm`.
    pub(crate) code: Option<String>,
}

/// The end of an authorization that worked.
pub(crate) fn finished(integration: &Integration, message: &Message, settings: &Settings) -> Response<Body> {
    let name = escape(&integration.provider.display_name);
    let (title, mut sentence) = match message.code {
        None => {
            (format!("{name} is connected"), "<p>You can close this window and go back to the application.</p>".into())
        }
        Some(_) => (
            format!("One more step for {name}"),
            "<p>The application finishes the connection. You can go back to it.</p>".to_owned(),
        ),
    };
    if let Some(code) = &message.code {
        let _ = write!(
            sentence,
            "<p data-code hidden>If you began this on a command line, paste this code there, and give it to nobody else: <code>{}</code></p>",
            escape(code)
        );
    }
    html(&title, &sentence, integration, message, settings)
}

/// The end of an authorization that did not work, with a sentence that helps.
pub(crate) fn failed(
    integration: &Integration,
    message: &Message,
    sentence: &str,
    settings: &Settings,
) -> Response<Body> {
    let title = format!("{} was not connected", escape(&integration.provider.display_name));
    html(&title, &format!("<p>{}</p>", escape(sentence)), integration, message, settings)
}

/// Repeats this navigation from here, where it is no foreign page's any more. `mark` says in its query that it is one.
pub(crate) fn again(query: &str, mark: &str) -> Response<Body> {
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0; url=?{}&amp;{mark}=1\">", escape(query));
    document("One moment", &format!("<p>The application is asked who you are.</p>{refresh}"), "", "")
}

fn html(title: &str, body: &str, integration: &Integration, message: &Message, settings: &Settings) -> Response<Body> {
    let message = json!({
        "type": "keyferry",
        "integration": integration.name.as_str(),
        "status": message.status,
        "connection": message.connection,
        "code": message.code,
    });
    let attributes = format!(
        " data-message=\"{}\" data-origins=\"{}\"",
        escape(&message.to_string()),
        escape(&json!(message_origins(settings)).to_string())
    );
    document(title, body, &attributes, &format!("<script>{SCRIPT}</script>"))
}

fn document(title: &str, body: &str, attributes: &str, script: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body{attributes}>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n{script}\n</body>\n</html>\n"
    );
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    protect(headers);
    response
}

/// What every answer of a callback carries, a page or not (RFC 9700 sections 4.2.4 and 4.16).
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
