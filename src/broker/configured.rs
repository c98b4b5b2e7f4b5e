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

/// What another configuration has made of the integrations, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// There were none of these names before.
    pub added: Vec<IntegrationName>,
    /// Unknown from now on. What is stored of their connections stays, for when they come back.
    pub removed: Vec<IntegrationName>,
    /// They stay, and something of them or of their provider is otherwise.
    pub changed: Vec<IntegrationName>,
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

    /// The configuration in place of another, with what that one has seen.
    fn following(self, before: &Self) -> Self {
        let watches = before.watches.following(self.integrations.values().map(Arc::as_ref));
        Self { watches, ..self }
    }

    fn changes_since(&self, before: &Self) -> Changes {
        let mut changes = Changes::default();
        for (name, integration) in &self.integrations {
            match before.integrations.get(name) {
                None => changes.added.push(name.clone()),
                Some(known) if known != integration => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        changes.removed =
            before.integrations.keys().filter(|name| !self.integrations.contains_key(*name)).cloned().collect();
        for names in [&mut changes.added, &mut changes.removed, &mut changes.changed] {
            names.sort_unstable();
        }
        changes
    }
}

impl Changes {
    /// Whether every integration is as it was.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn concern(&self, name: &IntegrationName) -> bool {
        [&self.added, &self.removed, &self.changed].into_iter().any(|names| names.contains(name))
    }
}

impl Broker {
    /// Goes on by another configuration, all of it at once. What has begun ends by the one that it began with; tokens
    /// in memory are prepared anew where theirs is otherwise. Circuits and counts of integrations that stay are kept.
    ///
    /// To be called by one at a time.
    pub fn configure(
        &self,
        settings: Settings,
        integrations: impl IntoIterator<Item = Integration>,
        network: Network,
    ) -> Changes {
        let before = self.configured.load_full();
        let next = Arc::new(Configured::new(settings, integrations, network).following(&before));
        let changes = next.changes_since(&before);
        let all_are_others = next.settings != before.settings;
        // First, so that whatever is prepared from now on is prepared by it.
        self.configured.store(Arc::clone(&next));
        self.discovered.forget();
        self.budgets.forget(|name| !next.watches.budget_alike(&before.watches, name));
        self.live.outdate(|name| all_are_others || changes.concern(name));
        self.refreshes.resume_all(|name| changes.concern(name));
        changes
    }

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
    pub fn network(&self) -> Network {
        self.configured.load().network.clone()
    }
}
