//! Work that has to be done to its end though whoever asked for it may go away: a code that was sent, a confirmation, a
//! disconnection, a refresh. Each runs as a task of its own, and the drain waits for them.

use std::sync::Arc;

use super::BrokerError;
use crate::telemetry::audit::Asked;

/// Counts what is under way: every task holds one of these.
#[derive(Clone, Default)]
pub(super) struct Duties(Arc<()>);

impl Duties {
    /// Runs the work to its end and gives its outcome to whoever still waits. Dropping the future that this returns
    /// does not stop the work.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, BrokerError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, BrokerError>> + Send + 'static {
        let held = self.clone();
        let work = async move {
            let outcome = work.await;
            drop(held);
            outcome
        };
        let task = match Asked::here() {
            Some(asked) => tokio::spawn(asked.during(work)),
            None => tokio::spawn(work),
        };
        async move {
            task.await
                .unwrap_or_else(|error| Err(BrokerError::Internal(format!("a task ended without an outcome: {error}"))))
        }
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
