//! The one place that reads wall time, so that everything else takes `now` as an argument and tests choose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::model::Timestamp;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// A clock that stands still until it is moved; for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A manual clock that starts at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.unix_millis())))
    }

    /// The present moment. Not monotonic: the system's clock may be set.
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
            Self::System => Timestamp::from(SystemTime::now()),
            Self::Manual(millis) => Timestamp::from_unix_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward; does nothing to the system's.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(millis) = self {
            millis.store(self.now().plus(span).unix_millis(), Ordering::Relaxed);
        }
    }
}
