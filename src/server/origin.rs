//! Who may speak to us from a browser, decided from headers alone: the Host rule of the open mode, foreign origins, and
//! where a browser may be sent. Pure.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HOST, HeaderName, ORIGIN, REFERER};
use http::{HeaderMap, HeaderValue, Version, request};

use super::Settings;

/// What the headers say about where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// Not from a browser, or from a page of ours.
    Same,
    /// From a page of an allowed origin.
    Allowed,
    /// From a page of some other origin.
    Foreign,
}

/// Why a request does not belong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdirected {
    /// Host, `:authority` or the absolute form names somebody else.
    WrongHost,
    /// There is no single, readable Host.
    NoHost,
    /// The open mode, and a proxy stands in between.
    Forwarded,
}

/// Checks Host and target form. In the open mode, where nobody proves anything, a Host that is not this machine's is a
/// rebound name, and a forwarded request is somebody else's.
pub(crate) fn check_host(head: &request::Parts, settings: &Settings) -> Result<(), Misdirected> {
    let host = host(head)?;
    // In HTTP/2 the authority is the host; in HTTP/1.1 it is the absolute form, which is for our own authority only.
    if let (Some(authority), true) = (head.uri.authority(), head.version < Version::HTTP_2)
        && !is_ours(authority.as_str(), settings)
    {
        return Err(Misdirected::WrongHost);
    }
    let host = host.ok_or(Misdirected::NoHost)?;
    if settings.is_open() {
        if !is_ours(host, settings) {
            return Err(Misdirected::WrongHost);
        }
        if head.headers.keys().any(is_forwarding) {
            return Err(Misdirected::Forwarded);
        }
    }
    Ok(())
}

/// Checks the Host of a request to the admin listener, where nobody proves anything either: on loopback a Host that is
/// not this machine's is a rebound name. On any other address it is asked by whatever name or address leads there.
pub(crate) fn check_admin_host(head: &request::Parts, settings: &Settings) -> Result<(), Misdirected> {
    if !settings.admin_listen.is_some_and(|admin| admin.ip().to_canonical().is_loopback()) {
        return Ok(());
    }
    match host(head)? {
        Some(host) if is_ours(host, settings) => Ok(()),
        Some(_) => Err(Misdirected::WrongHost),
        // Before HTTP/1.1 there was no Host, and health is still asked for so; browsers always send one.
        None if head.version < Version::HTTP_11 => Ok(()),
        None => Err(Misdirected::NoHost),
    }
}

/// Names the host that was asked for as HTTP/1.1 does: HTTP/2 has it in `:authority`, and an absolute target comes
/// before `Host` (RFC 9112 section 3.2.2). For what an application gets to see, after [`check_host`].
pub(crate) fn name_the_host(head: &mut request::Parts) {
    if let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
}

/// Where a request comes from. `Sec-Fetch-Site` speaks where browsers leave `Origin` out.
pub(crate) fn crossing(headers: &HeaderMap, settings: &Settings) -> Crossing {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if let Some(origin) = headers.get(ORIGIN) {
        return match origin.to_str() {
            // The plain http page of a name that is served by https has another origin, and the browser says so.
            Ok(origin) if is_own_origin(origin, headers, settings) && site != Some(b"cross-site") => Crossing::Same,
            Ok(origin) if settings.allowed_origins.iter().any(|allowed| allowed == origin) => Crossing::Allowed,
            _ => Crossing::Foreign,
        };
    }
    match site {
        Some(b"cross-site" | b"same-site") => {
            // A link on an allowed page sends no Origin; its Referer cannot be forged by another page.
            let allowed = referrer(headers).is_some_and(|origin| settings.allowed_origins.contains(&origin));
            if allowed { Crossing::Allowed } else { Crossing::Foreign }
        }
        _ => Crossing::Same,
    }
}

/// Whether a navigation is one that the person, or a page of ours or of an allowed origin, has begun. Browsers that say
/// nothing of it on plain http send a `Referer`.
pub(crate) fn is_navigation_of_ours(headers: &HeaderMap, settings: &Settings) -> bool {
    let says = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let is_shown = says("sec-fetch-dest").is_none_or(|dest| dest == b"document");
    let is_begun_here = match says("sec-fetch-site") {
        Some(b"same-origin" | b"none") => true,
        Some(_) => crossing(headers, settings) == Crossing::Allowed,
        None => referrer(headers).is_some_and(|origin| {
            is_own_origin(&origin, headers, settings) || settings.allowed_origins.contains(&origin)
        }),
    };
    is_shown && is_begun_here
}

/// The origin of the page that the request comes from, as its `Referer` tells.
fn referrer(headers: &HeaderMap) -> Option<String> {
    let url = url::Url::parse(headers.get(REFERER)?.to_str().ok()?).ok()?;
    Some(url.origin().ascii_serialization())
}

/// The origins that callback messages go to: the allowed ones and our own.
pub(crate) fn message_origins(settings: &Settings) -> Vec<String> {
    let own = settings.public_url.origin().ascii_serialization();
    std::iter::once(own).chain(settings.allowed_origins.iter().cloned()).collect()
}

/// A place that a browser may be sent to afterwards: a path of ours, or a URL of an allowed origin. `None` for all
/// else.
///
/// Browsers read `\` as `/` and drop tabs and newlines, so a text with any of these is no place at all.
pub(crate) fn return_to(text: &str, settings: &Settings) -> Option<String> {
    if text.is_empty() || text.contains('\\') || text.chars().any(char::is_control) {
        return None;
    }
    let own = &settings.public_url;
    let url = if text.starts_with('/') { own.join(text).ok()? } else { url::Url::parse(text).ok()? };
    // `blob:` URLs and their like have an origin inside; a place is http or https.
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    let allowed = origin == own.origin().ascii_serialization() || settings.allowed_origins.contains(&origin);
    // A path that begins with `//` names another host to whoever redirects to it without its origin.
    (allowed && !text.starts_with("//") && !url.path().starts_with("//")).then(|| url.into())
}

/// The one host that a request names.
fn host(head: &request::Parts) -> Result<Option<&str>, Misdirected> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| Misdirected::NoHost)?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Misdirected::NoHost),
    };
    Ok(head.uri.authority().map(http::uri::Authority::as_str).or(header))
}

/// True for headers that only a proxy in front adds; `_` counts as `-`, as many servers fold it.
fn is_forwarding(name: &HeaderName) -> bool {
    // Most names are told apart by their first letter, without a copy.
    if !name.as_str().starts_with(['f', 'x']) {
        return false;
    }
    let name = name.as_str().replace('_', "-");
    name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded")
}

fn is_own_origin(origin: &str, headers: &HeaderMap, settings: &Settings) -> bool {
    if origin == settings.public_url.origin().ascii_serialization() {
        return true;
    }
    // A page that was opened under another name of ours, such as 127.0.0.1 for localhost. On this machine there may be no
    // TLS between.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some((host, (scheme, authority))) = host.zip(origin.split_once("://")) else { return false };
    let is_scheme_of_ours = scheme == settings.public_url.scheme()
        || (scheme == "http" && host_of(host).is_some_and(|host| is_loopback(&host)));
    is_scheme_of_ours && host.eq_ignore_ascii_case(authority) && is_ours(host, settings)
}

/// Whether an authority is this machine's loopback, our public name, or one of `allowed_hosts`.
fn is_ours(authority: &str, settings: &Settings) -> bool {
    if is_plainly_loopback(authority) {
        return true;
    }
    let Some(host) = host_of(authority) else { return false };
    let public = settings.public_url.host_str().is_some_and(|public| public.eq_ignore_ascii_case(&host));
    let authority = authority.to_ascii_lowercase();
    let is_allowed = || settings.allowed_hosts.iter().any(|allowed| *allowed == host || *allowed == authority);
    is_loopback(&host) || public || is_allowed()
}

/// Whether an authority is this machine as nearly every caller on it writes it; answers without a copy, for each call in
/// the open mode. False says nothing.
fn is_plainly_loopback(authority: &str) -> bool {
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

/// The host of an authority in lower case, without port and brackets.
fn host_of(authority: &str) -> Option<String> {
    let parsed = authority.parse::<http::uri::Authority>().ok().filter(|_| !authority.contains('@'))?;
    Some(parsed.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
