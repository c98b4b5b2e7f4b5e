//! Disconnecting: here first, in every replica, then at the provider, as often as it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::connections::View;
use super::record::{self, GrantRecord, RevocationRecord};
use super::{Broker, BrokerError, Integration, connections, entropy, values};
use crate::model::{ConnectionKey, ConnectionStatus, Grant};
use crate::oauth::{Values, revocation_requests};
use crate::store::{Expected, Key, Kind, Written};

/// How long a revocation is tried for.
const REVOCATION_KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Broker {
    /// Ends a connection: no call gets its token any more, in any replica within a second. The provider is told afterwards.
    pub async fn disconnect(self: &Arc<Self>, key: &ConnectionKey) -> Result<View, BrokerError> {
        let integration = Arc::clone(self.integration_of(key)?);
        loop {
            let (mut stored, version) = self.stored(key).await?.ok_or(BrokerError::NotConnected)?;
            if stored.connection.status == ConnectionStatus::Disconnected {
                return Ok(View::from(stored));
            }
            let grant = stored.grant.take();
            stored.connection.status = ConnectionStatus::Disconnected;
            stored.connection.updated_at = self.clock.now();
            // Queued before the grant is gone from the record, so that a crash in between forgets no revocation.
            let queued = match &grant {
                Some(grant) => self.queue(&integration, &stored.variables, grant).await?,
                None => None,
            };
            let written =
                self.store.put(&connections::key(key), Expected::Version(version), &stored.encode()?, None).await;
            match written {
                Ok(Written::Stored(written)) => {
                    self.tell(key, written).await;
                    tracing::info!(integration = %key.integration, connection.id = %stored.connection.id, "disconnected");
                    if let Some(queued) = queued {
                        self.attempt_soon(queued);
                    }
                    return Ok(View::from(stored));
                }
                // Somebody wrote in between; what was queued names a grant that may still be in use.
                Ok(Written::Conflict) => {
                    if let Some(queued) = queued {
                        self.store.take(&queued).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Revokes a grant that is in no record any more. Failing to queue it is logged: there is nobody to tell.
    pub(super) async fn revoke_later(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) {
        match self.queue(integration, variables, grant).await {
            Ok(Some(queued)) => self.attempt_soon(queued),
            Ok(None) => {}
            Err(error) => tracing::error!(integration = %integration.name, %error, "a revocation could not be queued"),
        }
    }

    async fn queue(
        &self,
        integration: &Integration,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) -> Result<Option<Key>, BrokerError> {
        let protocol = &integration.provider.protocol;
        if protocol.revocation_endpoint.is_none() && protocol.issuer.is_none() {
            return Ok(None);
        }
        let key = Key::new(Kind::Revocation, &[&entropy::fingerprint(entropy::random_token()?.expose())]);
        let record = RevocationRecord {
            v: 1,
            integration: integration.name.as_str().to_owned(),
            variables: variables.clone(),
            grant: GrantRecord::from(grant),
            attempts: 0,
            // The sweep of any replica waits for the attempt that follows at once.
            not_before: self.clock.now().plus(Duration::from_secs(60)).unix_millis(),
        };
        self.create(&key, &record, REVOCATION_KEPT).await?;
        Ok(Some(key))
    }

    fn attempt_soon(self: &Arc<Self>, queued: Key) {
        let broker = Arc::clone(self);
        tokio::spawn(async move { broker.attempt_revocation(&queued).await });
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
        let Some(integration) = self.integrations.get(record.integration.as_str()).cloned() else { return Ok(()) };
        let grant = Grant::from(record.grant.clone());
        let failure = match self.revoke(&integration, &record.variables, &grant).await {
            Ok(()) => {
                self.store.delete(queued, entry.version).await?;
                tracing::info!(integration = %integration.name, "revoked at the provider");
                return Ok(());
            }
            Err(error) => error,
        };
        record.attempts += 1;
        let wait = Duration::from_secs(30 << record.attempts.min(10));
        record.not_before = self.clock.now().plus(wait).unix_millis();
        // A conflict means that another replica attempts it too, and keeps its own count.
        let _ = self
            .store
            .put(queued, Expected::Version(entry.version), &record::encode(&record)?, Some(REVOCATION_KEPT))
            .await?;
        Err(failure)
    }

    /// Tells the provider. Any answer below 500 but 429 is final: RFC 7009 section 2.2 answers 200 even for a token that it
    /// does not know, and a 4xx will not get better.
    async fn revoke(
        &self,
        integration: &Integration,
        variables: &BTreeMap<String, String>,
        grant: &Grant,
    ) -> Result<(), BrokerError> {
        let client = self.client(integration)?;
        let endpoints = self.endpoints(integration, &client, variables, Some(grant)).await?;
        let random = entropy::random_token()?;
        let values = Values { random: Some(random.expose()), ..values(&client, variables) };
        for request in revocation_requests(&integration.provider.protocol, &endpoints, &client, grant, values) {
            let answer = self.ask(integration, request).await?;
            match answer.status.as_u16() {
                429 | 500.. => {
                    return Err(BrokerError::token_endpoint(format!(
                        "the revocation endpoint answered {}",
                        answer.status
                    )));
                }
                status @ 400..=499 => {
                    tracing::warn!(integration = %integration.name, status, "the provider refused a revocation");
                }
                _ => {}
            }
        }
        Ok(())
    }
}
