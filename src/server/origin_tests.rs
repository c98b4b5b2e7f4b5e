//! Hosts, origins and return addresses, friendly and hostile.

use std::time::Duration;

use http::Request;

use super::*;
use crate::model::{Allowed, CallerName, CallerScope};
use crate::server::{App, Caller, KeyHash, Limits};

fn settings(open: bool) -> Settings {
    let scope =
        CallerScope { orgs: Allowed::Any, users: Allowed::Any, integrations: Allowed::Any, methods: Allowed::Any };
    let name = CallerName::parse("backend").expect("a name");
    let caller = Caller { name, key_hash: KeyHash([0; 32]), scope };
    Settings {
        listen: ([127, 0, 0, 1], 8080).into(),
        public_url: "http://localhost:8080".parse().expect("a URL"),
        admin_listen: None,
        allowed_origins: vec!["http://localhost:3000".into(), "https://app.example".into()],
        allowed_hosts: vec!["keyferry".into(), "sidecar:9000".into()],
        trusted_proxies: vec![],
        base_path: String::new(),
        admin_key_hash: None,
        drain: Duration::ZERO,
        drain_delay: Duration::ZERO,
        tls: None,
        limits: Limits::default(),
        callers: if open { vec![] } else { vec![caller] },
        app: App::default(),
    }
}

fn head(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[test]
fn hosts_of_the_open_mode() {
    fn check(uri: &str, headers: &[(&str, &str)], expected: Result<(), Misdirected>) {
        assert_eq!(check_host(&head(uri, headers), &settings(true)), expected, "{uri} {headers:?}");
    }
    for host in [
        "localhost",
        "localhost:8080",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:80",
        "a.localhost",
        "keyferry",
        "KEYFERRY:1",
        "sidecar:9000",
    ] {
        check("/", &[("host", host)], Ok(()));
    }
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "sidecar:9001", "user@localhost", "localhostx"] {
        check("/", &[("host", host)], Err(Misdirected::WrongHost));
    }
    check("/", &[], Err(Misdirected::NoHost));
    check("/", &[("host", "localhost"), ("host", "evil.example")], Err(Misdirected::NoHost));
    check("http://localhost:8080/x", &[("host", "localhost:8080")], Ok(()));
    check("http://evil.example/x", &[("host", "localhost:8080")], Err(Misdirected::WrongHost));
    for forwarding in ["x-forwarded-for", "X-Forwarded-Host", "x_forwarded_for", "forwarded", "x-real-ip"] {
        check("/", &[("host", "localhost"), (forwarding, "1.2.3.4")], Err(Misdirected::Forwarded));
    }
}

#[test]
fn with_callers_the_key_decides() {
    let closed = settings(false);
    assert_eq!(check_host(&head("/", &[("host", "anything.example"), ("x-forwarded-for", "1")]), &closed), Ok(()));
    assert_eq!(
        check_host(&head("http://anything.example/", &[("host", "anything.example")]), &closed),
        Err(Misdirected::WrongHost)
    );
}

#[test]
fn hosts_of_the_admin_listener() {
    fn check(admin_listen: &str, request: request::Builder, expected: Result<(), Misdirected>) {
        let settings = Settings { admin_listen: Some(admin_listen.parse().expect("an address")), ..settings(false) };
        let (head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(check_admin_host(&head, &settings), expected, "{admin_listen} {head:?}");
    }
    let of = |host: &str| Request::builder().header("host", host);
    for loopback in ["127.0.0.1:8081", "[::1]:8081", "[::ffff:127.0.0.1]:8081"] {
        for host in ["localhost:8081", "127.0.0.1:8081", "[::1]", "keyferry:8081"] {
            check(loopback, of(host), Ok(()));
        }
        check(loopback, of("localhost").header("x-forwarded-for", "192.0.2.1"), Ok(()));
        for host in ["evil.example", "evil.example:8081", "10.0.0.7", ""] {
            check(loopback, of(host), Err(Misdirected::WrongHost));
        }
        let of_http_2 = |uri| Request::builder().uri(uri).version(Version::HTTP_2);
        check(loopback, of_http_2("http://localhost:8081/metrics"), Ok(()));
        check(loopback, of_http_2("http://evil.example/metrics"), Err(Misdirected::WrongHost));
        check(loopback, of("localhost").header("host", "localhost"), Err(Misdirected::NoHost));
        check(loopback, Request::builder(), Err(Misdirected::NoHost));
        check(loopback, Request::builder().version(Version::HTTP_10), Ok(()));
    }
    for elsewhere in ["0.0.0.0:8081", "[::]:8081", "10.0.0.7:8081"] {
        check(elsewhere, of("10.0.0.7:8081"), Ok(()));
        check(elsewhere, of("keyferry.monitoring.svc"), Ok(()));
        check(elsewhere, Request::builder(), Ok(()));
    }
}

#[test]
fn crossings() {
    fn check(headers: &[(&str, &str)], expected: Crossing) {
        assert_eq!(crossing(&head("/", headers).headers, &settings(true)), expected, "{headers:?}");
    }
    check(&[], Crossing::Same);
    check(&[("origin", "http://localhost:8080")], Crossing::Same);
    check(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], Crossing::Same);
    check(&[("origin", "http://evil.example:8080"), ("host", "evil.example:8080")], Crossing::Foreign);
    check(&[("origin", "https://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], Crossing::Foreign);
    check(&[("origin", "ftp://localhost:8080"), ("host", "localhost:8080")], Crossing::Foreign);
    check(&[("origin", "http://localhost:8080"), ("sec-fetch-site", "cross-site")], Crossing::Foreign);
    check(&[("origin", "http://localhost:3000")], Crossing::Allowed);
    check(&[("origin", "http://localhost:3001")], Crossing::Foreign);
    check(&[("origin", "https://app.example.evil.example")], Crossing::Foreign);
    check(&[("origin", "null")], Crossing::Foreign);
    check(&[("sec-fetch-site", "same-origin")], Crossing::Same);
    check(&[("sec-fetch-site", "none")], Crossing::Same);
    check(&[("sec-fetch-site", "cross-site")], Crossing::Foreign);
    check(&[("sec-fetch-site", "same-site")], Crossing::Foreign);
    check(&[("sec-fetch-site", "same-site"), ("referer", "http://localhost:3000/page")], Crossing::Allowed);
    check(&[("sec-fetch-site", "cross-site"), ("referer", "http://evil.example/")], Crossing::Foreign);
}

#[test]
fn return_addresses() {
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(return_to(text, &settings(true)).as_deref(), expected, "{text:?}");
    }
    check("/done?x=1", Some("http://localhost:8080/done?x=1"));
    check("http://localhost:3000/a", Some("http://localhost:3000/a"));
    check("https://app.example", Some("https://app.example/"));
    for hostile in [
        "",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/%09/../\\evil",
        "https://app.example@evil.example/",
        "https://app.example.evil.example/",
        "https://app.example:444/",
        "http://app.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "\\\\evil.example",
        " //evil.example",
        "https:evil.example",
        "///evil.example",
        "http:///evil.example",
        "https://user@app.example/",
        "/\u{0}",
        "ftp://app.example/",
        "blob:https://app.example/x",
        "/..//evil.example",
        "/.//evil.example",
        "/%2e//evil.example",
    ] {
        check(hostile, None);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_leaves_the_allowed_origins(text in ".*") {
        if let Some(place) = return_to(&text, &settings(true)) {
            let origin = url::Url::parse(&place).expect("a URL").origin().ascii_serialization();
            proptest::prop_assert!(["http://localhost:8080", "http://localhost:3000", "https://app.example"].contains(&origin.as_str()));
        }
    }
}
