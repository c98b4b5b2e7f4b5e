//! The store: sealed, versioned records under unambiguous keys, with expiry; leases; and notifications between
//! replicas. A few primitives with two implementations, an embedded redb file (or memory) and Redis. It knows nothing
//! of what the records mean, never shows or stores one in the clear, and never deletes one that it cannot open.
//!
//! # What holds
//!
//! Every record is sealed with XChaCha20-Poly1305 for its key and its version (`seal`). A version belongs to one value:
//! it is made of the time and of random bits, above the one that it replaces, and does not come again after a record
//! was deleted and made anew. Compare-and-set, compare-and-delete and `take` are atomic over any number of processes.
//! Expired records are absent. [`StoreError::Unavailable`] after a write leaves open whether it was done, in both
//! stores.
//!
//! **Embedded.** An acknowledged write is on disk: it survives `kill -9` and, where the disk keeps the promise of fsync,
//! a power cut. One process at a time has the file, and so leases live in its memory and end with it.
//!
//! **Redis.** A write is as durable as that server's own settings; a failover may forget writes that were acknowledged,
//! leases among them, since replication is asynchronous (`min-replicas-to-write` narrows that). No command is repeated
//! when the first attempt may have been carried out, except those for which that makes no difference. A scan that a
//! failover interrupts may miss records. The ACL that suffices: `~keyferry:* &keyferry:* +get +set +del +pttl +eval
//! +scan +ping +publish +subscribe`, with `+select` for a database other than 0, `+role` behind Sentinel, and
//! `+cluster +asking` in a Cluster.
//!
//! **Notifications** reach every replica that [is synced](Store::is_synced): while that says true, everything published
//! more than a second ago has arrived.

mod count;
mod embedded;
mod error;
mod key;
mod key_file;
mod location;
mod notice;
mod record;
mod redis;
mod rekey;
mod seal;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::broadcast;
use zeroize::Zeroizing;

use self::count::Counts;
use self::embedded::{Embedded, Rows};
use self::redis::Redis;
use self::seal::Seals;
use crate::clock::Clock;
use crate::route::{Rate, Spend, Spent};

pub use self::count::{Counted, Operation};
pub use self::error::{Cause, StoreError, Unopenable};
pub use self::key::{Key, Kind};
pub use self::location::{Location, RedisNodes};
pub use self::notice::Event;
pub use self::record::{Entry, Expected, Lease, Page, Written};
pub use self::rekey::Resealed;
pub use self::seal::{NotASealingKey, SealingKey};
pub use self::settings::{RedisTls, Settings};

/// A store; cheap to clone, and closed when the last clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    backend: Backend,
    seals: Seals,
    clock: Clock,
    counts: Counts,
}

enum Backend {
    Embedded(Embedded),
    Redis(Redis),
}

/// A record as it lies in a backend: sealed.
pub(crate) struct Sealed {
    version: u64,
    bytes: Vec<u8>,
}

/// How long a record is kept.
#[derive(Clone, Copy)]
enum Keep {
    Forever,
    For(Duration),
    /// As long as the record that it replaces.
    Unchanged,
}

impl Store {
    /// Opens the store. A Redis that is down is no error here: calls answer [`StoreError::Unavailable`] until it is up.
    ///
    /// Needs a Tokio runtime, on which a Redis store keeps its connections.
    pub async fn open(mut settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        let backend = match &settings.location {
            Location::Memory => Backend::Embedded(Embedded::in_memory(clock.clone(), settings.timeout)?),
            Location::File(path) => {
                let (path, clock, timeout) = (path.clone(), clock.clone(), settings.timeout);
                let listed = settings.keys.clone();
                let opening = tokio::task::spawn_blocking(move || {
                    let embedded = Embedded::on_file(&path, clock, timeout)?;
                    // The file's lock is held here, so no other process makes a key at the same time.
                    if listed.is_empty() {
                        let made = key_file::beside(&path, embedded.is_empty()?)?;
                        return Ok((embedded, Some(made)));
                    }
                    key_file::look_for_unlisted(&path, &listed);
                    Ok((embedded, None))
                });
                let (embedded, made) =
                    opening.await.map_err(|error| StoreError::unavailable("opening its file", error))??;
                settings.keys.extend(made);
                Backend::Embedded(embedded)
            }
            Location::Redis(_) | Location::RedisCluster(_) | Location::RedisSentinel { .. } => {
                // Before anything is started, so that a missing key leaves nothing running.
                Seals::new(settings.keys.clone())?;
                Backend::Redis(Redis::start(&settings)?)
            }
        };
        if settings.location == Location::Memory && settings.keys.is_empty() {
            settings.keys.push(SealingKey::generate());
        }
        let seals = Seals::new(settings.keys)?;
        Ok(Self(Arc::new(Inner { backend, seals, clock, counts: Counts::new() })))
    }

    /// The record under a key; nothing when there is none or it has expired.
    pub async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        match self.sealed(key).await? {
            Some(sealed) => {
                self.opened(key, &sealed).inspect_err(|error| self.0.counts.failed(Operation::Get, error)).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Writes a record if what is expected is there. Without a lifetime it is kept until it is deleted; a write
    /// replaces the lifetime of the record before it.
    pub async fn put(
        &self,
        key: &Key,
        expected: Expected,
        value: &[u8],
        lifetime: Option<Duration>,
    ) -> Result<Written, StoreError> {
        self.write(key, expected, value, lifetime.map_or(Keep::Forever, Keep::For)).await
    }

    /// Deletes the record if it still has this version; says whether it did.
    pub async fn delete(&self, key: &Key, version: u64) -> Result<bool, StoreError> {
        let timing = self.0.counts.begin(Operation::Delete);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => embedded.delete(key, version).await,
            Backend::Redis(redis) => redis.delete(key, version).await,
        };
        timing.end(outcome)
    }

    /// Takes a record away and gives its value: to exactly one taker, among any number in any number of processes.
    /// A record that does not open stays.
    pub async fn take(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        // Each turn of the loop is lost only to somebody else's write, so it ends.
        while let Some(entry) = self.get(key).await? {
            if self.delete(key, entry.version).await? {
                return Ok(Some(entry.value));
            }
        }
        Ok(None)
    }

    /// Leases a name for a time; nothing when somebody else has it. The lease ends by itself after `lifetime`, whatever
    /// its owner does, so a write under it still compares versions.
    pub async fn lease(&self, name: &Key, lifetime: Duration) -> Result<Option<Lease>, StoreError> {
        let mut lease = Lease { name: name.clone(), owner: [0; 16] };
        seal::random(&mut lease.owner);
        let timing = self.0.counts.begin(Operation::Lease);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => Ok(embedded.lease(&lease, lifetime)),
            Backend::Redis(redis) => redis.lease(&lease, lifetime).await,
        };
        let granted = timing.end(outcome)?;
        Ok(granted.then_some(lease))
    }

    /// Lets a lease last so long from now on; says whether it is still this owner's.
    pub async fn extend(&self, lease: &Lease, lifetime: Duration) -> Result<bool, StoreError> {
        let timing = self.0.counts.begin(Operation::Lease);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => Ok(embedded.extend(lease, lifetime)),
            Backend::Redis(redis) => redis.extend(lease, lifetime).await,
        };
        timing.end(outcome)
    }

    /// Ends a lease if it is still this owner's; otherwise does nothing.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let timing = self.0.counts.begin(Operation::Release);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => {
                embedded.release(&lease);
                Ok(())
            }
            Backend::Redis(redis) => redis.release(&lease).await,
        };
        timing.end(outcome)
    }

    /// The records whose keys begin with `prefix`, page by page. `after` is the `next` of the page before.
    ///
    /// A record that is there during the whole scan is seen at least once; on Redis it may be seen twice, the order is
    /// Redis' own, and `limit` is a hint.
    pub async fn scan(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        if after.is_some() {
            // An embedded store answers without waiting, and others want the thread.
            tokio::task::yield_now().await;
        }
        let (rows, next) = self.rows(prefix, after, limit.max(1)).await?;
        let mut page = Page { next, ..Page::default() };
        for (text, sealed) in rows {
            let opened = Key::parse(&text).zip(sealed).map(|(key, sealed)| (self.opened(&key, &sealed), key));
            match opened {
                Some((Ok(entry), key)) => page.entries.push((key, entry)),
                Some((Err(_), _)) | None => page.unopenable.push(text),
            }
        }
        Ok(page)
    }

    /// Seals what is given out of our hands and is to come back unchanged; nothing is stored. Opens under the same key
    /// alone, in every replica that has the sealing key.
    pub fn seal(&self, key: &Key, value: &[u8]) -> Vec<u8> {
        self.0.seals.seal(key, 0, value)
    }

    /// What [`Store::seal`] sealed under this key; nothing when it did not.
    pub fn unseal(&self, key: &Key, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.0.seals.open(key, 0, sealed).ok()
    }

    /// Tells every replica, this one included. There is no record of it: who is not synced does not hear it.
    pub async fn notify(&self, message: &str) -> Result<(), StoreError> {
        let timing = self.0.counts.begin(Operation::Notify);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => {
                embedded.notify(message);
                Ok(())
            }
            Backend::Redis(redis) => redis.notify(message).await,
        };
        timing.end(outcome)
    }

    /// Hears what is notified from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        match &self.0.backend {
            Backend::Embedded(embedded) => embedded.subscribe(),
            Backend::Redis(redis) => redis.subscribe(),
        }
    }

    /// Whether notifications are arriving now: while true, everything published more than a second ago has arrived.
    /// Always true of an embedded store. Costs an atomic read and a look at the monotonic clock.
    pub fn is_synced(&self) -> bool {
        match &self.0.backend {
            Backend::Embedded(_) => true,
            Backend::Redis(redis) => redis.is_synced(),
        }
    }

    /// Whether other processes can have the same store.
    pub fn is_shared(&self) -> bool {
        match &self.0.backend {
            Backend::Embedded(_) => false,
            Backend::Redis(_) => true,
        }
    }

    /// Spends from a rate budget, atomically over all processes that share the store; the inner refusal is
    /// [`Rate::spend`]'s. `None` when nobody shares it: then the caller's own count is all there is.
    ///
    /// A budget is forgotten once it is full, so there is nothing to clear. It is no record, is not sealed, and a
    /// Redis that fails over may forget some of what was spent.
    pub async fn spend(
        &self,
        budget: &Key,
        rate: Rate,
        spend: Spend,
    ) -> Result<Option<Result<Spent, Duration>>, StoreError> {
        match &self.0.backend {
            Backend::Embedded(_) => Ok(None),
            Backend::Redis(redis) => {
                let timing = self.0.counts.begin(Operation::Spend);
                timing.end(redis.spend(budget, rate, spend, self.0.clock.now()).await).map(Some)
            }
        }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let timing = self.0.counts.begin(Operation::Ping);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => embedded.ping(),
            Backend::Redis(redis) => redis.ping().await,
        };
        timing.end(outcome)
    }

    /// What was counted of each operation since the store was opened.
    pub fn counted(&self) -> Vec<Counted> {
        self.0.counts.all()
    }

    async fn rows(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Rows, StoreError> {
        let timing = self.0.counts.begin(Operation::Scan);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => embedded.scan(prefix, after, limit),
            // Boxed: what a scan is made of goes deep, and an allocation is nothing beside it.
            Backend::Redis(redis) => redis.scan(prefix, after, limit).boxed().await,
        };
        timing.end(outcome)
    }

    async fn sealed(&self, key: &Key) -> Result<Option<Sealed>, StoreError> {
        let timing = self.0.counts.begin(Operation::Get);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => embedded.get(key),
            Backend::Redis(redis) => redis.get(key).await,
        };
        timing.end(outcome)
    }

    fn opened(&self, key: &Key, sealed: &Sealed) -> Result<Entry, StoreError> {
        match self.0.seals.open(key, sealed.version, &sealed.bytes) {
            Ok(value) => Ok(Entry { version: sealed.version, value }),
            Err(why) => Err(StoreError::Unopenable { key: key.to_string(), why }),
        }
    }

    async fn write(&self, key: &Key, expected: Expected, value: &[u8], keep: Keep) -> Result<Written, StoreError> {
        let version = self.next_version(expected);
        let is_written = self.write_as(version, key, expected, value, keep).await?;
        Ok(if is_written { Written::Stored(version) } else { Written::Conflict })
    }

    async fn write_as(
        &self,
        version: u64,
        key: &Key,
        expected: Expected,
        value: &[u8],
        keep: Keep,
    ) -> Result<bool, StoreError> {
        let sealed = Sealed { version, bytes: self.0.seals.seal(key, version, value) };
        let timing = self.0.counts.begin(Operation::Put);
        let outcome = match &self.0.backend {
            Backend::Embedded(embedded) => embedded.put(key, expected, &sealed, keep).await,
            Backend::Redis(redis) => redis.put(key, expected, &sealed, keep).await,
        };
        timing.end(outcome)
    }

    /// About the time in units of 1.024 s in the upper half, random below, and always above the version that is
    /// replaced: so it grows with every write, and does not come again when a record is deleted and made anew.
    fn next_version(&self, expected: Expected) -> u64 {
        let mut random = [0; 4];
        seal::random(&mut random);
        let step = u64::from(u32::from_be_bytes(random) >> 1) + 1;
        let time = self.0.clock.now().unix_millis().unsigned_abs() >> 10 << 32;
        let replaced = match expected {
            Expected::Absent => 0,
            Expected::Version(version) => version,
        };
        time.max(replaced).saturating_add(step)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = match &self.0.backend {
            Backend::Embedded(_) => "embedded",
            Backend::Redis(_) => "redis",
        };
        f.debug_struct("Store").field("backend", &backend).finish_non_exhaustive()
    }
}
