//! Everything that goes out: dialling with the address check, TLS, pools, the streamed call and the small fetch.

mod address;
mod call;
mod count;
mod dial;
mod error;
mod fetch;
mod form;
mod identity;
mod lane;
mod pool;
mod proxy;
mod request;
mod response;
mod tls;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::Secret;

pub use address::Refusal;
pub use call::Upstream;
pub use count::Traffic;
pub use error::{SetupError, UpstreamError, Waiting};
pub use fetch::{ANSWER_BYTES, Fetch, FetchRequest, FetchResponse};
pub use identity::{CertificateError, client_certificate};
pub use request::{KEPT_BYTES, Progress, RequestBody};
pub use response::UpstreamBody;
pub(crate) use wire::Wire;

/// How long a call may stand still.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    response: Duration,
    idle: Duration,
}

/// The `[net]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// PEM file with roots in addition to the compiled-in ones.
    pub ca_file: Option<PathBuf>,
    /// Hosts and ranges that may be dialled though their addresses are not public.
    pub allow: Vec<AllowedDestination>,
    /// Whether plain http may leave this machine.
    pub allow_http: bool,
    /// An HTTP proxy for everything outbound, dialled with CONNECT: `http://[user:password@]host:port`, and so a
    /// secret.
    pub proxy: Option<Secret>,
    /// DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the end of the request until the head of the answer.
    pub response_timeout: Duration,
    /// Longest silence inside a body, and life of an upgraded connection without traffic.
    pub idle_timeout: Duration,
    /// Idle connections kept for each provider host.
    pub pool_idle_per_host: usize,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// Deadline of a whole token, revocation or discovery request.
    pub token_timeout: Duration,
    /// Where everything is dialled instead, in plain and unchecked, whatever its URL says: whoever plays the provider
    /// of `keyferry providers test`, on this machine. No key of config.toml sets it.
    pub stage: Option<SocketAddr>,
}

/// One entry of `[net] allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedDestination {
    /// A host name, compared without regard to case.
    Host(String),
    /// A range of addresses.
    Range(IpNet),
}

impl AllowedDestination {
    /// Whether the entry lets this address of this host through.
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Host(name) => name.eq_ignore_ascii_case(host),
            Self::Range(range) => range.contains(&address.to_canonical()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            allow: Vec::new(),
            allow_http: false,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(300),
            pool_idle_per_host: 128,
            pool_idle_timeout: Duration::from_secs(60),
            token_timeout: Duration::from_secs(20),
            stage: None,
        }
    }
}
