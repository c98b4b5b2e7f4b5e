//! Who is asking: a session, an API key, the application's own login, or, in the open mode, anybody. Decided before any handler runs. Also finds the
//! person that a request is about, and refuses what the caller's scope does not cover.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, Uri};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::denials::Denied;
use super::respond::HttpError;
use super::service::Service;
use super::{Caller as KeyCaller, KeyHash, Settings};
use crate::broker::{SESSION_PREFIX, Session};
use crate::model::{Allowed, CallerName, CallerScope, IntegrationName, Org, Person, User};
use crate::route::TokenPlace;
use crate::telemetry::audit::Asked;

/// What every API key begins with.
pub(crate) const KEY_PREFIX: &str = "kf_";

/// Whoever calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller<'a> {
    /// The open mode: anybody on this machine.
    Anyone,
    /// A person, by a session; with the caller that made it, whose present scope bounds it.
    Session {
        /// The session.
        session: Arc<Session>,
        /// Who made it; nobody in the open mode.
        maker: Option<&'a KeyCaller>,
    },
    /// A back end, by its API key.
    Key(&'a KeyCaller),
    /// A person, by the application's own login.
    Login(Arc<Person>),
}

/// The person that a request names, as texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) org: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
}

/// The person that a request is about, still borrowed: a call that finds its token in memory allocates nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PersonName<'a> {
    pub(crate) org: &'a str,
    pub(crate) user: &'a str,
}

impl Service {
    /// Finds out who is asking. A session or key that is presented has to be right, whatever else is sent.
    ///
    /// `place` is where the provider of a call would have its own token: a vendor's SDK puts ours there. `extensions`
    /// are the request's: what is needed to ask the application travels there.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        extensions: &Extensions,
        place: Option<&TokenPlace>,
    ) -> Result<Caller<'_>, HttpError> {
        let settings = &self.settings;
        let caller = match (presented(headers, uri, place)?, &self.identity) {
            (Some(token), _) if token.starts_with(SESSION_PREFIX) => {
                let session = self.broker.session(&token).await.map_err(HttpError::broker)?;
                session.and_then(|session| with_maker(session, settings)).ok_or(HttpError::Unauthenticated)?
            }
            (Some(token), _) => key_caller(&token, settings).map(Caller::Key).ok_or(HttpError::Unauthenticated)?,
            // Boxed, so that the future of a call stays small for everybody else.
            (None, Some(identity)) => Caller::Login(self.logged_in(identity, headers, extensions).boxed().await?),
            (None, None) if settings.is_open() => Caller::Anyone,
            (None, None) => return Err(HttpError::Unauthenticated),
        };
        if let Some(name) = caller.name() {
            Asked::set_caller(name);
        }
        Ok(caller)
    }
}

impl Caller<'_> {
    /// The person, from the caller's own identity and what the request names.
    pub(crate) fn person<'p>(&'p self, named: Named<'p>) -> Result<PersonName<'p>, HttpError> {
        match self {
            Self::Anyone => {
                Ok(PersonName { org: named.org.unwrap_or("default"), user: named.user.unwrap_or("default") })
            }
            Self::Session { session, .. } => self.only(&session.person, named),
            Self::Login(person) => self.only(person, named),
            Self::Key(key) => {
                let org = named.org.or_else(|| key.scope.orgs.single().map(Org::as_str));
                let user = named.user.or_else(|| key.scope.users.single().map(User::as_str));
                match (org, user) {
                    (Some(org), Some(user)) => Ok(PersonName { org, user }),
                    _ => Err(HttpError::bad_request(
                        "Name the person: send Keyferry-Org and Keyferry-User, or org_id and user_id in the form.",
                    )),
                }
            }
        }
    }

    /// Refuses what the caller's scope does not cover. The words do not tell whether the thing exists.
    pub(crate) fn require(&self, integration: &str, person: PersonName<'_>) -> Result<(), HttpError> {
        let covers = |scope: &CallerScope| scope.covers(integration, person.org, person.user);
        if self.scopes().all(covers) {
            return Ok(());
        }
        Err(self.denied(IntegrationName::parse(integration).ok().as_ref(), Some(person)))
    }

    /// Refuses a proxied call's method outside the scope, and a header that would make another of it at the provider.
    pub(crate) fn require_method(
        &self,
        method: &str,
        headers: &HeaderMap,
        integration: &IntegrationName,
    ) -> Result<(), HttpError> {
        let permitted = self.scopes().all(|scope| {
            let bounded = matches!(scope.methods, Allowed::Only(_));
            scope.permits_method(method) && !(bounded && headers.keys().any(overrides_method))
        });
        if permitted {
            return Ok(());
        }
        // Whether the person is named well is not what this is about.
        let named = Named::from_headers(headers).ok();
        let person = named.and_then(|named| self.person(named).ok());
        Err(self.denied(Some(integration), person))
    }

    /// The name of the key that it is, or of the key that made the session.
    pub(crate) fn name(&self) -> Option<&CallerName> {
        match self {
            Self::Key(key) | Self::Session { maker: Some(key), .. } => Some(&key.name),
            Self::Anyone | Self::Session { maker: None, .. } | Self::Login(_) => None,
        }
    }

    /// That person, whom a request may name and need not. Naming somebody else is refused.
    fn only<'p>(&self, person: &'p Person, named: Named<'_>) -> Result<PersonName<'p>, HttpError> {
        let (org, user) = (person.org.as_str(), person.user.as_str());
        let other = named.org.is_some_and(|named| named != org) || named.user.is_some_and(|named| named != user);
        let person = PersonName { org, user };
        if other { Err(self.denied(None, Some(person))) } else { Ok(person) }
    }

    /// The refusal of what it may not do, with what is known of that.
    pub(crate) fn denied(&self, integration: Option<&IntegrationName>, person: Option<PersonName<'_>>) -> HttpError {
        HttpError::Forbidden(Denied {
            caller: self.name().cloned(),
            integration: integration.cloned(),
            person: person.and_then(|person| person.parse().ok()),
        })
    }

    /// Every scope that bounds it: its own, and for a session its maker's as well.
    fn scopes(&self) -> impl Iterator<Item = &CallerScope> {
        let maker = match self {
            Self::Session { maker, .. } => *maker,
            Self::Anyone | Self::Key(_) | Self::Login(_) => None,
        };
        self.scope().into_iter().chain(maker.map(|maker| &maker.scope))
    }

    /// What the caller may do; `None` in the open mode and for a person's own login, where there are no bounds.
    pub(crate) fn scope(&self) -> Option<&CallerScope> {
        match self {
            Self::Anyone | Self::Login(_) => None,
            Self::Session { session, .. } => Some(&session.scope),
            Self::Key(key) => Some(&key.scope),
        }
    }

    /// The integrations that a session made by this caller may use at most.
    pub(crate) fn integrations(&self) -> Allowed<IntegrationName> {
        self.scope().map_or(Allowed::Any, |scope| scope.integrations.clone())
    }
}

impl<'a> PersonName<'a> {
    /// A person's.
    pub(crate) fn of(person: &'a Person) -> Self {
        Self { org: person.org.as_str(), user: person.user.as_str() }
    }

    /// As parsed names.
    pub(crate) fn parse(self) -> Result<Person, HttpError> {
        let org = Org::parse(self.org).map_err(|error| HttpError::bad_request(format!("The organisation {error}.")))?;
        let user = User::parse(self.user).map_err(|error| HttpError::bad_request(format!("The user {error}.")))?;
        Ok(Person { org, user })
    }
}

impl<'a> Named<'a> {
    /// From the `Keyferry-Org` and `Keyferry-User` headers.
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Result<Self, HttpError> {
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| ()),
                _ => Err(()),
            }
        };
        let unclear = |()| HttpError::bad_request("Send Keyferry-Org and Keyferry-User once each, as UTF-8.");
        Ok(Self { org: one("keyferry-org").map_err(unclear)?, user: one("keyferry-user").map_err(unclear)? })
    }
}

/// A session is worth no more than its maker: with callers configured, one whose maker is gone, or which nobody's key
/// made, is over.
fn with_maker(session: Arc<Session>, settings: &Settings) -> Option<Caller<'_>> {
    let named = |name: &str| settings.callers.iter().find(|caller| caller.name.as_str() == name);
    let maker = session.maker.as_deref().map(named);
    match maker {
        Some(maker) => maker.map(|maker| Caller::Session { session, maker: Some(maker) }),
        None => settings.is_open().then_some(Caller::Session { session, maker: None }),
    }
}

/// The headers by which some APIs let a POST stand for another method.
fn overrides_method(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    matches!(name.as_str(), "x-http-method-override" | "x-http-method" | "x-method-override")
}

fn key_caller<'a>(key: &str, settings: &'a Settings) -> Option<&'a KeyCaller> {
    let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    // Every hash is compared, so that time does not tell which one was near.
    let mut found = None;
    for caller in &settings.callers {
        if bool::from(caller.key_hash.0.ct_eq(&hash)) {
            found = Some(caller);
        }
    }
    found
}

/// Whether this is the key, compared in a time that says nothing of how near it is.
pub(super) fn is_key_of(key: &str, hash: &KeyHash) -> bool {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    hash.0.ct_eq(&digest).into()
}

/// A token of ours, wherever the request has it: under any scheme of `Authorization`, inside Basic credentials, or in
/// the provider's own place.
fn presented(headers: &HeaderMap, uri: &Uri, place: Option<&TokenPlace>) -> Result<Option<String>, HttpError> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(HttpError::bad_request("Send Authorization once."));
    }
    if let Some(token) = field.and_then(|field| field.to_str().ok()).and_then(from_authorization) {
        return Ok(Some(token));
    }
    Ok(match place {
        Some(TokenPlace::Header { name, .. }) => {
            headers.get(name).and_then(|value| value.to_str().ok()).and_then(from_authorization)
        }
        Some(TokenPlace::Query { name, .. }) => {
            let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            pairs.find(|(sent, value)| sent == name && is_ours(value)).map(|(_, value)| value.into_owned())
        }
        None => None,
    })
}

fn from_authorization(field: &str) -> Option<String> {
    let field = field.trim();
    let credentials = field.rsplit(' ').next()?;
    if is_ours(credentials) {
        return Some(credentials.to_owned());
    }
    let basic = field.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "));
    if !basic {
        return None;
    }
    let decoded = STANDARD.decode(credentials).ok()?;
    let text = std::str::from_utf8(&decoded).ok()?;
    text.split(':').find(|part| is_ours(part)).map(str::to_owned)
}

/// Whether it is a session or key of ours, right or wrong.
pub(super) fn is_ours(token: &str) -> bool {
    token.starts_with(SESSION_PREFIX) || token.starts_with(KEY_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_may_stand() {
        fn check(headers: &[(&str, &str)], expected: Option<&str>) {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
                .collect::<Vec<(HeaderName, http::HeaderValue)>>()
                .into_iter()
                .collect();
            let place = TokenPlace::Header {
                name: HeaderName::from_static("x-shop-token"),
                format: crate::mapping::Template::parse("{access_token}").expect("a template"),
            };
            let uri = Uri::from_static("/");
            assert_eq!(presented(&headers, &uri, Some(&place)).expect("one field").as_deref(), expected, "{headers:?}");
        }
        check(&[], None);
        check(&[("authorization", "Bearer kfs_abc")], Some("kfs_abc"));
        check(&[("authorization", "token kf_abc")], Some("kf_abc"));
        check(&[("authorization", "kf_abc")], Some("kf_abc"));
        check(&[("authorization", "Bearer secret_notion")], None);
        check(&[("authorization", "Basic a2ZfYWJjOg==")], Some("kf_abc"));
        check(&[("authorization", "Basic dXNlcjprZnNfeA==")], Some("kfs_x"));
        check(&[("authorization", "Basic !!!")], None);
        check(&[("x-shop-token", "kfs_abc")], Some("kfs_abc"));
    }

    proptest::proptest! {
        #[test]
        fn any_field_is_answered(scheme in "(Basic |Bearer |token )?", token in "(kf_|kfs_)?[!-~]*") {
            let found = from_authorization(&format!("{scheme}{token}"));
            proptest::prop_assert_eq!(is_ours(&token), found.as_ref() == Some(&token));
        }
    }

    #[test]
    fn two_authorizations_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer a"));
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer kf_b"));
        assert!(presented(&headers, &Uri::from_static("/"), None).is_err());
    }
}
