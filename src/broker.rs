//! The broker: what happens between a caller and a provider. Starts and completes authorizations, keeps grants fresh,
//! gives out live tokens, ends connections. Every step is a pure decision or one call outward.

mod access;
mod activity;
mod ask;
mod begin;
mod budget;
mod census;
mod circuit;
mod client_grant;
mod complete;
mod configured;
mod confirm;
mod connections;
mod disconnect;
mod discovery;
mod duty;
mod entropy;
mod error;
mod finish;
mod integration;
mod items;
mod limits;
mod listing;
mod live;
mod people;
mod record;
mod refresh;
mod rekey;
mod report;
mod revocation;
mod sessions;
mod single_flight;
mod sweep;
mod visitor;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

pub use activity::{Activity, AuthorizationOutcome, RefreshOutcome};
pub use begin::{Begin, Begun, Started};
pub use census::Counted;
pub use circuit::Phase;
pub use complete::{Completed, Outcome};
pub use configured::Changes;
pub use confirm::Confirmation;
pub use connections::View;
pub use entropy::random_token;
pub use error::BrokerError;
pub use integration::{Integration, SecretsByValue};
pub use items::{Load, Loading};
pub use listing::{Found, Listed, Wanted};
pub use live::{Live, LiveKey};
pub use people::Deleted;
pub use rekey::{Rekeyed, Rekeying};
pub use sessions::{PREFIX as SESSION_PREFIX, Session};
pub use visitor::Visitor;
pub use watch::{CallOutcome, LimitMode, Standing};

use crate::clock::Clock;
use crate::model::{ConnectionKey, Timestamp};
use crate::oauth::{Client, Values};
use crate::route::Via;
use crate::store::Store;
use crate::telemetry::audit::Denials;
use crate::upstream::{Fetch, Upstream};

/// What the broker needs to know of how it is reached and run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Scheme, authority and base path, without a trailing slash: everything that is put before `/integrations`.
    pub public_base: String,
    /// Whether a finished authorization waits for its initiator to confirm it, unless a login tells who finished it. The
    /// open mode does without either.
    pub confirm: bool,
    /// Whether plain http may leave this machine.
    pub allow_http: bool,
    /// Deadline of one request to a token endpoint; leases last longer.
    pub token_timeout: Duration,
}

/// The ways out.
#[derive(Clone)]
pub struct Network {
    /// For small requests: tokens, revocations, metadata.
    pub fetch: Fetch,
    /// For what goes to a provider's API.
    pub upstream: Upstream,
    /// Our name on the way of what goes there.
    pub via: Via,
}

/// Everything that happens between a caller and a provider. Cheap to share; lives as long as the process.
pub struct Broker {
    /// What a configuration says, all of it exchanged at once.
    configured: ArcSwap<configured::Configured>,
    store: Store,
    clock: Clock,
    denials: Denials,
    live: live::LiveCache,
    budgets: budget::Budgets,
    shared: limits::Shared,
    reports: report::Reports,
    sessions: sessions::SessionCache,
    discovered: discovery::Discovered,
    refreshes: single_flight::SingleFlight,
    duties: duty::Duties,
    /// The connections of the last walk through the store.
    counted: ArcSwapOption<Counted>,
    closing: AtomicBool,
    /// When loads of items have to end, once the process is going.
    loads_end: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl Broker {
    /// Puts the parts together and starts listening to what other replicas change.
    pub fn new(
        settings: Settings,
        integrations: impl IntoIterator<Item = Integration>,
        store: Store,
        network: Network,
        clock: Clock,
        denials: Denials,
    ) -> Arc<Self> {
        let configured = configured::Configured::new(settings, integrations, network);
        let (reports, reported) = report::Reports::new(store.is_shared());
        let broker = Arc::new(Self {
            configured: ArcSwap::from_pointee(configured),
            store,
            clock,
            denials,
            live: live::LiveCache::default(),
            budgets: budget::Budgets::default(),
            shared: limits::Shared::default(),
            reports,
            sessions: sessions::SessionCache::default(),
            discovered: discovery::Discovered::default(),
            refreshes: single_flight::SingleFlight::default(),
            duties: duty::Duties::default(),
            counted: ArcSwapOption::empty(),
            closing: AtomicBool::new(false),
            loads_end: tokio::sync::watch::Sender::default(),
        });
        broker.follow_changes();
        if let Some(reported) = reported {
            tokio::spawn(report::run(Arc::downgrade(&broker), reported));
        }
        broker
    }

    /// The store, for readiness.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// From now on nothing begins of itself; what is under way goes on. Loads of items go on until `loads_end`, and then
    /// say where another one goes on.
    pub fn close(&self, loads_end: tokio::time::Instant) {
        self.closing.store(true, Ordering::Relaxed);
        self.loads_end.send_replace(Some(loads_end));
    }

    /// Refreshes, exchanges, confirmations and revocations under way, for the drain.
    pub fn under_way(&self) -> usize {
        self.duties.under_way()
    }

    /// Waits until none of that is under way.
    pub async fn duties_ended(&self) {
        self.duties.ended().await;
    }

    /// The longest that one of them takes while the store answers: two requests for metadata, two for its own sake, and
    /// what follows a token answer.
    pub fn longest_duty(&self) -> Duration {
        let finishing =
            self.integrations().iter().any(|integration| integration.provider.protocol.asks_after_answers());
        self.configured.load().settings.token_timeout * 4
            + if finishing { self.finishing_deadline() } else { Duration::ZERO }
    }

    /// The longest that a request for a refresh takes, with metadata before it.
    fn refresh_deadline(&self) -> Duration {
        self.configured.load().settings.token_timeout * 2
    }

    /// The longest that a refresh takes while the store answers; leases outlast it.
    fn whole_refresh_deadline(&self, key: &ConnectionKey) -> Duration {
        let integration = self.integration_of(key);
        let finishing = integration.is_ok_and(|integration| {
            let protocol = &integration.provider.protocol;
            protocol.asks_after_refreshes() || key.person.is_nobody() && protocol.asks_after_answers()
        });
        self.refresh_deadline() + if finishing { self.finishing_deadline() } else { Duration::ZERO }
    }

    /// The present moment, as the broker sees it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Our client at the integration's provider, with the secret that holds for a connection of these values.
    fn client_for(
        &self,
        integration: &Integration,
        variables: &BTreeMap<String, String>,
        captured: &BTreeMap<String, String>,
    ) -> Result<Client, BrokerError> {
        let secret = integration.client_secret_for(variables, captured).cloned();
        Ok(Client { secret, ..self.client(integration)? })
    }

    /// The same before anything is known of a connection.
    fn client(&self, integration: &Integration) -> Result<Client, BrokerError> {
        if let Some(missing) = &integration.missing {
            return Err(BrokerError::NotConfigured(missing.clone()));
        }
        let callback = || {
            format!("{}/integrations/{}/oauth2callback", self.configured.load().settings.public_base, integration.name)
        };
        let scopes = integration.scopes.as_ref().unwrap_or(&integration.provider.protocol.scopes);
        Ok(Client {
            id: integration.client_id.clone().unwrap_or_default(),
            secret: integration.client_secret.clone(),
            signing_key: integration.private_key.clone(),
            signing_key_id: integration.private_key_id.clone(),
            redirect_uri: integration.redirect_uri.clone().unwrap_or_else(callback),
            scopes: scopes.clone(),
        })
    }
}

/// The values that every request of a connection may use; `random` and `signing` are each request's own.
fn values<'a>(client: &'a Client, variables: &'a BTreeMap<String, String>) -> Values<'a> {
    Values { client: Some(client), variables: Some(variables), ..Values::default() }
}
