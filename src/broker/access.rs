//! From a connection to a token that works now: from memory when nothing changed, else from the store, refreshed when
//! it is past its end. Never asks the provider for anything itself; that is `refresh`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::live::Ticket;
use super::record::Stored;
use super::single_flight::{Entry as FlightEntry, Outcome, SingleFlight, Waiter};
use super::{Broker, BrokerError, Integration, Live, LiveKey, connections, entropy, values};
use crate::model::{ConnectionKey, ConnectionStatus, Freshness, Grant};
use crate::oauth::Values;
use crate::route::Ready;
use crate::telemetry::trace::{Kind, Span, attribute};

/// No record has it.
const NO_VERSION: u64 = 0;

/// What the span of a refresh is called.
const REFRESH: &str = "refresh";

impl Broker {
    /// The live token from memory; `None` when the store has to be asked. Allocates nothing and waits for nothing.
    /// `token` is the span of the getting, as it is below.
    pub fn live(self: &Arc<Self>, key: &LiveKey<'_>, token: &mut Span) -> Option<Arc<Live>> {
        if !self.store.is_synced() {
            return None;
        }
        let live = self.live.current(key)?;
        match live.freshness(self.clock.now()) {
            Freshness::Fresh => {}
            Freshness::Due => self.refresh_ahead(&live, token),
            Freshness::Expired => return None,
        }
        token.set(attribute::TOKEN_SOURCE, "memory");
        Some(live)
    }

    /// The live token of a connection, refreshed first when it is past its end.
    pub async fn access(self: &Arc<Self>, key: &ConnectionKey, token: &mut Span) -> Result<Arc<Live>, BrokerError> {
        let key = &self.holder(key)?;
        let live = match self.load(key).await {
            Err(BrokerError::NotConnected) if key.person.is_nobody() => {
                return self.refresh(key, None, token).await;
            }
            loaded => loaded?,
        };
        match live.freshness(self.clock.now()) {
            Freshness::Fresh => {}
            Freshness::Due => self.refresh_ahead(&live, token),
            Freshness::Expired => return self.refresh(&live.connection.key, Some(&live), token).await,
        }
        token.set(attribute::TOKEN_SOURCE, "store");
        Ok(live)
    }

    /// Another token in place of one that the provider answered 401 to; `None` when the grant has nothing to get one
    /// with. Of any number of callers with the same failed token one causes a request.
    pub async fn renew(self: &Arc<Self>, failed: &Live, token: &mut Span) -> Result<Option<Arc<Live>>, BrokerError> {
        let current = self.load(&failed.connection.key).await?;
        if current.grant.access_token != failed.grant.access_token {
            token.set(attribute::TOKEN_SOURCE, "store");
            return Ok(Some(current));
        }
        if !self.can_refresh(&current)? {
            return Ok(None);
        }
        self.refresh(&current.connection.key, Some(&current), token).await.map(Some)
    }

    /// Starts the refresh of a token that is due, once, and does not wait for it. Its trace is its own, with a link to
    /// `token`.
    pub(super) fn refresh_ahead(self: &Arc<Self>, live: &Arc<Live>, token: &Span) {
        if live.refresh_started.swap(true, Ordering::Relaxed) {
            return;
        }
        let key = &live.connection.key;
        let begin = || token.follower(Kind::Client, REFRESH);
        if self.can_refresh(live).unwrap_or(false) && self.enter(key, Some(live), begin).is_err() {
            // Paused after a failure: whoever comes after the pause may try again.
            live.refresh_started.store(false, Ordering::Relaxed);
        }
    }

    fn can_refresh(&self, live: &Live) -> Result<bool, BrokerError> {
        Ok(self.integration_of(&live.connection.key)?.provider.protocol.can_refresh(&live.grant))
    }

    /// Waits for the refresh of this connection, whoever started it. Without `live` it is the first token of an
    /// integration's own grant.
    async fn refresh(self: &Arc<Self>, key: &ConnectionKey, live: Option<&Arc<Live>>, token: &mut Span) -> Outcome {
        let waiter = self.enter(key, live, || token.child(Kind::Client, REFRESH))?;
        match waiter.joined {
            None => token.set(attribute::TOKEN_SOURCE, "refresh"),
            Some(span) => {
                token.set(attribute::TOKEN_SOURCE, "wait");
                token.link(span);
            }
        }
        match tokio::time::timeout(self.patience(key), waiter.outcome()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // The refresh goes on without us. Whether the store or the provider keeps it decides what to say.
                self.store.ping().await?;
                Err(BrokerError::token_endpoint("the refresh is still under way"))
            }
        }
    }

    /// Joins the refresh of this connection or starts one as a task of its own.
    fn enter(
        self: &Arc<Self>,
        key: &ConnectionKey,
        live: Option<&Arc<Live>>,
        begin: impl FnOnce() -> Span,
    ) -> Result<Waiter, BrokerError> {
        match SingleFlight::enter(self, key, begin) {
            FlightEntry::Joined(waiter) => Ok(waiter),
            FlightEntry::Started(mut flight, waiter) => {
                if flight.span.is_recorded() {
                    flight.span.set(attribute::INTEGRATION, key.integration.to_string());
                }
                let (broker, live) = (Arc::clone(self), live.cloned());
                // Whoever waits does so at the flight, together with all others.
                drop(self.duties.run(async move {
                    let stale = live.as_ref().map_or(NO_VERSION, |live| live.version);
                    let mut span = std::mem::take(&mut flight.span);
                    let outcome = broker.refresh_once(flight.key(), stale, &mut span).await;
                    flight.span = span;
                    if let Some(live) = live {
                        // While the old token lasts, a later call may try again.
                        live.refresh_started.store(outcome.is_ok(), Ordering::Relaxed);
                    }
                    flight.finish(outcome);
                    Ok(())
                }));
                Ok(waiter)
            }
            FlightEntry::Paused(left) => Err(BrokerError::TokenEndpoint {
                cause: "the last refresh failed, and its pause is not over".into(),
                retry_after: Some(left),
            }),
        }
    }

    /// How long a caller waits for a refresh: two token requests, since another replica's may come first, and what
    /// follows them.
    fn patience(&self, key: &ConnectionKey) -> Duration {
        self.whole_refresh_deadline(key) + Duration::from_secs(2)
    }

    /// The connection as the store has it now.
    pub(super) async fn load(self: &Arc<Self>, key: &ConnectionKey) -> Result<Arc<Live>, BrokerError> {
        let ticket = self.live.ticket();
        let entry = self.store.get(&connections::key(key)).await?.ok_or(BrokerError::NotConnected)?;
        let stored = self.decoded(&entry.value)?;
        // A grant of the integration's own is not worth it: the next one costs a request and nobody's consent.
        if !key.person.is_nobody()
            && let Some((newer, version)) = self.write_back(&stored, entry.version).await?
        {
            self.tell(key, version).await;
            return self.keep(self.live.ticket(), newer, version);
        }
        self.keep(ticket, stored, entry.version)
    }

    /// Prepares a stored connection for calls and keeps it in memory.
    pub(super) fn keep(&self, ticket: Ticket, stored: Stored, version: u64) -> Result<Arc<Live>, BrokerError> {
        match stored.connection.status {
            ConnectionStatus::Active => {}
            ConnectionStatus::ReconnectRequired => return Err(BrokerError::ReconnectRequired),
            ConnectionStatus::Disconnected => return Err(BrokerError::NotConnected),
        }
        let grant = stored.grant.clone().ok_or(BrokerError::NotConnected)?;
        let integration = self.integration_of(&stored.connection.key)?;
        let ready = self.ready(&integration, &stored, &grant)?;
        let leeway = integration.provider.protocol.refresh_leeway;
        let watched = self.budget_of(&stored.connection.key)?;
        Ok(self.live.put(ticket, stored, (grant, leeway), version, ready, watched))
    }

    fn ready(&self, integration: &Integration, stored: &Stored, grant: &Grant) -> Result<Arc<Ready>, BrokerError> {
        let client = self.client_for(integration, &stored.variables, &grant.captured)?;
        let random = entropy::random_token()?;
        let values = Values { random: Some(random.expose()), ..values(&client, &stored.variables).with_grant(grant) };
        Ready::prepare(&integration.provider.api, |name| values.get(name), true)
            .map(|ready| Arc::new(ready.presenting(integration.certificate.as_ref())))
            .map_err(|error| BrokerError::Internal(format!("the provider file does not fit this connection: {error}")))
    }
}
