//! The callback: the state is taken once, the code is sent once, and the grant becomes a connection or waits for its
//! initiator's word.

use std::sync::Arc;

use super::begin::{LIFETIME, key_of};
use super::record::{self, FlowRecord, GrantRecord, PendingRecord, Stored, UnconfirmedRecord};
use super::{Broker, BrokerError, Integration, Visitor, connections, entropy, values};
use crate::model::{Connection, ConnectionId, ConnectionKey, ConnectionStatus, Grant, Secret};
use crate::oauth::{self, Callback, EndpointError, Redirect, Values};
use crate::store::{Expected, Kind, Written};
use crate::telemetry::audit::{self, About, Denial, Event};
use crate::telemetry::trace::Span;

/// How a callback with a known state ended.
#[derive(Debug)]
pub struct Completed {
    /// Where the browser goes; the integration's own page otherwise.
    pub return_to: Option<String>,
    /// What happened.
    pub outcome: Result<Outcome, BrokerError>,
    /// The cookie that has done its work.
    pub spent_cookie: Option<String>,
}

/// What an authorization brought.
#[derive(Debug)]
pub enum Outcome {
    /// A connection that works.
    Active(Connection),
    /// A grant that its initiator confirms with this one-time code.
    Unconfirmed(Secret),
}

/// An unconfirmed grant is kept longer than it is valid, so that it can be revoked and not merely forgotten.
pub(super) const UNCONFIRMED_KEPT: std::time::Duration = std::time::Duration::from_secs(86_400);

impl Broker {
    /// Completes an authorization from the redirect's query. `cookies` are the browser's, and `visitor` is who is at it.
    /// Goes on to its end though the browser may go away: the code can be sent only once.
    ///
    /// Errors mean that there is nowhere safe to send the browser: the state is unknown, used, expired or another
    /// browser's.
    pub async fn complete(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        query: &str,
        cookies: Vec<(String, String)>,
        visitor: Visitor,
    ) -> Result<Completed, BrokerError> {
        let redirect = Redirect::parse(query, &integration.provider.protocol.callback)?;
        let (broker, integration) = (Arc::clone(self), Arc::clone(integration));
        let completing = async move {
            let completed = broker.complete_now(&integration, redirect, &cookies, &visitor).await;
            broker.count_callback(&integration.name, &completed);
            completed
        };
        self.duties.run(completing).await
    }

    async fn complete_now(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        redirect: Redirect,
        cookies: &[(String, String)],
        visitor: &Visitor,
    ) -> Result<Completed, BrokerError> {
        let key = key_of(Kind::Pending, &redirect.state);
        const UNKNOWN: BrokerError = BrokerError::StateMismatch("the state is unknown, used or expired");

        // Looked at before it is taken: another browser, or another integration's callback, must not be able to spend
        // it.
        let entry = self.store.get(&key).await?.ok_or(UNKNOWN)?;
        let pending: PendingRecord = record::decode(&entry.value)?;
        if pending.flow.integration != integration.name.as_str() {
            return Err(BrokerError::StateMismatch("the state was drawn for another integration"));
        }
        let mut spent_cookie = None;
        if let Some(expected) = &pending.cookie_hash {
            let name = self.cookie_name(&redirect.state);
            let cookie = cookies.iter().find(|(sent, _)| *sent == name);
            let brought = cookie.map(|(_, value)| Secret::new(entropy::fingerprint(value)));
            if brought != Some(Secret::new(expected.as_str())) {
                if let Ok(key) = pending.flow.key() {
                    self.denials.deny(Denial::AnotherBrowser, &About::key(&key));
                }
                return Err(BrokerError::StateMismatch("the flow was begun in another browser"));
            }
            spent_cookie = Some(name);
        }
        self.store.take(&key).await?.ok_or(UNKNOWN)?;
        if self.clock.now().unix_millis() >= pending.expires_at {
            return Err(UNKNOWN);
        }
        let return_to = pending.flow.return_to.clone();
        let outcome = self.exchange(integration, redirect, pending, visitor).await;
        Ok(Completed { return_to, outcome, spent_cookie })
    }

    async fn exchange(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        redirect: Redirect,
        pending: PendingRecord,
        visitor: &Visitor,
    ) -> Result<Outcome, BrokerError> {
        let protocol = &integration.provider.protocol;
        let client = self.client(integration)?;
        let flow = pending.flow;
        let endpoints = self.endpoints(integration, &client, &flow.variables, None).await?;
        let state = redirect.state.clone();
        let (code, captured) = match redirect.accept(protocol, &endpoints)? {
            Callback::Code { code, captured } => (code, captured),
            Callback::Denied(reason) => return Err(BrokerError::Denied(reason)),
        };
        let client = self.client_for(integration, &flow.variables, &captured)?;
        // A captured value may choose the token endpoint's host, from the file's closed map only.
        let endpoints = if captured.is_empty() {
            endpoints
        } else {
            let mut variables = flow.variables.clone();
            variables.extend(captured.clone());
            self.endpoints(integration, &client, &variables, None).await?
        };
        if endpoints.token.is_empty() {
            return Err(EndpointError::NoValue("token_endpoint").into());
        }
        let verifier = pending.verifier.map(Secret::new);
        let random = entropy::random_token()?;
        let values = Values {
            code: Some(&code),
            state: Some(&state),
            captured: Some(&captured),
            random: Some(random.expose()),
            signing: Some(entropy::signing(self.clock.now())),
            ..values(&client, &flow.variables)
        };
        let request = oauth::exchange_request(protocol, &endpoints, verifier.as_ref(), values)?;
        // A token's life is counted from before it was asked for, so that it is never thought to live longer than it
        // does.
        let asked_at = self.clock.now();
        let answer = self.ask_for_token(integration, request, &mut Span::none()).await?;
        let mut grant =
            answer.read(|status, body| oauth::grant_from_answer(protocol, status, body, &flow.scopes, asked_at))?;
        grant.authorization = entropy::random_token()?.expose().to_owned();
        for (name, value) in captured {
            grant.captured.entry(name).or_insert(value);
        }
        let is_theirs = visitor.began(&flow)?;
        if is_theirs == Some(false) {
            self.refuse(&flow, &grant, visitor).await?;
            return Err(visitor.refusal());
        }
        let grant = self.finish_connect(integration, &flow, grant).await?;
        match is_theirs {
            Some(_) => self.activate(&flow, grant).await.map(Outcome::Active),
            None if self.configured.load().settings.confirm => self.hold(flow, &grant).await.map(Outcome::Unconfirmed),
            None => self.activate(&flow, grant).await.map(Outcome::Active),
        }
    }

    /// Gives back what somebody else's browser brought. The code was sent all the same: only with tokens in hand can the
    /// provider be told that what was agreed to there is over, and a code that is merely left behind would leave the
    /// agreement standing.
    async fn refuse(self: &Arc<Self>, flow: &FlowRecord, grant: &Grant, visitor: &Visitor) -> Result<(), BrokerError> {
        let key = flow.key()?;
        tracing::warn!(
            integration = %key.integration,
            logged_in = !matches!(visitor, Visitor::Nobody),
            "an authorization was finished by somebody who did not begin it; what it brought is revoked"
        );
        self.denials.deny(Denial::SomebodyElse, &About::key(&key));
        self.revoke_later(&key, &flow.variables, grant).await;
        Ok(())
    }

    /// Keeps the grant aside until its initiator confirms; gives the code for that.
    async fn hold(&self, flow: FlowRecord, grant: &Grant) -> Result<Secret, BrokerError> {
        let code = entropy::random_token()?;
        let record = UnconfirmedRecord {
            v: 1,
            flow,
            grant: GrantRecord::from(grant),
            expires_at: self.clock.now().plus(LIFETIME).unix_millis(),
            claimed: false,
        };
        self.create(&key_of(Kind::Unconfirmed, code.expose()), &record, UNCONFIRMED_KEPT).await?;
        Ok(code)
    }

    /// Makes the grant the connection's, in place of what it had.
    pub(super) async fn activate(self: &Arc<Self>, flow: &FlowRecord, grant: Grant) -> Result<Connection, BrokerError> {
        let key = flow.key()?;
        let integration = self.integration_of(&key)?;
        loop {
            let now = self.clock.now();
            let previous = self.stored(&key).await?;
            if let Some(connection) = already(previous.as_ref(), &grant) {
                return Ok(connection);
            }
            let connection = Connection {
                id: match &previous {
                    Some((stored, _)) => stored.connection.id.clone(),
                    None => ConnectionId::from_entropy(entropy::random_bytes()?),
                },
                key: key.clone(),
                provider: integration.provider.id.clone(),
                status: ConnectionStatus::Active,
                created_at: previous.as_ref().map_or(now, |(stored, _)| stored.connection.created_at),
                updated_at: now,
            };
            let stored = Stored {
                connection: connection.clone(),
                grant: Some(grant.clone()),
                variables: flow.variables.clone(),
            };
            let expected = previous.as_ref().map_or(Expected::Absent, |(_, version)| Expected::Version(*version));
            let written = self.store.put(&connections::key(&key), expected, &stored.encode()?, None).await;
            if written.is_err() {
                // It may have been written: nobody goes on with what memory holds.
                self.tell(&key, 0).await;
            }
            match written? {
                Written::Stored(version) => {
                    self.tell(&key, version).await;
                    self.refreshes.resume(&key);
                    tracing::info!(integration = %key.integration, connection.id = %connection.id, "connected");
                    audit::write(Event::Connected, &About::connection(&connection));
                    self.revoke_replaced(previous.map(|(stored, _)| stored), &key).await;
                    return Ok(connection);
                }
                // A refresh or another callback wrote in between: look again.
                Written::Conflict => {}
            }
        }
    }

    /// Revokes the grant that was replaced. The attempt looks whether that would reach the new one.
    async fn revoke_replaced(self: &Arc<Self>, previous: Option<Stored>, key: &ConnectionKey) {
        if let Some((replaced, variables)) = previous.and_then(|stored| Some((stored.grant?, stored.variables))) {
            self.revoke_later(key, &variables, &replaced).await;
        }
    }
}

/// The connection that this very authorization has become already: it may have been refreshed since, so it is left
/// alone.
fn already(previous: Option<&(Stored, u64)>, grant: &Grant) -> Option<Connection> {
    let (stored, _) = previous?;
    let is_same = stored.grant.as_ref().is_some_and(|held| held.authorization == grant.authorization);
    is_same.then(|| stored.connection.clone())
}
