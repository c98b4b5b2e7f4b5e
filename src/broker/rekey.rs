//! Sealing every record with the newest store key, once and by one replica at a time. It may stop anywhere: each record
//! is whole under one key or the other, and what is sealed by the newest is passed over the next time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Broker, BrokerError};
use crate::store::{Key, Kind, Lease};
use crate::telemetry::audit::{self, About, Event, Records};

/// Records that are read at once.
const PAGE: usize = 200;

/// How long a replica that died keeps others from it.
const LEASE: Duration = Duration::from_secs(30);

/// How far it is.
#[derive(Clone, Debug, Default)]
pub struct Rekeyed {
    /// Records looked at. On Redis one may be counted twice.
    pub seen: u64,
    /// Those of them that an older key had sealed, and the newest seals now.
    pub resealed: u64,
    /// Those that no configured key opens; they are left as they are.
    pub unopenable: u64,
    /// How it ended; `None` while it goes on.
    pub end: Option<Result<(), BrokerError>>,
}

/// One that is under way. It goes on when this is dropped.
pub struct Rekeying(watch::Receiver<Rekeyed>);

impl Rekeying {
    /// How far it is, as soon as it is further than was told before; `None` after its end.
    pub async fn next(&mut self) -> Option<Rekeyed> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

impl Broker {
    /// Begins to seal every record with the newest store key; `None` when somebody is at it already.
    pub async fn rekey(self: &Arc<Self>) -> Result<Option<Rekeying>, BrokerError> {
        let Some(lease) = self.store.lease(&Key::new(Kind::Lease, &["rekey"]), LEASE).await? else { return Ok(None) };
        let (progress, told) = watch::channel(Rekeyed::default());
        let broker = Arc::clone(self);
        drop(self.duties.run(async move {
            let outcome = broker.rekey_leased(&lease, &progress).await;
            let Rekeyed { seen, resealed, unopenable, .. } = *progress.borrow();
            match &outcome {
                Ok(()) => {
                    let records = Some(Records { seen, resealed, unopenable });
                    audit::write(Event::Rekeyed, &About { records, ..About::default() }.because(audit::BY_OPERATOR));
                }
                Err(error) => {
                    tracing::warn!(%error, seen, resealed, unopenable, "the rekeying stopped; it can be begun again")
                }
            }
            let released = broker.store.release(lease).await;
            progress.send_modify(|progress| progress.end = Some(outcome));
            released.map_err(BrokerError::from)
        }));
        Ok(Some(Rekeying(told)))
    }

    async fn rekey_leased(&self, lease: &Lease, progress: &watch::Sender<Rekeyed>) -> Result<(), BrokerError> {
        let mut cursor: Option<String> = None;
        let mut leased_at = Instant::now();
        loop {
            if self.closing.load(Ordering::Relaxed) {
                return Err(BrokerError::ShuttingDown);
            }
            if leased_at.elapsed() > LEASE / 3 {
                if !self.store.extend(lease, LEASE).await? {
                    return Err(BrokerError::Internal("the lease for rekeying was lost; begin again".into()));
                }
                leased_at = Instant::now();
            }
            let page = self.store.reseal_page(cursor.as_deref(), PAGE).await?;
            for key in &page.unopenable {
                tracing::error!(key, "a record cannot be opened with the configured store keys; it is left as it is");
            }
            progress.send_modify(|progress| {
                progress.seen += page.seen as u64;
                progress.resealed += page.resealed as u64;
                progress.unopenable += page.unopenable.len() as u64;
            });
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }
}
