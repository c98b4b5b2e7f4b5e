//! The protocol of RFC 6749 and its companions, without I/O: what to send, and what an answer means. The requests are
//! built from the provider's tables, so no provider is named here; `oauth2` supplies types, PKCE and answer parsing.

mod assertion;
mod authorization;
mod callback;
mod capture;
mod client;
mod discovery;
mod exchange;
mod introspection;
mod jwt;
mod kept;
mod metadata;
mod protocol;
mod request;
mod revocation;
mod sent;
mod signing;
mod token;

pub use assertion::{Assertion, ClientAssertion};
pub use authorization::{AuthorizationRequest, WishError, authorization_url, check_wishes};
pub use callback::{Callback, CallbackError, DenialReason, Redirect};
pub use capture::{CallbackCapture, CaptureRule, TokenCapture, complete_captures};
pub use client::{Client, Values};
pub use discovery::{Discovery, DiscoveryError, discovered, discovery_request};
pub use exchange::{TokenExchange, token_exchange_request};
pub use introspection::{introspected_end, introspection_request};
pub use jwt::{JwtAlgorithm, JwtError, JwtExpectation, JwtKeys};
pub use metadata::{EndpointError, Endpoints, Metadata, MetadataError, endpoint_url, may_take_a_secret};
pub(crate) use protocol::matches_whole;
pub use protocol::{
    AuthMethod, CallbackNames, CodeChallengeMethod, ErrorSign, GrantType, Parameters, Protocol, RefreshMode,
    Revocation, RevocationScope, ScopeEncoding, Sunset, TokenRequestFormat, TokenRequestMethod, TokenResponse,
    Variable,
};
pub use request::{HttpRequest, client_grant_request, exchange_request, refresh_request};
pub use revocation::revocation_requests;
pub use sent::Sent;
pub use signing::{Signing, SigningAlgorithm, SigningError, SigningKey, SigningKeyError};
pub use token::{TokenError, exchanged_grant, grant_from_answer, refreshed_grant};
