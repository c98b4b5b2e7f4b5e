//! The `[server]`, `[callers]` and `[app]` tables, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use ipnet::IpNet;
use url::Url;

use crate::mapping;
use crate::model::{CallerName, CallerScope};
use crate::oauth::JwtAlgorithm;
use crate::route::Destination;

/// The `[server]` table and who may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where callers and browsers come in.
    pub listen: SocketAddr,
    /// What browsers reach us as; redirect URIs are built from it. No trailing slash in its path.
    pub public_url: Url,
    /// Health and readiness; never tokens. `None` when switched off with `""`.
    pub admin_listen: Option<SocketAddr>,
    /// Browser origins that may read answers and receive callback messages; exact, as `Origin` writes them.
    pub allowed_origins: Vec<String>,
    /// More `Host` values, lower case, with or without port.
    pub allowed_hosts: Vec<String>,
    /// Peers whose forwarding headers are believed and passed on to the application.
    pub trusted_proxies: Vec<IpNet>,
    /// Put before `/integrations` and `/proxy`; empty, or begins with `/` and does not end with it.
    pub base_path: String,
    /// SHA-256 of the admin key, without which nobody is taken for the operator.
    pub admin_key_hash: Option<KeyHash>,
    /// How long requests in flight may take after SIGTERM.
    pub drain: Duration,
    /// How long to go on accepting after SIGTERM, for pods that stop all containers at once.
    pub drain_delay: Duration,
    /// TLS of our own, when there is no other in front.
    pub tls: Option<Tls>,
    /// Bounds on what one peer may take.
    pub limits: Limits,
    /// API keys.
    pub callers: Vec<Caller>,
    /// The application behind us, and how it tells who its users are.
    pub app: App,
}

/// The `[app]` table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    /// Where everything goes that is not ours; `None` when we stand beside the application.
    pub upstream: Option<Destination>,
    /// Whether a lost store makes us unready for the application's own traffic too.
    pub require_store: bool,
    /// How we learn which person a browser is.
    pub identity: Option<Identity>,
}

impl App {
    /// Whether there is none: no application behind us, and no login of one.
    pub fn is_absent(&self) -> bool {
        self.upstream.is_none() && self.identity.is_none()
    }
}

/// The `[app.identity]` table.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// The application is asked.
    Whoami(Whoami),
    /// A token that an issuer signed says it.
    Token(LoginToken),
}

/// Asking the application who its browser is.
#[derive(Clone, Debug, PartialEq)]
pub struct Whoami {
    /// What is asked for there.
    pub path: PathAndQuery,
    /// The organisation in its answer.
    pub org: Claim,
    /// The user in its answer.
    pub user: Claim,
    /// How long an answer holds; zero for never.
    pub cache: Duration,
}

/// The `[app.identity.jwt]` table: a JSON Web Token (RFC 7519).
#[derive(Clone, Debug, PartialEq)]
pub struct LoginToken {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud` has to hold one of them, exactly.
    pub audiences: Vec<String>,
    /// The organisation in its claims.
    pub org: Claim,
    /// The user in its claims.
    pub user: Claim,
    /// The issuer's keys; `None` when its metadata says where they are.
    pub jwks: Option<Url>,
    /// The cookie that holds it; `None` when it stands in `Authorization` alone.
    pub cookie: Option<String>,
    /// The algorithms that it may be signed with, all of them asymmetric.
    pub algorithms: Vec<JwtAlgorithm>,
}

/// One half of a person, as a login tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Where it stands in the answer or among the claims.
    Path(mapping::Path),
    /// The same for everybody, for applications without organisations.
    Constant(String),
}

/// The `[server.tls]` table: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The `[server.limits]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Largest request head in bytes; more is 431.
    pub header_bytes: usize,
    /// Most header fields; more is 431.
    pub headers: usize,
    /// Most open connections; further ones wait in the accept queue.
    pub connections: usize,
    /// How long a connection may stay without a request.
    pub idle: Duration,
    /// How long a request head may take, the detection of the HTTP version and the TLS handshake included.
    pub header_timeout: Duration,
    /// Most streams of one HTTP/2 connection.
    pub streams: u32,
    /// Largest form or JSON body of Keyferry's own endpoints, in bytes; more is 413.
    pub form_bytes: usize,
}

/// One `[callers.<name>]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Its name, for logs.
    pub name: CallerName,
    /// SHA-256 of its key.
    pub key_hash: KeyHash,
    /// What it may do.
    pub scope: CallerScope,
}

/// The SHA-256 of an API key, compared in constant time by its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub [u8; 32]);

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 100,
            connections: 10_000,
            idle: Duration::from_secs(75),
            header_timeout: Duration::from_secs(30),
            streams: 100,
            form_bytes: 64 * 1024,
        }
    }
}

impl Settings {
    /// True when nobody has to prove anything: there are no callers, no login and no application. Only lawful on
    /// loopback, which configuration enforces.
    pub fn is_open(&self) -> bool {
        self.callers.is_empty() && self.app.is_absent()
    }
}
