//! One refresh at a time for each connection of this process, however many callers wait, and the pause after a failure.
//! The task is detached: no caller that goes away takes it along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{BrokerError, Live};
use crate::model::{ConnectionKey, IntegrationName};
use crate::telemetry::trace::{Span, SpanContext, attribute};

pub(super) type Outcome = Result<Arc<Live>, BrokerError>;

/// Refreshes under way and pauses after failed ones.
#[derive(Default)]
pub(super) struct SingleFlight {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    flights: HashMap<ConnectionKey, UnderWay>,
    pauses: HashMap<ConnectionKey, Pause>,
}

/// A refresh that others may join, and its span for those that are recorded.
struct UnderWay {
    outcome: watch::Receiver<Option<Outcome>>,
    span: Option<SpanContext>,
}

/// No request is sent before `until`; `failures` in a row lengthen the next pause. Monotonic: a wall clock that is set
/// back must not hold a refresh up.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    failures: u32,
}

/// What a caller finds when it wants a refresh.
pub(super) enum Entry {
    /// Somebody's is under way: wait for it.
    Joined(Waiter),
    /// It is the caller's to run, and it must finish it.
    Started(Flight, Waiter),
    /// A recent one failed; not before this long.
    Paused(Duration),
}

/// Waits for a refresh.
pub(super) struct Waiter {
    outcome: watch::Receiver<Option<Outcome>>,
    /// The span of the refresh, where it is somebody else's.
    pub(super) joined: Option<Option<SpanContext>>,
}

/// The duty to finish a refresh. Dropped unfinished (a panic), it wakes the waiters with an error and clears the way.
pub(super) struct Flight {
    key: ConnectionKey,
    owner: Arc<super::Broker>,
    sender: watch::Sender<Option<Outcome>>,
    /// Of the refresh.
    pub(super) span: Span,
}

impl SingleFlight {
    /// `begin` begins the span of a refresh that starts.
    pub(super) fn enter(owner: &Arc<super::Broker>, key: &ConnectionKey, begin: impl FnOnce() -> Span) -> Entry {
        let now = Instant::now();
        let mut state = owner.refreshes.lock();
        if let Some(flight) = state.flights.get(key) {
            return Entry::Joined(Waiter { outcome: flight.outcome.clone(), joined: Some(flight.span) });
        }
        if let Some(pause) = state.pauses.get(key)
            && now < pause.until
        {
            return Entry::Paused(pause.until - now);
        }
        let (sender, outcome) = watch::channel(None);
        let span = begin();
        state.flights.insert(key.clone(), UnderWay { outcome: outcome.clone(), span: span.context() });
        let flight = Flight { key: key.clone(), owner: Arc::clone(owner), sender, span };
        Entry::Started(flight, Waiter { outcome, joined: None })
    }

    /// Lengthens the pause after a failure: 1 s doubling up to 60 s, or longer where the provider asks for it, with
    /// jitter, so that replicas and connections do not come back all at once.
    pub(super) fn pause(&self, key: &ConnectionKey, asked: Option<Duration>, jitter: f64) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        // Pauses that are long over belong to connections that nobody calls; they may not pile up.
        if state.pauses.len() > 10_000 {
            state.pauses.retain(|_, pause| now < pause.until);
        }
        let pause = state.pauses.entry(key.clone()).or_insert(Pause { until: now, failures: 0 });
        let length = backoff(pause.failures, jitter).max(asked.unwrap_or_default().mul_f64(1.0 + jitter / 10.0));
        pause.failures = pause.failures.saturating_add(1);
        pause.until = now + length;
        length
    }

    /// Forgets the pause: the person has just connected again.
    pub(super) fn resume(&self, key: &ConnectionKey) {
        self.lock().pauses.remove(key);
    }

    /// Forgets the pauses of these integrations: what made their refreshes fail may have been mended.
    pub(super) fn resume_all(&self, of: impl Fn(&IntegrationName) -> bool) {
        self.lock().pauses.retain(|key, _| !of(&key.integration));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half and the whole of 1 s · 2ⁿ, at most 60 s; `jitter` is in 0–1.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let full = Duration::from_secs(60).min(Duration::from_secs(1 << failures.min(6)));
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

impl Waiter {
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(interrupted())),
            Err(_) => Err(interrupted()),
        }
    }
}

fn interrupted() -> BrokerError {
    BrokerError::Internal("a refresh ended without an outcome".into())
}

impl Flight {
    pub(super) fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// Tells everybody who waits. A success ends the pauses.
    pub(super) fn finish(mut self, outcome: Outcome) {
        match &outcome {
            Ok(live) => {
                self.owner.refreshes.resume(&self.key);
                if self.span.is_recorded() {
                    self.span.set(attribute::CONNECTION_ID, live.connection.id.to_string());
                    self.span.set(attribute::OUTCOME, "refreshed");
                }
            }
            Err(error) => {
                self.span.set(attribute::OUTCOME, error.word());
                self.span.fail(error.word());
            }
        }
        // Over before anybody goes on with it.
        drop(std::mem::take(&mut self.span));
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.owner.refreshes.lock().flights.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        fn check(failures: u32, jitter: f64, expected_millis: u128) {
            assert_eq!(backoff(failures, jitter).as_millis(), expected_millis, "{failures}, {jitter}");
        }
        check(0, 0.0, 500);
        check(0, 1.0, 1_000);
        check(3, 1.0, 8_000);
        check(6, 1.0, 60_000);
        check(40, 0.0, 30_000);
    }
}
