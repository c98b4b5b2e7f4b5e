//! What is watched of each integration: its circuit, and counts for the operator. What was seen outlives the
//! configuration by whose rules it was seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::circuit::{Circuit, Phase, Turn};
use super::{Broker, Integration, activity};
use crate::model::{IntegrationName, Timestamp};
use crate::route::Rate;
use crate::telemetry::metric::label;
use crate::upstream::UpstreamError;

/// How the exchange with a provider ended, as far as its circuit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The provider answered, be it with a refusal.
    Answered,
    /// It answered 429: it lives, and asks for less.
    Limited,
    /// It gave no answer, or one that says that it is broken.
    Failed,
    /// It was not the provider that failed: nothing is said of it.
    NotAsked,
}

impl CallOutcome {
    /// By an answer's status. 501 and 505 speak of the request (RFC 9110 sections 15.6.2 and 15.6.6).
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::Limited,
            501 | 505 => Self::Answered,
            500..=599 => Self::Failed,
            _ => Self::Answered,
        }
    }

    /// By why there was no answer.
    pub fn of_error(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Unreachable { .. }
            | UpstreamError::Tls { .. }
            | UpstreamError::Timeout { .. }
            | UpstreamError::Broken { .. } => Self::Failed,
            UpstreamError::TooLarge { .. } => Self::Answered,
            UpstreamError::Blocked { .. } | UpstreamError::Caller { .. } => Self::NotAsked,
        }
    }
}

/// What is watched of one integration, and by which rules.
pub(super) struct Watch {
    name: IntegrationName,
    /// The rule of its provider file.
    pub(super) rate: Option<Rate>,
    /// Whether that rule is one for each part of a connection.
    pub(super) parts_budgets: bool,
    /// What the operator wants of proxied calls over the budget.
    pub(super) limits: LimitMode,
    pub(super) seen: Arc<Seen>,
}

/// What was seen of one integration so far, by whatever rules.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) circuit: Circuit,
    opened: AtomicU64,
    /// Proxied calls over the budget.
    pub(super) calls_over: [AtomicU64; LimitMode::ALL.len()],
    /// Requests of item loads over the budget.
    pub(super) loads_over: AtomicU64,
    waited_millis: AtomicU64,
    limited: AtomicU64,
    pub(super) counts: activity::Counts,
}

label! {
    /// What becomes of a proxied call over its connection's budget, or to a provider whose circuit is open; its word is that
    /// of the configuration too.
    #[derive(Default)]
    pub LimitMode {
        /// It goes, and is counted.
        #[default]
        Observe = "observe",
        /// It waits for the budget for a while. Where the circuit is open, it is refused.
        Delay = "delay",
        /// It is refused.
        Reject = "reject",
    }
}

/// Counts of one integration and the state of its circuit, for the operator.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The integration's name.
    pub integration: IntegrationName,
    /// Its circuit.
    pub circuit: Phase,
    /// How often the circuit opened.
    pub opened: u64,
    /// What is done with proxied calls over the budget.
    pub limits: LimitMode,
    /// Proxied calls that went, waited or were refused over the budget.
    pub calls_over: [u64; LimitMode::ALL.len()],
    /// Requests of item loads that waited or were refused over the budget.
    pub loads_over: u64,
    /// What calls and loads have waited for budgets, all together.
    pub waited: Duration,
    /// Answers of the provider with status 429.
    pub limited: u64,
}

impl Watch {
    fn new(integration: &Integration, seen: Arc<Seen>) -> Self {
        Self {
            name: integration.name.clone(),
            rate: integration.provider.api.rate,
            parts_budgets: integration.provider.items.parts_budgets(),
            limits: integration.limits,
            seen,
        }
    }

    /// Whether budgets mean the same under both.
    fn budgets_as(&self, other: &Self) -> bool {
        self.rate == other.rate && self.parts_budgets == other.parts_budgets
    }

    /// A call is over its budget.
    pub(super) fn count_call_over(&self) {
        self.seen.calls_over[self.limits as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waits(&self, wait: Duration) {
        self.seen.waited_millis.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts an outcome, and says once when the circuit opens and once when it closes.
    pub(super) fn outcome(&self, outcome: CallOutcome, now: Timestamp) {
        let failed = match outcome {
            CallOutcome::NotAsked => return,
            CallOutcome::Answered => false,
            CallOutcome::Limited => {
                self.seen.limited.fetch_add(1, Ordering::Relaxed);
                false
            }
            CallOutcome::Failed => true,
        };
        match self.seen.circuit.record(failed, now) {
            None => {}
            Some(Turn::Opened { wait, first }) => {
                self.seen.opened.fetch_add(1, Ordering::Relaxed);
                if first {
                    let seconds = wait.as_secs();
                    tracing::warn!(integration = %self.name, seconds, "the provider keeps failing; the circuit opens");
                }
            }
            Some(Turn::Closed) => {
                tracing::info!(integration = %self.name, "the provider answers again; the circuit closes");
            }
        }
    }

    fn standing(&self, now: Timestamp) -> Standing {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Standing {
            integration: self.name.clone(),
            circuit: self.seen.circuit.phase(now),
            opened: count(&self.seen.opened),
            limits: self.limits,
            calls_over: self.seen.calls_over.each_ref().map(count),
            loads_over: count(&self.seen.loads_over),
            waited: Duration::from_millis(count(&self.seen.waited_millis)),
            limited: count(&self.seen.limited),
        }
    }
}

/// All of them, by name. No call adds one.
#[derive(Default)]
pub(super) struct Watches(HashMap<IntegrationName, Arc<Watch>>);

impl Watches {
    pub(super) fn new<'a>(integrations: impl Iterator<Item = &'a Integration>) -> Self {
        Self::default().following(integrations)
    }

    /// The watches of other integrations, or of the same by other rules. What was seen of those that stay is kept, so
    /// that no change of the configuration closes a circuit or sets a count back.
    pub(super) fn following<'a>(&self, integrations: impl Iterator<Item = &'a Integration>) -> Self {
        let watch = |one: &Integration| {
            let seen = self.get(&one.name).map(|watch| Arc::clone(&watch.seen)).unwrap_or_default();
            Arc::new(Watch::new(one, seen))
        };
        Self(integrations.map(|one| (one.name.clone(), watch(one))).collect())
    }

    pub(super) fn get(&self, name: &IntegrationName) -> Option<&Arc<Watch>> {
        self.0.get(name)
    }

    /// Whether budgets of this integration mean the same as before.
    pub(super) fn budget_alike(&self, before: &Self, name: &IntegrationName) -> bool {
        match (self.get(name), before.get(name)) {
            (Some(now), Some(before)) => now.budgets_as(before),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Broker {
    /// How each integration that can be used stands, by name.
    pub fn standings(&self) -> Vec<Standing> {
        let now = self.clock.now();
        let configured = self.configured.load();
        let usable = configured.integrations.values().filter(|integration| integration.missing.is_none());
        let mut standings: Vec<_> =
            usable.filter_map(|one| configured.watches.get(&one.name)).map(|watch| watch.standing(now)).collect();
        standings.sort_unstable_by(|one, other| one.integration.cmp(&other.integration));
        standings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_by_status() {
        fn check(status: u16, expected: CallOutcome) {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(CallOutcome::of_status(status), expected, "{status}");
        }
        for status in [101, 200, 304, 400, 401, 403, 404, 499, 501, 505, 600] {
            check(status, CallOutcome::Answered);
        }
        for status in [500, 502, 503, 504, 529, 599] {
            check(status, CallOutcome::Failed);
        }
        check(429, CallOutcome::Limited);
    }
}
