//! The beginning of an authorization: a start link or the provider's URL, and the record that the callback will need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::activity::AuthorizationOutcome;
use super::record::{self, FlowRecord, PendingRecord, StartRecord};
use super::{Broker, BrokerError, Integration, Settings, Visitor, entropy, values};
use crate::model::{ConnectionKey, Secret};
use crate::oauth::{AuthorizationRequest, CodeChallengeMethod, Values, authorization_url, check_wishes};
use crate::store::{Expected, Key, Kind, Written};
use crate::telemetry::audit::{About, Denial};

/// How long an authorization may take from its beginning to its callback.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// A wish to connect.
#[derive(Clone)]
pub struct Begin {
    /// Integration and person.
    pub key: ConnectionKey,
    /// Where the browser goes afterwards; already held to the allowed origins.
    pub return_to: Option<String>,
    /// Scopes instead of the configured ones.
    pub scopes: Option<Vec<String>>,
    /// The person's values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// The caller's own parameters of the authorization request; an empty value is none.
    pub authorization_params: BTreeMap<String, String>,
}

/// The URL to open.
#[derive(Clone)]
pub struct Begun {
    /// The provider's, in the open mode; otherwise a start link of our own, good for one browser once.
    pub url: String,
}

/// A start link that was opened.
#[derive(Clone)]
pub struct Started {
    /// The provider's URL.
    pub url: String,
    /// The name of the cookie that binds this flow to this browser.
    pub cookie_name: String,
    /// Its value.
    pub cookie_value: Secret,
}

impl Broker {
    /// Begins an authorization for this person.
    pub async fn begin(self: &Arc<Self>, begin: Begin) -> Result<Begun, BrokerError> {
        let integration = self.integration_of(&begin.key)?;
        integration.refuse_without_people("there is nothing to connect.")?;
        let client = self.client(&integration)?;
        let mut wishes = begin.authorization_params;
        wishes.retain(|_, value| !value.is_empty());
        check_wishes(&integration.provider.protocol, &wishes)
            .map_err(|error| BrokerError::Invalid(error.to_string()))?;
        let flow = FlowRecord {
            integration: begin.key.integration.as_str().to_owned(),
            org: begin.key.person.org.as_str().to_owned(),
            user: begin.key.person.user.as_str().to_owned(),
            return_to: begin.return_to,
            scopes: begin.scopes.unwrap_or(client.scopes),
            variables: variables(&integration, begin.variables)?,
            authorization_params: wishes,
        };
        let Settings { confirm, public_base: base, .. } = self.configured.load().settings.clone();
        if !confirm {
            let (url, _) = self.pend(&integration, flow, None).await?;
            self.count_authorization(&integration.name, AuthorizationOutcome::Begun);
            return Ok(Begun { url });
        }
        let ticket = entropy::random_token()?;
        let expires_at = self.clock.now().plus(LIFETIME).unix_millis();
        let record = StartRecord { v: 1, flow, expires_at };
        self.create(&key_of(Kind::Start, ticket.expose()), &record, LIFETIME).await?;
        self.count_authorization(&integration.name, AuthorizationOutcome::Begun);
        Ok(Begun { url: format!("{base}/integrations/{}/authorize?start={}", integration.name, ticket.expose()) })
    }

    /// Opens a start link: binds the flow to this browser. A link works once, and where a login tells who opens it, for
    /// its initiator alone: nobody else gets to see the provider.
    pub async fn start(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        ticket: &str,
        visitor: &Visitor,
    ) -> Result<Started, BrokerError> {
        let started = self.start_now(integration, ticket, visitor).await;
        self.count_start(&integration.name, &started);
        started
    }

    async fn start_now(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        ticket: &str,
        visitor: &Visitor,
    ) -> Result<Started, BrokerError> {
        const USED: BrokerError = BrokerError::StateMismatch("the start link is unknown, used or expired");
        let key = key_of(Kind::Start, ticket);
        let entry = self.store.get(&key).await?.ok_or(USED)?;
        let record: StartRecord = record::decode(&entry.value)?;
        let over = self.clock.now().unix_millis() >= record.expires_at;
        if over || record.flow.integration != integration.name.as_str() {
            return Err(USED);
        }
        // Not spent: it is still its initiator's to open.
        if visitor.began(&record.flow)? == Some(false) {
            tracing::warn!(integration = %integration.name, "a start link was opened by somebody who did not begin it");
            self.denials.deny(Denial::SomebodyElse, &About::key(&record.flow.key()?));
            return Err(visitor.refusal());
        }
        // What may fail comes before the link is spent, so that a provider in trouble does not cost the person a new
        // one.
        let client = self.client(integration)?;
        self.endpoints(integration, &client, &record.flow.variables, None).await?;
        self.store.take(&key).await?.ok_or(USED)?;
        let cookie_value = entropy::random_token()?;
        let (url, state) = self.pend(integration, record.flow, Some(&cookie_value)).await?;
        Ok(Started { cookie_name: self.cookie_name(state.expose()), url, cookie_value })
    }

    /// Draws state and verifier, stores what the callback needs, and gives the provider's URL and the state.
    async fn pend(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        flow: FlowRecord,
        cookie: Option<&Secret>,
    ) -> Result<(String, Secret), BrokerError> {
        let client = self.client(integration)?;
        let protocol = &integration.provider.protocol;
        let endpoints = self.endpoints(integration, &client, &flow.variables, None).await?;
        let (state, random) = (entropy::random_token()?, entropy::random_token()?);
        let verifier = match protocol.code_challenge_method {
            CodeChallengeMethod::S256 => Some(entropy::random_token()?),
            CodeChallengeMethod::None => None,
        };
        let request = AuthorizationRequest {
            scopes: &flow.scopes,
            verifier: verifier.as_ref(),
            values: Values {
                state: Some(state.expose()),
                random: Some(random.expose()),
                ..values(&client, &flow.variables)
            },
            wishes: &flow.authorization_params,
        };
        let url = authorization_url(protocol, &endpoints, request);
        let record = PendingRecord {
            v: 1,
            flow,
            verifier: verifier.as_ref().map(|verifier| verifier.expose().to_owned()),
            cookie_hash: cookie.map(|cookie| entropy::fingerprint(cookie.expose())),
            expires_at: self.clock.now().plus(LIFETIME).unix_millis(),
        };
        self.create(&key_of(Kind::Pending, state.expose()), &record, LIFETIME).await?;
        Ok((url, state))
    }

    /// The cookie of one flow. `__Host-` keeps other hosts and paths from setting it, and needs https.
    pub(super) fn cookie_name(&self, state: &str) -> String {
        let prefix = if self.configured.load().settings.public_base.starts_with("https://") { "__Host-" } else { "" };
        format!("{prefix}keyferry-{}", &entropy::fingerprint(state)[..16])
    }

    /// Writes a record that must not exist yet.
    pub(super) async fn create<T: serde::Serialize>(
        &self,
        key: &Key,
        record: &T,
        lifetime: Duration,
    ) -> Result<(), BrokerError> {
        match self.store.put(key, Expected::Absent, &record::encode(record)?, Some(lifetime)).await? {
            Written::Stored(_) => Ok(()),
            Written::Conflict => Err(BrokerError::Internal("a random name was drawn twice".into())),
        }
    }
}

/// The record of a state, ticket or code. Its own text is not in the store: who reads the store's keys cannot use them.
pub(super) fn key_of(kind: Kind, token: &str) -> Key {
    Key::new(kind, &[&entropy::fingerprint(token)])
}

/// The operator's values, then the person's, then the defaults; each checked against its rule.
pub(super) fn variables(
    integration: &Integration,
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, BrokerError> {
    let rules = &integration.provider.protocol.variables;
    if let Some(unknown) = given.keys().find(|name| !rules.contains_key(*name)) {
        let mut shown: String = unknown.chars().filter(|c| !c.is_control()).take(40).collect();
        shown.retain(|c| c != '<' && c != '>');
        return Err(BrokerError::Invalid(format!("This provider has no variable named `{shown}`.")));
    }
    let mut values = BTreeMap::new();
    for (name, rule) in rules {
        let theirs = given.get(name).filter(|_| !rule.operator_only);
        let value = integration.variables.get(name).or(theirs).or(rule.default.as_ref()).ok_or_else(|| {
            BrokerError::Invalid(format!(
                "Send `variables.{name}`: {}.",
                rule.title.as_deref().unwrap_or("this provider needs it")
            ))
        })?;
        if !rule.accepts(value) {
            return Err(BrokerError::Invalid(format!(
                "`variables.{name}` does not have the form that this provider needs."
            )));
        }
        values.insert(name.clone(), value.clone());
    }
    Ok(values)
}
