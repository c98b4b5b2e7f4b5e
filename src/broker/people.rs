//! Everything that is kept of a person, taken away by word of the operator: sessions, authorizations under way, grants
//! that wait to be confirmed, connections. Here first, in every replica, and only then at the providers.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::record::{self, FlowRecord, PendingRecord, StartRecord, Stored, UnconfirmedRecord};
use super::{Broker, BrokerError, connections};
use crate::model::{ConnectionKey, ConnectionStatus, Grant, Person};
use crate::store::{Entry, Key, Kind, StoreError};
use crate::telemetry::audit::{self, About, Event};

/// Records that are read at once.
const PAGE: usize = 200;

/// The audited reason of a deletion that stopped on its way.
const INCOMPLETE: &str = "incomplete";

/// How often everything is looked for: more than it takes, unless somebody makes as fast as we take away.
const ROUNDS: usize = 20;

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Connections, those among them that had been disconnected before.
    pub connections: usize,
    /// Sessions.
    pub sessions: usize,
    /// Start links and authorizations under way.
    pub authorizations: usize,
    /// Grants that waited to be confirmed.
    pub unconfirmed: usize,
    /// Records that do not open or cannot be read, and are theirs or may be; they are left as they are.
    pub unopenable: usize,
}

/// A record that tells who wants to connect what.
trait Flow: DeserializeOwned {
    fn flow(&self) -> &FlowRecord;
}

impl Flow for StartRecord {
    fn flow(&self) -> &FlowRecord {
        &self.flow
    }
}

impl Flow for PendingRecord {
    fn flow(&self) -> &FlowRecord {
        &self.flow
    }
}

impl Flow for UnconfirmedRecord {
    fn flow(&self) -> &FlowRecord {
        &self.flow
    }
}

impl Broker {
    /// Takes away all that is kept of a person. What was granted is revoked at the providers afterwards; until each has
    /// been told, for a week at most, its revocation is kept. Goes on to its end though the caller may go away; after a
    /// failure another attempt does the rest.
    pub async fn delete_person(self: &Arc<Self>, person: &Person) -> Result<Deleted, BrokerError> {
        let (broker, person) = (Arc::clone(self), person.clone());
        let work = async move {
            let mut deleted = Deleted::default();
            let tell = |why| audit::write(Event::PersonDeleted, &About::default().person(&person).because(why));
            // In the order in which one becomes another, and again while there was something: what took a step ahead
            // of us is found where it went.
            for _ in 0..ROUNDS {
                let found = broker.delete_what_is_there(&person).await.inspect_err(|_| tell(INCOMPLETE))?;
                deleted.add(found);
                if found.is_nothing() {
                    tell(audit::BY_OPERATOR);
                    return Ok(deleted);
                }
            }
            tell(INCOMPLETE);
            Err(BrokerError::Internal("somebody goes on connecting or making sessions for this person".into()))
        };
        self.duties.run(work).await
    }

    async fn delete_what_is_there(self: &Arc<Self>, person: &Person) -> Result<Deleted, BrokerError> {
        let mut deleted = Deleted::default();
        match self.end_sessions(person).await {
            Ok(ended) => deleted.sessions = ended,
            Err(error) if is_unopenable(&error) => deleted.unopenable += 1,
            Err(error) => return Err(error),
        }
        for (key, entry, _) in self.theirs::<StartRecord>(Kind::Start, person, &mut deleted.unopenable).await? {
            deleted.authorizations += usize::from(self.store.delete(&key, entry.version).await?);
        }
        for (key, entry, _) in self.theirs::<PendingRecord>(Kind::Pending, person, &mut deleted.unopenable).await? {
            deleted.authorizations += usize::from(self.store.delete(&key, entry.version).await?);
        }
        let waiting = self.theirs::<UnconfirmedRecord>(Kind::Unconfirmed, person, &mut deleted.unopenable).await?;
        for (key, entry, record) in waiting {
            // Queued before the record goes: the record is all there is of the grant. Should it have become a
            // connection after all, the attempt sees that.
            let (flow, grant) = (record.flow, Grant::from(record.grant));
            let queued = self.queue_revocation(&flow.key()?, &flow.variables, &grant, false).await?;
            deleted.unconfirmed += usize::from(self.store.delete(&key, entry.version).await?);
            queued.into_iter().for_each(|queued| self.attempt_soon(queued));
        }
        for key in self.connections_of(person, &mut deleted.unopenable).await? {
            deleted.connections += usize::from(self.remove_connection(&key).await?);
        }
        Ok(deleted)
    }

    /// The records of a kind that tell of an authorization of this person. Whose one is that does not open, nobody knows.
    async fn theirs<T: Flow>(
        &self,
        kind: Kind,
        person: &Person,
        unopenable: &mut usize,
    ) -> Result<Vec<(Key, Entry, T)>, BrokerError> {
        let mut theirs = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.store.scan(&Key::prefix(kind, &[]), cursor.as_deref(), PAGE).await?;
            *unopenable += page.unopenable.len();
            for (key, entry) in page.entries {
                match record::decode::<T>(&entry.value) {
                    Ok(record) if is_of(record.flow(), person) => theirs.push((key, entry, record)),
                    Ok(_) => {}
                    Err(_) => *unopenable += 1,
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(theirs),
            }
        }
    }

    /// The connections of this person, those among them whose integration is configured no more.
    async fn connections_of(&self, person: &Person, unopenable: &mut usize) -> Result<Vec<ConnectionKey>, BrokerError> {
        let mut keys = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.store.scan(&Key::prefix(Kind::Connection, &[]), cursor.as_deref(), PAGE).await?;
            let theirs = |key: &Key| matches!(&key.parts()[..], [_, org, user] if *org == *person.org.as_str() && *user == *person.user.as_str());
            *unopenable +=
                page.unopenable.iter().filter(|text| Key::parse(text).is_some_and(|key| theirs(&key))).count();
            for (_, entry) in page.entries.iter().filter(|(key, _)| theirs(key)) {
                match Stored::decode(&entry.value) {
                    Ok(stored) => keys.push(stored.connection.key),
                    Err(_) => *unopenable += 1,
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(keys),
            }
        }
    }

    /// Disconnects and takes the record away; false when there was none any more.
    async fn remove_connection(self: &Arc<Self>, key: &ConnectionKey) -> Result<bool, BrokerError> {
        loop {
            match self.disconnect_now(key, None, Some(audit::BY_OPERATOR)).await {
                Ok(_) => {}
                Err(BrokerError::NotConnected) => return Ok(false),
                Err(error) => return Err(error),
            }
            // Whoever has connected again in between is disconnected again.
            if let Some((stored, version)) = self.stored(key).await?
                && stored.connection.status == ConnectionStatus::Disconnected
                && self.store.delete(&connections::key(key), version).await?
            {
                return Ok(true);
            }
        }
    }
}

impl Deleted {
    fn is_nothing(self) -> bool {
        let Self { connections, sessions, authorizations, unconfirmed, unopenable: _ } = self;
        connections + sessions + authorizations + unconfirmed == 0
    }

    /// What another look has found. What does not open is there each time.
    fn add(&mut self, found: Self) {
        self.connections += found.connections;
        self.sessions += found.sessions;
        self.authorizations += found.authorizations;
        self.unconfirmed += found.unconfirmed;
        self.unopenable = found.unopenable;
    }
}

fn is_of(flow: &FlowRecord, person: &Person) -> bool {
    flow.org == person.org.as_str() && flow.user == person.user.as_str()
}

fn is_unopenable(error: &BrokerError) -> bool {
    matches!(error, BrokerError::Store(error) if matches!(**error, StoreError::Unopenable { .. }))
}
