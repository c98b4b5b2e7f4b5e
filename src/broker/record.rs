//! What is stored, as JSON with a version, apart from the nouns: changing a noun never breaks a stored record silently.
//! The store seals every one of them.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::BrokerError;
use crate::model::{
    Connection, ConnectionId, ConnectionKey, ConnectionStatus, Grant, IntegrationName, Org, Person, ProviderId, Secret,
    Timestamp, User,
};

/// A connection with its grant.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) connection: Connection,
    /// `None` once disconnected.
    pub(super) grant: Option<Grant>,
    /// The variables the person gave when connecting.
    pub(super) variables: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRecord {
    v: u8,
    id: String,
    integration: String,
    org: String,
    user: String,
    provider: String,
    status: String,
    created_at: i64,
    updated_at: i64,
    grant: Option<GrantRecord>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct GrantRecord {
    authorization: String,
    access_token: String,
    refresh_token: Option<String>,
    scopes: Vec<String>,
    obtained_at: i64,
    expires_at: Option<i64>,
    refresh_expires_at: Option<i64>,
    #[serde(default)]
    subject: Option<String>,
    captured: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unfinished: Option<Box<Self>>,
}

/// An authorization under way: what the callback needs, under its state.
#[derive(Serialize, Deserialize)]
pub(super) struct PendingRecord {
    pub(super) v: u8,
    pub(super) flow: FlowRecord,
    pub(super) verifier: Option<String>,
    /// SHA-256 of the cookie that the browser has to bring; `None` in the open mode.
    pub(super) cookie_hash: Option<String>,
    pub(super) expires_at: i64,
}

/// Who wants to connect what: the part of an authorization that does not change on its way.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct FlowRecord {
    pub(super) integration: String,
    pub(super) org: String,
    pub(super) user: String,
    pub(super) return_to: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    /// The caller's own parameters of the authorization request.
    #[serde(default)]
    pub(super) authorization_params: BTreeMap<String, String>,
}

/// A start link that nobody opened yet.
#[derive(Serialize, Deserialize)]
pub(super) struct StartRecord {
    pub(super) v: u8,
    pub(super) flow: FlowRecord,
    pub(super) expires_at: i64,
}

/// A grant that its initiator has not confirmed yet. Never replaces a live one.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UnconfirmedRecord {
    pub(super) v: u8,
    pub(super) flow: FlowRecord,
    pub(super) grant: GrantRecord,
    pub(super) expires_at: i64,
    /// Its initiator has confirmed, and it is becoming a connection.
    #[serde(default)]
    pub(super) claimed: bool,
}

/// A grant that is to be revoked at its provider.
#[derive(Serialize, Deserialize)]
pub(super) struct RevocationRecord {
    pub(super) v: u8,
    /// Whose connection it was.
    pub(super) flow: FlowRecord,
    /// The person disconnected, and so asked for it.
    pub(super) asked: bool,
    pub(super) grant: GrantRecord,
    pub(super) attempts: u32,
    pub(super) not_before: i64,
    pub(super) give_up_at: i64,
}

/// A session: a person's own key for a while.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub(super) v: u8,
    pub(super) org: String,
    pub(super) user: String,
    /// The caller that made it; `None` in the open mode.
    pub(super) maker: Option<String>,
    pub(super) integrations: Option<Vec<String>>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) expires_at: i64,
}

/// The fingerprints of a person's sessions, so that all can be ended.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SessionsOfRecord {
    pub(super) v: u8,
    /// Fingerprint and end.
    pub(super) sessions: Vec<(String, i64)>,
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, BrokerError> {
    serde_json::to_vec(record).map_err(|error| BrokerError::Internal(format!("a record cannot be written: {error}")))
}

/// Errors never quote the record: it holds tokens. A record of a later version is left to that version.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BrokerError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u8,
    }
    if serde_json::from_slice(bytes).is_ok_and(|record: Versioned| record.v != 1) {
        return Err(BrokerError::Internal("a stored record was written by a later version".into()));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        BrokerError::Internal(format!(
            "a stored record cannot be read ({:?} at byte {})",
            error.classify(),
            error.column()
        ))
    })
}

impl Stored {
    pub(super) fn encode(&self) -> Result<Vec<u8>, BrokerError> {
        let Connection { id, key, provider, status, created_at, updated_at } = &self.connection;
        encode(&StoredRecord {
            v: 1,
            id: id.as_str().to_owned(),
            integration: key.integration.as_str().to_owned(),
            org: key.person.org.as_str().to_owned(),
            user: key.person.user.as_str().to_owned(),
            provider: provider.as_str().to_owned(),
            status: status.as_str().to_owned(),
            created_at: created_at.unix_millis(),
            updated_at: updated_at.unix_millis(),
            grant: self.grant.as_ref().map(GrantRecord::from),
            variables: self.variables.clone(),
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BrokerError> {
        let record: StoredRecord = decode(bytes)?;
        let foreign = |what: &str| BrokerError::Internal(format!("a stored connection has an unknown {what}"));
        let person = person(&record.org, &record.user)?;
        let integration = IntegrationName::parse(&record.integration).map_err(|_| foreign("integration"))?;
        Ok(Self {
            connection: Connection {
                id: ConnectionId::parse(&record.id).map_err(|_| foreign("id"))?,
                key: ConnectionKey { integration, person },
                provider: ProviderId::parse(&record.provider).map_err(|_| foreign("provider"))?,
                status: ConnectionStatus::parse(&record.status).ok_or_else(|| foreign("status"))?,
                created_at: Timestamp::from_unix_millis(record.created_at),
                updated_at: Timestamp::from_unix_millis(record.updated_at),
            },
            grant: record.grant.map(Grant::from),
            variables: record.variables,
        })
    }
}

impl FlowRecord {
    /// What remains of a flow once it is a connection.
    pub(super) fn of(key: &ConnectionKey, variables: &BTreeMap<String, String>) -> Self {
        Self {
            integration: key.integration.as_str().to_owned(),
            org: key.person.org.as_str().to_owned(),
            user: key.person.user.as_str().to_owned(),
            return_to: None,
            scopes: Vec::new(),
            variables: variables.clone(),
            authorization_params: BTreeMap::new(),
        }
    }

    pub(super) fn key(&self) -> Result<ConnectionKey, BrokerError> {
        let integration = IntegrationName::parse(&self.integration)
            .map_err(|_| BrokerError::Internal("a stored authorization has an unknown integration".into()))?;
        Ok(ConnectionKey { integration, person: person(&self.org, &self.user)? })
    }
}

pub(super) fn person(org: &str, user: &str) -> Result<Person, BrokerError> {
    if org.is_empty() {
        return Ok(Person::nobody(user));
    }
    let foreign = |_| BrokerError::Internal("a stored record names a person that cannot be".into());
    Ok(Person { org: Org::parse(org).map_err(foreign)?, user: User::parse(user).map_err(foreign)? })
}

impl From<&Grant> for GrantRecord {
    fn from(grant: &Grant) -> Self {
        Self {
            authorization: grant.authorization.clone(),
            access_token: grant.access_token.expose().to_owned(),
            refresh_token: grant.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            scopes: grant.scopes.clone(),
            obtained_at: grant.obtained_at.unix_millis(),
            expires_at: grant.expires_at.map(Timestamp::unix_millis),
            refresh_expires_at: grant.refresh_expires_at.map(Timestamp::unix_millis),
            subject: grant.subject.clone(),
            captured: grant.captured.clone(),
            extra: grant.extra.iter().map(|(name, token)| (name.clone(), token.expose().to_owned())).collect(),
            answer: grant.answer.as_ref().map(|answer| answer.expose().to_owned()),
            unfinished: grant.unfinished.as_deref().map(|unfinished| Box::new(Self::from(unfinished))),
        }
    }
}

impl From<GrantRecord> for Grant {
    fn from(record: GrantRecord) -> Self {
        Self {
            authorization: record.authorization,
            access_token: Secret::new(record.access_token),
            refresh_token: record.refresh_token.map(Secret::new),
            scopes: record.scopes,
            obtained_at: Timestamp::from_unix_millis(record.obtained_at),
            expires_at: record.expires_at.map(Timestamp::from_unix_millis),
            refresh_expires_at: record.refresh_expires_at.map(Timestamp::from_unix_millis),
            subject: record.subject,
            captured: record.captured,
            extra: record.extra.into_iter().map(|(name, token)| (name, Secret::new(token))).collect(),
            answer: record.answer.map(Secret::new),
            unfinished: record.unfinished.map(|unfinished| Box::new(Self::from(*unfinished))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_survives_its_record() {
        let refreshed =
            Grant { access_token: Secret::new("B"), refresh_token: Some(Secret::new("S")), ..Grant::default() };
        let grant = Grant {
            access_token: Secret::new("A"),
            extra: BTreeMap::from([("user".into(), Secret::new("U"))]),
            answer: Some(Secret::new(r#"{"team":7}"#)),
            unfinished: Some(Box::new(refreshed)),
            ..Grant::default()
        };
        let text = encode(&GrantRecord::from(&grant)).expect("JSON");
        assert_eq!(Grant::from(decode::<GrantRecord>(&text).expect("a record")), grant);
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let text = br#"{"authorization":"a","access_token":"A","refresh_token":null,"scopes":[],"obtained_at":1,
            "expires_at":null,"refresh_expires_at":null,"captured":{}}"#;
        let grant = Grant::from(decode::<GrantRecord>(text).expect("a record"));
        assert_eq!((grant.access_token, grant.extra.len(), grant.unfinished), (Secret::new("A"), 0, None));
    }
}
