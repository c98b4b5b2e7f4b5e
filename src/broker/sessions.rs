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
    epoch: u64,
}

pub(super) struct SessionCache {
    entries: Cache<String, Arc<Session>>,
    epoch: AtomicU64,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self { entries: Cache::new(CAPACITY), epoch: AtomicU64::new(0) }
    }
}

impl SessionCache {
    pub(super) fn forget(&self, fingerprint: &str) {
        // A reader that fetched the record before it was deleted may put it back: the epoch makes that harmless.
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.entries.remove(fingerprint);
    }

    pub(super) fn doubt_everything(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl Broker {
    /// Makes a session for this person. `scope` bounds what it may do besides being theirs.
    pub async fn open_session(
        &self,
        person: &Person,
        integrations: &Allowed<IntegrationName>,
        methods: &Allowed<String>,
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
        // Listed before it exists, so that ending all of a person's sessions can miss none.
        self.list_session(person, &fingerprint, expires_at).await?;
        self.create(&Key::new(Kind::Session, &[&fingerprint]), &session, lifetime).await?;
        Ok((token, expires_at))
    }

    /// The session of this token; `None` when it is unknown or over.
    pub async fn session(&self, token: &str) -> Result<Option<Arc<Session>>, BrokerError> {
        let fingerprint = entropy::fingerprint(token);
        let now = self.clock.now();
        let epoch = self.sessions.epoch.load(Ordering::Acquire);
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
        self.sessions.entries.insert(fingerprint, Arc::clone(&session));
        Ok(Some(session).filter(|session| now < session.expires_at))
    }

    /// Ends all sessions of a person, in every replica. Gives how many there were.
    pub async fn end_sessions(&self, person: &Person) -> Result<usize, BrokerError> {
        let Some(taken) = self.store.take(&sessions_of(person)).await? else { return Ok(0) };
        let list: SessionsOfRecord = record::decode(&taken)?;
        for (fingerprint, _) in &list.sessions {
            self.store.take(&Key::new(Kind::Session, &[fingerprint])).await?;
            self.tell_session(fingerprint).await;
        }
        Ok(list.sessions.len())
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
            list.sessions.push((fingerprint.to_owned(), ends.unix_millis()));
            let last = list.sessions.iter().map(|(_, ends)| *ends).max().unwrap_or_default();
            let lifetime = Timestamp::from_unix_millis(last).since(now) + Duration::from_secs(60);
            let expected = entry.map_or(Expected::Absent, |entry| Expected::Version(entry.version));
            if let Written::Stored(_) = self.store.put(&key, expected, &record::encode(&list)?, Some(lifetime)).await? {
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
        Ok(Self { person, scope, expires_at: Timestamp::from_unix_millis(record.expires_at), epoch })
    }
}

fn sessions_of(person: &Person) -> Key {
    Key::new(Kind::SessionsOf, &[person.org.as_str(), person.user.as_str()])
}
