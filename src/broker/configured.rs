//! What the configuration says: the integrations with what is watched of each, the ways out, and how the broker is
//! reached. One value, exchanged whole, so that nothing ever sees half of a change.

use std::collections::HashMap;
use std::sync::Arc;

use super::watch::{Watch, Watches};
use super::{Broker, BrokerError, Integration, Network, Settings};
use crate::model::{ConnectionKey, IntegrationName};

/// One configuration. Whoever holds a part of it goes on with that part when another configuration comes.
pub(super) struct Configured {
    pub(super) settings: Settings,
    pub(super) integrations: HashMap<IntegrationName, Arc<Integration>>,
    pub(super) watches: Watches,
    pub(super) network: Network,
}

impl Configured {
    pub(super) fn new(
        settings: Settings,
        integrations: impl IntoIterator<Item = Integration>,
        network: Network,
    ) -> Self {
        let integrations: HashMap<_, _> =
            integrations.into_iter().map(|integration| (integration.name.clone(), Arc::new(integration))).collect();
        let watches = Watches::new(integrations.values().map(Arc::as_ref));
        Self { settings, integrations, watches, network }
    }
}

impl Broker {
    /// The integration of that name.
    pub fn integration(&self, name: &str) -> Option<Arc<Integration>> {
        self.configured.load().integrations.get(name).cloned()
    }

    /// All integrations, in no particular order.
    pub fn integrations(&self) -> Vec<Arc<Integration>> {
        self.configured.load().integrations.values().cloned().collect()
    }

    /// The integration of a connection.
    pub(super) fn integration_of(&self, key: &ConnectionKey) -> Result<Arc<Integration>, BrokerError> {
        self.integration(key.integration.as_str()).ok_or(BrokerError::UnknownIntegration)
    }

    /// What is watched of an integration.
    pub(super) fn watch(&self, name: &IntegrationName) -> Option<Arc<Watch>> {
        self.configured.load().watches.get(name).cloned()
    }

    /// The ways out, as they are now.
    pub(super) fn network(&self) -> Network {
        self.configured.load().network.clone()
    }
}
