//! Work that has to be done to its end though whoever asked for it may go away: a code that was sent, a confirmation, a
//! disconnection, a refresh. Each runs as a task of its own, and the drain waits for them.

use std::sync::Arc;

use tokio::sync::watch;

use super::BrokerError;
use crate::telemetry::audit::Asked;

/// What is under way: every task holds a receiver, through which nothing is ever sent.
#[derive(Clone, Default)]
pub(super) struct Duties(Arc<watch::Sender<()>>);

impl Duties {
    /// Runs the work to its end and gives its outcome to whoever still waits. Dropping the future that this returns
    /// does not stop the work.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, BrokerError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, BrokerError>> + Send + 'static {
        let held = self.0.subscribe();
        let work = async move {
            let outcome = work.await;
            drop(held);
            outcome
        };
        let task = tokio::spawn(Asked::carry(Asked::here(), work));
        async move {
            task.await
                .unwrap_or_else(|error| Err(BrokerError::Internal(format!("a task ended without an outcome: {error}"))))
        }
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.0.receiver_count()
    }

    /// Waits until nothing is under way.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }
}
