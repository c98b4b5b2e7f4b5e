//! What a request to a provider asks before it goes and tells after: its budget and its integration's circuit. Proxied
//! calls of integrations that only observe ask nothing and wait for nothing; item loads, and calls that the operator
//! wants held to the limits, reserve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::budget::Budget;
use super::circuit::Phase;
use super::watch::{CallOutcome, LimitMode, Watch};
use super::{Broker, BrokerError, Integration, Live};
use crate::mapping::wait::retry_after;
use crate::model::{ConnectionKey, Timestamp};
use crate::route::{LONGEST_WAIT, Rate, Spend, Spent};
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// The longest that a proxied call waits for its budget; beyond it the answer is 429.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How long budgets are kept here alone after the store did not answer, so that not every call waits for it in vain.
const STORE_REST: Duration = Duration::from_secs(5);

impl Broker {
    /// Reserves one request of a connection's budget: answers how long to wait before it is sent, or, when that is
    /// longer than `cap`, how long it would have been; then nothing is taken. `budget` names a part of the connection
    /// that has a budget of its own, and is empty for the connection's.
    ///
    /// Holds over all replicas where they share a store that answers. Without a rule in the provider file only a pause
    /// makes anybody wait.
    pub async fn reserve(
        &self,
        integration: &Integration,
        key: &ConnectionKey,
        budget: &str,
        cap: Duration,
    ) -> Result<Duration, Duration> {
        let Some(watch) = self.watch(&integration.name) else { return Ok(Duration::ZERO) };
        let budget = self.budgets.of(key, budget, &watch);
        let reserved = self.take(&budget, cap).await;
        if reserved != Ok(Duration::ZERO) {
            watch.seen.loads_over.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(wait) = reserved {
            watch.waits(wait);
        }
        reserved
    }

    /// Whether the integration's circuit lets a request go now; otherwise how long not. Whoever is let go tells the
    /// [outcome](Self::outcome).
    pub fn admit(&self, integration: &Integration) -> Result<(), Duration> {
        match self.watch(&integration.name) {
            Some(watch) => watch.seen.circuit.admit(self.clock.now()),
            None => Ok(()),
        }
    }

    /// Tells the circuit how a request ended.
    pub fn outcome(&self, integration: &Integration, outcome: CallOutcome) {
        if let Some(watch) = self.watch(&integration.name) {
            watch.outcome(outcome, self.clock.now());
        }
    }

    /// Closes a budget, as a provider asked by 429 and `Retry-After`: for at most an hour, in every replica.
    pub fn pause(&self, integration: &Integration, key: &ConnectionKey, budget: &str, wait: Duration) {
        if let Some(watch) = self.watch(&integration.name) {
            self.close_budget(&self.budgets.of(key, budget, &watch), wait);
        }
    }

    /// Counts a proxied call that only is observed. Allocates nothing and waits for nothing.
    pub fn note(&self, live: &Live, now: Timestamp) {
        let budget = &live.budget;
        let mut is_over = budget.opens_at(now) > now;
        if let Some(rate) = budget.rate {
            is_over |= budget.spend(rate, Spend::Note { calls: 1 }, now).is_ok_and(|spent| !spent.wait.is_zero());
            self.reports.later(budget);
        }
        if is_over {
            live.watch.count_call_over();
        }
    }

    /// Holds a proxied call to its limits, as its integration is configured: waits, or says why it does not go.
    pub async fn keep_to_limits(&self, live: &Live) -> Result<(), BrokerError> {
        let watch = &live.watch;
        let open = |retry_after| BrokerError::CircuitOpen { retry_after };
        let cap = match watch.limits {
            LimitMode::Observe => {
                self.note(live, self.clock.now());
                return Ok(());
            }
            LimitMode::Delay => LONGEST_DELAY,
            LimitMode::Reject => Duration::ZERO,
        };
        // Looked at first, so that nothing is spent or waited for in vain.
        if let Phase::Open(wait) = watch.seen.circuit.phase(self.clock.now()) {
            return Err(open(wait));
        }
        match self.take(&live.budget, cap).await {
            Ok(Duration::ZERO) => {}
            Ok(wait) => {
                watch.count_call_over();
                watch.waits(wait);
                tokio::time::sleep(wait).await;
            }
            Err(retry_after) => {
                watch.count_call_over();
                return Err(BrokerError::RateLimited { retry_after });
            }
        }
        watch.seen.circuit.admit(self.clock.now()).map_err(open)
    }

    /// Tells of a proxied call that the provider answered. Looks at the head of the answer only.
    pub fn answered(&self, live: &Live, status: StatusCode, headers: &HeaderMap) {
        let now = self.clock.now();
        let outcome = CallOutcome::of_status(status);
        live.watch.outcome(outcome, now);
        if outcome == CallOutcome::Limited
            && let Some(wait) = headers.get(RETRY_AFTER).and_then(|field| retry_after(field, now))
        {
            self.close_budget(&live.budget, wait);
        }
    }

    /// Tells of a proxied call that the provider did not answer.
    pub fn unanswered(&self, live: &Live, error: &UpstreamError) {
        live.watch.outcome(CallOutcome::of_error(error), self.clock.now());
    }

    fn close_budget(&self, budget: &Budget, wait: Duration) {
        let until = self.clock.now().plus(wait.min(LONGEST_WAIT));
        if budget.close(until) {
            self.tell_pause(&budget.connection, &budget.part, until);
        }
    }

    /// A pause that another replica was asked for.
    pub(super) fn paused_elsewhere(&self, connection: &ConnectionKey, part: &str, until: Timestamp) {
        if let Some(watch) = self.watch(&connection.integration) {
            // No clock of another machine closes it for longer than a provider may.
            let until = until.min(self.clock.now().plus(LONGEST_WAIT));
            self.budgets.of(connection, part, &watch).close(until);
        }
    }

    /// The budget of a connection as a whole, and what is watched of its integration.
    pub(super) fn budget_of(&self, key: &ConnectionKey) -> Result<(Arc<Budget>, Arc<Watch>), BrokerError> {
        let watch = self.watch(&key.integration).ok_or(BrokerError::UnknownIntegration)?;
        Ok((self.budgets.of(key, "", &watch), watch))
    }

    /// Takes one call from a budget: in the store if replicas share it, otherwise here.
    async fn take(&self, budget: &Budget, cap: Duration) -> Result<Duration, Duration> {
        let now = self.clock.now();
        let opens_at = budget.opens_at(now);
        let paused = opens_at.since(now);
        if paused > cap {
            return Err(paused);
        }
        let Some(rate) = budget.rate else { return Ok(paused) };
        let spend = Spend::Reserve { opens_at, cap };
        let shared = if self.shared.may_ask(now) { self.spend_shared(budget, rate, spend).await } else { None };
        shared.unwrap_or_else(|| budget.spend(rate, spend, now)).map(|spent| spent.wait)
    }

    /// Spends in the store; `None` when nobody shares it, or it did not answer.
    pub(super) async fn spend_shared(
        &self,
        budget: &Budget,
        rate: Rate,
        spend: Spend,
    ) -> Option<Result<Spent, Duration>> {
        match self.store.spend(&budget.name(), rate, spend).await {
            Ok(spent) => {
                self.shared.answered();
                if let Some(Ok(spent)) = spent {
                    budget.learn(spent.level);
                }
                spent
            }
            Err(error) => {
                self.shared.failed(self.clock.now(), &error);
                None
            }
        }
    }
}

/// Whether the store is worth asking for budgets: milliseconds since the epoch until when it is not, or zero.
#[derive(Default)]
pub(super) struct Shared(AtomicU64);

impl Shared {
    /// While the store does not answer, one caller tries it now and then.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let until = self.0.load(Ordering::Acquire);
        if until == 0 {
            return true;
        }
        let now_millis = now.unix_millis().unsigned_abs();
        // One further off was set by a clock that has been set back since.
        let rests = now_millis < until && until - now_millis <= u64::try_from(STORE_REST.as_millis()).unwrap_or(0);
        let next = now.plus(STORE_REST).unix_millis().unsigned_abs();
        !rests && self.0.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn answered(&self) {
        if self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::AcqRel) != 0 {
            tracing::info!("rate budgets are shared through the store again");
        }
    }

    fn failed(&self, now: Timestamp, error: &StoreError) {
        if self.0.swap(now.plus(STORE_REST).unix_millis().unsigned_abs(), Ordering::AcqRel) == 0 {
            tracing::warn!(%error, "rate budgets are each replica's own until the store answers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_tried_by_one_now_and_then() {
        let at = |seconds: i64| Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000);
        let (shared, down) = (Shared::default(), StoreError::Settings("down".into()));
        assert!(shared.may_ask(at(0)));
        shared.failed(at(0), &down);
        assert!(!shared.may_ask(at(4)));
        assert!(shared.may_ask(at(5)), "one tries it");
        assert!(!shared.may_ask(at(5)), "and one alone");
        assert!(shared.may_ask(at(10)), "the one before may have gone away");
        shared.failed(at(12), &down);
        assert!(!shared.may_ask(at(16)));
        assert!(shared.may_ask(at(-3600)), "the clock was set back");
        shared.answered();
        assert!(shared.may_ask(at(-3600)) && shared.may_ask(at(0)));
    }
}
