//! Sessions: a person's own key for a browser or process, made by a back end, ended by time or by word.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::record::{self, SessionRecord, SessionsOfRecord};
use super::{Broker, BrokerError, entropy};
use crate::model::{Allowed, CallerScope, IntegrationName, Person, Secret, Timestamp};
use crate::store::{Expected, Key, Kind, Written};

/// What every session token begins with.
pub const PREFIX: &str = "kfs_";

/// Most sessions of one person; the one that ends first makes room.
const MOST: usize = 1_000;

/// Most sessions kept in memory.
const CAPACITY: usize = 100_000;

/// A session as the call path needs it.
#[derive(Debug)]
pub struct Session {
    /// Whose it is.
    pub person: Person,
    /// What it may do: that person only, and no more than its maker.
    pub scope: CallerScope,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The caller that made it; it may do no more than its maker may now. `None` for one made in the open mode.
    pub maker: Option<String>,
    epoch: u64,
}

pub(super) struct SessionCache {
    entries: Cache<String, Arc<Session>>,
    /// Raised whenever notifications may have been missed.
    epoch: AtomicU64,
    /// Counts the ends of sessions.
    changes: AtomicU64,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self { entries: Cache::new(CAPACITY), epoch: AtomicU64::new(0), changes: AtomicU64::new(0) }
    }
}

impl SessionCache {
    pub(super) fn forget(&self, fingerprint: &str) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.entries.remove(fingerprint);
    }

    /// Keeps what was read, unless a session ended since `changes` was read: it may have been this one.
    fn put(&self, changes: u64, fingerprint: String, session: &Arc<Session>) {
        if self.changes.load(Ordering::Acquire) == changes {
            self.entries.insert(fingerprint.clone(), Arc::clone(session));
            if self.changes.load(Ordering::Acquire) != changes {
                self.entries.remove(&fingerprint);
            }
        }
    }

    pub(super) fn doubt_everything(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl Broker {
    /// Makes a session for this person. `integrations` and `methods` bound what it may do besides
    /// being theirs; `maker` is the caller that asked.
    pub async fn open_session(
        &self,
        person: &Person,
        integrations: &Allowed<IntegrationName>,
        methods: &Allowed<String>,
        maker: Option<&str>,
        lifetime: Duration,
    ) -> Result<(Secret, Timestamp), BrokerError> {
        let token = Secret::new(format!("{PREFIX}{}", entropy::random_token()?.expose()));
        let fingerprint = entropy::fingerprint(token.expose());
        let expires_at = self.clock.now().plus(lifetime);
        let only = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let session = SessionRecord {
            v: 1,
            org: person.org.as_str().to_owned(),
            user: person.user.as_str().to_owned(),
            maker: maker.map(str::to_owned),
            integrations: match integrations {
                Allowed::Any => None,
                Allowed::Only(names) => Some(only(names.iter().map(IntegrationName::as_str).collect())),
            },
            methods: match methods {
                Allowed::Any => None,
                Allowed::Only(names) => Some(only(names.iter().map(String::as_str).collect())),
            },
            expires_at: expires_at.unix_millis(),
        };
        let key = Key::new(Kind::Session, &[&fingerprint]);
        self.list_session(person, &fingerprint, expires_at).await?;
        self.create(&key, &session, lifetime).await?;
        // Whoever ended all sessions in between found it listed and not there yet. Then it has ended too.
        let listed = match self.store.get(&sessions_of(person)).await? {
            Some(entry) => {
                record::decode::<SessionsOfRecord>(&entry.value)?.sessions.iter().any(|(it, _)| *it == fingerprint)
            }
            None => false,
        };
        if !listed {
            self.store.take(&key).await?;
            return Err(BrokerError::Invalid("All sessions of this person were ended meanwhile; ask again.".into()));
        }
        Ok((token, expires_at))
    }

    /// The session of this token; `None` when it is unknown or over.
    pub async fn session(&self, token: &str) -> Result<Option<Arc<Session>>, BrokerError> {
        let fingerprint = entropy::fingerprint(token);
        let now = self.clock.now();
        let epoch = self.sessions.epoch.load(Ordering::Acquire);
        let changes = self.sessions.changes.load(Ordering::Acquire);
        if self.store.is_synced()
            && let Some(session) = self.sessions.entries.get(&fingerprint)
            && session.epoch == epoch
        {
            return Ok(Some(session).filter(|session| now < session.expires_at));
        }
        let Some(entry) = self.store.get(&Key::new(Kind::Session, &[&fingerprint])).await? else {
            self.sessions.entries.remove(&fingerprint);
            return Ok(None);
        };
        let record: SessionRecord = record::decode(&entry.value)?;
        let session = Arc::new(Session::from_record(record, epoch)?);
        self.sessions.put(changes, fingerprint, &session);
        Ok(Some(session).filter(|session| now < session.expires_at))
    }

    /// Ends all sessions of a person, in every replica. Gives how many there were.
    pub async fn end_sessions(self: &Arc<Self>, person: &Person) -> Result<usize, BrokerError> {
        let (broker, person) = (Arc::clone(self), person.clone());
        let work = async move {
            let mut ended = 0;
            // The list goes last, so that a store that fails half-way leaves the rest to the next attempt.
            while let Some(entry) = broker.store.get(&sessions_of(&person)).await? {
                let list: SessionsOfRecord = record::decode(&entry.value)?;
                for (fingerprint, _) in &list.sessions {
                    broker.end_session(fingerprint).await?;
                }
                if broker.store.delete(&sessions_of(&person), entry.version).await? {
                    ended += list.sessions.len();
                    break;
                }
            }
            Ok(ended)
        };
        self.duties.run(work).await
    }

    async fn end_session(&self, fingerprint: &str) -> Result<(), BrokerError> {
        self.store.take(&Key::new(Kind::Session, &[fingerprint])).await?;
        self.tell_session(fingerprint).await;
        Ok(())
    }

    async fn list_session(&self, person: &Person, fingerprint: &str, ends: Timestamp) -> Result<(), BrokerError> {
        let key = sessions_of(person);
        loop {
            let now = self.clock.now();
            let entry = self.store.get(&key).await?;
            let mut list: SessionsOfRecord = match &entry {
                Some(entry) => record::decode(&entry.value)?,
                None => SessionsOfRecord { v: 1, sessions: Vec::new() },
            };
            list.sessions.retain(|(_, ends)| now.unix_millis() < *ends);
            // Room is made before, so that the new one always stays.
            list.sessions.sort_by_key(|(_, ends)| std::cmp::Reverse(*ends));
            let surplus = list.sessions.split_off(list.sessions.len().min(MOST - 1));
            list.sessions.push((fingerprint.to_owned(), ends.unix_millis()));
            let last = list.sessions.iter().map(|(_, ends)| *ends).max().unwrap_or_default();
            let lifetime = Timestamp::from_unix_millis(last).since(now) + Duration::from_secs(60);
            let expected = entry.map_or(Expected::Absent, |entry| Expected::Version(entry.version));
            if let Written::Stored(_) = self.store.put(&key, expected, &record::encode(&list)?, Some(lifetime)).await? {
                for (fingerprint, _) in surplus {
                    self.end_session(&fingerprint).await?;
                }
                return Ok(());
            }
        }
    }
}

impl Session {
    fn from_record(record: SessionRecord, epoch: u64) -> Result<Self, BrokerError> {
        let person = record::person(&record.org, &record.user)?;
        let integrations = match record.integrations {
            None => Allowed::Any,
            Some(names) => Allowed::Only(names.iter().filter_map(|name| IntegrationName::parse(name).ok()).collect()),
        };
        let scope = CallerScope {
            orgs: Allowed::Only(vec![person.org.clone()]),
            users: Allowed::Only(vec![person.user.clone()]),
            integrations,
            methods: record.methods.map_or(Allowed::Any, Allowed::Only),
        };
        let expires_at = Timestamp::from_unix_millis(record.expires_at);
        Ok(Self { person, scope, expires_at, maker: record.maker, epoch })
    }
}

fn sessions_of(person: &Person) -> Key {
    Key::new(Kind::SessionsOf, &[person.org.as_str(), person.user.as_str()])
}
