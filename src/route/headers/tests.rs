//! What travels and what does not.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::mapping::Template;
use crate::route::{Api, TokenPlace};

fn ready() -> Ready {
    ready_with(TokenPlace::bearer())
}

fn ready_with(auth: TokenPlace) -> Ready {
    let template = |text| Template::parse(text).expect("a template");
    let headers = vec![(HeaderName::from_static("notion-version"), template("2026-03-11"))];
    let api = Api { base_url: template("https://api.example"), headers, query: Vec::new(), auth, rate: None };
    Ready::prepare(&api, |_| Some(Cow::Borrowed("t0ken")), true).expect("ready")
}

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    map
}

fn lines(map: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    lines.sort();
    lines
}

fn sent(given: &[(&str, &str)]) -> Vec<String> {
    let mut headers = fields(given);
    outbound(&mut headers, &ready(), &Via::new("a1"), Version::HTTP_11, false).expect("no loop");
    lines(&headers)
}

const ADDED: [&str; 3] = ["authorization: Bearer t0ken", "notion-version: 2026-03-11", "via: 1.1 keyferry-a1"];

#[test]
fn what_the_provider_gets() {
    fn check(given: &[(&str, &str)], expected: &[&str]) {
        let mut expected: Vec<_> = ADDED.iter().chain(expected).map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(sent(given), expected, "{given:?}");
    }
    check(&[], &[]);
    check(&[("accept", "*/*"), ("user-agent", "x/1")], &["accept: */*", "user-agent: x/1"]);
    // Whatever the caller proves itself with stays here.
    check(&[("authorization", "Bearer kf_1"), ("authorization", "token 2"), ("cookie", "a=b"), ("cookie", "c=d")], &[]);
    check(&[("authorization_", "x"), ("x_y", "1")], &["authorization_: x", "x_y: 1"]);
    check(&[("keyferry-org", "a"), ("keyferry_user", "b"), ("origin", "https://a"), ("referer", "https://a/b")], &[]);
    check(
        &[("x-forwarded-for", "1"), ("x_forwarded_for", "2"), ("x-forwarded_proto", "3"), ("forwarded", "for=1")],
        &[],
    );
    check(&[("x-real-ip", "1"), ("x_real_ip", "2"), ("proxy", "http://evil"), ("proxy_authorization", "x")], &[]);
    check(&[("expect", "100-continue"), ("host", "other"), ("http2-settings", "A")], &[]);
    // Hop by hop.
    check(&[("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive")], &[]);
    check(&[("te", "gzip, trailers;q=1"), ("connection", "te")], &["te: trailers"]);
    check(&[("te", "gzip")], &[]);
    check(&[("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("connection", "upgrade")], &[]);
    check(&[("trailer", "grpc-status")], &["trailer: grpc-status"]);
    // Nominated fields go, however they are named, and nothing of ours goes with them.
    check(&[("connection", ", x-a ,,X-B,"), ("connection", "x-c"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")], &[]);
    for injected in ["authorization", "Authorization", "notion-version", "via", "connection", "host, authorization"] {
        check(&[("connection", injected)], &[]);
    }
    check(&[("connection", "bad name, (x), =")], &[]);
}

#[test]
fn a_default_gives_way_to_the_caller() {
    let lines = sent(&[("notion-version", "2022-06-28")]);
    assert_eq!(lines, ["authorization: Bearer t0ken", "notion-version: 2022-06-28", "via: 1.1 keyferry-a1"]);
}

#[test]
fn a_token_in_a_header_of_its_own() {
    let format = Template::parse("{access_token}").expect("a template");
    let ready = ready_with(TokenPlace::Header { name: HeaderName::from_static("x-api-token"), format });
    let mut headers =
        fields(&[("x-api-token", "kf_1"), ("x_api_token", "kf_2"), ("x-api-token", "3"), ("authorization", "4")]);
    outbound(&mut headers, &ready, &Via::new("a1"), Version::HTTP_2, false).expect("no loop");
    assert_eq!(lines(&headers), ["notion-version: 2026-03-11", "via: 2 keyferry-a1", "x-api-token: t0ken"]);
    assert!(headers["x-api-token"].is_sensitive());
}

#[test]
fn a_request_that_comes_back() {
    fn check(via: &str, looped: bool) {
        let mut headers = fields(&[("via", via)]);
        let outcome = outbound(&mut headers, &ready(), &Via::new("a1"), Version::HTTP_11, false);
        assert_eq!(outcome.is_err(), looped, "{via}");
    }
    check("1.1 keyferry-a1", true);
    check("1.0 fred, 1.1 keyferry-a1 (comment)", true);
    check("2 x,1.1 keyferry-a1", true);
    check("1.1 keyferry-a12", false);
    check("1.1 keyferry-b7", false);
}

#[test]
fn other_hops_stay_in_via() {
    assert!(sent(&[("via", "1.0 fred")]).contains(&"via: 1.0 fred".to_owned()));
}

#[test]
fn an_upgrade_keeps_its_field() {
    let mut headers = fields(&[("connection", "Upgrade, x-a"), ("x-a", "1"), ("upgrade", "websocket")]);
    assert!(asks_for_upgrade(&headers));
    outbound(&mut headers, &ready(), &Via::new("a1"), Version::HTTP_11, true).expect("no loop");
    assert_eq!(headers[UPGRADE], "websocket");
    assert_eq!(headers[CONNECTION], "upgrade");
    assert!(!headers.contains_key("x-a"));
}

#[test]
fn asking_for_an_upgrade() {
    fn check(given: &[(&str, &str)], expected: bool) {
        assert_eq!(asks_for_upgrade(&fields(given)), expected, "{given:?}");
    }
    check(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")], true);
    check(&[("upgrade", "websocket")], false);
    check(&[("connection", "upgrade")], false);
    check(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")], false);
}

#[test]
fn what_the_caller_gets() {
    const ADDED: [&str; 2] =
        ["content-security-policy: sandbox; default-src 'none'", "x-content-type-options: nosniff"];
    fn check(given: &[(&str, &str)], expected: &[&str]) {
        let mut headers = fields(given);
        inbound(&mut headers, false);
        let mut expected: Vec<_> = ADDED.iter().chain(expected).map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(lines(&headers), expected, "{given:?}");
    }
    check(&[], &["cache-control: private"]);
    check(
        &[("content-type", "a/b"), ("link", "<x>; rel=next")],
        &["cache-control: private", "content-type: a/b", "link: <x>; rel=next"],
    );
    for name in [
        "set-cookie",
        "strict-transport-security",
        "alt-svc",
        "clear-site-data",
        "report-to",
        "nel",
        "reporting-endpoints",
        "public-key-pins",
        "service-worker-allowed",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "sourcemap",
        "x-sourcemap",
        "keyferry-error",
        "x-accel-redirect",
        "refresh",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "proxy-authenticate",
        "content-security-policy",
        "content-security-policy-report-only",
        "x-content-type-options",
    ] {
        check(&[(name, "x"), (name, "y")], &["cache-control: private"]);
    }
    check(&[("connection", "x-a"), ("x-a", "1"), ("connection", "close")], &["cache-control: private"]);
    check(&[("transfer-encoding", "chunked"), ("content-length", "5")], &["cache-control: private"]);
    check(&[("cache-control", "private, max-age=0")], &["cache-control: private, max-age=0"]);
    check(&[("cache-control", "public, max-age=60, s-maxage=600")], &["cache-control: private, max-age=60"]);
    check(&[("cache-control", "no-store")], &["cache-control: private, no-store"]);
    check(&[("cache-control", "Private"), ("cache-control", "public")], &["cache-control: private"]);
    check(&[("cache-control", "private=\"x\", no-cache")], &["cache-control: private, no-cache"]);
    check(&[("cache-control", "")], &["cache-control: private"]);
}

#[test]
fn what_trailers_may_hold() {
    fn check(direction: Direction, name: &str, passes: bool) {
        let mut map = fields(&[(name, "x"), ("grpc-status", "0")]);
        trailers(&mut map, direction);
        assert_eq!(map.contains_key(name), passes, "{direction:?} {name}");
        assert!(map.contains_key("grpc-status"));
    }
    for name in ["authorization", "set-cookie", "keyferry-error", "transfer-encoding", "content-length", "connection"] {
        check(Direction::Inbound, name, false);
    }
    for name in ["authorization", "cookie", "keyferry-org", "x-forwarded-for", "x_forwarded_for", "host", "te"] {
        check(Direction::Outbound, name, false);
    }
    check(Direction::Inbound, "grpc-message", true);
    check(Direction::Outbound, "x-checksum", true);
}

proptest! {
    #[test]
    fn one_token_and_nothing_of_the_caller_whatever_is_sent(
        given in proptest::collection::vec(
            (
                "(authorization|Authorization|connection|cookie|x[-_]forwarded[-_](for|host)|proxy|keyferry[-_]org|te|x-[a-z]{1,3})",
                "(authorization|notion-version|via|x-[a-z]{1,3}|[ -~]{0,20})(,(authorization|close|, *))?",
            ),
            0..12,
        ),
    ) {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut headers = fields(&given);
        if outbound(&mut headers, &ready(), &Via::new("a1"), Version::HTTP_11, false).is_ok() {
            let tokens: Vec<_> = headers.get_all("authorization").iter().collect();
            prop_assert_eq!(tokens, ["Bearer t0ken"]);
            prop_assert_eq!(headers.get_all("notion-version").iter().count(), 1);
            for name in headers.keys() {
                let name = name.as_str().replace('_', "-");
                prop_assert!(!name.starts_with("x-forwarded") && !name.starts_with("keyferry"), "{}", name);
                prop_assert!(!["cookie", "connection", "proxy"].contains(&&name[..]), "{}", name);
            }
        }
    }
}
