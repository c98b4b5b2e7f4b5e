//! The embedded store: redb, on a file or in memory. Reads go straight to redb's snapshot; writes go to one thread that
//! commits what has gathered and answers when that is on disk. It sees sealed bytes only.

mod database;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

use self::database::Shared;
use self::writer::{Job, Write};
use super::error::{Cause, StoreError};
use super::key::Key;
use super::notice::{self, Event};
use super::{Expected, Keep, Lease, Sealed};
use crate::clock::Clock;
use crate::model::Timestamp;

/// A scan's rows, and where the next page begins. A row without a record is one that is not of this format.
pub(super) type Rows = (Vec<(String, Option<Sealed>)>, Option<String>);

pub(super) struct Embedded {
    shared: Arc<Shared>,
    /// Nothing only while it is dropped.
    writer: Option<(mpsc::Sender<Job>, JoinHandle<()>)>,
    /// Who has which lease until when. In memory: no other process has the file, and what a dead one held is free.
    leases: Mutex<HashMap<Key, ([u8; 16], Timestamp)>>,
    events: broadcast::Sender<Event>,
    timeout: Duration,
}

impl Embedded {
    /// Opens or makes the file, and its folders. Blocks.
    pub(super) fn on_file(path: &Path, clock: Clock, timeout: Duration) -> Result<Self, StoreError> {
        Self::start(Shared::on_file(path, clock)?, timeout)
    }

    pub(super) fn in_memory(clock: Clock, timeout: Duration) -> Result<Self, StoreError> {
        Self::start(Shared::in_memory(clock)?, timeout)
    }

    fn start(shared: Shared, timeout: Duration) -> Result<Self, StoreError> {
        let shared = Arc::new(shared);
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || writer::run(&shared, &queue)
            })
            .map_err(|error| StoreError::unavailable("starting its thread", error))?;
        Ok(Self { shared, writer: Some((jobs, thread)), leases: Mutex::default(), events: notice::channel(), timeout })
    }

    /// True when nothing is stored, expired records included.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        self.shared.is_empty().map_err(reading)
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Sealed>, StoreError> {
        self.shared.get(key.as_str()).map_err(reading)
    }

    pub(super) fn scan(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Rows, StoreError> {
        self.shared.scan(prefix.as_str(), after, limit).map_err(reading)
    }

    pub(super) fn ping(&self) -> Result<(), StoreError> {
        self.shared.is_empty().map(drop).map_err(reading)
    }

    pub(super) async fn put(
        &self,
        key: &Key,
        expected: Expected,
        sealed: &Sealed,
        keep: Keep,
    ) -> Result<bool, StoreError> {
        let write = Write::Put {
            key: key.as_str().to_owned(),
            expected,
            version: sealed.version,
            bytes: sealed.bytes.clone(),
            keep,
        };
        self.write(write).await
    }

    pub(super) async fn delete(&self, key: &Key, version: u64) -> Result<bool, StoreError> {
        self.write(Write::Delete { key: key.as_str().to_owned(), version }).await
    }

    /// A caller that goes away does not stop a write that is under way.
    async fn write(&self, write: Write) -> Result<bool, StoreError> {
        const WRITING: &str = "writing its file";
        let gone = || StoreError::unavailable(WRITING, std::io::Error::other("its thread has ended"));
        let (reply, answer) = oneshot::channel();
        let (jobs, _) = self.writer.as_ref().ok_or_else(gone)?;
        jobs.send(Job { write, reply }).map_err(|_| gone())?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(cause))) => Err(StoreError::Unavailable { during: WRITING, cause }),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(StoreError::timed_out(WRITING)),
        }
    }

    pub(super) fn lease(&self, lease: &Lease, lifetime: Duration) -> bool {
        let now = self.shared.now();
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|_, (_, until)| *until > now);
        if leases.contains_key(&lease.name) {
            return false;
        }
        leases.insert(lease.name.clone(), (lease.owner, now.plus(lifetime)));
        true
    }

    pub(super) fn extend(&self, lease: &Lease, lifetime: Duration) -> bool {
        let now = self.shared.now();
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        match leases.get_mut(&lease.name) {
            Some((owner, until)) if *owner == lease.owner && *until > now => {
                *until = now.plus(lifetime);
                true
            }
            _ => false,
        }
    }

    pub(super) fn release(&self, lease: &Lease) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(&lease.name).is_some_and(|(owner, _)| *owner == lease.owner) {
            leases.remove(&lease.name);
        }
    }

    pub(super) fn notify(&self, message: &str) {
        // An error means that nobody listens.
        let _ = self.events.send(Event::Message(message.to_owned()));
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

impl Drop for Embedded {
    /// Waits for the last commit, so that the file is free when the store is gone.
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.writer.take() {
            drop(jobs);
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn reading(cause: Cause) -> StoreError {
    StoreError::Unavailable { during: "reading its file", cause }
}
