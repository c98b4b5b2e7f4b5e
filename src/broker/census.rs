//! How many connections there are, by integration and status. The sweep counts them as it reads them all anyway, every
//! five minutes; between two walks the number stands still, and says when it was taken. Each replica counts the whole
//! store for itself, so each of them says the same: they are not to be added up.

use std::collections::HashMap;
use std::sync::Arc;

use super::Broker;
use crate::model::{Connection, ConnectionStatus, IntegrationName, Timestamp};

/// The statuses that are told apart.
const STATUSES: [ConnectionStatus; 3] =
    [ConnectionStatus::Active, ConnectionStatus::ReconnectRequired, ConnectionStatus::Disconnected];

/// The connections of one walk through the store.
#[derive(Debug, Default)]
pub(super) struct Census {
    counts: HashMap<IntegrationName, [u64; STATUSES.len()]>,
}

/// The connections of every integration that is configured, when they were last counted. Those that cannot be used are
/// there if they have any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When.
    pub at: Timestamp,
    /// By integration, in the order of names, and status. People's connections alone, not what integrations get for
    /// themselves.
    pub connections: Vec<(IntegrationName, ConnectionStatus, u64)>,
}

impl Census {
    /// Counts one. On Redis a scan may see one twice while the server reorganises its keys.
    pub(super) fn add(&mut self, connection: &Connection) {
        let counts = match self.counts.get_mut(&connection.key.integration) {
            Some(counts) => counts,
            None => self.counts.entry(connection.key.integration.clone()).or_default(),
        };
        for (status, count) in STATUSES.iter().zip(counts) {
            *count += u64::from(*status == connection.status);
        }
    }

    fn has(&self, integration: &IntegrationName) -> bool {
        self.counts.contains_key(integration)
    }

    fn taken(&self, at: Timestamp, mut integrations: Vec<IntegrationName>) -> Counted {
        integrations.sort_unstable();
        let connections = integrations.into_iter().flat_map(|name| {
            let counts = self.counts.get(&name).copied().unwrap_or_default();
            STATUSES.into_iter().zip(counts).map(move |(status, count)| (name.clone(), status, count))
        });
        Counted { at, connections: connections.collect() }
    }
}

impl Broker {
    /// The connections as the last walk found them; `None` before the first.
    pub fn counted_connections(&self) -> Option<Arc<Counted>> {
        self.counted.load_full()
    }

    pub(super) fn publish(&self, census: &Census) {
        let configured = self.configured.load();
        // One that has lost its secret still has its people's connections.
        let told = configured.integrations.values().filter(|one| one.missing.is_none() || census.has(&one.name));
        let names = told.map(|one| one.name.clone()).collect();
        self.counted.store(Some(Arc::new(census.taken(self.clock.now(), names))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConnectionId, ConnectionKey, Org, Person, ProviderId, User};

    #[test]
    fn by_integration_and_status() {
        let name = |name: &str| IntegrationName::parse(name).expect("a name");
        let connection = |integration: &str, status| Connection {
            id: ConnectionId::from_entropy([0; 16]),
            key: ConnectionKey {
                integration: name(integration),
                person: Person { org: Org::parse("o").expect("an org"), user: User::parse("u").expect("a user") },
            },
            provider: ProviderId::parse("acme").expect("an id"),
            status,
            created_at: Timestamp::from_unix_millis(0),
            updated_at: Timestamp::from_unix_millis(0),
        };
        let mut census = Census::default();
        use ConnectionStatus::{Active, Disconnected, ReconnectRequired};
        for (integration, status) in
            [("b", Active), ("b", Active), ("b", ReconnectRequired), ("gone", Active), ("a", Disconnected)]
        {
            census.add(&connection(integration, status));
        }
        let at = Timestamp::from_unix_millis(7);
        let counted = census.taken(at, vec![name("c"), name("b"), name("a")]);
        let rows: Vec<_> =
            counted.connections.iter().map(|(name, status, count)| (name.as_str(), *status, *count)).collect();
        assert_eq!(
            rows,
            [
                ("a", Active, 0),
                ("a", ReconnectRequired, 0),
                ("a", Disconnected, 1),
                ("b", Active, 2),
                ("b", ReconnectRequired, 1),
                ("b", Disconnected, 0),
                ("c", Active, 0),
                ("c", ReconnectRequired, 0),
                ("c", Disconnected, 0),
            ],
            "what is configured alone"
        );
        assert_eq!(counted.at, at);
    }
}
