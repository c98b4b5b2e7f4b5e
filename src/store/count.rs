//! What is counted of a store at its border, whichever it is: how long each operation took, and how often one failed.

use std::time::{Duration, Instant};

use super::StoreError;
use crate::telemetry::metric::{Counter, Distribution, Histogram, label};

label! {
    /// What a store is asked for. Taking a record is a get and a delete, and sealing one anew a get and a put.
    pub Operation {
        /// Reading a record.
        Get = "get",
        /// Writing one, if what is expected is there.
        Put = "put",
        /// Deleting one of a certain version.
        Delete = "delete",
        /// Asking for a lease, or for more of one.
        Lease = "lease",
        /// Giving one back.
        Release = "release",
        /// A page of records.
        Scan = "scan",
        /// Telling the other replicas.
        Notify = "notify",
        /// Spending from a rate budget that replicas share.
        Spend = "spend",
        /// Asking whether it answers.
        Ping = "ping",
    }
}

/// A store in memory answers in some microseconds, a Redis in the next zone in some milliseconds.
const BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// The counts of one store.
pub(super) struct Counts(Vec<Count>);

struct Count {
    took: Histogram,
    failed: Counter,
}

/// An operation under way.
pub(super) struct Timing<'a> {
    counts: &'a Counts,
    operation: Operation,
    began: Instant,
}

/// What was counted of one operation so far.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The operation.
    pub operation: Operation,
    /// How long it took, whether it failed or not.
    pub took: Distribution,
    /// How often the store did not answer, or what it answered did not open.
    pub failed: u64,
}

impl Timing<'_> {
    /// Counts it by how it ended.
    pub(super) fn end<T>(self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.counts.0[self.operation as usize].took.observe(self.began.elapsed());
        outcome.inspect_err(|error| self.counts.failed(self.operation, error))
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        let count = |_: &Operation| Count { took: Histogram::new(&BOUNDS), failed: Counter::default() };
        Self(Operation::ALL.iter().map(count).collect())
    }

    /// Begins one. What is dropped before its end counts as nothing.
    pub(super) fn begin(&self, operation: Operation) -> Timing<'_> {
        Timing { counts: self, operation, began: Instant::now() }
    }

    /// A failure that shows only after the store has answered.
    pub(super) fn failed(&self, operation: Operation, error: &StoreError) {
        match error {
            StoreError::Unavailable { .. } | StoreError::Unopenable { .. } => {
                self.0[operation as usize].failed.add(1);
            }
            // The mistake of whoever asked.
            StoreError::UnknownCursor | StoreError::Settings(_) => {}
        }
    }

    pub(super) fn all(&self) -> Vec<Counted> {
        let counted = |(&operation, count): (&Operation, &Count)| Counted {
            operation,
            took: count.took.snapshot(),
            failed: count.failed.get(),
        };
        Operation::ALL.iter().zip(&self.0).map(counted).collect()
    }
}
