//! The counts of all calls: one table for each integration, made when it is first called, and in it one cell for each
//! method and outcome that has occurred. A reload leaves them as they are, so no count is ever set back.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::outcome::{CallMethod, Outcome};
use crate::model::IntegrationName;
use crate::telemetry::metric::{Counter, Distribution, Histogram};

/// From what a call adds of itself to what callers wait for at most.
const BOUNDS: [Duration; 14] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
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
    Duration::from_secs(60),
];

/// The counts of all calls.
#[derive(Default)]
pub(crate) struct CallCounts {
    tables: ArcSwap<HashMap<IntegrationName, Arc<Table>>>,
    /// Of calls that name no integration of the configuration.
    nameless: Table,
}

/// The counts of one integration's calls.
#[derive(Default)]
struct Table([OnceLock<Box<Row>>; CallMethod::COUNT]);

type Row = [OnceLock<Box<Cell>>; Outcome::COUNT];

struct Cell {
    duration: Histogram,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// What was counted of the calls of one integration, method and outcome.
pub(crate) struct CallSample {
    /// Empty for calls that name no integration of the configuration.
    pub(crate) integration: String,
    /// By which method.
    pub(crate) method: &'static str,
    /// How they ended.
    pub(crate) outcome: &'static str,
    /// How long they took, to the end of the answer; its count is how many there were.
    pub(crate) duration: Distribution,
    /// Bytes of requests' bodies.
    pub(crate) bytes_in: u64,
    /// Bytes of answers' bodies.
    pub(crate) bytes_out: u64,
}

/// A call that is over.
pub(super) struct Ended {
    pub(super) method: CallMethod,
    pub(super) outcome: Outcome,
    pub(super) duration: Duration,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl CallCounts {
    /// Counts a call of an integration of the configuration, or of none.
    pub(super) fn count(&self, integration: Option<&IntegrationName>, call: &Ended) {
        let Some(name) = integration else { return self.nameless.count(call) };
        if let Some(table) = self.tables.load().get(name) {
            return table.count(call);
        }
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            tables.entry(name.clone()).or_default();
            tables
        });
        if let Some(table) = self.tables.load().get(name) {
            table.count(call);
        }
    }

    /// Everything that was counted so far, in a steady order.
    pub(crate) fn samples(&self) -> Vec<CallSample> {
        let tables = self.tables.load();
        let mut named: Vec<_> = tables.iter().map(|(name, table)| (name.as_str(), table.as_ref())).collect();
        named.push(("", &self.nameless));
        named.sort_unstable_by_key(|(name, _)| *name);
        named.into_iter().flat_map(|(name, table)| table.samples(name)).collect()
    }
}

impl Table {
    fn count(&self, call: &Ended) {
        let row = self.0[call.method.number()].get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        let cell = row[call.outcome.number()].get_or_init(Box::default);
        cell.duration.observe(call.duration);
        cell.bytes_in.add(call.bytes_in);
        cell.bytes_out.add(call.bytes_out);
    }

    fn samples(&self, integration: &str) -> Vec<CallSample> {
        let cell = |method: CallMethod, outcome: Outcome| {
            let cell = self.0[method.number()].get()?[outcome.number()].get()?;
            Some(CallSample {
                integration: integration.to_owned(),
                method: method.as_str(),
                outcome: outcome.as_str(),
                duration: cell.duration.snapshot(),
                bytes_in: cell.bytes_in.get(),
                bytes_out: cell.bytes_out.get(),
            })
        };
        CallMethod::all().flat_map(|method| Outcome::all().filter_map(move |outcome| cell(method, outcome))).collect()
    }
}

impl Default for Cell {
    fn default() -> Self {
        Self { duration: Histogram::new(&BOUNDS), bytes_in: Counter::default(), bytes_out: Counter::default() }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;

    #[test]
    fn cells_are_made_when_they_are_needed() {
        let counts = CallCounts::default();
        assert!(counts.samples().is_empty());
        let name = IntegrationName::parse("acme").expect("a name");
        let ended = |method: Method, status: StatusCode| Ended {
            method: CallMethod::from(&method),
            outcome: Outcome::of_status(status),
            duration: Duration::from_millis(3),
            bytes_in: 1,
            bytes_out: 10,
        };
        for _ in 0..2 {
            counts.count(Some(&name), &ended(Method::POST, StatusCode::CREATED));
        }
        counts.count(None, &ended(Method::GET, StatusCode::NOT_FOUND));
        let samples = counts.samples();
        let told: Vec<_> = samples
            .iter()
            .map(|one| {
                let key = (one.integration.as_str(), one.method, one.outcome);
                (key, one.duration.count, one.bytes_in, one.bytes_out)
            })
            .collect();
        assert_eq!(told, [(("", "GET", "4xx"), 1, 1, 10), (("acme", "POST", "2xx"), 2, 2, 20)]);
    }
}
