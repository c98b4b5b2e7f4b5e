//! Which header fields travel between a browser and the application behind us. Its requests and answers are its own:
//! what belongs to a hop is taken away, what is Keyferry's is kept from it, and where a request came from is said by us
//! and not by whoever sends it.

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::{LoopDetected, Via, is_hop_by_hop, matches_loosely, names_token, nominated, note, remove_all};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the cookies of Keyferry's own flows begin with; the second is what they are called on https.
const OUR_COOKIES: [&[u8]; 2] = [b"keyferry-", b"__Host-keyferry-"];

/// How a request came to us.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The address at the other end of its connection.
    pub peer: IpAddr,
    /// Whether that is a proxy whose word on where a request came from is believed (`server.trusted_proxies`).
    pub is_trusted: bool,
    /// Whether it came by TLS of our own.
    pub is_tls: bool,
    /// Its HTTP version.
    pub version: Version,
}

/// Turns a browser's fields into what the application gets, in place. `Host` stays as it was sent, and `Cookie` becomes
/// one field where HTTP/2 sent several.
///
/// `X-Forwarded-For`, `-Proto` and `-Host` are set: appended to and kept where a trusted proxy sent them, otherwise
/// ours alone. With `upgrade` the `Upgrade` field stays (RFC 9110 section 7.8).
pub fn to_application(headers: &mut HeaderMap, arrival: Arrival, via: &Via, upgrade: bool) -> Result<(), LoopDetected> {
    let mut removed = Vec::with_capacity(8);
    let mut takes_trailers = false;
    for (name, value) in headers.iter() {
        if name == CONNECTION {
            nominated(value, &mut removed);
        } else if name == TE {
            takes_trailers |= names_token(value, "trailers");
        } else if name == VIA && via.is_in(value) {
            return Err(LoopDetected);
        }
    }
    // No hop may take away what says who is asking, and from where.
    removed.retain(|name| *name != HOST && *name != COOKIE && !is_forwarding(name.as_str()));
    for name in headers.keys() {
        let is_spoofed = match arrival.is_trusted {
            true => name.as_str().contains('_') && matches_loosely(name, is_forwarding),
            false => matches_loosely(name, is_forwarding),
        };
        if is_spoofed || (matches_loosely(name, is_kept_from_the_application) && !(upgrade && name == UPGRADE)) {
            note(&mut removed, name);
        }
    }
    remove_all(headers, &removed, upgrade);
    if arrival.version >= Version::HTTP_2 {
        join_cookies(headers);
    }
    remove_our_cookies(headers);

    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    headers.append(VIA, via.field(arrival.version));
    say_where_it_came_from(headers, arrival);
    Ok(())
}

/// Turns the application's fields into the browser's, in place: all of them pass but for what belongs to a hop, and
/// for names by which Keyferry's own answers are known.
pub fn from_application(headers: &mut HeaderMap, upgrade: bool) {
    let mut removed = Vec::with_capacity(8);
    for (name, value) in headers.iter() {
        if name == CONNECTION {
            nominated(value, &mut removed);
        } else if (is_hop_by_hop(name.as_str()) || name.as_str().starts_with("keyferry-"))
            && !(upgrade && name == UPGRADE)
        {
            note(&mut removed, name);
        }
    }
    if removed.contains(&TRANSFER_ENCODING) {
        // The chunks were the length (RFC 9112 section 6.3); a number beside them must not be passed on.
        removed.push(CONTENT_LENGTH);
    }
    remove_all(headers, &removed, upgrade);
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// The fields of a question about the person behind a request: the browser's cookies and `Authorization`, where it came
/// from, and nothing else of it.
pub fn about_the_person(headers: &HeaderMap, arrival: Arrival, via: &Via) -> Result<HeaderMap, LoopDetected> {
    let is_asked_with =
        |name: &str| matches!(name, "authorization" | "cookie" | "host" | "via" | "connection") || is_forwarding(name);
    let mut asked: HeaderMap = headers
        .iter()
        .filter(|(name, _)| is_asked_with(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    to_application(&mut asked, arrival, via, false)?;
    asked.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    Ok(asked)
}

fn is_kept_from_the_application(name: &str) -> bool {
    is_hop_by_hop(name) || matches!(name, "expect" | "proxy") || name.starts_with("keyferry-")
}

fn is_forwarding(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
}

fn say_where_it_came_from(headers: &mut HeaderMap, arrival: Arrival) {
    let peer = arrival.peer.to_canonical();
    let chain = appended(headers, &FORWARDED_FOR, &peer.to_string());
    headers.insert(FORWARDED_FOR, chain);
    if headers.contains_key(FORWARDED) {
        // Only a trusted one is still there (RFC 7239 section 4).
        let node = if peer.is_ipv6() { format!("for=\"[{peer}]\"") } else { format!("for={peer}") };
        let chain = appended(headers, &FORWARDED, &node);
        headers.insert(FORWARDED, chain);
    }
    let scheme = HeaderValue::from_static(if arrival.is_tls { "https" } else { "http" });
    headers.entry(FORWARDED_PROTO).or_insert(scheme);
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// All lines of a list field as one, with a last member.
fn appended(headers: &HeaderMap, name: &HeaderName, member: &str) -> HeaderValue {
    let mut chain = Vec::new();
    for line in headers.get_all(name) {
        chain.extend_from_slice(line.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(member.as_bytes());
    HeaderValue::from_bytes(&chain).expect("lines of a field and an address make a field")
}

/// HTTP/2 may send each cookie in a field of its own, and HTTP/1.1 has one field for all (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let line = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("fields side by side make a field");
        headers.insert(COOKIE, line);
    }
}

/// The application's cookies stay byte for byte.
fn remove_our_cookies(headers: &mut HeaderMap) {
    let is_ours = |pair: &[u8]| OUR_COOKIES.iter().any(|prefix| pair.trim_ascii_start().starts_with(prefix));
    let pairs = |line: &HeaderValue| line.as_bytes().split(|&byte| byte == b';').any(is_ours);
    if !headers.get_all(COOKIE).iter().any(pairs) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = line.as_bytes().split(|&byte| byte == b';').filter(|pair| !is_ours(pair)).collect();
        let kept = kept.join(&b';');
        if !kept.trim_ascii().is_empty() {
            let line = HeaderValue::from_bytes(kept.trim_ascii_start()).expect("a part of a field is one");
            headers.append(COOKIE, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        fields.iter().map(field).collect()
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        lines.sort();
        lines
    }

    fn arrival(is_trusted: bool) -> Arrival {
        let peer = "::ffff:192.0.2.7".parse().expect("an address");
        Arrival { peer, is_trusted, is_tls: false, version: Version::HTTP_11 }
    }

    #[test]
    fn what_the_application_gets() {
        fn check(is_trusted: bool, sent: &[(&str, &str)], expected: &[&str]) {
            let mut headers = map(sent);
            to_application(&mut headers, arrival(is_trusted), &Via::new("test"), false).expect("no loop");
            let ours = ["via: 1.1 keyferry-test"];
            let mut expected: Vec<&str> = expected.iter().chain(&ours).copied().collect();
            expected.sort_unstable();
            assert_eq!(lines(&headers), expected, "{sent:?}");
        }
        const NEW: [&str; 2] = ["x-forwarded-for: 192.0.2.7", "x-forwarded-proto: http"];
        let with = |more: &[&'static str]| NEW.iter().chain(more).copied().collect::<Vec<_>>();
        check(
            false,
            &[("host", "app.test"), ("authorization", "Basic a"), ("origin", "http://a"), ("referer", "http://a/")],
            &with(&[
                "host: app.test",
                "x-forwarded-host: app.test",
                "authorization: Basic a",
                "origin: http://a",
                "referer: http://a/",
            ]),
        );
        let spoofed = [
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/a"),
            ("x_forwarded_for", "10.0.0.3"),
            ("x-real-ip", "10.0.0.4"),
            ("forwarded", "for=10.0.0.5"),
        ];
        check(false, &spoofed, &NEW);
        check(
            true,
            &spoofed,
            &[
                "x-forwarded-for: 10.0.0.1, 10.0.0.2, 192.0.2.7",
                "x-forwarded-proto: https",
                "x-forwarded-prefix: /a",
                "x-real-ip: 10.0.0.4",
                "forwarded: for=10.0.0.5, for=192.0.2.7",
            ],
        );
        check(
            false,
            &[
                ("connection", "x-a, cookie, host, close"),
                ("x-a", "b"),
                ("host", "a"),
                ("cookie", "c=d"),
                ("te", "trailers, gzip"),
                ("keep-alive", "a"),
                ("upgrade", "websocket"),
                ("keyferry-user", "eve"),
                ("keyferry_org", "eve"),
                ("proxy", "a"),
                ("expect", "100-continue"),
            ],
            &with(&["host: a", "x-forwarded-host: a", "cookie: c=d", "te: trailers"]),
        );
    }

    #[test]
    fn the_cookies_of_http_2_become_one_field() {
        fn check(version: Version, sent: &[&str], expected: &[&str]) {
            let mut headers = map(&sent.iter().map(|line| ("cookie", *line)).collect::<Vec<_>>());
            let arrival = Arrival { version, ..arrival(false) };
            to_application(&mut headers, arrival, &Via::new("test"), false).expect("no loop");
            let kept: Vec<&str> = headers.get_all(COOKIE).iter().map(|line| line.to_str().expect("text")).collect();
            assert_eq!(kept, expected, "{version:?} {sent:?}");
        }
        check(Version::HTTP_2, &["a=b", "c=\"d e\"", "f=g"], &["a=b; c=\"d e\"; f=g"]);
        check(Version::HTTP_2, &["a=b", "__Host-keyferry-0=c; d=e", "keyferry-1=f"], &["a=b; d=e"]);
        check(Version::HTTP_2, &["keyferry-0=a", "keyferry-1=b"], &[]);
        check(Version::HTTP_2, &["a=b;c=d"], &["a=b;c=d"]);
        check(Version::HTTP_11, &["a=b", "c=d"], &["a=b", "c=d"]);
    }

    #[test]
    fn cookies_of_ours_stay_here() {
        fn check(sent: &[&str], expected: &[&str]) {
            let mut headers = map(&sent.iter().map(|line| ("cookie", *line)).collect::<Vec<_>>());
            remove_our_cookies(&mut headers);
            let kept: Vec<&str> = headers.get_all(COOKIE).iter().map(|line| line.to_str().expect("text")).collect();
            assert_eq!(kept, expected, "{sent:?}");
        }
        check(&["a=b;c=d;  e=\"f g\" ;"], &["a=b;c=d;  e=\"f g\" ;"]);
        check(&["keyferry-0a=b"], &[]);
        check(&["keyferry-0a=b; c=d"], &["c=d"]);
        check(&["a=b; __Host-keyferry-0a=b; c=d"], &["a=b; c=d"]);
        check(&["a=keyferry-x; my-keyferry-b=c"], &["a=keyferry-x; my-keyferry-b=c"]);
        check(&["a=b", " keyferry-0=c ", "d=e"], &["a=b", "d=e"]);
    }

    #[test]
    fn what_the_browser_gets() {
        let mut headers = map(&[
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("strict-transport-security", "max-age=1"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "a"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("keyferry-error", "forged"),
            ("via", "1.1 other"),
        ]);
        from_application(&mut headers, false);
        let expected = ["set-cookie: a=b", "set-cookie: c=d", "strict-transport-security: max-age=1", "via: 1.1 other"];
        assert_eq!(lines(&headers), expected);
    }

    #[test]
    fn a_question_about_the_person_says_no_more() {
        let sent = map(&[
            ("cookie", "sid=a; keyferry-0=b"),
            ("authorization", "Bearer x"),
            ("host", "app.test"),
            ("user-agent", "browser"),
            ("content-length", "100"),
            ("connection", "authorization"),
        ]);
        let asked = about_the_person(&sent, arrival(false), &Via::new("test")).expect("no loop");
        let names: Vec<&str> = asked.keys().map(HeaderName::as_str).collect();
        assert_eq!(asked[COOKIE], "sid=a");
        assert!(!names.contains(&"user-agent") && !names.contains(&"content-length"), "{names:?}");
        assert_eq!(asked["x-forwarded-host"], "app.test");
        let mut again = asked;
        let back = to_application(&mut again, arrival(false), &Via::new("test"), false);
        assert_eq!(back, Err(LoopDetected));
    }
}
