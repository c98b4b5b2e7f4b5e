//! What has been done for each integration, for the operator: refreshes and authorizations by how they ended. A place
//! for each way is there from the beginning, so nobody from outside adds one.

use std::time::Duration;

use super::{Broker, BrokerError, Completed, Outcome, Started};
use crate::model::{Connection, IntegrationName};
use crate::telemetry::metric::{Counter, Distribution, Histogram, label};

label! {
    /// How a refresh ended, or the asking for a grant of the integration's own.
    pub RefreshOutcome {
        /// The provider gave a token, and it is stored.
        Refreshed = "refreshed",
        /// Somebody else had it already: another replica, or an authorization meanwhile.
        Kept = "kept",
        /// The provider refused the grant for good.
        Refused = "refused",
        /// There was no token, and the grant is kept: it is tried again.
        Failed = "failed",
    }
}

label! {
    /// What became of an authorization, step by step: one that is begun is connected once or ended once, or nobody comes
    /// back.
    pub AuthorizationOutcome {
        /// Somebody got a link to open.
        Begun = "begun",
        /// It is a connection now.
        Connected = "connected",
        /// The person or the provider said no.
        Denied = "denied",
        /// Somebody finished, opened or confirmed it who did not begin it.
        Forbidden = "forbidden",
        /// A link, state or code was unknown, used, over, or another browser's.
        Mismatched = "mismatched",
        /// Nobody confirmed it in time.
        Expired = "expired",
        /// It broke on the way: the provider's endpoints, the store, or us.
        Failed = "failed",
    }
}

/// A token request ends after `net.token_timeout`, 20 seconds when nobody sets it.
const BOUNDS: [Duration; 10] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// The counts of one integration.
pub(super) struct Counts {
    refreshes: [Histogram; RefreshOutcome::ALL.len()],
    authorizations: [Counter; AuthorizationOutcome::ALL.len()],
}

/// What was counted of one integration since the process began.
#[derive(Clone, Debug)]
pub struct Activity {
    /// The integration.
    pub integration: IntegrationName,
    /// Refreshes by their end, with how long they took.
    pub refreshes: Vec<(RefreshOutcome, Distribution)>,
    /// Authorizations.
    pub authorizations: Vec<(AuthorizationOutcome, u64)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            refreshes: RefreshOutcome::ALL.map(|_| Histogram::new(&BOUNDS)),
            authorizations: AuthorizationOutcome::ALL.map(|_| Counter::default()),
        }
    }
}

impl Counts {
    pub(super) fn activity(&self, integration: &IntegrationName) -> Activity {
        let refreshes = RefreshOutcome::ALL.into_iter().zip(&self.refreshes);
        let authorizations = AuthorizationOutcome::ALL.into_iter().zip(&self.authorizations);
        Activity {
            integration: integration.clone(),
            refreshes: refreshes.map(|(outcome, took)| (outcome, took.snapshot())).collect(),
            authorizations: authorizations.map(|(outcome, count)| (outcome, count.get())).collect(),
        }
    }
}

impl Broker {
    /// What has been done for each integration that can be used, by name. The shipped ones that nobody has configured are
    /// many.
    pub fn activities(&self) -> Vec<Activity> {
        let configured = self.configured.load();
        let usable = configured.integrations.values().filter(|integration| integration.missing.is_none());
        let mut activities: Vec<_> =
            usable.filter_map(|one| Some(configured.watches.get(&one.name)?.seen.counts.activity(&one.name))).collect();
        activities.sort_unstable_by(|one, other| one.integration.cmp(&other.integration));
        activities
    }

    pub(super) fn count_refresh(&self, integration: &IntegrationName, outcome: RefreshOutcome, took: Duration) {
        if let Some(watch) = self.watch(integration) {
            watch.seen.counts.refreshes[outcome as usize].observe(took);
        }
    }

    pub(super) fn count_authorization(&self, integration: &IntegrationName, outcome: AuthorizationOutcome) {
        if let Some(watch) = self.watch(integration) {
            watch.seen.counts.authorizations[outcome as usize].add(1);
        }
    }

    /// A start link that was not opened as it should be.
    pub(super) fn count_start(&self, integration: &IntegrationName, started: &Result<Started, BrokerError>) {
        if let Err(error) = started {
            self.count_authorization(integration, of_error(error));
        }
    }

    /// What a callback brought. One that waits for its initiator's word has not ended.
    pub(super) fn count_callback(&self, integration: &IntegrationName, completed: &Result<Completed, BrokerError>) {
        let outcome = match completed.as_ref().map(|completed| &completed.outcome) {
            Ok(Ok(Outcome::Unconfirmed(_))) => return,
            Ok(Ok(Outcome::Active(_))) => AuthorizationOutcome::Connected,
            Ok(Err(error)) | Err(error) => of_error(error),
        };
        self.count_authorization(integration, outcome);
    }

    /// What a confirmation brought.
    pub(super) fn count_confirmation(
        &self,
        integration: &IntegrationName,
        confirmed: &Result<Connection, BrokerError>,
    ) {
        let outcome = confirmed.as_ref().map_or_else(of_error, |_| AuthorizationOutcome::Connected);
        self.count_authorization(integration, outcome);
    }
}

fn of_error(error: &BrokerError) -> AuthorizationOutcome {
    match error {
        BrokerError::Denied(_) => AuthorizationOutcome::Denied,
        BrokerError::Forbidden | BrokerError::NotLoggedIn => AuthorizationOutcome::Forbidden,
        BrokerError::StateMismatch(_) | BrokerError::Callback(_) => AuthorizationOutcome::Mismatched,
        _ => AuthorizationOutcome::Failed,
    }
}
