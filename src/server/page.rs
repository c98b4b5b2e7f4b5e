//! What a person sees in a browser: the connect page with its files, and the end of an authorization.

mod asset;
mod callback;

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};
use serde_json::json;
use url::Url;

pub(crate) use asset::Asset;
pub(crate) use callback::{Message, again, failed, finished, protect};

use self::asset::Content;
use super::Settings;
use super::body::Body;

const SHELL: &str = include_str!("page/page.html");

/// Its own files and nothing else; no text that comes from anywhere becomes HTML or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// True when the client asks for HTML, as every browser does when it navigates.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let accepts = |field: &HeaderValue| field.to_str().is_ok_and(|field| field.contains("text/html"));
    headers.get_all(ACCEPT).iter().any(accepts)
}

/// The connect page without anybody's data, which its script asks for. The same for everybody, so nobody has to prove
/// anything for it.
pub(crate) fn shell(headers: &HeaderMap, public_base: &str, settings: &Settings) -> Response<Body> {
    let path = Url::parse(public_base).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    // Where people log in, when we stand in front of it.
    let application = settings.app.upstream.as_ref().map_or("", |_| " data-application=\"/\"");
    let login = settings.app.identity.as_ref().map_or("", |_| " data-login");
    let html = SHELL
        .replace("{application}", application)
        .replace("{login}", login)
        // Whose pages may hand a session over. Our own origin is not among them: links there may be anybody's.
        .replace("{origins}", &escape(&json!(settings.allowed_origins).to_string()))
        .replace("{path}", &escape(&path));
    let mut response = Content::new(html.into_bytes()).answer("text/html; charset=utf-8", headers);
    let fields = response.headers_mut();
    // The list for programs stands at the same address.
    fields.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // The popup keeps its opener, and nobody who opened the page keeps hold of it.
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    fields.insert(opener, HeaderValue::from_static("same-origin-allow-popups"));
    response
}

/// What all that is static carries: browsers keep it, and ask each time whether it has changed.
fn keep(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("<a href='x' b=\"&\">"), "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;");
    }
}
