//! Destinations and paths, friendly and hostile.

use proptest::prelude::*;

use super::*;

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

fn lookup(name: &str) -> Option<Cow<'static, str>> {
    Some(match name {
        "access_token" => "s3cret/token".into(),
        "sub" => "acme".into(),
        "instance_url" => "https://eu1.example".into(),
        "loopback" => "127.0.0.1".into(),
        "dots" => "..".into(),
        "newline" => "a\nb".into(),
        _ => return None,
    })
}

fn api(base_url: &str) -> Api {
    Api { base_url: template(base_url), headers: Vec::new(), query: Vec::new(), auth: TokenPlace::bearer(), rate: None }
}

fn in_query(name: &str) -> TokenPlace {
    TokenPlace::Query { name: name.into(), format: template("{access_token}") }
}

fn ready(api: &Api) -> Ready {
    Ready::prepare(api, lookup, true).expect("ready")
}

#[test]
fn destinations() {
    fn check(base_url: &str, key: &str, host: &str, port: u16) {
        let ready = ready(&api(base_url));
        let destination = ready.destination();
        assert_eq!((destination.key(), destination.host(), destination.port()), (key, host, port), "{base_url}");
    }
    check("https://api.example", "https://api.example", "api.example", 443);
    check("HTTPS://API.Example:443/v1/", "https://api.example", "api.example", 443);
    check("https://api.example:8443", "https://api.example:8443", "api.example", 8443);
    check("https://{sub}.example/v1", "https://acme.example", "acme.example", 443);
    check("{instance_url}/services", "https://eu1.example", "eu1.example", 443);
    check("http://localhost:9", "http://localhost:9 (trusted as written)", "localhost", 9);
    check("http://127.0.0.1:9/{sub}", "http://127.0.0.1:9 (trusted as written)", "127.0.0.1", 9);
    check("http://[::1]:9", "http://[::1]:9 (trusted as written)", "::1", 9);
    // A value never brings trust with it, and neither does a name that only looks local.
    check("http://{loopback}:9", "http://127.0.0.1:9", "127.0.0.1", 9);
    check("http://{loopback}", "http://127.0.0.1", "127.0.0.1", 80);
    check("http://localhost.example", "http://localhost.example", "localhost.example", 80);
}

#[test]
fn a_discovered_file_is_not_trusted_as_written() {
    let ready = Ready::prepare(&api("http://127.0.0.1:9"), lookup, false).expect("ready");
    assert!(!ready.destination().is_trusted_as_written());
}

#[test]
fn unusable_base_urls() {
    fn check(base_url: &str, expected: ReadyError) {
        assert_eq!(Ready::prepare(&api(base_url), lookup, true).err(), Some(expected), "{base_url}");
    }
    check("api.example", ReadyError::Scheme);
    check("ftp://api.example", ReadyError::Scheme);
    check("file:///etc", ReadyError::Scheme);
    check("https://user@api.example", ReadyError::UserInfo);
    check("https://user:pass@api.example", ReadyError::UserInfo);
    check("https://", ReadyError::Host);
    check("https:///path", ReadyError::Host);
    check("https://api..example", ReadyError::Host);
    check("https://api example", ReadyError::Host);
    check("https://api.example:0", ReadyError::Host);
    check("https://api.example:port", ReadyError::Host);
    for odd in ["127.1", "2852039166", "0xa9fea9fe", "169.254.169.0xfe", "0177.0.0.1."] {
        check(&format!("https://{odd}/"), ReadyError::Host);
    }
    check("https://[::1", ReadyError::Host);
    check("https://[v1.x]", ReadyError::Host);
    check("https://b\u{fc}cher.example", ReadyError::Host);
    check("https://api.example/a?b", ReadyError::Path);
    check("https://api.example/a#b", ReadyError::Path);
    check("https://api.example\\@evil.example", ReadyError::Path);
    check("https://api.example/{dots}/x", ReadyError::Path);
    check("https://{absent}.example", ReadyError::MissingValue("base_url"));
}

#[test]
fn values_that_no_header_carries() {
    let mut api = api("https://api.example");
    api.headers.push((HeaderName::from_static("x-team"), template("{newline}")));
    assert_eq!(Ready::prepare(&api, lookup, true).err(), Some(ReadyError::Header(HeaderName::from_static("x-team"))));
    api.headers.clear();
    api.auth = TokenPlace::Header { name: http::header::AUTHORIZATION, format: template("Bearer {newline}") };
    assert_eq!(Ready::prepare(&api, lookup, true).err(), Some(ReadyError::Token));
}

#[test]
fn paths() {
    fn check(base_url: &str, sent: &str, expected: &str) {
        let target = Target::parse(sent, "").expect("a target").expect("a call");
        assert_eq!(ready(&api(base_url)).uri(&target).expect("a URI").to_string(), expected, "{sent}");
    }
    check("https://api.example", "/proxy/x/v1/me?a=b", "https://api.example/v1/me?a=b");
    check("https://api.example", "/proxy/x", "https://api.example/");
    check("https://api.example", "/proxy/x?a", "https://api.example/?a");
    check("https://api.example/v3", "/proxy/x", "https://api.example/v3");
    check("https://api.example/v3/", "/proxy/x/", "https://api.example/v3/");
    check("https://api.example/v3", "/proxy/x/@evil.example", "https://api.example/v3/@evil.example");
    check("https://api.example", "/proxy/x/a%2Fb/c:d//e", "https://api.example/a%2Fb/c:d//e");
}

#[test]
fn queries() {
    fn check(token_in_query: bool, sent: &str, expected: &str) {
        let mut api = api("https://api.example");
        api.query.push(("api-version".into(), template("7 1")));
        if token_in_query {
            api.auth = in_query("access_token");
        }
        let text = format!("/proxy/x/a{sent}");
        let target = Target::parse(&text, "").expect("a target").expect("a call");
        let sent_on = ready(&api).path_and_query(&target).expect("a path");
        assert_eq!(sent_on.query().unwrap_or(""), expected, "{sent}");
    }
    check(false, "", "api-version=7%201");
    check(false, "?a=b", "a=b&api-version=7%201");
    check(false, "?api-version=6", "api-version=6");
    check(false, "?api%2Dversion=6", "api%2Dversion=6");
    check(true, "", "api-version=7%201&access_token=s3cret%2Ftoken");
    check(true, "?a=%20+&b", "a=%20+&b&api-version=7%201&access_token=s3cret%2Ftoken");
    check(true, "?access_token=kf_own&a=1&acces%73_token=own", "a=1&api-version=7%201&access_token=s3cret%2Ftoken");
}

#[test]
fn nothing_shows_the_token() {
    let mut api = api("https://api.example");
    assert!(!format!("{:?}", ready(&api)).contains("s3cret"));
    api.auth = in_query("access_token");
    assert!(!format!("{:?}", ready(&api)).contains("s3cret"));
}

proptest! {
    #[test]
    fn the_authority_is_fixed_and_the_path_begins_with_the_base(sent in "/proxy/x[!-~]{0,60}") {
        let Ok(Some(target)) = Target::parse(&sent, "") else { return Ok(()) };
        let ready = ready(&api("https://api.example/base"));
        let Ok(uri) = ready.uri(&target) else { return Ok(()) };
        prop_assert_eq!(uri.authority().map(Authority::as_str), Some("api.example"));
        prop_assert_eq!(uri.scheme_str(), Some("https"));
        let expected = format!("/base{}", target.path);
        prop_assert_eq!(uri.path(), &expected[..]);
        prop_assert_eq!(uri.query(), target.query);
    }
}
