//! What RFC 6749 calls the client: our registration at a provider, with the values that templates may ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Signing, SigningKey};
use crate::model::{Grant, Secret};

/// Our OAuth client at one provider.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// RFC 6749 section 2.2.
    pub id: String,
    /// A public client has none.
    pub secret: Option<Secret>,
    /// What assertions are signed with, where the client has a key.
    pub signing_key: Option<Arc<SigningKey>>,
    /// What that key is called at the provider, where the integration says.
    pub signing_key_id: Option<String>,
    /// Sent in both legs, byte for byte the same (RFC 6749 section 4.1.3).
    pub redirect_uri: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

impl Client {
    /// What the signing key is called: by the integration, or else by its key file.
    pub fn key_id(&self) -> Option<&str> {
        self.signing_key_id.as_deref().or_else(|| self.signing_key.as_ref()?.id())
    }
}

/// What `{name}` may stand for in one request. Later sources win nothing: names are unique by the file's checks, and a
/// built-in can never be shadowed.
#[derive(Clone, Copy, Default)]
pub struct Values<'a> {
    /// `{client_id}`, `{client_secret}`.
    pub client: Option<&'a Client>,
    /// `{access_token}`.
    pub access_token: Option<&'a Secret>,
    /// `{refresh_token}`.
    pub refresh_token: Option<&'a Secret>,
    /// `{code}`.
    pub code: Option<&'a str>,
    /// `{state}`.
    pub state: Option<&'a str>,
    /// `{scope}`: as joined for this request.
    pub scope: Option<&'a str>,
    /// `{random}`: fresh for this request; in what calls carry, for this token.
    pub random: Option<&'a str>,
    /// The provider's variables, as set by operator or person.
    pub variables: Option<&'a BTreeMap<String, String>>,
    /// Values captured from callback and token answers.
    pub captured: Option<&'a BTreeMap<String, String>>,
    /// Further tokens of the answers.
    pub extra: Option<&'a BTreeMap<String, Secret>>,
    /// When this request is made, and with what randomness: for the assertions in it.
    pub signing: Option<Signing<'a>>,
}

impl<'a> Values<'a> {
    /// With what a grant holds.
    #[must_use]
    pub fn with_grant(self, grant: &'a Grant) -> Self {
        Self {
            access_token: Some(&grant.access_token),
            refresh_token: grant.refresh_token.as_ref(),
            captured: Some(&grant.captured),
            extra: Some(&grant.extra),
            ..self
        }
    }

    /// The value of a name, if there is one in this request.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let built_in = match name {
            "client_id" => self.client.map(|client| client.id.as_str()),
            "client_secret" => self.client.and_then(|client| client.secret.as_ref()).map(Secret::expose),
            "redirect_uri" => self.client.map(|client| client.redirect_uri.as_str()),
            "access_token" => self.access_token.map(Secret::expose),
            "refresh_token" => self.refresh_token.map(Secret::expose),
            "code" => self.code,
            "state" => self.state,
            "scope" => self.scope,
            "random" => self.random,
            _ => {
                let own = |map: Option<&'a BTreeMap<String, String>>| map.and_then(|map| map.get(name));
                let extra = || self.extra.and_then(|extra| extra.get(name)).map(Secret::expose);
                let plain = own(self.variables).or_else(|| own(self.captured)).map(String::as_str);
                return plain.or_else(extra).map(Cow::Borrowed);
            }
        };
        built_in.map(Cow::Borrowed)
    }
}
