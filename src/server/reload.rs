//! `POST /reload`: another look at the configuration, by word of the operator. Reading the files and putting the parts
//! together is the business of whoever is at the other end of the channel; here is what whoever asks is told, and what
//! metrics say of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::body::Body;
use super::respond::{HttpError, json_response};
use super::service::Service;
use crate::model::Timestamp;
use crate::telemetry::audit::Asked;

/// What is to be said about a place in the configuration: a mistake or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file, environment variable or flag.
    pub file: String,
    /// The dotted path of the key; empty when the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub fault: String,
    /// What to do; empty when the fault says it.
    pub remedy: String,
}

/// What became of a look at the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is good, and in force but for what needs a restart.
    Good {
        /// Whether anything of it is otherwise than before.
        is_changed: bool,
        /// The keys whose new value is not in force.
        needs_restart: Vec<&'static str>,
        /// What deserves a look.
        warnings: Vec<Notice>,
    },
    /// It has these mistakes, and the one before stays in force.
    Refused(Vec<Notice>),
}

/// A wish for another look.
pub struct Wish {
    /// Whose it is.
    pub by: Option<Asked>,
    /// Where to say what became of it.
    pub answer: oneshot::Sender<Reloaded>,
}

/// What became of all of them, and the way to ask for one.
#[derive(Default)]
pub struct Reloads {
    asking: OnceLock<mpsc::Sender<Wish>>,
    changed: AtomicU64,
    unchanged: AtomicU64,
    refused: AtomicU64,
    is_refused: AtomicBool,
    /// Seconds since the epoch.
    good_at: AtomicI64,
}

/// Counts for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReloadCounts {
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) refused: u64,
    /// Whether the last look found mistakes.
    pub(super) is_refused: bool,
    /// When the configuration was last found good, in seconds since the epoch.
    pub(super) good_at: i64,
}

impl Reloads {
    /// Whoever asks from now on asks there. Once alone; nobody is asked before.
    pub fn answered_by(&self, asking: mpsc::Sender<Wish>) {
        let _ = self.asking.set(asking);
    }

    /// Counts one.
    pub fn count(&self, outcome: &Reloaded, now: Timestamp) {
        let counter = match outcome {
            Reloaded::Good { is_changed: true, .. } => &self.changed,
            Reloaded::Good { is_changed: false, .. } => &self.unchanged,
            Reloaded::Refused(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.is_refused.store(matches!(outcome, Reloaded::Refused(_)), Ordering::Relaxed);
        if matches!(outcome, Reloaded::Good { .. }) {
            self.found_good(now);
        }
    }

    /// The configuration is good, as it is at the start.
    pub fn found_good(&self, now: Timestamp) {
        self.good_at.store(now.unix_millis() / 1000, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> ReloadCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReloadCounts {
            changed: count(&self.changed),
            unchanged: count(&self.unchanged),
            refused: count(&self.refused),
            is_refused: self.is_refused.load(Ordering::Relaxed),
            good_at: self.good_at.load(Ordering::Relaxed),
        }
    }

    async fn ask(&self) -> Option<Reloaded> {
        let (answer, answered) = oneshot::channel();
        self.asking.get()?.send(Wish { by: Asked::here(), answer }).await.ok()?;
        answered.await.ok()
    }
}

impl Service {
    /// Looks at the configuration anew and says what came of it.
    pub(super) async fn reload(&self) -> Result<Response<Body>, HttpError> {
        match self.process.reloads.ask().await {
            Some(Reloaded::Good { is_changed, needs_restart, warnings }) => {
                let status = if is_changed { "reloaded" } else { "unchanged" };
                let warnings: Value = warnings.iter().map(Notice::json).collect();
                let answer = json!({ "status": status, "needs_restart": needs_restart, "warnings": warnings });
                Ok(json_response(StatusCode::OK, &answer))
            }
            Some(Reloaded::Refused(mistakes)) => Err(HttpError::Misconfigured(mistakes)),
            None if self.process.is_draining() => Err(HttpError::ShuttingDown),
            None => Err(HttpError::NotFound),
        }
    }
}

impl Notice {
    pub(super) fn json(&self) -> Value {
        json!({ "file": self.file, "key": self.key, "fault": self.fault, "remedy": self.remedy })
    }
}
