//! The small HTTP server under the demo's provider and sample application: loopback only, bounded requests, headers
//! that keep a page to itself. Keyferry's own server is not used: the demo stands for somebody else's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::authority::Fields;

/// Largest request body in bytes.
const LARGEST_BODY: usize = 16 * 1024;

/// What a site answers.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request with its body read.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Fields,
    pub(super) authorization: Option<String>,
    pub(super) body: Bytes,
}

/// Something that answers requests.
pub(super) trait Site: Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, asked: Asked) -> impl Future<Output = Answer> + Send;
}

/// Binds a free port on loopback.
pub(super) async fn bind() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves for as long as the process lives.
pub(super) fn run(listener: TcpListener, site: impl Site) {
    let site = Arc::new(site);
    tokio::spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely; trying again at once would only heat the machine.
                    tracing::warn!(%error, "the demo cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let service = service_fn(|request| respond(&*site, request));
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
                if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "a connection to the demo ended early");
                }
            });
        }
    });
}

async fn respond(site: &impl Site, request: Request<Incoming>) -> Result<Answer, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    // A name that somebody points at this machine must not let his pages read it (DNS rebinding).
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return Ok(text(StatusCode::MISDIRECTED_REQUEST, "The demo answers to 127.0.0.1 and localhost only.\n"));
    }
    // Forms are for the demo's own pages.
    let from = head.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if head.method == Method::POST && from.is_some_and(|from| from != b"same-origin") {
        return Ok(text(StatusCode::FORBIDDEN, "Another page may not send this form.\n"));
    }
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "The demo reads bodies of at most 16 KiB.\n"));
    };
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let mut answer = site
        .answer(Asked {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: Fields::parse(head.uri.query().unwrap_or_default().as_bytes()),
            authorization: authorization.map(str::to_owned),
            body: body.to_bytes(),
        })
        .await;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::SERVER, HeaderValue::from_static("keyferry-demo"));
    Ok(answer)
}

/// A page. Its forms may lead to this machine only: a browser holds every redirect after a form to that.
pub(super) fn page(status: StatusCode, html: String) -> Answer {
    const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                          form-action 'self' http://localhost:* http://127.0.0.1:*";
    let mut answer = with_type(status, "text/html; charset=utf-8", html);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}

/// The style sheet of all pages.
pub(super) fn style() -> Answer {
    with_type(StatusCode::OK, "text/css; charset=utf-8", include_str!("style.css"))
}

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    with_type(status, "application/json", value.to_string())
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text)
}

/// Sends the browser elsewhere, with GET.
pub(super) fn see_other(location: &str) -> Answer {
    let mut answer = with_type(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    match HeaderValue::from_str(location) {
        Ok(location) => {
            answer.headers_mut().insert(header::LOCATION, location);
            answer
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "There is no such place.\n"),
    }
}

/// Puts values into a page's `{{name}}` places, escaped for HTML text and quoted attributes.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |html, (name, value)| {
        html.replace(&format!("{{{{{name}}}}}"), &escape(value).replace("{{", "&#123;&#123;"))
    })
}

/// Text that is only text in HTML.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_text() {
        fn check(template: &str, value: &str, expected: &str) {
            assert_eq!(fill(template, &[("a", value), ("b", "B")]), expected, "{value}");
        }
        check("<i title=\"{{a}}\">", "\"><script>", "<i title=\"&quot;&gt;&lt;script&gt;\">");
        check("{{a}}{{b}}", "{{b}}", "&#123;&#123;b}}B");
        check("{{a}} {{c}}", "it's & more", "it&#39;s &amp; more {{c}}");
    }
}
