//! The rate budget of a connection, or of a part of it: what this process knows of it, in atomics, so that a call pays
//! for it with a few instructions. A store that replicas share has the truth of what was reserved; the copy here is
//! what a budget that nobody shares consists of, and what is left when the store does not answer.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::entropy;
use super::watch::Watch;
use crate::model::{ConnectionKey, IntegrationName, Timestamp};
use crate::route::{LONGEST_WAIT, Level, Rate, Spend, Spent};
use crate::store::{Key, Kind};

/// Most budgets that are known at a time: those of the live connections, and some for parts of them. One that is pushed
/// out is a full one when it comes back, unless the store knows better.
const CAPACITY: usize = 250_000;

/// A longer name of a part is known by its hash: it may be a provider's text.
const LONGEST_PART: usize = 64;

/// One budget, as this process knows it.
pub(super) struct Budget {
    pub(super) connection: ConnectionKey,
    /// Which part of the connection it is for; empty for all of it.
    pub(super) part: Box<str>,
    /// The rule that holds for it. None for a whole connection whose parts have budgets of their own: nobody knows which
    /// part a proxied call is for.
    pub(super) rate: Option<Rate>,
    /// See [`Level`].
    level: AtomicU64,
    /// Milliseconds since the epoch.
    closed_until: AtomicU64,
    /// Calls that were noted here and not yet told to the store.
    unreported: AtomicU32,
    /// Whether it waits for its turn to be reported.
    queued: AtomicBool,
}

impl Budget {
    /// Spends what is here.
    pub(super) fn spend(&self, rate: Rate, spend: Spend, now: Timestamp) -> Result<Spent, Duration> {
        let mut answer = Err(Duration::ZERO);
        let _ = self.level.fetch_update(Ordering::AcqRel, Ordering::Acquire, |level| {
            answer = rate.spend(Level::from_micros(level), spend, now);
            answer.ok().map(|spent| spent.level.as_micros())
        });
        answer
    }

    /// Takes over what the store knows.
    pub(super) fn learn(&self, level: Level) {
        self.level.fetch_max(level.as_micros(), Ordering::AcqRel);
    }

    /// The end of a pause that the provider asked for; a moment in the past when there is none.
    pub(super) fn opens_at(&self, now: Timestamp) -> Timestamp {
        let until = Timestamp::from_unix_millis(self.closed_until.load(Ordering::Acquire).cast_signed());
        // A later one was set by a clock that has been set back since.
        if until.since(now) > LONGEST_WAIT { now } else { until }
    }

    /// Closes it until then, unless it is closed for longer; says whether that was news by more than a second.
    pub(super) fn close(&self, until: Timestamp) -> bool {
        let until = until.unix_millis().unsigned_abs();
        let before = self.closed_until.fetch_max(until, Ordering::AcqRel);
        until > before.saturating_add(1000)
    }

    /// Counts a noted call for the next report; true when the budget has to be queued for it.
    pub(super) fn owe(&self) -> bool {
        self.unreported.fetch_add(1, Ordering::SeqCst);
        !self.queued.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst)
    }

    /// What is to be reported, and it is not queued any more: in the order opposite to [`owe`](Self::owe), so that no
    /// call is counted for a report that never comes.
    pub(super) fn owed(&self) -> u32 {
        self.not_queued();
        self.unreported.swap(0, Ordering::SeqCst)
    }

    /// There was no place in the queue: the next call tries again.
    pub(super) fn not_queued(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// The name under which the store has it.
    pub(super) fn name(&self) -> Key {
        let person = &self.connection.person;
        let integration = self.connection.integration.as_str();
        Key::new(Kind::Budget, &[integration, person.org.as_str(), person.user.as_str(), &self.part])
    }
}

/// The budgets that this process knows.
pub(super) struct Budgets(Cache<OwnedName, Arc<Budget>>);

impl Default for Budgets {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Budgets {
    /// The budget of a connection's part, full when it was not known.
    pub(super) fn of(&self, connection: &ConnectionKey, part: &str, watch: &Watch) -> Arc<Budget> {
        let part = short(part);
        if let Some(budget) = self.0.get(&Name { connection, part: &part }) {
            return budget;
        }
        let name = OwnedName { connection: connection.clone(), part: part.as_ref().into() };
        let make = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Budget {
                connection: connection.clone(),
                part: part.as_ref().into(),
                rate: watch.rate.filter(|_| !(watch.parts_budgets && part.is_empty())),
                level: AtomicU64::new(0),
                closed_until: AtomicU64::new(0),
                unreported: AtomicU32::new(0),
                queued: AtomicBool::new(false),
            }))
        };
        let Ok(budget) = self.0.get_or_insert_with(&name, make);
        budget
    }

    /// Forgets the budgets of these integrations, whose rules have changed: what was left by the old ones says nothing
    /// by the new.
    pub(super) fn forget(&self, of: impl Fn(&IntegrationName) -> bool) {
        self.0.retain(|name, _| !of(&name.connection.integration));
    }
}

fn short(part: &str) -> Cow<'_, str> {
    if part.len() <= LONGEST_PART { Cow::Borrowed(part) } else { Cow::Owned(entropy::fingerprint(part)) }
}

#[derive(Clone, PartialEq, Eq)]
struct OwnedName {
    connection: ConnectionKey,
    part: Box<str>,
}

/// The same without owning it, so that finding a budget allocates nothing.
struct Name<'a> {
    connection: &'a ConnectionKey,
    part: &'a str,
}

impl Hash for OwnedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Name { connection: &self.connection, part: &self.part }.hash(state);
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.connection.hash(state);
        self.part.hash(state);
    }
}

impl Equivalent<OwnedName> for Name<'_> {
    fn equivalent(&self, name: &OwnedName) -> bool {
        *self.connection == name.connection && *self.part == *name.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_short_and_differ() {
        for part in ["", "appA1b2C3", &"x".repeat(LONGEST_PART)] {
            assert_eq!(short(part), part);
        }
        let (one, other) = ("x".repeat(100_000), "x".repeat(100_001));
        assert!(short(&one).len() <= LONGEST_PART);
        assert_ne!(short(&one), short(&other));
    }
}
