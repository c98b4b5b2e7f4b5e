//! Who is at the browser that opens a start link or comes back from a provider, as far as a login tells.

use super::BrokerError;
use super::record::FlowRecord;
use crate::model::Person;

/// Whoever is at a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// There is no login that a navigating browser brings along: the initiator confirms later.
    Untold,
    /// There is one, and nobody is logged in.
    Nobody,
    /// This person is logged in.
    Person(Person),
}

impl Visitor {
    /// Whether this is the initiator; `None` when nothing tells.
    pub(super) fn began(&self, flow: &FlowRecord) -> Result<Option<bool>, BrokerError> {
        match self {
            Self::Untold => Ok(None),
            Self::Nobody => Ok(Some(false)),
            Self::Person(person) => Ok(Some(*person == flow.key()?.person)),
        }
    }

    /// The refusal of whoever did not begin it.
    pub(super) fn refusal(&self) -> BrokerError {
        match self {
            Self::Nobody => BrokerError::NotLoggedIn,
            Self::Untold | Self::Person(_) => BrokerError::Forbidden,
        }
    }
}
