//! The small fetch: token requests, revocations, metadata. Answers are read whole, up to a cap; redirects are returned,
//! and nothing is ever sent twice, because codes and refresh tokens may be used once. Goes by the same address check as
//! a call.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::dial::{Dialer, Peer};
use super::error::Cause;
use super::{Settings, SetupError, UpstreamError, Waiting};
use crate::model::ClientCertificate;

/// Most bytes of an answer.
pub const ANSWER_BYTES: usize = 1024 * 1024;

/// Ways whose clients are kept.
const MOST_CLIENTS: usize = 256;

/// How long a connection for small requests is kept.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Sends small requests. Cheap to clone.
#[derive(Clone)]
pub struct Fetch(Arc<Inner>);

struct Inner {
    dialer: Arc<Dialer>,
    /// One client for each way of dialling, so that no connection is used under rules that it was not made by.
    clients: Mutex<HashMap<Way, reqwest::Client>>,
    timeout: Duration,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Way {
    https: bool,
    trusted_as_written: bool,
    by_proxy: bool,
    /// Where it leads is the operator's word alone.
    is_operators: bool,
    certificate: Option<Arc<ClientCertificate>>,
}

/// A small request. Its `Debug` shows neither URL, header nor body.
pub struct FetchRequest {
    /// The method.
    pub method: Method,
    /// Where it goes; http and https alone.
    pub url: Url,
    /// Header fields, `Host` and lengths not among them.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// The host stands literally in a provider file and is an IP literal or `localhost`.
    pub trusted_as_written: bool,
    /// Who we are there, should it ask.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// The whole answer.
pub struct FetchResponse {
    /// Its status, whatever it is.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, at most [`ANSWER_BYTES`].
    pub body: Vec<u8>,
}

impl Fetch {
    /// Checks the settings; dials nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let dialer = Arc::new(Dialer::new(settings)?);
        let fetch = Self(Arc::new(Inner { dialer, clients: Mutex::default(), timeout: settings.token_timeout }));
        // Whether a client can be built does not depend on the way.
        fetch.client(Way { https: true, ..Way::default() })?;
        Ok(fetch)
    }

    /// Sends the request once and reads the answer, all within `token_timeout`.
    ///
    /// [`UpstreamError::may_have_been_sent`] tells whether the provider may have seen it.
    pub async fn send(&self, request: FetchRequest) -> Result<FetchResponse, UpstreamError> {
        let host = match request.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(UpstreamError::unreachable("", "the URL names no host")),
        };
        let https = match request.url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UpstreamError::unreachable(&host, "the URL is neither http nor https")),
        };
        let port = request.url.port_or_known_default().unwrap_or(443);
        let peer = Peer {
            host: &host,
            port,
            https,
            trusted_as_written: request.trusted_as_written,
            is_operators: false,
            certificate: request.certificate.as_ref(),
        };
        let way = if self.0.dialer.stage().is_some() {
            Way { by_proxy: true, ..Way::default() }
        } else {
            self.0.dialer.check_literal(peer)?;
            let by_proxy = self.0.dialer.proxy().is_some() && !peer.stays_here();
            let certificate = request.certificate.clone();
            Way { https, trusted_as_written: request.trusted_as_written, by_proxy, certificate, ..Way::default() }
        };
        self.send_by(way, request, &host).await
    }

    /// Sends the request to an address that the operator has written in config.toml, whatever is there: no address check
    /// and no `allow_http` stand in the way. `[net] proxy` is for https alone: what is in plain stays in the operator's
    /// own network.
    pub async fn send_to_operator(&self, request: FetchRequest) -> Result<FetchResponse, UpstreamError> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let https = request.url.scheme() == "https";
        let by_proxy = https && self.0.dialer.proxy().is_some();
        self.send_by(Way { https, by_proxy, is_operators: true, ..Way::default() }, request, &host).await
    }

    async fn send_by(&self, way: Way, request: FetchRequest, host: &str) -> Result<FetchResponse, UpstreamError> {
        let client = self.client(way).map_err(|cause| UpstreamError::unreachable(host, cause))?;
        let FetchRequest { method, mut url, headers, body, .. } = request;
        if self.0.dialer.stage().is_some() {
            // A stage is an http proxy, which is told the whole URL.
            let _ = url.set_scheme("http");
        }
        let is_post = method == Method::POST;
        let mut sent = client.request(method, url).headers(headers);
        if !body.is_empty() {
            sent = sent.body(body);
        } else if is_post {
            // A POST says that it is empty (RFC 9110 section 8.6); some servers answer 411 otherwise.
            sent = sent.header(CONTENT_LENGTH, 0);
        }
        tokio::time::timeout(self.0.timeout, read(sent, host))
            .await
            .unwrap_or_else(|_| Err(UpstreamError::timeout(host, Waiting::Answer)))
    }

    fn client(&self, way: Way) -> Result<reqwest::Client, SetupError> {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        // Certificates that were replaced leave their clients behind.
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        let client = self.build(&way)?;
        clients.insert(way, client.clone());
        Ok(client)
    }

    fn build(&self, way: &Way) -> Result<reqwest::Client, SetupError> {
        let dialer = &self.0.dialer;
        let fail = |error: reqwest::Error| SetupError::Client(error.without_url().into());
        let tls = dialer.tls(way.certificate.as_ref()).map_err(|cause| SetupError::Client(cause.into()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls.any))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("keyferry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(dialer.connect_timeout())
            .pool_idle_timeout(KEPT_FOR)
            // The environment's proxies are not ours: only what is configured counts.
            .no_proxy();
        match (dialer.stage(), dialer.proxy()) {
            (Some(stage), _) => {
                builder = builder.proxy(reqwest::Proxy::all(format!("http://{stage}")).map_err(fail)?);
            }
            (None, Some(proxy)) if way.by_proxy => {
                let mut through = reqwest::Proxy::all(proxy.url()).map_err(fail)?;
                if let Some(authorization) = proxy.authorization() {
                    let mut value = HeaderValue::from_str(authorization.expose()).expect("Basic and base64 are ASCII");
                    value.set_sensitive(true);
                    through = through.custom_http_auth(value);
                }
                builder = builder.proxy(through);
            }
            _ => builder = builder.dns_resolver(Checked { dialer: Arc::clone(dialer), way: way.clone() }),
        }
        builder.build().map_err(fail)
    }
}

async fn read(request: reqwest::RequestBuilder, host: &str) -> Result<FetchResponse, UpstreamError> {
    let mut response = request.send().await.map_err(|error| classify(error, host))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(error, host))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(UpstreamError::TooLarge { host: host.to_owned(), limit: ANSWER_BYTES });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(FetchResponse { status: response.status(), headers: std::mem::take(response.headers_mut()), body })
}

/// The URL is taken off every error: token requests of some providers carry secrets there.
fn classify(error: reqwest::Error, host: &str) -> UpstreamError {
    let error = error.without_url();
    if let Some(UpstreamError::Blocked { host, source }) = find::<UpstreamError>(&error) {
        return UpstreamError::Blocked { host: host.clone(), source: *source };
    }
    if !error.is_connect() {
        return UpstreamError::broken(host, error);
    }
    if error.is_timeout() {
        return UpstreamError::timeout(host, Waiting::Connect);
    }
    if let Some(cause) = find::<rustls::Error>(&error) {
        return UpstreamError::Tls { host: host.to_owned(), source: std::io::Error::other(cause.clone()) };
    }
    UpstreamError::unreachable(host, error)
}

/// Looks through a chain of causes. An `io::Error` hides its own behind `get_ref`.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

/// Resolves a name to the addresses that may be dialled, which are then the only ones that the client knows.
struct Checked {
    dialer: Arc<Dialer>,
    way: Way,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (dialer, way) = (Arc::clone(&self.dialer), self.way.clone());
        Box::pin(async move {
            // Port 0 lets the client put in the URL's own.
            let peer = Peer {
                host: name.as_str(),
                port: 0,
                https: way.https,
                trusted_as_written: way.trusted_as_written,
                is_operators: way.is_operators,
                certificate: None,
            };
            let addresses = dialer.resolve(peer).await.map_err(Cause::from)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetch")
    }
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchRequest({} {})", self.method, self.url.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for FetchResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchResponse({}, {} bytes)", self.status, self.body.len())
    }
}
