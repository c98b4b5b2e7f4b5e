//! What a caller may do: the scope of an API key or a session, with default deny.

use std::borrow::Borrow;

use super::{IntegrationName, Org, User};

/// A list of allowed values, or `"*"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed<T> {
    /// Everything.
    Any,
    /// Only these; an empty list allows nothing.
    Only(Vec<T>),
}

impl<T: Borrow<str>> Allowed<T> {
    /// Whether the list lets this value through.
    pub fn permits(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(values) => values.iter().any(|allowed| allowed.borrow() == value),
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
    /// Whether the scope covers this person's connection at this integration, whatever is to be done with it.
    pub fn covers(&self, integration: &str, org: &str, user: &str) -> bool {
        self.orgs.permits(org) && self.users.permits(user) && self.integrations.permits(integration)
    }

    /// Whether a proxied call with this method is allowed; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn permits_method(&self, method: &str) -> bool {
        self.methods.permits(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cross_matrix() {
        let scope = CallerScope {
            orgs: Allowed::Only(vec![Org::parse("a").expect("org")]),
            users: Allowed::Any,
            integrations: Allowed::Only(vec![IntegrationName::parse("crm").expect("name")]),
            methods: Allowed::Only(vec!["GET".into()]),
        };
        for (integration, org, expected) in
            [("crm", "a", true), ("crm", "b", false), ("docs", "a", false), ("docs", "b", false)]
        {
            assert_eq!(scope.covers(integration, org, "anyone"), expected, "{integration} {org}");
        }
        assert!(scope.permits_method("GET"));
        assert!(!scope.permits_method("get"));
        assert!(!Allowed::<String>::Only(vec![]).permits(""));
    }
}
