//! A connection: one account, linked by one person through one integration. Holds no secret, so it is safe to list.

use std::fmt;

use super::{IntegrationName, NameError, Person, ProviderId, Timestamp};

/// Where a connection lives: one person has at most one connection at one integration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// The integration it was made through.
    pub integration: IntegrationName,
    /// Whose it is.
    pub person: Person,
}

/// An opaque identifier, `con_` and 26 characters. It grants nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(Box<str>);

impl ConnectionId {
    /// From the entropy that the caller drew, as Crockford base 32.
    pub fn from_entropy(entropy: [u8; 16]) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let bits = u128::from_be_bytes(entropy);
        let digits = (0..26).rev().map(|position| {
            let digit = (bits >> (position * 5)) & 31;
            char::from(ALPHABET[digit as usize])
        });
        Self(std::iter::once("con_".to_owned()).chain(digits.map(String::from)).collect::<String>().into())
    }

    /// Parses an identifier as it was given out.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let body = text.strip_prefix("con_").ok_or(NameError::NotASlug)?;
        if body.len() != 26 || !body.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(NameError::NotASlug);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a connection, under the names that people and APIs see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Its grant works as far as we know.
    Active,
    /// The provider refused the grant for good; the person has to connect again.
    ReconnectRequired,
    /// Somebody disconnected it; it holds no grant any more.
    Disconnected,
}

impl ConnectionStatus {
    /// The word used in JSON, logs and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReconnectRequired => "reconnect_required",
            Self::Disconnected => "disconnected",
        }
    }

    /// The status of that word, if it is one.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::ReconnectRequired, Self::Disconnected].into_iter().find(|status| status.as_str() == word)
    }
}

/// A connection as it may be shown to whoever owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its opaque identifier; stays the same when the person connects again.
    pub id: ConnectionId,
    /// Integration and person.
    pub key: ConnectionKey,
    /// The provider behind the integration when it was made.
    pub provider: ProviderId,
    /// Where it stands.
    pub status: ConnectionStatus,
    /// When it was first made.
    pub created_at: Timestamp,
    /// When its grant or status last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_parsing() {
        for entropy in [[0; 16], [255; 16], *b"0123456789abcdef"] {
            let id = ConnectionId::from_entropy(entropy);
            assert_eq!(ConnectionId::parse(id.as_str()), Ok(id));
        }
        assert!(ConnectionId::parse("con_short").is_err());
    }
}
