//! Telling a provider that a grant is over: queued in the store, attempted at once, and again with growing waits. Looks,
//! before each attempt, whether the revocation would reach a connection that lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::record::{self, FlowRecord, GrantRecord, RevocationRecord};
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
        match self.queue_revocation(key, variables, grant).await {
            Ok(Some(queued)) => self.attempt_soon(queued),
            Ok(None) => {}
            Err(error) => tracing::error!(integration = %key.integration, %error, "a revocation could not be queued"),
        }
    }

    /// Writes the duty down; `None` when the provider has no revocation.
    pub(super) async fn queue_revocation(
        &self,
        key: &ConnectionKey,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) -> Result<Option<Key>, BrokerError> {
        let protocol = &self.integration_of(key)?.provider.protocol;
        if protocol.revocation_endpoint.is_none() && protocol.issuer.is_none() {
            return Ok(None);
        }
        let queued = Key::new(Kind::Revocation, &[&entropy::fingerprint(entropy::random_token()?.expose())]);
        let record = RevocationRecord {
            v: 1,
            flow: FlowRecord::of(key, variables),
            grant: GrantRecord::from(grant),
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
        let Some(integration) = self.integrations.get(&key.integration).cloned() else { return Ok(()) };
        let grant = Grant::from(record.grant.clone());
        let outcome = if self.would_reach_the_living(&integration, &key, &grant).await? {
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

    /// Whether the person has an active connection that this revocation would end: it is of this very authorization, refreshed
    /// or not, or it may be of the same account where revoking one grant may revoke all that the account gave to this client.
    async fn would_reach_the_living(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
        grant: &Grant,
    ) -> Result<bool, BrokerError> {
        let Some((stored, _)) = self.stored(key).await? else { return Ok(false) };
        let Some(living) = stored.grant.filter(|_| stored.connection.status == ConnectionStatus::Active) else {
            return Ok(false);
        };
        // A provider may give the same refresh token to each authorization of an account.
        let is_same = living.authorization == grant.authorization
            || (living.refresh_token.is_some() && living.refresh_token == grant.refresh_token);
        let other_account = living.subject.is_some() && grant.subject.is_some() && living.subject != grant.subject;
        let reach = integration.provider.protocol.revocation.scope;
        Ok(is_same || (reach == RevocationScope::Client && !other_account))
    }

    /// Tells the provider. RFC 7009 section 2.2 answers 200 even for a token that it does not know, so most refusals are
    /// final.
    async fn revoke(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) -> Result<(), BrokerError> {
        let client = self.client(integration)?;
        let endpoints = self.endpoints(integration, &client, variables, Some(grant)).await?;
        let random = entropy::random_token()?;
        let values = Values { random: Some(random.expose()), ..values(&client, variables) };
        let requests = revocation_requests(&integration.provider.protocol, &endpoints, &client, grant, values);
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
