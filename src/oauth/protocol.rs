//! How one provider wants OAuth to be spoken: the `[oauth]` and `[variables]` tables of a provider file, checked and
//! compiled. Holds no secret and belongs to no integration.

mod choices;

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::Value;

pub use self::choices::{
    AuthMethod, CodeChallengeMethod, GrantType, RefreshMode, ScopeEncoding, TokenRequestFormat, TokenRequestMethod,
};
use super::{Assertion, ClientAssertion, SigningAlgorithm};
use super::{CallbackCapture, CaptureRule, Discovery, TokenCapture, TokenExchange};
use crate::mapping::{Path, Template};
use crate::model::Grant;

/// A parameter table: names with the templates of their values. An empty template drops the built-in of that name.
pub type Parameters = Vec<(String, Template)>;

/// The `[oauth]` table of a provider file.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// How the token is got.
    pub grant_type: GrantType,
    /// What is presented where that is an assertion.
    pub assertion: Assertion,
    /// The issuer (RFC 8414, OpenID Connect Discovery); fills in the endpoints that the file leaves out.
    pub issuer: Option<Template>,
    /// RFC 6749 section 3.1. A query in it is kept; after a `#` the query goes behind the fragment.
    pub authorization_endpoint: Option<Template>,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Option<Template>,
    /// Where refresh tokens go when not to the token endpoint.
    pub refresh_endpoint: Option<Template>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Template>,
    /// RFC 7662. Asked when a token ends where neither its answer nor the file says.
    pub introspection_endpoint: Option<Template>,
    /// `None`: what the issuer's metadata prefers, else `client_secret_post`; `none` for a client without a secret.
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// What client_secret_basic sends as its user name when not the client id.
    pub basic_username: Option<Template>,
    /// What client_secret_basic sends as its password when not the client secret.
    pub basic_password: Option<Template>,
    /// How token requests are sent.
    pub token_request_method: TokenRequestMethod,
    /// How refreshes are sent.
    pub refresh_request_method: TokenRequestMethod,
    /// How the client signs where its method is by an assertion.
    pub client_assertion: ClientAssertion,
    /// Body format of token requests.
    pub token_request_format: TokenRequestFormat,
    /// More headers on token requests.
    pub token_request_headers: Parameters,
    /// What the authorization endpoint is asked for (RFC 6749 section 3.1.1).
    pub response_type: String,
    /// Whose tokens they are to be (RFC 8707); sent with authorization, exchange and refresh.
    pub resource: Option<Template>,
    /// PKCE (RFC 7636).
    pub code_challenge_method: CodeChallengeMethod,
    /// Scopes asked for when the integration names none.
    pub scopes: Vec<String>,
    /// Joins scopes in requests.
    pub scope_separator: String,
    /// Whether the separator is percent-encoded in the authorization URL.
    pub scope_encoding: ScopeEncoding,
    /// Added to, or changing, the authorization request.
    pub authorization_params: Parameters,
    /// Added to, or changing, the code exchange.
    pub token_params: Parameters,
    /// Added to, or changing, the refresh request.
    pub refresh_params: Parameters,
    /// What a refresh does to the refresh token.
    pub refresh: RefreshMode,
    /// How long before its end an access token becomes due, when not by the engine's own rule.
    pub refresh_leeway: Option<Duration>,
    /// Life of an access token when the answer does not say.
    pub access_token_lifetime: Option<Duration>,
    /// Life of an idle refresh token when the answer does not say.
    pub refresh_token_lifetime: Option<Duration>,
    /// How long the provider still takes a rotated refresh token. Nothing uses it yet.
    pub grace: Option<Duration>,
    /// Error codes of the token endpoint that end a grant; everything else is transient.
    pub terminal_errors: Vec<String>,
    /// Where the token answer keeps its fields.
    pub token_response: TokenResponse,
    /// Values kept from token answers.
    pub token_capture: BTreeMap<String, TokenCapture>,
    /// What the redirect brings, under which names.
    pub callback: CallbackNames,
    /// Values kept from the redirect's query.
    pub callback_capture: BTreeMap<String, CallbackCapture>,
    /// Requests after the token answer that bring other tokens, in order.
    pub token_exchange: Vec<TokenExchange>,
    /// Requests after those that learn where to call, in order.
    pub discovery: Vec<Discovery>,
    /// How tokens are revoked.
    pub revocation: Revocation,
    /// Values that the operator or the person supplies.
    pub variables: BTreeMap<String, Variable>,
    /// When an endpoint of this file is switched off.
    pub sunset: Option<Sunset>,
}

/// Where a token answer keeps its fields. Each list is tried in order; empty lists mean RFC 6749's own names.
#[derive(Clone, Debug, Default)]
pub struct TokenResponse {
    /// Default `$.access_token`.
    pub access_token: Vec<Path>,
    /// Default `$.refresh_token`.
    pub refresh_token: Vec<Path>,
    /// Default `$.token_type`.
    pub token_type: Vec<Path>,
    /// Default `$.expires_in`; number or text.
    pub expires_in: Vec<Path>,
    /// How many `expires_in` make a second; 1 when the file says nothing, 1000 for milliseconds.
    pub expires_in_per_second: Option<u32>,
    /// Default `$.expires_at`; epoch seconds, epoch milliseconds or RFC 3339.
    pub expires_at: Vec<Path>,
    /// Default `$.refresh_token_expires_in`, `$.refresh_expires_in`, `$.x_refresh_token_expires_in`.
    pub refresh_token_expires_in: Vec<Path>,
    /// Default `$.scope`, `$.scopes`; text or an array.
    pub scope: Vec<Path>,
    /// Default `$.error`. Read on HTTP 200 too.
    pub error: Vec<ErrorSign>,
    /// Default `$.error_description`, for the log.
    pub error_description: Vec<Path>,
    /// Where further tokens stand.
    pub extra: BTreeMap<String, Path>,
}

/// A field whose presence says that the answer is an error.
#[derive(Clone, Debug)]
pub struct ErrorSign {
    /// Where it stands.
    pub path: Path,
    /// The value that means no error after all (`0`, or `true` for a field named `ok`); absent means no error too.
    pub ok: Option<Value>,
}

/// What a provider calls the parameters of its redirect (RFC 6749 section 4.1.2), and how it sends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackNames {
    /// Where the code is; `code`.
    pub code: String,
    /// Where our state comes back; `state`.
    pub state: String,
    /// Whether a form may be posted (OAuth 2.0 Form Post Response Mode).
    pub by_post: bool,
}

/// How a token is revoked: RFC 7009 unless the file says otherwise.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The request's method; `POST`.
    pub method: String,
    /// Body format; form.
    pub format: TokenRequestFormat,
    /// Client authentication when it differs from the token endpoint's.
    pub auth_method: Option<AuthMethod>,
    /// The whole parameter table when given; otherwise `token` and `token_type_hint`.
    pub params: Option<Parameters>,
    /// More headers.
    pub headers: Parameters,
    /// What else a revocation takes with it.
    pub scope: RevocationScope,
}

/// How far a revocation reaches. Decides whether a replaced grant may be revoked while its successor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationScope {
    /// The tokens of that one grant.
    Grant,
    /// Perhaps every grant that the account gave to this client; the default, because servers differ and a wrong guess
    /// would kill the connection that was just made.
    Client,
}

/// A value that the operator sets on the integration or the person is asked for when connecting.
#[derive(Clone, Debug, Default)]
pub struct Variable {
    /// What the person reads.
    pub title: Option<String>,
    /// What explains it.
    pub help: Option<String>,
    /// Taken when nobody gives one.
    pub default: Option<String>,
    /// What the whole value has to match.
    pub pattern: Option<Regex>,
    /// The only values that are let through.
    pub allowed: Vec<String>,
    /// Only the operator may set it, on the integration.
    pub operator_only: bool,
    /// Never shown, and never part of a URL.
    pub secret: bool,
}

impl Variable {
    /// Whether the value may stand for this variable.
    pub fn accepts(&self, value: &str) -> bool {
        if !is_plain(value) {
            return false;
        }
        let listed = self.allowed.is_empty() || self.allowed.iter().any(|allowed| allowed == value);
        listed && self.pattern.as_ref().is_none_or(|pattern| matches_whole(pattern, value))
    }
}

/// Whether a value can stand in a header, and is no segment that would move a path.
pub(super) fn is_plain(value: &str) -> bool {
    !value.chars().any(char::is_control) && !matches!(value, "." | "..")
}

/// True when the pattern matches the value from its first to its last byte.
pub(crate) fn matches_whole(pattern: &Regex, value: &str) -> bool {
    pattern.find(value).is_some_and(|found| found.start() == 0 && found.end() == value.len())
}

/// An announced end of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sunset {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// What ends, and what to use instead.
    pub note: String,
}

impl Protocol {
    /// The methods that the file writes for authenticating the client.
    pub fn auth_methods(&self) -> impl Iterator<Item = AuthMethod> {
        let of_exchanges = self.token_exchange.iter().map(|exchange| exchange.auth_method);
        [self.token_endpoint_auth_method, self.revocation.auth_method].into_iter().chain(of_exchanges).flatten()
    }

    /// What is signed with, in any request.
    pub fn signs_with(&self) -> impl Iterator<Item = SigningAlgorithm> {
        let of_the_grant = (self.grant_type == GrantType::JwtBearer).then(|| self.assertion.algorithm());
        self.auth_methods().filter_map(|method| self.client_assertion.algorithm(method)).chain(of_the_grant)
    }

    /// Whether a grant has anything to get another token with: a refresh token, or the access token itself where the
    /// provider takes that, or nothing at all where the client gets it for itself.
    pub fn can_refresh(&self, grant: &Grant) -> bool {
        let grant = grant.newest();
        let presents_something = || {
            grant.refresh_token.is_some()
                || self.presents_the_access_token()
                || grant.extra.keys().any(|name| self.presents(name))
        };
        self.grant_type.is_clients_own() || self.refresh != RefreshMode::None && presents_something()
    }

    /// Whether refreshes present the access token itself.
    pub fn presents_the_access_token(&self) -> bool {
        self.presents("access_token")
    }

    fn presents(&self, name: &str) -> bool {
        self.refresh_params.iter().any(|(_, template)| template.names().any(|asked| asked == name))
    }

    /// Whether requests have to follow a refresh before what it brought can be used.
    pub fn finishes(&self, refreshed: &Grant) -> bool {
        self.token_exchange.iter().any(|exchange| exchange.after_refresh) || self.introspects(refreshed)
    }

    /// Whether requests may follow an answer of the token endpoint.
    pub fn asks_after_answers(&self) -> bool {
        !self.token_exchange.is_empty() || !self.discovery.is_empty() || self.introspection_endpoint.is_some()
    }

    /// Whether requests may follow a refresh.
    pub fn asks_after_refreshes(&self) -> bool {
        self.token_exchange.iter().any(|exchange| exchange.after_refresh) || self.introspection_endpoint.is_some()
    }

    /// Whether the provider is to be asked when the access token ends.
    pub fn introspects(&self, grant: &Grant) -> bool {
        self.introspection_endpoint.is_some() && grant.expires_at.is_none()
    }

    /// The values that the requests after the token answer capture.
    pub fn captures_of_requests(&self) -> impl Iterator<Item = (&String, &TokenCapture)> {
        let exchanges = self.token_exchange.iter().flat_map(|exchange| &exchange.capture);
        exchanges.chain(self.discovery.iter().flat_map(|discovery| &discovery.capture))
    }

    /// The rule of a captured value, wherever it comes from.
    pub fn capture_rule_mut(&mut self, name: &str) -> Option<&mut CaptureRule> {
        if let Some(capture) = self.callback_capture.get_mut(name) {
            return Some(&mut capture.rule);
        }
        let exchanges = self.token_exchange.iter_mut().map(|exchange| &mut exchange.capture);
        let discoveries = self.discovery.iter_mut().map(|discovery| &mut discovery.capture);
        let mut tables = [&mut self.token_capture].into_iter().chain(exchanges).chain(discoveries);
        tables.find_map(|table| table.get_mut(name)).map(|capture| &mut capture.rule)
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            grant_type: GrantType::default(),
            assertion: Assertion::default(),
            issuer: None,
            authorization_endpoint: None,
            token_endpoint: None,
            refresh_endpoint: None,
            revocation_endpoint: None,
            introspection_endpoint: None,
            token_endpoint_auth_method: None,
            basic_username: None,
            basic_password: None,
            token_request_method: TokenRequestMethod::Post,
            refresh_request_method: TokenRequestMethod::Post,
            client_assertion: ClientAssertion::default(),
            token_request_format: TokenRequestFormat::Form,
            token_request_headers: Vec::new(),
            response_type: "code".into(),
            resource: None,
            code_challenge_method: CodeChallengeMethod::S256,
            scopes: Vec::new(),
            scope_separator: " ".into(),
            scope_encoding: ScopeEncoding::Percent,
            authorization_params: Vec::new(),
            token_params: Vec::new(),
            refresh_params: Vec::new(),
            refresh: RefreshMode::Keep,
            refresh_leeway: None,
            access_token_lifetime: None,
            refresh_token_lifetime: None,
            grace: None,
            terminal_errors: vec!["invalid_grant".into()],
            token_response: TokenResponse::default(),
            token_capture: BTreeMap::new(),
            callback: CallbackNames::default(),
            callback_capture: BTreeMap::new(),
            token_exchange: Vec::new(),
            discovery: Vec::new(),
            revocation: Revocation::default(),
            variables: BTreeMap::new(),
            sunset: None,
        }
    }
}

impl Default for CallbackNames {
    fn default() -> Self {
        Self { code: "code".into(), state: "state".into(), by_post: true }
    }
}

impl Default for Revocation {
    fn default() -> Self {
        Self {
            method: "POST".into(),
            format: TokenRequestFormat::Form,
            auth_method: None,
            params: None,
            headers: Vec::new(),
            scope: RevocationScope::Client,
        }
    }
}
