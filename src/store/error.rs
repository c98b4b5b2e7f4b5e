//! Why a store did not answer. None of these ever means that a record is absent: a store that is down is not an account
//! that is not connected.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// A failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store did not answer in time or refused. After a write this leaves open whether it was done: read before
    /// trying again.
    #[error("the store is unavailable while {during}: {cause}")]
    Unavailable {
        /// What was being done.
        during: &'static str,
        /// What the system or the server said. Part of the message, so that every line of the log has it.
        cause: Cause,
    },
    /// There is a record, but it does not open. It is left as it is.
    #[error("the record `{key}` cannot be opened: {why}")]
    Unopenable {
        /// The text of the record's key.
        key: String,
        /// What is wrong with it.
        why: Unopenable,
    },
    /// The cursor is not one that a scan of this store gave.
    #[error("the cursor is not one that this store gave")]
    UnknownCursor,
    /// The store cannot be opened as it is configured. The sentence names the fault and the remedy.
    #[error("{0}")]
    Settings(String),
}

/// What the system or the server said, shared by all whose write was in the same commit.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a record does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopenable {
    /// It is sealed with a key that is not listed.
    #[error("it is sealed with the key {0}, which store.keys does not list")]
    UnknownKey(String),
    /// It was changed, or written for another key or version.
    #[error("it was changed, or belongs to another record")]
    NotAuthentic,
    /// It is nothing that this version of Keyferry wrote.
    #[error("its format is unknown")]
    UnknownFormat,
}

impl StoreError {
    pub(super) fn unavailable(during: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable { during, cause: Arc::new(source) }
    }

    pub(super) fn timed_out(during: &'static str) -> Self {
        Self::unavailable(during, io::Error::from(io::ErrorKind::TimedOut))
    }
}
