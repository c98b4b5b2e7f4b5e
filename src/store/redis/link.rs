//! The link to Redis: one connection at a time, made again when it fails, and the decision what may be sent twice.
//! Every call has a deadline. Nothing whose first attempt may have been carried out is repeated unless that is
//! harmless.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, RedisResult, Value};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::super::error::StoreError;
use super::connection::{Connection, Verdict};
use super::target::Target;

/// Whether a command may be sent again when nobody knows what became of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A second time changes nothing.
    Harmless,
    /// A second time could write over somebody else, or lose what was taken.
    Never,
}

/// Between two attempts of one call.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two attempts to connect, of all calls together.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(100);
/// A connection that leaves a command unanswered for this long is taken for dead.
const SILENCE: Duration = Duration::from_millis(900);

const CONNECTING: &str = "connecting to Redis";
const ASKING: &str = "waiting for Redis";

pub(super) struct Link {
    pub(super) target: Target,
    timeout: Duration,
    current: Mutex<Current>,
    /// Held by whoever connects; holds when the next attempt may begin.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Counts connections, so that a late failure of an old one does not end its successor.
    generation: u64,
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self { target, timeout, current: Mutex::default(), connecting: tokio::sync::Mutex::default() }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.target.is_cluster()
    }

    pub(super) async fn query(&self, command: &Cmd, repeat: Repeat) -> Result<Value, StoreError> {
        self.query_within(self.timeout, command, repeat).await
    }

    pub(super) async fn query_within(
        &self,
        within: Duration,
        command: &Cmd,
        repeat: Repeat,
    ) -> Result<Value, StoreError> {
        // Boxed, as the Redis client's futures are large and nest deep: whoever awaits the store awaits a pointer.
        self.attempt(within, repeat, async |mut connection: Connection| connection.query(command).await).boxed().await
    }

    /// Reads from one node of a cluster.
    pub(super) async fn query_node(&self, node: &str, command: &Cmd) -> Result<Value, StoreError> {
        self.attempt(self.timeout, Repeat::Harmless, async |mut connection| connection.query_node(node, command).await)
            .await
    }

    pub(super) async fn scan_nodes(&self) -> Result<Vec<String>, StoreError> {
        self.attempt(self.timeout, Repeat::Harmless, async |mut connection| connection.nodes().await).await
    }

    async fn attempt<T, F>(
        &self,
        within: Duration,
        repeat: Repeat,
        send: impl Fn(Connection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let deadline = Instant::now() + within;
        let mut last = None;
        let late = |during, last: Option<StoreError>| last.unwrap_or_else(|| StoreError::timed_out(during));
        loop {
            let (connection, generation) = match timeout_at(deadline, self.connection()).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    last = Some(StoreError::unavailable(CONNECTING, error));
                    continue;
                }
                Err(_) => return Err(late(CONNECTING, last)),
            };
            let sent = Instant::now();
            let error = match timeout_at(deadline, send(connection)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => {
                    if sent.elapsed() >= SILENCE.min(within / 2) {
                        self.discard(generation);
                    }
                    return Err(StoreError::timed_out(ASKING));
                }
            };
            let verdict = Verdict::of(&error);
            // A cluster connection mends itself; any other goes to a server that is lost or no longer the master.
            if verdict != Verdict::Refused && !self.is_cluster() {
                self.discard(generation);
            }
            let may_repeat = verdict == Verdict::NotRun || (verdict == Verdict::Unknown && repeat == Repeat::Harmless);
            let failed = StoreError::unavailable(ASKING, error);
            if !may_repeat || deadline <= Instant::now() + PAUSE {
                return Err(failed);
            }
            last = Some(failed);
            sleep(PAUSE).await;
        }
    }

    /// The connection, made if there is none. One call connects; the others wait for it, each to its own deadline.
    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let mut not_before = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if let Some(not_before) = *not_before {
            sleep_until(not_before).await;
        }
        *not_before = Some(Instant::now() + BETWEEN_CONNECTS);
        let connection = self.target.connect().await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.generation))
    }

    fn current(&self) -> Option<(Connection, u64)> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.connection.clone().map(|connection| (connection, current.generation))
    }

    fn discard(&self, generation: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.generation == generation {
            current.connection = None;
        }
    }
}
