//! The word of whoever began an authorization. Until it is given, the grant is nobody's; given by somebody else, it is
//! revoked.

use std::sync::Arc;

use super::begin::key_of;
use super::record::{self, UnconfirmedRecord};
use super::{Broker, BrokerError};
use crate::model::{Connection, ConnectionKey, Grant};
use crate::store::Kind;

/// What a confirmation carries.
#[derive(Clone, Copy, Debug)]
pub struct Confirmation<'a> {
    /// The integration in the URL and the person who confirms.
    pub key: &'a ConnectionKey,
    /// The one-time code.
    pub code: &'a str,
}

impl Broker {
    /// Makes the unconfirmed grant a connection when the person is the one who began. A code works once, for whomever.
    pub async fn confirm(self: &Arc<Self>, confirmation: Confirmation<'_>) -> Result<Connection, BrokerError> {
        const UNKNOWN: BrokerError = BrokerError::StateMismatch("the code is unknown, used or expired");
        let taken = self.store.take(&key_of(Kind::Unconfirmed, confirmation.code)).await?.ok_or(UNKNOWN)?;
        let record: UnconfirmedRecord = record::decode(&taken)?;
        let key = record.flow.key()?;
        let grant = Grant::from(record.grant);
        let integration = Arc::clone(self.integration_of(&key)?);
        if key != *confirmation.key {
            tracing::warn!(
                integration = %key.integration,
                "an authorization was confirmed by somebody who did not begin it; what it brought is revoked"
            );
            self.revoke_later(&integration, &record.flow.variables, &grant).await;
            return Err(BrokerError::Forbidden);
        }
        if self.clock.now().unix_millis() >= record.expires_at {
            self.revoke_later(&integration, &record.flow.variables, &grant).await;
            return Err(UNKNOWN);
        }
        self.activate(&record.flow, grant).await
    }
}
