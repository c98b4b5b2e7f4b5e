//! Connections in the store, and the word between replicas that one has changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::record::{self, Stored};
use super::{Broker, BrokerError};
use crate::model::{Connection, ConnectionKey, Grant, IntegrationName, Timestamp};
use crate::oauth::complete_captures;
use crate::store::{Event, Key, Kind};

/// A connection and what of its grant may be shown.
#[derive(Clone, Debug)]
pub struct View {
    /// The connection.
    pub connection: Connection,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// When the access token ends; it is refreshed before.
    pub expires_at: Option<Timestamp>,
    /// Names the authorization that brought the grant: another one after each connecting, the same after each refresh.
    pub authorization: Option<String>,
    /// Values captured from callback, answers and discovery. Captures named in a file hold no token.
    pub captured: std::collections::BTreeMap<String, String>,
}

/// What replicas tell each other.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Connection {
        integration: String,
        org: String,
        user: String,
        version: u64,
    },
    Session {
        fingerprint: String,
    },
    /// A provider asked for a pause of a rate budget; `until` in milliseconds since the epoch.
    Pause {
        integration: String,
        org: String,
        user: String,
        part: String,
        until: i64,
    },
}

pub(super) fn key(key: &ConnectionKey) -> Key {
    if key.person.is_nobody() {
        return Key::new(Kind::ClientGrant, &[key.integration.as_str(), key.person.user.as_str()]);
    }
    Key::new(Kind::Connection, &[key.integration.as_str(), key.person.org.as_str(), key.person.user.as_str()])
}

impl Broker {
    /// The connection, whatever its status; `None` when there never was one.
    pub async fn connection(&self, key: &ConnectionKey) -> Result<Option<View>, BrokerError> {
        let integration = self.integration_of(key)?;
        if integration.holder.is_some() {
            return self.client_view(&integration, key).await.map(Some);
        }
        Ok(self.stored(key).await?.map(|(stored, _)| View::from(stored)))
    }

    pub(super) async fn stored(&self, connection: &ConnectionKey) -> Result<Option<(Stored, u64)>, BrokerError> {
        let Some(entry) = self.store.get(&key(connection)).await? else { return Ok(None) };
        Ok(Some((self.decoded(&entry.value)?, entry.version)))
    }

    /// A stored connection, with what its provider file has learned to capture since it was written.
    pub(super) fn decoded(&self, bytes: &[u8]) -> Result<Stored, BrokerError> {
        let mut stored = Stored::decode(bytes)?;
        if let (Some(grant), Ok(integration)) = (&mut stored.grant, self.integration_of(&stored.connection.key)) {
            complete_captures(&integration.provider.protocol, grant);
        }
        Ok(stored)
    }

    /// Tells every replica, this one included, that a connection has another version. A message that is lost is made
    /// good by the store's own watch over the link.
    pub(super) async fn tell(&self, key: &ConnectionKey, version: u64) {
        self.live.changed(key, version);
        self.announce(&Change::Connection {
            integration: key.integration.as_str().to_owned(),
            org: key.person.org.as_str().to_owned(),
            user: key.person.user.as_str().to_owned(),
            version,
        })
        .await;
    }

    pub(super) async fn tell_session(&self, fingerprint: &str) {
        self.sessions.forget(fingerprint);
        self.announce(&Change::Session { fingerprint: fingerprint.to_owned() }).await;
    }

    /// Tells the other replicas of a pause. Whoever misses it is asked for one by the provider itself.
    pub(super) fn tell_pause(&self, key: &ConnectionKey, part: &str, until: Timestamp) {
        let change = Change::Pause {
            integration: key.integration.as_str().to_owned(),
            org: key.person.org.as_str().to_owned(),
            user: key.person.user.as_str().to_owned(),
            part: part.to_owned(),
            until: until.unix_millis(),
        };
        let (Ok(message), store) = (serde_json::to_string(&change), self.store.clone()) else { return };
        // The call that was asked to pause does not wait for it.
        tokio::spawn(async move {
            if let Err(error) = store.notify(&message).await {
                tracing::debug!(%error, "a pause could not be announced");
            }
        });
    }

    async fn announce(&self, change: &Change) {
        let Ok(message) = serde_json::to_string(change) else { return };
        if let Err(error) = self.store.notify(&message).await {
            tracing::warn!(%error, "a change could not be announced; replicas notice by the link's silence");
        }
    }

    /// Applies what other replicas tell, for as long as the broker lives.
    pub(super) fn follow_changes(self: &Arc<Self>) {
        let mut events = self.store.subscribe();
        let broker = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let event = events.recv().await;
                let Some(broker) = broker.upgrade() else { return };
                match event {
                    Ok(Event::Message(message)) => broker.apply(&message),
                    Ok(Event::Lost | Event::Synced) | Err(RecvError::Lagged(_)) => {
                        broker.live.doubt_everything();
                        broker.sessions.doubt_everything();
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }

    fn apply(&self, message: &str) {
        match serde_json::from_str(message) {
            Ok(Change::Connection { integration, org, user, version }) => {
                let Ok(integration) = IntegrationName::parse(&integration) else { return };
                let Ok(person) = record::person(&org, &user) else { return };
                self.live.changed(&ConnectionKey { integration, person }, version);
            }
            Ok(Change::Session { fingerprint }) => self.sessions.forget(&fingerprint),
            Ok(Change::Pause { integration, org, user, part, until }) => {
                let Ok(integration) = IntegrationName::parse(&integration) else { return };
                let Ok(person) = record::person(&org, &user) else { return };
                let until = Timestamp::from_unix_millis(until);
                self.paused_elsewhere(&ConnectionKey { integration, person }, &part, until);
            }
            Err(error) => tracing::warn!(%error, "a message of another replica cannot be read"),
        }
    }
}

impl From<Stored> for View {
    fn from(stored: Stored) -> Self {
        let grant = stored.grant;
        Self {
            scopes: grant.as_ref().map(|grant: &Grant| grant.scopes.clone()).unwrap_or_default(),
            expires_at: grant.as_ref().and_then(|grant| grant.expires_at),
            authorization: grant.as_ref().map(|grant| grant.authorization.clone()),
            captured: grant.map(|grant| grant.captured).unwrap_or_default(),
            connection: stored.connection,
        }
    }
}
