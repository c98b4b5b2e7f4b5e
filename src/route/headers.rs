//! Which header fields travel with a call, both ways. Order is what makes this safe: the `Connection` field is consumed
//! first, then everything that is the caller's or the hop's is removed, and only then defaults and the token go in, so
//! that nothing a caller sends can remove or double them. Bodies are no business of this module.

mod application;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, TE, TRANSFER_ENCODING, UPGRADE, VIA,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::Ready;
use super::ready::Token;

pub use application::{Arrival, about_the_person, from_application, to_application};

/// What we add to `Via` (RFC 9110 section 7.6.3), and how we know our own requests when they come back.
#[derive(Clone, Debug)]
pub struct Via {
    pseudonym: String,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// `instance` tells this process from every other: a few letters and digits drawn at start.
    pub fn new(instance: &str) -> Self {
        let pseudonym = format!("keyferry-{instance}");
        let field = |version: &str| {
            HeaderValue::try_from(format!("{version} {pseudonym}")).expect("an instance is letters and digits")
        };
        Self { http10: field("1.0"), http11: field("1.1"), http2: field("2"), pseudonym }
    }

    fn field(&self, received: Version) -> HeaderValue {
        match received {
            Version::HTTP_2 => self.http2.clone(),
            Version::HTTP_10 => self.http10.clone(),
            _ => self.http11.clone(),
        }
    }

    fn is_in(&self, value: &HeaderValue) -> bool {
        // A word of its own, so that one instance's name is never found inside another's.
        let mut words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b','));
        words.any(|word| word == self.pseudonym.as_bytes())
    }
}

/// A request that has been here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has come back to the sidecar that sent it; the provider's base_url leads to Keyferry itself")]
pub struct LoopDetected;

/// Turns the caller's fields into the provider's, in place. `received` is the HTTP version of the caller's request.
///
/// With `upgrade` the `Upgrade` field stays and `Connection: upgrade` is set, as RFC 9110 section 7.8 has it. `Host` is
/// left to whoever writes the request, because HTTP/2 has none.
pub fn outbound(
    headers: &mut HeaderMap,
    ready: &Ready,
    via: &Via,
    received: Version,
    upgrade: bool,
) -> Result<(), LoopDetected> {
    let token_name = match &ready.token {
        Token::Header(name, _) => name.as_str(),
        Token::Query { .. } => "authorization",
    };
    let mut removed = Vec::with_capacity(8);
    let mut takes_trailers = false;
    for (name, value) in headers.iter() {
        if name == CONNECTION {
            nominated(value, &mut removed);
        } else if name == TE {
            takes_trailers |= names_token(value, "trailers");
        } else if name == VIA {
            if via.is_in(value) {
                return Err(LoopDetected);
            }
        } else if matches_loosely(name, |name| is_removed_outbound(name) || is_loosely(name, token_name))
            && !(upgrade && name == UPGRADE)
        {
            note(&mut removed, name);
        }
    }
    remove_all(headers, &removed, upgrade);

    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    headers.append(VIA, via.field(received));
    for (name, value) in &ready.headers {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if let Token::Header(name, value) = &ready.token {
        headers.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// Puts a renewed token where the old one stands, for a request that is sent a second time.
pub fn replace_token(headers: &mut HeaderMap, ready: &Ready) {
    if let Token::Header(name, value) = &ready.token {
        headers.insert(name.clone(), value.clone());
    }
}

/// Turns the provider's fields into ours, in place: nothing in an answer may act on the application's origin, and no
/// shared cache may keep it, since the caller's `Authorization` no longer stands in its way (RFC 9111 section 3.5).
pub fn inbound(headers: &mut HeaderMap, upgrade: bool) {
    let mut removed = Vec::with_capacity(8);
    let mut chunked = false;
    let mut cache = Cache::Unsaid;
    for (name, value) in headers.iter() {
        if name == CONNECTION {
            nominated(value, &mut removed);
        } else if name == CACHE_CONTROL {
            cache = cache.with(value);
        } else if is_removed_inbound(name.as_str()) && !(upgrade && name == UPGRADE) {
            chunked |= name == TRANSFER_ENCODING;
            note(&mut removed, name);
        }
    }
    if chunked {
        // The chunks were the length (RFC 9112 section 6.3); a number beside them must not be passed on.
        removed.push(CONTENT_LENGTH);
    }
    remove_all(headers, &removed, upgrade);

    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    match cache {
        Cache::Private => {}
        Cache::Unsaid => drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"))),
        Cache::Shared => {
            let private = made_private(headers);
            headers.insert(CACHE_CONTROL, private);
        }
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the provider.
    Outbound,
    /// From the provider to the caller.
    Inbound,
}

/// Cleans the trailer fields of a message: never merged into the head, and nothing that frames, routes or authenticates
/// (RFC 9110 section 6.5.1).
pub fn trailers(fields: &mut HeaderMap, direction: Direction) {
    let mut removed = Vec::new();
    for name in fields.keys() {
        let is_removed = match direction {
            Direction::Outbound => matches_loosely(name, |name| is_removed_outbound(name) || is_head_only(name)),
            Direction::Inbound => {
                matches_loosely(name, |name| is_removed_inbound(name) || is_head_only(name) || name == "authorization")
            }
        };
        if is_removed {
            removed.push(name.clone());
        }
    }
    remove_all(fields, &removed, false);
}

/// True when the request asks for another protocol on its connection: `Upgrade` and a `Connection` that names it.
/// HTTP/2 itself is never asked for on (RFC 9113 section 3.1 took it out).
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let named = headers.get_all(CONNECTION).iter().any(|value| names_token(value, "upgrade"));
    let asks_for_http2 = headers.get_all(UPGRADE).iter().any(|protocols| names_token(protocols, "h2c"));
    named && headers.contains_key(UPGRADE) && !asks_for_http2
}

/// Whether two names are one to a server that takes `_` for `-`.
fn is_loosely(name: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == other.len() && name.bytes().map(fold).eq(other.bytes().map(fold))
}

/// RFC 9110 section 7.6.1: what belongs to one connection and ends with it.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_removed_outbound(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "authorization"
                | "cookie"
                | "cookie2"
                | "expect"
                | "forwarded"
                | "host"
                | "origin"
                | "proxy"
                | "referer"
                | "x-real-ip"
        )
        || name.starts_with("keyferry-")
        || name.starts_with("x-forwarded-")
}

fn is_removed_inbound(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "accept-ch"
                | "activate-storage-access"
                | "alt-svc"
                | "cdn-cache-control"
                | "clear-site-data"
                | "content-security-policy-report-only"
                | "critical-ch"
                | "nel"
                | "observe-browsing-topics"
                | "origin-agent-cluster"
                | "public-key-pins"
                | "public-key-pins-report-only"
                | "refresh"
                | "report-to"
                | "reporting-endpoints"
                | "service-worker-allowed"
                | "set-cookie"
                | "set-cookie2"
                | "set-login"
                | "sourcemap"
                | "speculation-rules"
                | "strict-transport-security"
                | "surrogate-control"
                | "x-sendfile"
                | "x-sourcemap"
        )
        || name.starts_with("keyferry-")
        || name.starts_with("access-control-")
        || name.starts_with("x-accel-")
}

fn is_head_only(name: &str) -> bool {
    matches!(
        name,
        "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-security-policy"
            | "content-type"
            | "host"
            | "location"
            | "trailer"
            | "via"
            | "x-content-type-options"
    )
}

/// Asks `is_removed` about the name and, where it has `_`, about the name with `-` in their place: CGI-like servers
/// make the two one (CVE-2025-64484).
fn matches_loosely(name: &HeaderName, is_removed: impl Fn(&str) -> bool) -> bool {
    let name = name.as_str();
    is_removed(name) || (name.contains('_') && is_removed(&name.replace('_', "-")))
}

/// Collects the fields that a `Connection` line names. Empty members are skipped (RFC 9110 section 5.6.1.2); one that
/// is no field name cannot be in the message.
fn nominated(value: &HeaderValue, removed: &mut Vec<HeaderName>) {
    for member in value.as_bytes().split(|&byte| byte == b',') {
        let member = member.trim_ascii();
        let is_option = [&b"close"[..], b"keep-alive", b"te", b"upgrade"];
        if !member.is_empty()
            && !is_option.iter().any(|option| option.eq_ignore_ascii_case(member))
            && let Ok(name) = HeaderName::from_bytes(member)
        {
            removed.push(name);
        }
    }
}

fn note(removed: &mut Vec<HeaderName>, name: &HeaderName) {
    if removed.last() != Some(name) {
        removed.push(name.clone());
    }
}

fn remove_all(headers: &mut HeaderMap, removed: &[HeaderName], upgrade: bool) {
    for name in removed {
        if !(upgrade && name == UPGRADE) {
            headers.remove(name);
        }
    }
    headers.remove(CONNECTION);
    headers.remove(TE);
}

fn names_token(value: &HeaderValue, token: &str) -> bool {
    let mut members = value.as_bytes().split(|&byte| byte == b',');
    members.any(|member| {
        // `TE` members may carry a weight.
        let name = member.split(|&byte| byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
    })
}

/// What an answer says about caching, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    Unsaid,
    Private,
    Shared,
}

impl Cache {
    /// A single line that says `private` without conditions stays as it is.
    fn with(self, value: &HeaderValue) -> Self {
        let is_private = directives(value.as_bytes()).any(|directive| directive.eq_ignore_ascii_case(b"private"));
        if self == Self::Unsaid && is_private && !directives(value.as_bytes()).any(speaks_to_shared_caches) {
            Self::Private
        } else {
            Self::Shared
        }
    }
}

/// Everything the provider says but for what shared caches would take as leave.
fn made_private(headers: &HeaderMap) -> HeaderValue {
    let mut text = b"private".to_vec();
    let said = headers.get_all(CACHE_CONTROL).iter().flat_map(|value| directives(value.as_bytes()));
    for directive in said.filter(|directive| !speaks_to_shared_caches(directive) && !is_private(directive)) {
        text.extend_from_slice(b", ");
        text.extend_from_slice(directive);
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("private"))
}

fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|directive| !directive.is_empty())
}

fn is_private(directive: &[u8]) -> bool {
    argumentless(directive).eq_ignore_ascii_case(b"private")
}

fn speaks_to_shared_caches(directive: &[u8]) -> bool {
    let name = argumentless(directive);
    [&b"public"[..], b"s-maxage", b"proxy-revalidate"].iter().any(|known| name.eq_ignore_ascii_case(known))
        || (is_private(directive) && name.len() != directive.len())
}

fn argumentless(directive: &[u8]) -> &[u8] {
    directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests;
