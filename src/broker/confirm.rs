//! The word of whoever began an authorization. Until it is given, the grant is nobody's; given by somebody else, it is
//! revoked.

use std::sync::Arc;

use super::begin::key_of;
use super::complete::UNCONFIRMED_KEPT;
use super::record::{self, UnconfirmedRecord};
use super::{Broker, BrokerError};
use crate::model::{Connection, ConnectionKey, Grant};
use crate::store::{Expected, Kind, Written};
use crate::telemetry::audit::{self, About, Denial, Event};

/// What a confirmation carries.
#[derive(Clone, Copy)]
pub struct Confirmation<'a> {
    /// The integration in the URL and the person who confirms.
    pub key: &'a ConnectionKey,
    /// The one-time code.
    pub code: &'a str,
}

const UNKNOWN: BrokerError = BrokerError::StateMismatch("the code is unknown, used or expired");

impl Broker {
    /// Makes the unconfirmed grant a connection when the person is the one who began. A code works once, for whomever.
    /// Goes on to its end though the caller may go away.
    pub async fn confirm(self: &Arc<Self>, confirmation: Confirmation<'_>) -> Result<Connection, BrokerError> {
        let (broker, key, code) =
            (Arc::clone(self), confirmation.key.clone(), key_of(Kind::Unconfirmed, confirmation.code));
        let confirming = async move {
            let confirmed = broker.confirm_now(&key, &code).await;
            broker.count_confirmation(&key.integration, &confirmed);
            confirmed
        };
        self.duties.run(confirming).await
    }

    async fn confirm_now(
        self: &Arc<Self>,
        confirming: &ConnectionKey,
        code: &crate::store::Key,
    ) -> Result<Connection, BrokerError> {
        let entry = self.store.get(code).await?.ok_or(UNKNOWN)?;
        let record: UnconfirmedRecord = record::decode(&entry.value)?;
        let key = record.flow.key()?;
        let over = self.clock.now().unix_millis() >= record.expires_at;
        if key != *confirming || over {
            // Queued before the record goes: the record is all there is of the grant.
            let queued = self.queue_revocation(&key, &record.flow.variables, &Grant::from(record.grant), false).await?;
            self.store.delete(code, entry.version).await?;
            queued.into_iter().for_each(|queued| self.attempt_soon(queued));
            if over {
                return Err(UNKNOWN);
            }
            tracing::warn!(
                integration = %key.integration,
                "an authorization was confirmed by somebody who did not begin it; what it brought is revoked"
            );
            self.denials.deny(Denial::SomebodyElse, &About::key(confirming));
            return Err(BrokerError::Forbidden);
        }
        // Claimed, so that one confirmation wins, and not yet taken, so that a store that fails now loses nothing: the
        // same person may try the same code again.
        let claimed = record::encode(&UnconfirmedRecord { claimed: true, ..record.clone() })?;
        if record.claimed
            && let Some((stored, _)) = self.stored(&key).await?
            && is_newer(stored.grant.as_ref(), &Grant::from(record.grant.clone()))
        {
            // An earlier try of this code went through, and the person has connected anew since.
            return Err(UNKNOWN);
        }
        let put = self.store.put(code, Expected::Version(entry.version), &claimed, Some(UNCONFIRMED_KEPT)).await?;
        let Written::Stored(version) = put else { return Err(UNKNOWN) };
        let connection = self.activate(&record.flow, Grant::from(record.grant)).await?;
        audit::write(Event::Confirmed, &About::connection(&connection));
        self.store.delete(code, version).await?;
        Ok(connection)
    }
}

/// Whether the connection holds another authorization's grant that came after this one.
fn is_newer(held: Option<&Grant>, grant: &Grant) -> bool {
    held.is_some_and(|held| held.authorization != grant.authorization && held.obtained_at >= grant.obtained_at)
}
