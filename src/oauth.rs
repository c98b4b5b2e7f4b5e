//! The protocol of RFC 6749 and its companions, without I/O: what to send, and what an answer means. The requests are
//! built from the provider's tables, so no provider is named here; `oauth2` supplies types, PKCE and answer parsing.

mod protocol;

pub use protocol::{
    AuthMethod, CallbackCapture, CodeChallengeMethod, ErrorSign, Parameters, Protocol, RefreshMode, Revocation,
    RevocationScope, ScopeEncoding, Sunset, TokenCapture, TokenRequestFormat, TokenResponse, Variable,
};
