//! Live tokens in memory: bounded, read without a lock held across await, and invalidated when any replica changes a
//! connection. The store is the truth; this is what makes a call cost no lookup there.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::budget::Budget;
use super::record::Stored;
use super::watch::Watch;
use crate::model::{Connection, ConnectionKey, Freshness, Grant, IntegrationName, Timestamp};
use crate::oauth::Variable;
use crate::route::Ready;

/// Most connections whose tokens are kept in memory; further ones push out those that are not called.
const CAPACITY: usize = 200_000;

/// A connection whose token can be used now, with everything that a call needs prepared.
pub struct Live {
    /// The connection.
    pub connection: Connection,
    /// Where calls go and what they carry.
    pub ready: Arc<Ready>,
    /// Its rate budget, which outlives its tokens.
    pub(super) budget: Arc<Budget>,
    /// What is watched of its integration, and the rules that it was prepared by.
    pub(super) watch: Arc<Watch>,
    pub(super) grant: Grant,
    /// How long before its end the token is due, where the provider's file says.
    leeway: Option<Duration>,
    pub(super) variables: BTreeMap<String, String>,
    /// The version of the record that it came from.
    pub(super) version: u64,
    /// When it was last compared with the store, as counted by the cache.
    ticket: Ticket,
    /// Set once somebody started the refresh that its age asks for.
    pub(super) refresh_started: AtomicBool,
    /// Set once its integration is configured otherwise: it is prepared anew before the next use.
    is_outdated: AtomicBool,
}

/// A [`ConnectionKey`] that owns nothing, so that a lookup allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiveKey<'a> {
    /// The integration's name.
    pub integration: &'a str,
    /// The organisation.
    pub org: &'a str,
    /// The user.
    pub user: &'a str,
}

impl Equivalent<ConnectionKey> for LiveKey<'_> {
    fn equivalent(&self, key: &ConnectionKey) -> bool {
        self.integration == key.integration.as_str()
            && self.org == key.person.org.as_str()
            && self.user == key.person.user.as_str()
    }
}

impl Live {
    /// What the person gave, as it was understood.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// How old its token is.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.grant.obtained_at)
    }

    /// What was captured when it was connected, and the person's variables but for secrets: `$conn` of a provider file.
    pub(super) fn known_values(&self, rules: &BTreeMap<String, Variable>) -> serde_json::Value {
        let is_secret = |name: &str| rules.get(name).is_some_and(|rule| rule.secret);
        let variables = self.variables.iter().filter(|(name, _)| !is_secret(name));
        let values = variables.chain(&self.grant.captured);
        values.map(|(name, value)| (name.clone(), serde_json::Value::String(value.clone()))).collect()
    }

    pub(super) fn freshness(&self, now: Timestamp) -> Freshness {
        self.grant.freshness(now, self.leeway)
    }
}

pub(super) struct LiveCache {
    entries: Cache<ConnectionKey, Arc<Live>>,
    /// Raised whenever notifications may have been missed: older entries are compared with the store before use.
    epoch: AtomicU64,
    /// Counts the invalidations, so that what was read before one is not kept after it.
    changes: AtomicU64,
}

/// Drawn before the store is read; a change that arrives in between makes it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    epoch: u64,
    changes: u64,
}

impl Default for LiveCache {
    fn default() -> Self {
        Self { entries: Cache::new(CAPACITY), epoch: AtomicU64::new(0), changes: AtomicU64::new(0) }
    }
}

impl LiveCache {
    /// The entry, if nothing can have changed since it was put here.
    pub(super) fn current(&self, key: &LiveKey<'_>) -> Option<Arc<Live>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.entries.get(key).filter(|live| live.ticket.epoch == epoch && !live.is_outdated.load(Ordering::Acquire))
    }

    /// The entry, whatever may have happened since.
    pub(super) fn last_known(&self, key: &ConnectionKey) -> Option<Arc<Live>> {
        self.entries.get(key)
    }

    /// To be drawn before the store is read.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { epoch: self.epoch.load(Ordering::Acquire), changes: self.changes.load(Ordering::Acquire) }
    }

    /// Keeps what was read or written, unless something changed since the ticket was drawn.
    pub(super) fn put(
        &self,
        ticket: Ticket,
        stored: Stored,
        (grant, leeway): (Grant, Option<Duration>),
        version: u64,
        ready: Arc<Ready>,
        (budget, watch): (Arc<Budget>, Arc<Watch>),
    ) -> Arc<Live> {
        let live = Arc::new(Live {
            connection: stored.connection,
            variables: stored.variables,
            ready,
            budget,
            watch,
            grant,
            leeway,
            version,
            ticket,
            refresh_started: AtomicBool::new(false),
            is_outdated: AtomicBool::new(false),
        });
        if self.ticket() == ticket {
            self.entries.insert(live.connection.key.clone(), Arc::clone(&live));
            // A change that came while we inserted has found nothing to remove.
            if self.ticket() != ticket {
                self.entries.remove(&live.connection.key);
            }
        }
        live
    }

    /// Another version of this connection was written, here or elsewhere.
    pub(super) fn changed(&self, key: &ConnectionKey, version: u64) {
        // Raised even when we hold that version ourselves: somebody may be about to keep an older one.
        self.changes.fetch_add(1, Ordering::AcqRel);
        if self.entries.get(key).is_some_and(|live| live.version != version) {
            self.entries.remove(key);
        }
    }

    /// These integrations are configured otherwise from now on, which whoever prepares an entry sees already.
    pub(super) fn outdate(&self, of: impl Fn(&IntegrationName) -> bool) {
        // Raised first: what was prepared by the old configuration and is about to be kept here is not.
        self.changes.fetch_add(1, Ordering::AcqRel);
        // Marked and not removed: they may be all that is left of a grant that the store forgets.
        self.entries.retain(|key, live| {
            if of(&key.integration) {
                live.is_outdated.store(true, Ordering::Release);
            }
            true
        });
    }

    /// Notifications were interrupted: nothing here is current any more.
    pub(super) fn doubt_everything(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;
    use std::hash::Hasher;

    use super::*;
    use crate::model::{IntegrationName, Org, Person, User};

    fn hash(value: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn the_borrowed_key_hashes_as_the_owned_one() {
        let person = Person { org: Org::parse("o").expect("org"), user: User::parse("u").expect("user") };
        let owned = ConnectionKey { integration: IntegrationName::parse("i").expect("name"), person };
        let borrowed = LiveKey { integration: "i", org: "o", user: "u" };
        assert!(borrowed.equivalent(&owned));
        assert_eq!(hash(&owned), hash(borrowed));
    }
}
