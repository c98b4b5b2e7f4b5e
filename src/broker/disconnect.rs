//! Disconnecting: here first, in every replica, and only then at the provider.

use std::sync::Arc;

use super::connections::{self, View};
use super::{Broker, BrokerError};
use crate::model::{Connection, ConnectionId, ConnectionKey, ConnectionStatus};
use crate::store::{Expected, Written};
use crate::telemetry::audit::{self, About, Event};

impl Broker {
    /// Ends a connection: no call gets its token any more, in any replica within a second. The provider is told
    /// afterwards. Goes on to its end though the caller may go away.
    pub async fn disconnect(self: &Arc<Self>, key: &ConnectionKey) -> Result<View, BrokerError> {
        self.integration_of(key)?.refuse_without_people("nobody can disconnect it.")?;
        let (broker, key) = (Arc::clone(self), key.clone());
        self.duties.run(async move { broker.disconnect_now(&key, None, None).await }).await
    }

    /// The same by word of the operator: for the connection of this id and no later one of that person, though its
    /// integration may be configured no more.
    pub async fn disconnect_found(self: &Arc<Self>, connection: &Connection) -> Result<View, BrokerError> {
        if connection.key.person.is_nobody() {
            return Err(BrokerError::Invalid(format!(
                "`{}` is connected by the operator, with one grant for everybody: nobody can disconnect it. Take it out of config.toml.",
                connection.key.integration
            )));
        }
        let (broker, connection) = (Arc::clone(self), connection.clone());
        let work =
            async move { broker.disconnect_now(&connection.key, Some(&connection.id), Some(audit::BY_OPERATOR)).await };
        self.duties.run(work).await
    }

    pub(super) async fn disconnect_now(
        self: &Arc<Self>,
        key: &ConnectionKey,
        only: Option<&ConnectionId>,
        reason: Option<&str>,
    ) -> Result<View, BrokerError> {
        loop {
            let (mut stored, version) = self.stored(key).await?.ok_or(BrokerError::NotConnected)?;
            if only.is_some_and(|only| stored.connection.id != *only) {
                return Err(BrokerError::NotConnected);
            }
            if stored.connection.status == ConnectionStatus::Disconnected {
                // An earlier attempt may have been written and its word lost.
                self.tell(key, version).await;
                return Ok(View::from(stored));
            }
            let grant = stored.grant.take();
            stored.connection.status = ConnectionStatus::Disconnected;
            stored.connection.updated_at = self.clock.now();
            // Queued before the grant is gone from the record, so that a crash in between forgets no revocation. Should
            // the connection live on after all, the attempt sees that and lets it.
            let queued = match &grant {
                Some(grant) => self.queue_revocation(key, &stored.variables, grant, true).await?,
                None => None,
            };
            match self.store.put(&connections::key(key), Expected::Version(version), &stored.encode()?, None).await {
                Ok(Written::Stored(written)) => {
                    self.tell(key, written).await;
                    tracing::info!(integration = %key.integration, connection.id = %stored.connection.id, "disconnected");
                    audit::write(Event::Disconnected, &About { reason, ..About::connection(&stored.connection) });
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
                Err(error) => {
                    // It may have been written: nobody goes on with what memory holds.
                    self.tell(key, 0).await;
                    return Err(error.into());
                }
            }
        }
    }
}
