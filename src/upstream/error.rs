//! Why something outbound did not work, with the cause for the log. Holds hosts and causes, never a path, a query or a
//! token.

use std::error::Error as StdError;
use std::io;

use super::Refusal;

/// A cause of any kind.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Why a request got no answer, or an answer no end.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// DNS, TCP, or the proxy in between.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host that was meant.
        host: String,
        /// What stood in the way.
        source: Cause,
    },
    /// The TLS handshake failed: a certificate that is expired, not trusted, another host's.
    #[error("no secure connection to {host}")]
    Tls {
        /// The host that was meant.
        host: String,
        /// What the handshake said.
        source: io::Error,
    },
    /// The address check refused every address of the host.
    #[error("{host} is not dialled")]
    Blocked {
        /// The host that was meant.
        host: String,
        /// What its address is.
        source: Refusal,
    },
    /// It took too long.
    #[error("{host} {waiting} in time")]
    Timeout {
        /// The host that was meant.
        host: String,
        /// What was waited for.
        waiting: Waiting,
    },
    /// The connection broke, or what came was not HTTP, after something may have been sent.
    #[error("the exchange with {host} broke off")]
    Broken {
        /// The host that was meant.
        host: String,
        /// What happened.
        source: Cause,
    },
    /// The small fetch got more than it takes.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host that was meant.
        host: String,
        /// Most bytes taken.
        limit: usize,
    },
    /// The caller's own body broke off or fell silent; nothing is wrong with the provider.
    #[error("the caller's request broke off")]
    Caller {
        /// What happened.
        source: Cause,
    },
}

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// DNS, TCP and TLS.
    Connect,
    /// The head of the answer, or for the peer to take the request.
    Answer,
    /// More of the answer's body.
    Body,
}

impl UpstreamError {
    /// False only when it is certain that no byte of the request has left. A code or a refresh token is sent again in
    /// that case alone.
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Tls { .. } | Self::Blocked { .. } => false,
            Self::Timeout { waiting, .. } => *waiting != Waiting::Connect,
            Self::Broken { .. } | Self::TooLarge { .. } | Self::Caller { .. } => true,
        }
    }

    /// Whether the caller went away in the middle of its body, instead of sending a wrong one or none.
    pub fn is_callers_end(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let Self::Caller { source } = self else { return false };
        let whole: &(dyn StdError + 'static) = &**source;
        std::iter::successors(Some(whole), |cause| (*cause).source()).any(|cause| {
            let gone = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
            cause.downcast_ref::<io::Error>().is_some_and(|cause| gone.contains(&cause.kind()))
                || cause.downcast_ref::<h2::Error>().is_some_and(|cause| cause.is_remote() || cause.is_io())
        })
    }

    /// What kind of failure it is, as a word for spans: of a closed list, and without what a message may hold.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Blocked { .. } => "blocked",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::Caller { .. } => "caller",
        }
    }

    pub(super) fn unreachable(host: &str, cause: impl Into<Cause>) -> Self {
        Self::Unreachable { host: host.to_owned(), source: cause.into() }
    }

    pub(super) fn broken(host: &str, cause: impl Into<Cause>) -> Self {
        Self::Broken { host: host.to_owned(), source: cause.into() }
    }

    pub(super) fn timeout(host: &str, waiting: Waiting) -> Self {
        Self::Timeout { host: host.to_owned(), waiting }
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "did not take a connection",
            Self::Answer => "did not answer",
            Self::Body => "did not go on with its answer",
        })
    }
}

/// Why nothing outbound can start: a mistake in `[net]`.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file with more roots cannot be read.
    #[error("net.ca_file: {path} cannot be read as PEM certificates: {reason}")]
    CaFile {
        /// As configured.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The proxy is not `http://host:port`.
    #[error("net.proxy: {0}; write it as http://host:port")]
    Proxy(&'static str),
    /// The client for small requests refuses its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[source] Cause),
}
