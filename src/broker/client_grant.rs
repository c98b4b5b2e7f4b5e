//! Grants that an integration gets for itself, with nobody to ask (RFC 6749 section 4.4, RFC 7523 section 2.1): who holds
//! them, how they are got, and how they look to each person. They go by the same lease, single flight and memory as
//! everybody's; a provider that refuses one refuses the operator, so none of them ever waits for a person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::activity::RefreshOutcome;
use super::ask::TokenAnswer;
use super::begin::variables;
use super::connections::{self, View};
use super::record::{FlowRecord, Stored};
use super::refresh::Ended;
use super::{Broker, BrokerError, Integration, LiveKey, entropy, values};
use crate::model::{Connection, ConnectionId, ConnectionKey, ConnectionStatus, Freshness, Grant, Person, Secret};
use crate::oauth::{self, Values};
use crate::store::{Expected, Written};
use crate::telemetry::trace::Span;

/// How long a grant is kept whose end nobody knows.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

impl Integration {
    /// Whose its grant is where nobody connects; `None` where each person has their own. What is asked for is part of it:
    /// another client, scope or variable makes another holder, so that no call carries what was got by an older
    /// configuration, and replicas of both get along.
    #[must_use]
    pub fn holder_of_its_own(&self) -> Option<Person> {
        let Self { provider, client_id, scopes, variables, .. } = self;
        // The credentials too: what was got by others is not carried, and nobody can guess a variable from the mark.
        let secret = self.client_secret.as_ref().map(Secret::expose);
        let key = self.private_key.as_ref().map(|key| key.public());
        let certificate = self.certificate.as_ref().map(|certificate| certificate.expose_key());
        let asked = || {
            let asked = format!("{} {:?} {client_id:?} {scopes:?} {variables:?}", provider.id, provider.digest);
            Secret::new(format!("{asked} {secret:?} {key:?} {certificate:?}"))
        };
        provider.protocol.grant_type.is_clients_own().then(|| Person::nobody(&entropy::fingerprint(asked().expose())))
    }

    /// Where memory keeps the grant that this person's calls carry.
    pub fn live_key<'a>(&'a self, org: &'a str, user: &'a str) -> LiveKey<'a> {
        let (org, user) = match &self.holder {
            Some(holder) => (holder.org.as_str(), holder.user.as_str()),
            None => (org, user),
        };
        LiveKey { integration: self.name.as_str(), org, user }
    }

    /// Refuses what only makes sense where people connect.
    pub(super) fn refuse_without_people(&self, what: &str) -> Result<(), BrokerError> {
        if self.holder.is_none() {
            return Ok(());
        }
        let name = &self.name;
        Err(BrokerError::Invalid(format!(
            "`{name}` is connected by the operator, with one grant for everybody: {what} Call /proxy/{name}/ right away."
        )))
    }
}

impl Broker {
    /// Whose grant the calls of a connection's person carry.
    pub(super) fn holder(&self, key: &ConnectionKey) -> Result<ConnectionKey, BrokerError> {
        let person = self.integration_of(key)?.holder.clone().unwrap_or_else(|| key.person.clone());
        Ok(ConnectionKey { integration: key.integration.clone(), person })
    }

    /// Asks for a grant under the lease, unless another replica has done so meanwhile.
    pub(super) async fn obtain_leased(
        self: &Arc<Self>,
        key: &ConnectionKey,
        stale: u64,
        span: &mut Span,
    ) -> Result<Ended, BrokerError> {
        let current = match self.load(key).await {
            Ok(live) => Some(live),
            Err(BrokerError::NotConnected) => None,
            Err(error) => return Err(error),
        };
        if let Some(live) = &current
            && live.version != stale
            && live.freshness(self.clock.now()) == Freshness::Fresh
        {
            return Ok(Ended::kept(Arc::clone(live)));
        }
        let connection = current.as_ref().map(|live| &live.connection);
        let integration = self.integration_of(key)?;
        if integration.holder.as_ref() != Some(&key.person) {
            return Err(BrokerError::token_endpoint("the integration is configured otherwise by now"));
        }
        let asked_at = self.clock.now();
        let asked = tokio::time::timeout(self.refresh_deadline(), self.ask_client_grant(&integration, span)).await;
        let late = |_| BrokerError::token_endpoint("discovery and the token request took too long together");
        let (answer, scopes) = match asked.map_err(late).flatten() {
            Ok(asked) => asked,
            Err(error @ (BrokerError::NotConfigured(_) | BrokerError::Invalid(_))) => return Err(error),
            Err(error) => return Err(self.pause_refreshes(key, connection, error, None)),
        };
        let protocol = &integration.provider.protocol;
        let read = |status, body: &[u8]| oauth::grant_from_answer(protocol, status, body, &scopes, asked_at);
        let mut grant = match answer.read(read) {
            Ok(grant) => grant,
            Err(error) => return Err(self.pause_after(key, connection, error, &answer)),
        };
        grant.authorization = key.person.user.as_str().to_owned();
        let variables = variables(&integration, BTreeMap::new())?;
        let flow = FlowRecord::of(key, &variables);
        let mut grant = match self.finish_connect(&integration, &flow, grant).await {
            Ok(grant) => grant,
            Err(error) => return Err(self.pause_refreshes(key, connection, error, None)),
        };
        // Nobody's consent hangs on it: the credentials get the next token as they got this one.
        grant.refresh_token = None;
        let known = current.as_ref().map(|live| (live.version, live.connection.clone()));
        let (expected, mut connection) = match known {
            Some((version, connection)) => (Expected::Version(version), connection),
            None => (Expected::Absent, self.client_connection(&integration, key)),
        };
        connection.updated_at = self.clock.now();
        self.keep_client_grant(expected, Stored { connection, grant: Some(grant), variables }).await
    }

    async fn ask_client_grant<'a>(
        self: &Arc<Self>,
        integration: &'a Arc<Integration>,
        span: &mut Span,
    ) -> Result<(TokenAnswer<'a>, Vec<String>), BrokerError> {
        let variables = variables(integration, BTreeMap::new())?;
        let client = self.client_for(integration, &variables, &BTreeMap::new())?;
        let endpoints = self.endpoints(integration, &client, &variables, None).await?;
        let random = entropy::random_token()?;
        let values = Values {
            random: Some(random.expose()),
            signing: Some(entropy::signing(self.clock.now())),
            ..values(&client, &variables)
        };
        let request = oauth::client_grant_request(&integration.provider.protocol, &endpoints, values)?;
        Ok((self.ask_for_token(integration, request, span).await?, client.scopes))
    }

    /// Stores the grant before anybody uses it. Should the store fail, no harm is done: the next call asks again.
    async fn keep_client_grant(self: &Arc<Self>, expected: Expected, stored: Stored) -> Result<Ended, BrokerError> {
        let key = stored.connection.key.clone();
        let end = stored.grant.as_ref().and_then(|grant| grant.expires_at);
        // A token that is over is nobody's loss.
        let lifetime = end.map_or(KEPT, |end| end.since(self.clock.now()).max(Duration::from_secs(60)));
        let ticket = self.live.ticket();
        match self.store.put(&connections::key(&key), expected, &stored.encode()?, Some(lifetime)).await? {
            Written::Stored(version) => {
                let live = self.keep(ticket, stored, version)?;
                self.tell(&key, version).await;
                tracing::info!(integration = %key.integration, "the integration has a token");
                Ok(Ended::Live(live, RefreshOutcome::Refreshed))
            }
            Written::Conflict => self.load(&key).await.map(Ended::kept),
        }
    }

    /// The integration's connection before there is a grant. Its id is the same in every replica and after every start.
    fn client_connection(&self, integration: &Integration, key: &ConnectionKey) -> Connection {
        let named = format!("{}/{}", key.integration, key.person.user);
        let digest = Sha256::digest(named.as_bytes());
        let now = self.clock.now();
        Connection {
            id: ConnectionId::from_entropy(std::array::from_fn(|at| digest[at])),
            key: key.clone(),
            provider: integration.provider.id.clone(),
            status: ConnectionStatus::Active,
            created_at: now,
            updated_at: now,
        }
    }

    /// The integration's connection as a person sees it, whether or not there has been a call yet.
    pub(super) async fn client_view(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
    ) -> Result<View, BrokerError> {
        let scopes = self.client(integration)?.scopes;
        let holder = self.holder(key)?;
        let stored = match self.stored(&holder).await? {
            Some((stored, _)) => stored,
            None => Stored {
                connection: self.client_connection(integration, &holder),
                grant: Some(Grant {
                    scopes,
                    authorization: holder.person.user.as_str().to_owned(),
                    ..Grant::default()
                }),
                variables: BTreeMap::new(),
            },
        };
        let mut view = View::from(stored);
        view.connection.key = key.clone();
        Ok(view)
    }
}
