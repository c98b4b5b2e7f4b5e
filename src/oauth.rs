//! The protocol of RFC 6749 and its companions, without I/O: what to send, and what an answer means. The requests are
//! built from the provider's tables, so no provider is named here; `oauth2` supplies types, PKCE and answer parsing.

mod assertion;
mod authorization;
mod callback;
mod client;
mod jwt;
mod metadata;
mod protocol;
mod request;
mod revocation;
mod signing;
mod token;

pub use assertion::{Assertion, ClientAssertion};
pub use authorization::{AuthorizationRequest, authorization_url};
pub use callback::{Callback, CallbackError, DenialReason, Redirect};
pub use client::{Client, Values};
pub use jwt::{JwtAlgorithm, JwtError, JwtExpectation, JwtKeys};
pub use metadata::{EndpointError, Endpoints, Metadata, MetadataError};
pub use protocol::{
    AuthMethod, CallbackCapture, CodeChallengeMethod, ErrorSign, GrantType, Parameters, Protocol, RefreshMode,
    Revocation, RevocationScope, ScopeEncoding, Sunset, TokenCapture, TokenRequestFormat, TokenResponse, Variable,
};
pub use request::{HttpRequest, client_grant_request, exchange_request, refresh_request};
pub use revocation::revocation_requests;
pub use signing::{Signing, SigningAlgorithm, SigningError, SigningKey, SigningKeyError};
pub use token::{TokenError, grant_from_answer, refreshed_grant};
