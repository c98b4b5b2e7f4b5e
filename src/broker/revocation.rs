//! Telling a provider that a grant is over: queued in the store, attempted at once, and again with growing waits.
//! Looks, before each attempt, whether the revocation would reach a connection that lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::record::{self, FlowRecord, GrantRecord, RevocationRecord, Stored};
use super::{Broker, BrokerError, Integration, entropy, values};
use crate::model::{ConnectionKey, ConnectionStatus, Grant, Timestamp};
use crate::oauth::{RevocationScope, Values, revocation_requests};
use crate::store::{Expected, Key, Kind};

/// How long a revocation is tried for.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Broker {
    /// Revokes a grant that is in no record any more. Failing to queue it is logged: there is nobody to tell.
    pub(super) async fn revoke_later(
        self: &Arc<Self>,
        key: &ConnectionKey,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) {
        match self.queue_revocation(key, variables, grant, false).await {
            Ok(Some(queued)) => self.attempt_soon(queued),
            Ok(None) => {}
            Err(error) => tracing::error!(integration = %key.integration, %error, "a revocation could not be queued"),
        }
    }

    /// Writes the duty down; `None` when the provider has no revocation. `asked` says that the person disconnected. An
    /// integration that is configured no more may come back before the duty ends.
    pub(super) async fn queue_revocation(
        &self,
        key: &ConnectionKey,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
        asked: bool,
    ) -> Result<Option<Key>, BrokerError> {
        let has_none = |integration: &Integration| {
            let protocol = &integration.provider.protocol;
            protocol.revocation_endpoint.is_none() && protocol.issuer.is_none()
        };
        if self.integration(key.integration.as_str()).is_some_and(|integration| has_none(&integration)) {
            return Ok(None);
        }
        let queued = Key::new(Kind::Revocation, &[entropy::random_token()?.expose()]);
        let record = RevocationRecord {
            v: 1,
            flow: FlowRecord::of(key, variables),
            asked,
            grant: GrantRecord::from(grant.newest()),
            attempts: 0,
            // The sweep of any replica waits for the attempt that follows at once.
            not_before: self.clock.now().plus(Duration::from_secs(60)).unix_millis(),
            give_up_at: self.clock.now().plus(KEPT).unix_millis(),
        };
        self.create(&queued, &record, KEPT).await?;
        Ok(Some(queued))
    }

    /// Attempts it now, as a task of its own.
    pub(super) fn attempt_soon(self: &Arc<Self>, queued: Key) {
        let broker = Arc::clone(self);
        drop(self.duties.run(async move {
            broker.attempt_revocation(&queued).await;
            Ok(())
        }));
    }

    /// One attempt at a queued revocation; a failed one is queued again with a longer wait.
    pub(super) async fn attempt_revocation(self: &Arc<Self>, queued: &Key) {
        if let Err(error) = self.try_revocation(queued).await {
            tracing::warn!(%error, "a revocation is tried again later");
        }
    }

    async fn try_revocation(self: &Arc<Self>, queued: &Key) -> Result<(), BrokerError> {
        let Some(entry) = self.store.get(queued).await? else { return Ok(()) };
        let mut record: RevocationRecord = record::decode(&entry.value)?;
        let key = record.flow.key()?;
        // Its integration is not configured any more; perhaps it comes back before the record ends.
        let Some(integration) = self.integration(key.integration.as_str()) else { return Ok(()) };
        let grant = Grant::from(record.grant.clone());
        let outcome = if self.would_reach_the_living(&integration, &key, &grant, record.asked).await? {
            tracing::info!(integration = %key.integration, "a revocation is left out: it would end the connection that lives");
            Ok(())
        } else {
            self.revoke(&integration, &record.flow.variables, &grant).await
        };
        match outcome {
            Ok(()) => {
                self.store.delete(queued, entry.version).await?;
                Ok(())
            }
            Err(failure) => {
                record.attempts += 1;
                let now = self.clock.now();
                let wait = Duration::from_secs(30 << record.attempts.min(10));
                record.not_before = now.plus(wait).unix_millis();
                let left = Timestamp::from_unix_millis(record.give_up_at).since(now).max(Duration::from_secs(1));
                // A conflict means that another replica attempts it too, and keeps its own count.
                let _ = self
                    .store
                    .put(queued, Expected::Version(entry.version), &record::encode(&record)?, Some(left))
                    .await?;
                Err(failure)
            }
        }
    }

    /// Whether this revocation would end a connection that lives: one of this very authorization, refreshed or not, or,
    /// where revoking one grant may revoke all that the account gave to this client, one that may be of the same
    /// account. Whoever disconnects is taken at their word: other people's connections of that account do not hold that
    /// up.
    async fn would_reach_the_living(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
        grant: &Grant,
        asked: bool,
    ) -> Result<bool, BrokerError> {
        let reach = integration.provider.protocol.revocation.scope;
        if let Some((stored, _)) = self.stored(key).await?
            && let Some(living) = living(&stored).map(Grant::newest)
        {
            let other_account = living.subject.is_some() && grant.subject.is_some() && living.subject != grant.subject;
            // A provider may give the same refresh token to each authorization of an account.
            let is_same = living.authorization == grant.authorization
                || (living.refresh_token.is_some() && living.refresh_token == grant.refresh_token);
            if is_same || (reach == RevocationScope::Client && !other_account) {
                return Ok(true);
            }
        }
        match &grant.subject {
            Some(subject) if reach == RevocationScope::Client && !asked => self.has_living(integration, subject).await,
            _ => Ok(false),
        }
    }

    /// Whether anybody has a living connection of this account: somebody may have been made to open another's link, and
    /// must not lose their own connection by that.
    async fn has_living(&self, integration: &Integration, subject: &str) -> Result<bool, BrokerError> {
        let prefix = Key::prefix(Kind::Connection, &[integration.name.as_str()]);
        let mut cursor: Option<String> = None;
        loop {
            let page = self.store.scan(&prefix, cursor.as_deref(), 200).await?;
            for (_, entry) in &page.entries {
                // One that cannot be read is reported by the sweep, and holds up no revocation.
                let Ok(stored) = Stored::decode(&entry.value) else { continue };
                if living(&stored).is_some_and(|living| living.subject.as_deref() == Some(subject)) {
                    return Ok(true);
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(false),
            }
        }
    }

    /// Tells the provider. RFC 7009 section 2.2 answers 200 even for a token that it does not know, so most refusals
    /// are final.
    async fn revoke(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) -> Result<(), BrokerError> {
        let client = self.client_for(integration, variables, &grant.captured)?;
        let endpoints = self.endpoints(integration, &client, variables, Some(grant)).await?;
        let random = entropy::random_token()?;
        let values = Values {
            random: Some(random.expose()),
            signing: Some(entropy::signing(self.clock.now())),
            ..values(&client, variables)
        };
        let requests = revocation_requests(&integration.provider.protocol, &endpoints, &client, grant, values)?;
        if requests.is_empty() {
            tracing::info!(integration = %integration.name, "the provider has no revocation; its tokens end by themselves");
            return Ok(());
        }
        for request in requests {
            let answer = self.ask(integration, request).await?;
            match answer.status.as_u16() {
                // 401: our own secret may be wrong for the moment, and is mended.
                401 | 408 | 425 | 429 | 500.. => {
                    let cause = format!("the revocation endpoint answered {}", answer.status);
                    return Err(BrokerError::token_endpoint(cause));
                }
                status @ 400..=499 => {
                    tracing::warn!(integration = %integration.name, status, "the provider refused a revocation");
                }
                _ => {}
            }
        }
        tracing::info!(integration = %integration.name, "revoked at the provider");
        Ok(())
    }
}

/// The grant of a connection that is in use.
fn living(stored: &Stored) -> Option<&Grant> {
    stored.grant.as_ref().filter(|_| stored.connection.status == ConnectionStatus::Active)
}
