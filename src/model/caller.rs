//! What a caller may do: the scope of an API key or a session, with default deny.

use super::{ConnectionKey, IntegrationName, Org, User};

/// A list of allowed values, or `"*"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed<T> {
    /// Everything.
    Any,
    /// Only these; an empty list allows nothing.
    Only(Vec<T>),
}

impl<T: PartialEq> Allowed<T> {
    /// Whether the list lets this value through.
    pub fn permits(&self, value: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(values) => values.contains(value),
        }
    }

    /// The one value that a list of exactly one names.
    pub fn single(&self) -> Option<&T> {
        match self {
            Self::Only(values) if values.len() == 1 => values.first(),
            _ => None,
        }
    }
}

/// What an API key or a session is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerScope {
    /// Organisations it may name.
    pub orgs: Allowed<Org>,
    /// Users it may name.
    pub users: Allowed<User>,
    /// Integrations it may use.
    pub integrations: Allowed<IntegrationName>,
    /// Methods of proxied calls, as sent on the wire.
    pub methods: Allowed<String>,
}

impl CallerScope {
    /// Whether the scope covers this connection, whatever is to be done with it.
    pub fn covers(&self, key: &ConnectionKey) -> bool {
        self.orgs.permits(&key.person.org)
            && self.users.permits(&key.person.user)
            && self.integrations.permits(&key.integration)
    }

    /// Whether a proxied call with this method is allowed; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn permits_method(&self, method: &str) -> bool {
        match &self.methods {
            Allowed::Any => true,
            Allowed::Only(methods) => methods.iter().any(|allowed| allowed == method),
        }
    }
}
