//! Assertions: tokens that we sign to say who we are at the token endpoint (RFC 7521 and 7523), instead of a secret or in
//! place of a person's consent.

use std::time::Duration;

use serde_json::{Map, Value};

use super::request::Table;
use super::signing::signed;
use super::{AuthMethod, Client, Endpoints, Parameters, SigningAlgorithm, SigningError, Values};
use crate::mapping::{Encoding, Template};
use crate::model::Secret;

/// `client_assertion_type` of RFC 7523 section 2.2.
const JWT_BEARER_CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good when the file does not say.
const LIFETIME: Duration = Duration::from_secs(300);

/// How a provider wants an assertion to be made: `[oauth.client_assertion]` or `[oauth.assertion]`. What is not set is
/// as RFC 7523 section 3 says.
#[derive(Clone, Debug, Default)]
pub struct Assertion {
    /// `RS256`, or `HS256` with `client_secret_jwt`.
    pub alg: Option<SigningAlgorithm>,
    /// The integration's `private_key_id`.
    pub kid: Option<Template>,
    /// The client id.
    pub issuer: Option<Template>,
    /// The client id. One that renders to nothing is left out.
    pub subject: Option<Template>,
    /// The token endpoint.
    pub audience: Option<Template>,
    /// Five minutes.
    pub lifetime: Option<Duration>,
    /// More claims; one that renders to nothing is left out.
    pub claims: Parameters,
}

/// How the client authenticates by an assertion.
#[derive(Clone, Debug, Default)]
pub struct ClientAssertion {
    /// How it is made.
    pub assertion: Assertion,
    /// The parameter that it goes into, instead of `client_assertion` beside `client_assertion_type`.
    pub param: Option<String>,
}

impl Assertion {
    /// What it is signed with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.alg.unwrap_or(SigningAlgorithm::Rs256)
    }

    /// The token for one request: no two have the same `jti`.
    pub(super) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        endpoints: &Endpoints,
        client: &Client,
        values: Values<'_>,
    ) -> Result<Secret, SigningError> {
        let render = |template: &Template| template.render(Encoding::Raw, |name| values.get(name));
        let written = |template: &Option<Template>, default: &str, claim: &'static str| match template {
            Some(template) => render(template).ok_or(SigningError::NoValue(claim)),
            None => Ok(default.to_owned()),
        };
        let signing = values.signing.ok_or(SigningError::NoRandomness)?;
        let mut claims = Map::new();
        claims.insert("iss".into(), written(&self.issuer, &client.id, "issuer")?.into());
        let subject = match &self.subject {
            Some(template) => render(template).unwrap_or_default(),
            None => client.id.clone(),
        };
        if !subject.is_empty() {
            claims.insert("sub".into(), subject.into());
        }
        claims.insert("aud".into(), written(&self.audience, &endpoints.token, "audience")?.into());
        for (name, template) in &self.claims {
            if let Some(value) = render(template).filter(|value| !value.is_empty()) {
                claims.insert(name.clone(), value.into());
            }
        }
        let issued_at = signing.now.unix_millis().div_euclid(1000);
        let lifetime = i64::try_from(self.lifetime.unwrap_or(LIFETIME).as_secs()).unwrap_or(i64::MAX);
        claims.insert("jti".into(), signing.token_id()?.into());
        claims.insert("iat".into(), issued_at.into());
        claims.insert("exp".into(), Value::from(issued_at.saturating_add(lifetime)));
        let kid = match &self.kid {
            Some(template) => render(template).filter(|kid| !kid.is_empty()),
            None => client.key_id().map(str::to_owned),
        };
        let key = client.signing_key.as_deref();
        signed(algorithm, kid.as_deref(), &claims, key, client.secret.as_ref(), signing.random)
    }
}

impl ClientAssertion {
    /// What the client signs with by that method; `None` where it does not sign.
    pub fn algorithm(&self, method: AuthMethod) -> Option<SigningAlgorithm> {
        match method {
            AuthMethod::PrivateKeyJwt => Some(self.assertion.algorithm()),
            AuthMethod::ClientSecretJwt => Some(SigningAlgorithm::Hs256),
            _ => None,
        }
    }

    /// Puts a fresh assertion among the parameters.
    pub(super) fn authenticate(
        &self,
        algorithm: SigningAlgorithm,
        endpoints: &Endpoints,
        client: &Client,
        values: Values<'_>,
        parameters: &mut Table,
    ) -> Result<(), SigningError> {
        let token = self.assertion.sign(algorithm, endpoints, client, values)?;
        match &self.param {
            Some(param) => parameters.set(param, token.expose()),
            None => {
                parameters.set("client_assertion_type", JWT_BEARER_CLIENT);
                parameters.set("client_assertion", token.expose());
            }
        }
        Ok(())
    }
}
