//! What is prepared once for a grant, so that a call only has to copy it in: the destination, the default headers and
//! query, the token in its place. The authority and the base path are set structurally and never joined with what a
//! caller sends.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::target::{Target, TargetError, check_path};
use super::{Api, TokenPlace};
use crate::mapping::{Encoding, Template, UNRESERVED_KEPT};
use crate::model::{ClientCertificate, Secret};

/// Everything that a call of one grant needs, rendered.
pub struct Ready {
    destination: Destination,
    base_path: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    query: Vec<DefaultParameter>,
    pub(super) token: Token,
}

/// The access token in its place.
pub(super) enum Token {
    Header(HeaderName, HeaderValue),
    Query { name: String, pair: Secret },
}

struct DefaultParameter {
    name: String,
    pair: String,
}

/// Where calls of one grant go: the only host that its token is ever sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    scheme: Scheme,
    authority: Authority,
    host: String,
    port: u16,
    host_header: HeaderValue,
    trusted_as_written: bool,
    application: bool,
    certificate: Option<Arc<ClientCertificate>>,
    key: String,
}

/// Why a grant cannot be called with. Holds no value: any of them may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadyError {
    /// A template asks for something that neither variables nor the grant hold.
    #[error("api.{0} needs a value that is not set")]
    MissingValue(&'static str),
    /// The rendered base URL has no `http://` or `https://` at its front.
    #[error("api.base_url is not an http or https URL")]
    Scheme,
    /// The rendered base URL names a user.
    #[error("api.base_url holds a user name")]
    UserInfo,
    /// The host or port is not one.
    #[error("api.base_url has no usable host")]
    Host,
    /// The base URL holds a query, a fragment, a dot segment or bytes that stand in no URI.
    #[error("api.base_url has no usable path")]
    Path,
    /// A header's value holds bytes that no header may carry.
    #[error("api.headers.{0} has a value that no header may carry")]
    Header(HeaderName),
    /// The token holds bytes that no header may carry.
    #[error("the access token holds bytes that no header may carry")]
    Token,
}

impl Ready {
    /// Renders what the provider file says with the values of one grant.
    ///
    /// `lookup` gives variables, captured values and `access_token`. `literal` says that the provider file was written by
    /// the operator (or shipped): only then may a host that stands in it be trusted as written, and only when it is an IP
    /// literal or `localhost` and no part of it comes from a value.
    pub fn prepare<'v>(
        api: &Api,
        lookup: impl Fn(&str) -> Option<Cow<'v, str>>,
        literal: bool,
    ) -> Result<Self, ReadyError> {
        let base_url = api.base_url.render(Encoding::Url, &lookup).ok_or(ReadyError::MissingValue("base_url"))?;
        let (destination, base_path) = parse_base_url(&base_url, literal && authority_is_written(&api.base_url))?;
        let headers = api
            .headers
            .iter()
            .map(|(name, format)| {
                let text = format.render(Encoding::Raw, &lookup).ok_or(ReadyError::MissingValue("headers"))?;
                let value = HeaderValue::try_from(text).map_err(|_| ReadyError::Header(name.clone()))?;
                Ok((name.clone(), value))
            })
            .collect::<Result<_, _>>()?;
        let query = api
            .query
            .iter()
            .map(|(name, format)| {
                let value = format.render(Encoding::Raw, &lookup).ok_or(ReadyError::MissingValue("query"))?;
                Ok(DefaultParameter { name: name.clone(), pair: pair(name, &value) })
            })
            .collect::<Result<_, _>>()?;
        let token = match &api.auth {
            TokenPlace::Header { name, format } => {
                let text = format.render(Encoding::Raw, &lookup).ok_or(ReadyError::MissingValue("auth"))?;
                let mut value = HeaderValue::try_from(text).map_err(|_| ReadyError::Token)?;
                value.set_sensitive(true);
                Token::Header(name.clone(), value)
            }
            TokenPlace::Query { name, format } => {
                let value = format.render(Encoding::Raw, &lookup).ok_or(ReadyError::MissingValue("auth"))?;
                Token::Query { name: name.clone(), pair: Secret::new(pair(name, &value)) }
            }
        };
        Ok(Self { destination, base_path, headers, query, token })
    }

    /// With a certificate of ours, which connections there present when they are asked for one.
    #[must_use]
    pub fn presenting(mut self, certificate: Option<&Arc<ClientCertificate>>) -> Self {
        if let Some(certificate) = certificate {
            self.destination.key = format!("{} as {certificate}", self.destination.key);
            self.destination.certificate = Some(Arc::clone(certificate));
        }
        self
    }

    /// Where calls go.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The base URL as it was rendered, without a slash at its end.
    pub fn base_url(&self) -> String {
        let Destination { scheme, authority, .. } = &self.destination;
        format!("{scheme}://{authority}{}", self.base_path)
    }

    /// The path and query that the provider gets: the base path and then what the caller sent, byte for byte, with
    /// default parameters and, for providers that want it there, the token appended to the query.
    pub fn path_and_query(&self, target: &Target<'_>) -> Result<PathAndQuery, TargetError> {
        let secret_length = match &self.token {
            Token::Query { pair, .. } => pair.expose().len() + 1,
            Token::Header(..) => 0,
        };
        let mut text = String::with_capacity(
            self.base_path.len() + target.path.len() + target.query.map_or(0, str::len) + secret_length + 2,
        );
        text.push_str(&self.base_path);
        text.push_str(target.path);
        if text.is_empty() {
            text.push('/');
        }
        match &self.token {
            Token::Header(..) if self.query.is_empty() => {
                if let Some(query) = target.query {
                    text.push('?');
                    text.push_str(query);
                }
            }
            token => self.append_query(&mut text, target.query, token),
        }
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(text)).map_err(|_| TargetError::NotAUri)
    }

    /// The whole URI of a call, set together from its parts.
    pub fn uri(&self, target: &Target<'_>) -> Result<Uri, TargetError> {
        Ok(self.destination.uri(self.path_and_query(target)?))
    }

    /// The caller's own token, which vendors' SDKs put where the provider wants it, never travels on.
    fn append_query(&self, text: &mut String, query: Option<&str>, token: &Token) {
        let own = match token {
            Token::Query { name, .. } => Some(name.as_str()),
            Token::Header(..) => None,
        };
        let sent = || query.into_iter().flat_map(|query| query.split('&'));
        let mut separator = '?';
        let mut append = |part: &str| {
            text.push(separator);
            text.push_str(part);
            separator = '&';
        };
        if query == Some("") {
            append("");
        }
        sent().filter(|part| !part.is_empty() && own.is_none_or(|own| !is_named(part, own))).for_each(&mut append);
        for default in &self.query {
            if !sent().any(|part| is_named(part, &default.name)) {
                append(&default.pair);
            }
        }
        if let Token::Query { pair, .. } = token {
            append(pair.expose());
        }
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("destination", &self.destination).finish_non_exhaustive()
    }
}

impl Destination {
    /// The application behind us, from the URL of its root: dialled as the operator wrote it, whatever its address is,
    /// and asked for the host that the browser asked for.
    pub fn application(url: &str) -> Result<Self, ReadyError> {
        let (destination, base_path) = parse_base_url(url, false)?;
        if !base_path.is_empty() {
            return Err(ReadyError::Path);
        }
        let key = format!("{} (the application)", destination.key);
        Ok(Self { application: true, key, ..destination })
    }

    /// True for the application behind us.
    pub fn is_application(&self) -> bool {
        self.application
    }

    /// True for https.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own when none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` field of a request (RFC 9110 section 7.2).
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// True only when the host stands literally in the provider file and is an IP literal or `localhost`.
    pub fn is_trusted_as_written(&self) -> bool {
        self.trusted_as_written
    }

    /// What says who we are there, where something does.
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.certificate.as_ref()
    }

    /// What tells this destination from any other, the trust in it and who we are there included: connections are never shared across keys.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The URI of a path at this destination.
    pub fn uri(&self, path_and_query: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).expect("scheme, authority and path are all set")
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// True when no name stands before the end of the authority.
fn authority_is_written(template: &Template) -> bool {
    if template.constant().is_some() {
        return true;
    }
    template.literal_prefix().split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}

fn parse_base_url(text: &str, literal: bool) -> Result<(Destination, String), ReadyError> {
    let (scheme, rest) = text.split_once("://").ok_or(ReadyError::Scheme)?;
    let (scheme, default_port) = if scheme.eq_ignore_ascii_case("https") {
        (Scheme::HTTPS, 443)
    } else if scheme.eq_ignore_ascii_case("http") {
        (Scheme::HTTP, 80)
    } else {
        return Err(ReadyError::Scheme);
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(ReadyError::UserInfo);
    }
    let (host, port) = split_port(authority, default_port)?;
    let host = host.to_ascii_lowercase();
    let address_in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address_in_brackets {
        Some(address) => drop(address.parse::<std::net::Ipv6Addr>().map_err(|_| ReadyError::Host)?),
        None if host.parse::<std::net::Ipv4Addr>().is_ok() || is_host_name(&host) => {}
        None => return Err(ReadyError::Host),
    }
    let shown = if port == default_port { host.clone() } else { format!("{host}:{port}") };
    let authority = Authority::try_from(shown.clone()).map_err(|_| ReadyError::Host)?;
    let host_header = HeaderValue::try_from(shown.clone()).map_err(|_| ReadyError::Host)?;
    let host = address_in_brackets.map_or_else(|| host.clone(), str::to_owned);
    let trusted_as_written = literal && (host == "localhost" || host.parse::<std::net::IpAddr>().is_ok());
    let key = format!("{scheme}://{shown}{}", if trusted_as_written { " (trusted as written)" } else { "" });

    let base_path = path.trim_end_matches('/');
    if !base_path.is_empty() {
        let is_path = PathAndQuery::try_from(base_path).is_ok_and(|parsed| parsed.path() == base_path);
        if !is_path || check_path(base_path.as_bytes()).is_err() || base_path.starts_with("//") {
            return Err(ReadyError::Path);
        }
    }
    let destination = Destination {
        scheme,
        authority,
        host,
        port,
        host_header,
        trusted_as_written,
        application: false,
        certificate: None,
        key,
    };
    Ok((destination, base_path.to_owned()))
}

fn split_port(authority: &str, default_port: u16) -> Result<(&str, u16), ReadyError> {
    let name_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[name_end..].find(':') {
        None => Ok((authority, default_port)),
        Some(at) => {
            let (host, port) = authority.split_at(name_end + at);
            match port[1..].parse::<u16>() {
                Ok(port) if port > 0 => Ok((host, port)),
                _ => Err(ReadyError::Host),
            }
        }
    }
}

/// Letters, digits, `-`, `_` and single dots: narrower than RFC 3986 allows, since DNS and certificates know no other.
/// A last label that is a number makes it an odd spelling of an address (`127.1`, `0xa9fea9fe`), which whoever resolves
/// it may take for one that is refused in plain.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_number = |label: &str| {
        let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
        match hexadecimal {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => label.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 253 && name.split('.').all(is_label) && !name.rsplit('.').next().is_some_and(is_number)
}

fn pair(name: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(name, UNRESERVED_KEPT), utf8_percent_encode(value, UNRESERVED_KEPT))
}

fn is_named(part: &str, name: &str) -> bool {
    let sent = part.split_once('=').map_or(part, |(sent, _)| sent);
    sent == name || (sent.contains(['%', '+']) && percent_decode_str(&sent.replace('+', " ")).eq(name.bytes()))
}

#[cfg(test)]
mod tests;
