//! Everything that can go wrong in the broker. What a person is told of each is decided in `server/respond` alone.

use std::sync::Arc;
use std::time::Duration;

use crate::oauth::{CallbackError, DenialReason, EndpointError, MetadataError, SigningError, TokenError};
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// Why the broker did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The operator has not configured the integration; the sentence names the key to set.
    #[error("{0}")]
    NotConfigured(String),
    /// No integration of this name is configured, or not any more.
    #[error("the integration is not configured")]
    UnknownIntegration,
    /// A request that names what does not exist or does not fit, in a sentence for its author.
    #[error("{0}")]
    Invalid(String),
    /// There is no connection, or it was disconnected.
    #[error("there is no connection")]
    NotConnected,
    /// There was a connection, and the provider refused its grant for good.
    #[error("the provider refused the grant for good")]
    ReconnectRequired,
    /// Somebody else's authorization.
    #[error("the authorization belongs to somebody else")]
    Forbidden,
    /// The application says that nobody is logged in where an authorization is to go on.
    #[error("nobody is logged in to the application there")]
    NotLoggedIn,
    /// The state, ticket or code is missing, used, expired, or another browser's.
    #[error("no authorization fits: {0}")]
    StateMismatch(&'static str),
    /// The redirect itself is not usable.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The person, or the provider, said no.
    #[error("the authorization was denied: {0:?}")]
    Denied(DenialReason),
    /// The token endpoint refused, failed or made no sense.
    #[error("the token request failed: {cause}")]
    TokenEndpoint {
        /// For the log.
        cause: String,
        /// When it is worth another try.
        retry_after: Option<Duration>,
    },
    /// A request that learns where to call failed, or its answer says too little.
    #[error("the connection could not be finished: {0}")]
    Undiscovered(String),
    /// The account has nothing that fits what the person asked for.
    #[error("the account has nothing that fits what was asked for")]
    NothingFits,
    /// The address check refused to dial.
    #[error("the address is blocked: {0}")]
    Blocked(String),
    /// The connection's rate budget is used up, or its provider asked for a pause.
    #[error("the rate budget is used up")]
    RateLimited {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// The provider keeps failing, and is not asked for a while.
    #[error("the circuit is open")]
    CircuitOpen {
        /// When it is asked again.
        retry_after: Duration,
    },
    /// The process is going.
    #[error("the process is going")]
    ShuttingDown,
    /// The store cannot be reached, or holds what cannot be opened.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// What must not happen.
    #[error("{0}")]
    Internal(String),
}

impl BrokerError {
    /// What kind of failure it is, as a word for spans: of a closed list, and without what a message may hold.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotConfigured(_) => "integration_not_configured",
            Self::UnknownIntegration => "unknown_integration",
            Self::NotConnected => "not_connected",
            Self::ReconnectRequired => "reconnect_required",
            Self::TokenEndpoint { .. } | Self::Undiscovered(_) => "token_endpoint_failed",
            Self::Blocked(_) => "blocked_address",
            Self::RateLimited { .. } => "rate_limited",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::ShuttingDown => "shutting_down",
            Self::Store(_) => "store_unavailable",
            Self::Invalid(_)
            | Self::Forbidden
            | Self::NotLoggedIn
            | Self::StateMismatch(_)
            | Self::Callback(_)
            | Self::Denied(_)
            | Self::NothingFits
            | Self::Internal(_) => "internal",
        }
    }

    /// A token endpoint's failure without a hint when to try again.
    pub(super) fn token_endpoint(cause: impl std::fmt::Display) -> Self {
        Self::TokenEndpoint { cause: cause.to_string(), retry_after: None }
    }
}

impl From<StoreError> for BrokerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<TokenError> for BrokerError {
    fn from(error: TokenError) -> Self {
        Self::token_endpoint(error)
    }
}

impl From<SigningError> for BrokerError {
    fn from(error: SigningError) -> Self {
        Self::token_endpoint(error)
    }
}

impl From<UpstreamError> for BrokerError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Blocked { .. } => Self::Blocked(error.to_string()),
            other => Self::token_endpoint(other),
        }
    }
}

impl From<EndpointError> for BrokerError {
    fn from(error: EndpointError) -> Self {
        Self::token_endpoint(error)
    }
}

impl From<MetadataError> for BrokerError {
    fn from(error: MetadataError) -> Self {
        Self::token_endpoint(error)
    }
}
