//! What stays the same while configurations come and go: counts, gauges, and where the process is between its start and
//! its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::call_record::CallCounts;
use super::listen::Tally;
use super::reload::Reloads;
use super::requests::Requests;
use crate::model::Timestamp;
use crate::telemetry::Logs;
use crate::telemetry::audit::Denials;
use crate::telemetry::calls::Calls;
use crate::telemetry::trace;

/// What stays the same while configurations come and go.
pub struct Process {
    /// Begins every request id.
    instance: String,
    next_request: AtomicU64,
    draining: AtomicBool,
    /// Whether the store did not answer when readiness was last asked.
    store_away: AtomicBool,
    /// When the drain is over, once it has begun.
    over_at: OnceLock<Instant>,
    /// What was counted of calls.
    pub(super) calls: CallCounts,
    /// Which calls have a line in the log.
    pub(super) logged_calls: ArcSwap<Calls>,
    pub(super) denials: Denials,
    /// What became of lines; nothing while nobody logs.
    logs: OnceLock<Logs>,
    pub(super) reloads: Reloads,
    /// What is no call.
    pub(super) requests: Requests,
    listeners: [Tally; Listener::ALL.len()],
    started_at: Timestamp,
    spans: Arc<trace::Counts>,
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// For callers and browsers: `server.listen`.
    Callers,
    /// For the operator: `server.admin_listen`.
    Admin,
}

impl Listener {
    pub(super) const ALL: [Self; 2] = [Self::Callers, Self::Admin];

    /// The word of metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::Admin => "admin",
        }
    }
}

impl Process {
    /// `instance` is a random name of this process, which started at `started_at`.
    pub fn new(instance: String, started_at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            instance,
            next_request: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            store_away: AtomicBool::new(false),
            over_at: OnceLock::new(),
            calls: CallCounts::default(),
            logged_calls: ArcSwap::default(),
            denials: Denials::default(),
            logs: OnceLock::new(),
            reloads: Reloads::default(),
            requests: Requests::default(),
            listeners: Default::default(),
            started_at,
            spans: Arc::default(),
        })
    }

    /// What became of changes of the configuration.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// What is counted of a listener.
    pub fn tally(&self, listener: Listener) -> &Tally {
        &self.listeners[listener as usize]
    }

    pub(super) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// From now on these calls have a line in the log.
    pub fn log_calls(&self, calls: Calls) {
        self.logged_calls.store(Arc::new(calls));
    }

    /// Whose lines are counted.
    pub fn counts_lines_of(&self, logs: Logs) {
        let _ = self.logs.set(logs);
    }

    pub(super) fn logs(&self) -> Option<&Logs> {
        self.logs.get()
    }

    /// What became of spans.
    pub fn spans(&self) -> &Arc<trace::Counts> {
        &self.spans
    }

    /// The number of a request that comes in now.
    pub(super) fn next_request(&self) -> u64 {
        self.next_request.fetch_add(1, Ordering::Relaxed)
    }

    /// The id of a request in logs and answers.
    pub(super) fn request_id(&self, number: u64) -> String {
        format!("{}-{number:x}", self.instance)
    }

    /// From now on readiness says that this process is going.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Notes whether the store is away; true when that is news.
    pub(super) fn note_store_away(&self, is_away: bool) -> bool {
        self.store_away.swap(is_away, Ordering::Relaxed) != is_away
    }

    /// From this moment on, what is still in flight is cut off.
    pub fn ends_at(&self, moment: Instant) {
        let _ = self.over_at.set(moment);
    }

    /// Whether whatever ends now does so because we end.
    pub(super) fn is_over(&self) -> bool {
        self.over_at.get().is_some_and(|over_at| *over_at <= Instant::now())
    }

    /// Nobody is refused any more: what the audit stream has not been told of refusals, it is told now.
    pub fn end_denials(&self) {
        self.denials.end();
    }

    /// What tells the audit stream of refusals; whoever else refuses something tells it there.
    pub fn denials(&self) -> &Denials {
        &self.denials
    }

    /// Whether this process is going.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
