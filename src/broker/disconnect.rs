//! Disconnecting: here first, in every replica, and only then at the provider.

use std::sync::Arc;

use super::connections::{self, View};
use super::{Broker, BrokerError};
use crate::model::{ConnectionKey, ConnectionStatus};
use crate::store::{Expected, Written};
use crate::telemetry::audit::{self, About, Event};

impl Broker {
    /// Ends a connection: no call gets its token any more, in any replica within a second. The provider is told
    /// afterwards. Goes on to its end though the caller may go away.
    pub async fn disconnect(self: &Arc<Self>, key: &ConnectionKey) -> Result<View, BrokerError> {
        self.integration_of(key)?.refuse_without_people("nobody can disconnect it.")?;
        let (broker, key) = (Arc::clone(self), key.clone());
        self.duties.run(async move { broker.disconnect_now(&key).await }).await
    }

    async fn disconnect_now(self: &Arc<Self>, key: &ConnectionKey) -> Result<View, BrokerError> {
        loop {
            let (mut stored, version) = self.stored(key).await?.ok_or(BrokerError::NotConnected)?;
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
                    audit::write(Event::Disconnected, &About::connection(&stored.connection));
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
