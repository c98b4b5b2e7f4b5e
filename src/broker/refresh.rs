//! Refreshing a grant: once per expired token, across callers and replicas. A lease keeps replicas apart, a
//! compare-and-set write catches the one that slept through its lease, and what a provider gave is stored before
//! anybody uses it.
//!
//! A lost answer or a crash in between leaves the old refresh token in the store. It is presented again at the next
//! attempt: a provider with a grace period honours it, one without would have refused any other course as well.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;

use super::activity::RefreshOutcome;
use super::ask::TokenAnswer;
use super::finish::Hindrance;
use super::record::{FlowRecord, Stored};
use super::single_flight::Outcome;
use super::{Broker, BrokerError, Integration, Live, connections, entropy, values};
use crate::mapping::wait::retry_after;
use crate::model::{Connection, ConnectionKey, ConnectionStatus, Freshness, Grant};
use crate::oauth::{self, TokenError};
use crate::store::{Event, Expected, Key, Kind, Written};
use crate::telemetry::audit::{self, About};
use crate::telemetry::trace::Span;

/// A provider may slow us, not stop us for a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Broker {
    /// Refreshes the connection whose record had this version, or takes what another replica made of it meanwhile.
    pub(super) async fn refresh_once(self: &Arc<Self>, key: &ConnectionKey, stale: u64, span: &mut Span) -> Outcome {
        let began = tokio::time::Instant::now();
        let ended = self.refresh_in_turn(key, stale, span).await;
        if let Some(outcome) = outcome(&ended) {
            self.count_refresh(&key.integration, outcome, began.elapsed());
        }
        match ended? {
            Ended::Live(live, _) => Ok(live),
            Ended::Refused => Err(BrokerError::ReconnectRequired),
        }
    }

    async fn refresh_in_turn(
        self: &Arc<Self>,
        key: &ConnectionKey,
        stale: u64,
        span: &mut Span,
    ) -> Result<Ended, BrokerError> {
        let mut changes = self.store.subscribe();
        let name = Key::new(
            Kind::Lease,
            &["refresh", key.integration.as_str(), key.person.org.as_str(), key.person.user.as_str()],
        );
        // Longer than the deadline of the token request and the writes around it, so that a holder that still works is
        // never overtaken.
        let lifetime = self.whole_refresh_deadline(key) + Duration::from_secs(10);
        let give_up = tokio::time::Instant::now() + lifetime + Duration::from_secs(5);
        loop {
            if let Some(lease) = self.store.lease(&name, lifetime).await? {
                let outcome = match key.person.is_nobody() {
                    true => self.obtain_leased(key, stale, span).await,
                    false => self.refresh_leased(key, stale, span).await,
                };
                if let Err(error) = self.store.release(lease).await {
                    tracing::warn!(%error, "a refresh lease could not be given back; it ends by itself");
                }
                return outcome;
            }
            // Another replica is at it. It tells when it has written; the poll is for a message that was lost.
            let _ = tokio::time::timeout(Duration::from_millis(250), next_message(&mut changes)).await;
            match self.load(key).await {
                Ok(live) if live.version != stale && live.freshness(self.clock.now()) != Freshness::Expired => {
                    return Ok(Ended::kept(live));
                }
                Ok(_) => {}
                Err(BrokerError::NotConnected) if key.person.is_nobody() => {}
                Err(error) => return Err(error),
            }
            if tokio::time::Instant::now() > give_up {
                return Err(BrokerError::token_endpoint("another replica has not finished its refresh"));
            }
        }
    }

    async fn refresh_leased(
        self: &Arc<Self>,
        key: &ConnectionKey,
        stale: u64,
        span: &mut Span,
    ) -> Result<Ended, BrokerError> {
        let live = self.load(key).await?;
        let now = self.clock.now();
        if live.version != stale && live.freshness(now) == Freshness::Fresh && live.grant.unfinished.is_none() {
            return Ok(Ended::kept(live));
        }
        let integration = self.integration_of(key)?;
        let stored = stored_of(&live);
        if let Some(ended) = self.resume_refresh(&integration, &live).await {
            return ended;
        }
        if !integration.provider.protocol.can_refresh(&live.grant) {
            return self.end(stored, live.version, "there is nothing to refresh it with").await;
        }
        let asked_at = self.clock.now();
        // Discovery may come before the request; together they stay inside the lease.
        let asking = self.ask_refresh(&integration, &stored, live.grant.newest(), span);
        let asked = tokio::time::timeout(self.refresh_deadline(), asking).await;
        let late = |_| BrokerError::token_endpoint("discovery and the token request took too long together");
        let answer = match asked.map_err(late).flatten() {
            Ok(answer) => answer,
            Err(error) => return Err(self.pause_refreshes(key, Some(&live.connection), error, None)),
        };
        let protocol = &integration.provider.protocol;
        let old = live.grant.newest();
        match answer.read(|status, body| oauth::refreshed_grant(protocol, status, body, old, asked_at)) {
            Ok(refreshed) if protocol.finishes(&refreshed) => {
                // Stored before the requests that follow it: a rotated refresh token must not hang on their success.
                let unfinished = Grant { unfinished: Some(Box::new(refreshed)), ..live.grant.clone() };
                let (live, by_us) = self.persist(stored, live.version, unfinished).await?;
                let Some(refreshed) = live.grant.unfinished.as_deref() else { return Ok(Ended::Live(live, by_us)) };
                match self.finish(&integration, &live, refreshed).await {
                    Ok(finished) => self.persist(stored_of(&live), live.version, finished).await.map(Ended::from),
                    Err(hindrance) => Err(self.pause_refreshes(key, Some(&live.connection), hindrance.into(), None)),
                }
            }
            Ok(grant) => self.persist(stored, live.version, grant).await.map(Ended::from),
            Err(error @ TokenError::Terminal { .. }) => {
                // Perhaps somebody else refreshed or reconnected while we asked; then theirs counts.
                let current = self.load(key).await?;
                if current.version != live.version {
                    return Ok(Ended::kept(current));
                }
                self.end(stored, live.version, &error.to_string()).await
            }
            Err(error) => Err(self.pause_after(key, Some(&live.connection), error, &answer)),
        }
    }

    /// Goes on where an earlier refresh stopped, which brought a token and did not get to make it usable. `None` when there
    /// is none, or the token is past its end, or the provider does not take it any more: then it takes another refresh.
    async fn resume_refresh(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        live: &Live,
    ) -> Option<Result<Ended, BrokerError>> {
        let refreshed = live.grant.unfinished.as_deref()?;
        if refreshed.freshness(self.clock.now(), None) == Freshness::Expired {
            return None;
        }
        match self.finish(integration, live, refreshed).await {
            Ok(finished) => Some(self.persist(stored_of(live), live.version, finished).await.map(Ended::from)),
            Err(Hindrance::Passing(error)) => {
                let connection = &live.connection;
                Some(Err(self.pause_refreshes(&connection.key, Some(connection), error, None)))
            }
            Err(Hindrance::Lasting(error)) => {
                tracing::warn!(integration = %integration.name, %error, "what a refresh brought is of no use; it is refreshed again");
                None
            }
        }
    }

    async fn finish(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        live: &Live,
        refreshed: &Grant,
    ) -> Result<Grant, Hindrance> {
        let flow = FlowRecord::of(&live.connection.key, &live.variables);
        self.finish_refresh(integration, &flow, refreshed.clone()).await
    }

    /// The pause after an answer that brought no token, for as long as that asks.
    pub(super) fn pause_after(
        &self,
        key: &ConnectionKey,
        known: Option<&Connection>,
        error: TokenError,
        answer: &TokenAnswer<'_>,
    ) -> BrokerError {
        if matches!(error, TokenError::ClientRefused { .. }) {
            tracing::error!(integration = %key.integration, %error, "the operator has to mend this integration");
        }
        let asked = answer.headers().get(RETRY_AFTER).and_then(|field| retry_after(field, self.clock.now()));
        self.pause_refreshes(key, known, error.into(), asked.map(|wait| wait.min(LONGEST_PAUSE)))
    }

    async fn ask_refresh<'a>(
        self: &Arc<Self>,
        integration: &'a Arc<Integration>,
        stored: &Stored,
        grant: &Grant,
        span: &mut Span,
    ) -> Result<TokenAnswer<'a>, BrokerError> {
        let client = self.client_for(integration, &stored.variables, &grant.captured)?;
        let endpoints = self.endpoints(integration, &client, &stored.variables, Some(grant)).await?;
        let random = entropy::random_token()?;
        let values = oauth::Values {
            random: Some(random.expose()),
            signing: Some(entropy::signing(self.clock.now())),
            ..values(&client, &stored.variables)
        };
        let request = oauth::refresh_request(&integration.provider.protocol, &endpoints, grant, values)?
            .ok_or_else(|| BrokerError::Internal("a refresh began without anything to present".into()))?;
        self.ask_for_token(integration, request, span).await
    }

    /// Stores the new grant before anybody uses it, however long the store takes to come back. Says whether it is ours
    /// that stands there now.
    async fn persist(
        self: &Arc<Self>,
        mut stored: Stored,
        mut version: u64,
        grant: Grant,
    ) -> Result<(Arc<Live>, RefreshOutcome), BrokerError> {
        let key = stored.connection.key.clone();
        let refreshed_from = stored.grant.replace(grant.clone());
        stored.connection.updated_at = self.clock.now();
        let mut wait = Duration::from_millis(50);
        loop {
            let ticket = self.live.ticket();
            match self.store.put(&connections::key(&key), Expected::Version(version), &stored.encode()?, None).await {
                Ok(Written::Stored(written)) => {
                    let live = self.keep(ticket, stored, written)?;
                    self.tell(&key, written).await;
                    if live.grant.unfinished.is_none() {
                        tracing::info!(integration = %key.integration, connection.id = %live.connection.id, "token refreshed");
                    }
                    return Ok((live, RefreshOutcome::Refreshed));
                }
                Ok(Written::Conflict) => {
                    let ticket = self.live.ticket();
                    let Some((current, at)) = self.stored(&key).await? else {
                        self.revoke_later(&key, &stored.variables, &grant).await;
                        return Err(BrokerError::NotConnected);
                    };
                    match current.grant.as_ref().map(|current| is_same_state(current, &grant)) {
                        // An earlier attempt whose answer was lost has written it after all.
                        Some(true) => return Ok((self.keep(ticket, current, at)?, RefreshOutcome::Refreshed)),
                        None => {
                            self.revoke_later(&key, &stored.variables, &grant).await;
                            return Err(BrokerError::NotConnected);
                        }
                        // The store went back to before the grant that we refreshed: ours is the newer.
                        Some(false) if at < version && is_same_authorization(&current, &stored) => version = at,
                        // Another replica presented the token that we had used up, and took the refusal for the end.
                        Some(false) if was_given_up(&current, &refreshed_from) => version = at,
                        Some(false) => {
                            // Another authorization took the place of the one that we refreshed: its tokens are
                            // nobody's.
                            if authorization(&current) != Some(&grant.authorization) {
                                self.revoke_later(&key, &stored.variables, &grant).await;
                            }
                            return Ok((self.keep(ticket, current, at)?, RefreshOutcome::Kept));
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(integration = %key.integration, %error, "a refreshed grant waits for the store");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_millis(400));
                }
            }
        }
    }

    /// The provider refused for good: the connection waits for its person.
    async fn end(self: &Arc<Self>, mut stored: Stored, version: u64, why: &str) -> Result<Ended, BrokerError> {
        let key = stored.connection.key.clone();
        stored.connection.status = ConnectionStatus::ReconnectRequired;
        stored.connection.updated_at = self.clock.now();
        match self.store.put(&connections::key(&key), Expected::Version(version), &stored.encode()?, None).await? {
            Written::Stored(written) => {
                tracing::warn!(integration = %key.integration, connection.id = %stored.connection.id, why, "reconnect required");
                audit::write(audit::Event::RefreshFailed, &About::connection(&stored.connection).because(why));
                self.tell(&key, written).await;
                Ok(Ended::Refused)
            }
            Written::Conflict => self.load(&key).await.map(Ended::kept),
        }
    }

    /// When the store lost a write that we still hold (a failover), our newer grant of the same connection is written
    /// back.
    pub(super) async fn write_back(&self, stored: &Stored, version: u64) -> Result<Option<(Stored, u64)>, BrokerError> {
        let key = &stored.connection.key;
        let Some(known) = self.live.last_known(key) else { return Ok(None) };
        let ours = stored_of(&known);
        // Versions only grow, so a lower one is an older state come back. Clocks of replicas are not compared.
        if version >= known.version || !is_same_authorization(stored, &ours) {
            return Ok(None);
        }
        match self.store.put(&connections::key(key), Expected::Version(version), &ours.encode()?, None).await? {
            Written::Stored(written) => {
                tracing::warn!(integration = %key.integration, "the store had forgotten a newer grant; it was written back");
                Ok(Some((ours, written)))
            }
            Written::Conflict => Ok(None),
        }
    }

    /// `known` is the connection, where there is one: the first grant of an integration's own makes it.
    pub(super) fn pause_refreshes(
        &self,
        key: &ConnectionKey,
        known: Option<&Connection>,
        error: BrokerError,
        asked: Option<Duration>,
    ) -> BrokerError {
        let jitter = entropy::random_bytes::<1>().map_or(0.5, |byte| f64::from(byte[0]) / 255.0);
        let pause = self.refreshes.pause(key, asked, jitter);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let id = known.map(|connection| connection.id.as_str());
        tracing::warn!(integration = %key.integration, connection.id = id, %error, pause_ms, "a refresh failed; the grant is kept");
        let about = known.map_or_else(|| About::key(key), About::connection);
        audit::write(audit::Event::RefreshFailed, &about.because(&error.to_string()));
        match error {
            BrokerError::TokenEndpoint { cause, .. } => BrokerError::TokenEndpoint { cause, retry_after: Some(pause) },
            other => other,
        }
    }
}

/// How a refresh ended that did not fail.
pub(super) enum Ended {
    /// There is a token, and whose doing it is.
    Live(Arc<Live>, RefreshOutcome),
    /// The provider refused for good, and we have written that down.
    Refused,
}

impl Ended {
    pub(super) fn kept(live: Arc<Live>) -> Self {
        Self::Live(live, RefreshOutcome::Kept)
    }
}

impl From<(Arc<Live>, RefreshOutcome)> for Ended {
    fn from((live, outcome): (Arc<Live>, RefreshOutcome)) -> Self {
        Self::Live(live, outcome)
    }
}

/// What counts; `None` where it was over before it began: the connection or its integration is gone, or another replica
/// has learned that the provider refuses it.
fn outcome(ended: &Result<Ended, BrokerError>) -> Option<RefreshOutcome> {
    match ended {
        Ok(Ended::Live(_, outcome)) => Some(*outcome),
        Ok(Ended::Refused) => Some(RefreshOutcome::Refused),
        Err(BrokerError::NotConnected | BrokerError::ReconnectRequired | BrokerError::UnknownIntegration) => None,
        Err(_) => Some(RefreshOutcome::Failed),
    }
}

/// What memory holds of a connection, as it is stored.
fn stored_of(live: &Live) -> Stored {
    Stored { connection: live.connection.clone(), grant: Some(live.grant.clone()), variables: live.variables.clone() }
}

/// Whether both hold the same tokens, in use or not.
fn is_same_state(one: &Grant, other: &Grant) -> bool {
    let unfinished = |grant: &Grant| grant.unfinished.as_ref().map(|unfinished| unfinished.access_token.clone());
    one.access_token == other.access_token && unfinished(one) == unfinished(other)
}

/// Whether both are states of one active connection.
fn is_same_authorization(stored: &Stored, ours: &Stored) -> bool {
    stored.connection.id == ours.connection.id && stored.connection.status == ConnectionStatus::Active
}

fn authorization(stored: &Stored) -> Option<&String> {
    stored.grant.as_ref().map(|grant| &grant.authorization)
}

/// Whether the record says that the grant which we have just refreshed is refused for good.
fn was_given_up(current: &Stored, refreshed_from: &Option<Grant>) -> bool {
    let refresh_token = |grant: &Option<Grant>| grant.as_ref().and_then(|grant| grant.newest().refresh_token.clone());
    current.connection.status == ConnectionStatus::ReconnectRequired
        && refresh_token(&current.grant).is_some()
        && refresh_token(&current.grant) == refresh_token(refreshed_from)
}

async fn next_message(changes: &mut tokio::sync::broadcast::Receiver<Event>) {
    loop {
        match changes.recv().await {
            Ok(Event::Message(_)) | Err(_) => return,
            Ok(Event::Lost | Event::Synced) => {}
        }
    }
}
