//! What has to happen though nobody calls: unconfirmed grants are revoked, failed revocations tried again, and grants
//! whose refresh token dies of idleness refreshed in time. One replica at a time does it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::activity::AuthorizationOutcome;
use super::census::Census;
use super::record::{self, RevocationRecord, Stored, UnconfirmedRecord};
use super::{Broker, BrokerError};
use crate::model::{ConnectionStatus, Grant, Timestamp};
use crate::store::{Entry, Key, Kind, Page};
use crate::telemetry::trace::Span;

const PERIOD: Duration = Duration::from_secs(20);
/// Connections are all read, for the idle refresh and to be counted, so more rarely.
const IDLE_PERIOD: Duration = Duration::from_secs(300);

impl Broker {
    /// Sweeps for as long as the broker lives.
    pub fn sweep_periodically(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PERIOD);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut idle_swept_at: Option<tokio::time::Instant> = None;
            loop {
                ticks.tick().await;
                let Some(broker) = broker.upgrade() else { return };
                if broker.closing.load(Ordering::Relaxed) {
                    return;
                }
                let idle = idle_swept_at.is_none_or(|at| at.elapsed() >= IDLE_PERIOD);
                match broker.sweep(idle).await {
                    Ok(true) if idle => idle_swept_at = Some(tokio::time::Instant::now()),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "the sweep is tried again later"),
                }
            }
        });
    }

    /// One sweep, if no other replica is at it; says whether it was done.
    pub async fn sweep(self: &Arc<Self>, idle: bool) -> Result<bool, BrokerError> {
        let Some(lease) = self.store.lease(&Key::new(Kind::Lease, &["sweep"]), Duration::from_secs(300)).await? else {
            return Ok(false);
        };
        let outcome = self.sweep_leased(idle).await;
        self.store.release(lease).await?;
        outcome.map(|()| true)
    }

    async fn sweep_leased(self: &Arc<Self>, idle: bool) -> Result<(), BrokerError> {
        let now = self.clock.now();
        for (key, entry) in self.all(Kind::Unconfirmed).await? {
            // One record that cannot be handled does not keep the others waiting.
            if let Err(error) = self.sweep_unconfirmed(&key, &entry, now).await {
                tracing::error!(%error, "an unconfirmed grant could not be revoked");
            }
        }
        for (key, entry) in self.all(Kind::Revocation).await? {
            match record::decode::<RevocationRecord>(&entry.value) {
                Ok(record) if now.unix_millis() >= record.not_before => self.attempt_revocation(&key).await,
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "a queued revocation cannot be read"),
            }
        }
        if idle {
            self.walk_connections(now).await?;
        }
        Ok(())
    }

    async fn sweep_unconfirmed(self: &Arc<Self>, key: &Key, entry: &Entry, now: Timestamp) -> Result<(), BrokerError> {
        let record: UnconfirmedRecord = record::decode(&entry.value)?;
        if now.unix_millis() < record.expires_at {
            return Ok(());
        }
        tracing::info!(integration = record.flow.integration, "an unconfirmed grant is revoked");
        // Queued before the record goes: the record is all there is of the grant. Should it have become a connection
        // after all, the attempt sees that.
        let (flow, grant) = (record.flow, Grant::from(record.grant));
        let queued = self.queue_revocation(&flow.key()?, &flow.variables, &grant, false).await?;
        queued.into_iter().for_each(|queued| self.attempt_soon(queued));
        if self.store.delete(key, entry.version).await? {
            self.count_authorization(&flow.key()?.integration, AuthorizationOutcome::Expired);
        }
        Ok(())
    }

    /// Reads every connection, page by page: counts them, and refreshes those whose refresh token dies of idleness.
    async fn walk_connections(self: &Arc<Self>, now: Timestamp) -> Result<(), BrokerError> {
        let mut census = Census::default();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page(Kind::Connection, cursor.as_deref()).await?;
            for (_, entry) in page.entries {
                match Stored::decode(&entry.value) {
                    Ok(stored) => {
                        census.add(&stored.connection);
                        self.refresh_idle(stored, now).await;
                    }
                    Err(error) => tracing::error!(%error, "a connection cannot be read; it is left as it is"),
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.publish(&census);
        Ok(())
    }

    async fn refresh_idle(self: &Arc<Self>, stored: Stored, now: Timestamp) {
        let dying = stored.grant.as_ref().is_some_and(|grant| is_dying_of_idleness(grant.newest(), now));
        if dying && stored.connection.status == ConnectionStatus::Active {
            // A connection whose integration is gone stays as it is.
            if let Ok(live) = self.load(&stored.connection.key).await {
                self.refresh_ahead(&live, &Span::none());
            }
        }
    }

    /// All records of a kind that is rare.
    async fn all(&self, kind: Kind) -> Result<Vec<(Key, Entry)>, BrokerError> {
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page(kind, cursor.as_deref()).await?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Some records of a kind. What cannot be opened is reported and left as it is.
    async fn page(&self, kind: Kind, after: Option<&str>) -> Result<Page, BrokerError> {
        let page = self.store.scan(&Key::prefix(kind, &[]), after, 200).await?;
        for key in &page.unopenable {
            tracing::error!(key, "a record cannot be opened with the configured store keys; it is left as it is");
        }
        Ok(page)
    }
}

/// True in the last fifth of an idle refresh token's life, and early enough that two sweeps fall into what is left.
fn is_dying_of_idleness(grant: &Grant, now: Timestamp) -> bool {
    grant.refresh_expires_at.is_some_and(|end| {
        let life = end.since(grant.obtained_at);
        let ahead = (life / 5).max(IDLE_PERIOD * 2).min(life / 2);
        now >= end.minus(ahead) && now < end
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::model::Secret;

    #[test]
    fn the_last_fifth_of_a_life() {
        fn check(now_days: i64, expected: bool) {
            const DAY: i64 = 86_400_000;
            let grant = Grant {
                access_token: Secret::new("a"),
                refresh_token: Some(Secret::new("r")),
                refresh_expires_at: Some(Timestamp::from_unix_millis(60 * DAY)),
                ..Grant::default()
            };
            assert_eq!(
                is_dying_of_idleness(&grant, Timestamp::from_unix_millis(now_days * DAY)),
                expected,
                "{now_days}"
            );
        }
        check(1, false);
        check(47, false);
        check(48, true);
        check(59, true);
        check(60, false);
    }
}
