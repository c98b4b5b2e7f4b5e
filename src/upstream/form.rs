//! The form of a request on its way out: target, `Host` and framing as HTTP/1.1 and HTTP/2 want them.

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri, Version};
use http_body::Body as _;

use super::request::RequestBody;
use crate::route::Destination;

/// The origin form and `Host` of RFC 9112 section 3.2.
pub(super) fn for_http1(request: &mut Request<RequestBody>, destination: &Destination) {
    if request.uri().authority().is_some() {
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
    }
    *request.version_mut() = Version::HTTP_11;
    if !(destination.is_application() && request.headers().contains_key(HOST)) {
        request.headers_mut().insert(HOST, destination.host_header().clone());
    }
    let has_rare_body = matches!(*request.method(), Method::GET | Method::HEAD);
    if has_rare_body && !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // hyper takes these two for bodiless unless told otherwise.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// `:scheme` and `:authority` of RFC 9113 section 8.3.1 are taken from a whole URI.
pub(super) fn for_http2(request: &mut Request<RequestBody>, destination: &Destination) {
    if request.uri().authority().is_none() {
        let path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = destination.uri(path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    }
    *request.version_mut() = Version::HTTP_2;
    if let Some(host) = request.headers_mut().remove(HOST)
        && destination.is_application()
    {
        *request.uri_mut() = for_host(request.uri(), &host);
    }
    request.headers_mut().remove(TRANSFER_ENCODING);
}

/// The same place under the host that was asked for; unchanged where that is none.
fn for_host(uri: &Uri, host: &HeaderValue) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.authority = host.as_bytes().try_into().ok().or(parts.authority);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_asked_for_the_host_that_the_browser_asked_for() {
        fn check(url: &str, host: Option<&'static str>, http1: &'static str, http2: &str) {
            let destination = Destination::application(url).expect("a root");
            let request = || {
                let mut request = Request::new(RequestBody::empty());
                *request.uri_mut() = Uri::from_static("/a?b");
                request.headers_mut().extend(host.map(|host| (HOST, HeaderValue::from_static(host))));
                request
            };
            let (mut one, mut two) = (request(), request());
            for_http1(&mut one, &destination);
            assert_eq!(
                (&one.headers()[HOST], one.uri()),
                (&HeaderValue::from_static(http1), &Uri::from_static("/a?b"))
            );
            for_http2(&mut two, &destination);
            assert_eq!((two.uri().to_string().as_str(), two.headers().get(HOST)), (http2, None), "{host:?}");
        }
        const APP: &str = "https://app.internal:8443";
        check(APP, Some("shop.example"), "shop.example", "https://shop.example/a?b");
        check(APP, Some("shop.example:1"), "shop.example:1", "https://shop.example:1/a?b");
        check(APP, Some("[::1]:1"), "[::1]:1", "https://[::1]:1/a?b");
        check(APP, Some("a b"), "a b", "https://app.internal:8443/a?b");
        check(APP, None, "app.internal:8443", "https://app.internal:8443/a?b");
    }
}
