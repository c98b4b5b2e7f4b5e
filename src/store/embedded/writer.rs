//! The thread that writes: it commits everything that has gathered while the last commit was on its way to disk, and
//! only then answers. So a write costs a share of one fsync, and an answer means that it is on disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{ReadableTable, Table, WriteTransaction};
use tokio::sync::oneshot;

use super::super::error::Cause;
use super::super::{Expected, Keep};
use super::database::{EXPIRIES, NEVER, RECORDS, Row, Shared};
use crate::model::Timestamp;

/// One write, and where its outcome goes: whether it happened.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Result<bool, Cause>>,
}

pub(super) enum Write {
    Put { key: String, expected: Expected, version: u64, bytes: Vec<u8>, keep: Keep },
    Delete { key: String, version: u64 },
}

/// At most so many writes share a commit.
const BATCH: usize = 512;
/// How often an idle thread looks whether the file is still good.
const IDLE: Duration = Duration::from_secs(1);
/// How often expired records are removed. Until then they are only ignored.
const SWEEP: Duration = Duration::from_secs(60);
/// At most so many expired records are removed in one commit, so that no write waits long for a sweep.
const SWEPT: usize = 1000;

/// Works until the last sender is gone.
pub(super) fn run(shared: &Shared, queue: &Receiver<Job>) {
    let mut swept = Instant::now();
    loop {
        match queue.recv_timeout(IDLE) {
            Ok(first) => work(shared, std::iter::once(first).chain(queue.try_iter()).take(BATCH).collect()),
            Err(RecvTimeoutError::Timeout) if shared.is_empty().is_err() => shared.reopen(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if swept.elapsed() >= SWEEP && sweep(shared) < SWEPT {
            swept = Instant::now();
        }
    }
}

fn work(shared: &Shared, jobs: Vec<Job>) {
    let (writes, replies): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.write, job.reply)).unzip();
    let now = shared.now();
    let committed = shared.commit(|transaction| {
        let mut tables = Tables::open(transaction)?;
        writes.iter().map(|write| tables.apply(write, now)).collect::<Result<Vec<_>, _>>()
    });
    // Before the answers: whoever hears of the failure and tries again finds the file open, if it can be.
    if committed.is_err() {
        shared.reopen();
    }
    for (index, reply) in replies.into_iter().enumerate() {
        // An error means that the caller has gone away.
        let _ = reply.send(committed.as_ref().map(|done| done[index]).map_err(Cause::clone));
    }
}

/// Removes expired records; says how many.
fn sweep(shared: &Shared) -> usize {
    let now = shared.now();
    let removed = match shared.has_expired() {
        // Without a commit: an idle store leaves the disk alone.
        Ok(false) => Ok(0),
        Ok(true) => shared.commit(|transaction| Tables::open(transaction)?.sweep(now)),
        Err(error) => Err(error),
    };
    removed.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "expired records could not be removed");
        shared.reopen();
        0
    })
}

struct Tables<'t> {
    records: Table<'t, &'static str, &'static [u8]>,
    expiries: Table<'t, (u64, &'static str), ()>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { records: transaction.open_table(RECORDS)?, expiries: transaction.open_table(EXPIRIES)? })
    }

    fn apply(&mut self, write: &Write, now: Timestamp) -> Result<bool, redb::Error> {
        match write {
            Write::Put { key, expected, version, bytes, keep } => {
                let there = self.there(key)?;
                let live = there.filter(|there| !there.is_expired(now));
                let is_expected = match expected {
                    Expected::Absent => live.is_none(),
                    Expected::Version(version) => live.is_some_and(|there| there.version == *version),
                };
                if !is_expected {
                    return Ok(false);
                }
                let expiry = match keep {
                    Keep::Forever => NEVER,
                    Keep::For(lifetime) => now.plus(*lifetime).unix_millis().unsigned_abs(),
                    Keep::Unchanged => live.map_or(NEVER, |there| there.expiry),
                };
                self.forget_expiry(key, there)?;
                if expiry != NEVER {
                    self.expiries.insert((expiry, key.as_str()), ())?;
                }
                self.records.insert(key.as_str(), Row::bytes(*version, expiry, bytes).as_slice())?;
                Ok(true)
            }
            Write::Delete { key, version } => {
                let there = self.there(key)?;
                if !there.is_some_and(|there| there.version == *version && !there.is_expired(now)) {
                    return Ok(false);
                }
                self.forget_expiry(key, there)?;
                self.records.remove(key.as_str())?;
                Ok(true)
            }
        }
    }

    fn there(&self, key: &str) -> Result<Option<There>, redb::Error> {
        let row = self.records.get(key)?;
        // A row of no known format is there, but is of no version that anybody has seen.
        Ok(row.map(|row| match Row::parse(row.value()) {
            Some(row) => There { version: row.version, expiry: row.expiry },
            None => There { version: 0, expiry: NEVER },
        }))
    }

    fn forget_expiry(&mut self, key: &str, there: Option<There>) -> Result<(), redb::Error> {
        if let Some(there) = there.filter(|there| there.expiry != NEVER) {
            self.expiries.remove((there.expiry, key))?;
        }
        Ok(())
    }

    fn sweep(&mut self, now: Timestamp) -> Result<usize, redb::Error> {
        let end = now.unix_millis().unsigned_abs() + 1;
        let due = self
            .expiries
            .range((0, "")..(end, ""))?
            .take(SWEPT)
            .map(|item| item.map(|(due, _)| (due.value().0, due.value().1.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        for (expiry, key) in &due {
            self.expiries.remove((*expiry, key.as_str()))?;
            if self.there(key)?.is_some_and(|there| there.is_expired(now)) {
                self.records.remove(key.as_str())?;
            }
        }
        Ok(due.len())
    }
}

/// What stands under a key, without its value.
#[derive(Clone, Copy)]
struct There {
    version: u64,
    expiry: u64,
}

impl There {
    fn is_expired(self, now: Timestamp) -> bool {
        self.expiry != NEVER && self.expiry <= now.unix_millis().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn put(key: &str, lifetime: Option<Duration>) -> Write {
        Write::Put {
            key: key.to_owned(),
            expected: Expected::Absent,
            version: 1,
            bytes: b"sealed".to_vec(),
            keep: lifetime.map_or(Keep::Forever, Keep::For),
        }
    }

    fn apply(shared: &Shared, write: &Write) -> bool {
        shared
            .commit(|transaction| Tables::open(transaction)?.apply(write, shared.now()))
            .expect("a store in memory commits")
    }

    fn rows(shared: &Shared) -> (Vec<String>, usize) {
        shared
            .commit(|transaction| {
                let tables = Tables::open(transaction)?;
                let records = tables.records.iter()?.map(|row| row.map(|(key, _)| key.value().to_owned()));
                Ok((records.collect::<Result<_, _>>()?, tables.expiries.iter()?.count()))
            })
            .expect("a store in memory commits")
    }

    #[test]
    fn a_sweep_removes_what_has_expired_and_nothing_else() {
        let clock = Clock::manual(Timestamp::from_unix_millis(1_000_000));
        let shared = Shared::in_memory(clock.clone()).expect("memory");
        let second = Some(Duration::from_secs(1));
        assert!(apply(&shared, &put("stays", None)));
        assert!(apply(&shared, &put("ends", second)));
        assert!(apply(&shared, &put("lives-longer", Some(Duration::from_secs(9)))));
        assert!(apply(&shared, &put("deleted", second)));
        assert!(apply(&shared, &Write::Delete { key: "deleted".to_owned(), version: 1 }));
        assert_eq!(rows(&shared).1, 2);

        assert_eq!(sweep(&shared), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(sweep(&shared), 1);
        assert_eq!(rows(&shared), (vec!["lives-longer".to_owned(), "stays".to_owned()], 1));
    }

    #[test]
    fn a_record_that_is_written_anew_outlives_its_old_expiry() {
        let clock = Clock::manual(Timestamp::from_unix_millis(1_000_000));
        let shared = Shared::in_memory(clock.clone()).expect("memory");
        assert!(apply(&shared, &put("a", Some(Duration::from_secs(1)))));
        let replaced = Write::Put {
            key: "a".to_owned(),
            expected: Expected::Version(1),
            version: 2,
            bytes: b"sealed".to_vec(),
            keep: Keep::Forever,
        };
        assert!(apply(&shared, &replaced));
        clock.advance(Duration::from_secs(5));
        assert_eq!(sweep(&shared), 0);
        assert_eq!(rows(&shared), (vec!["a".to_owned()], 0));
    }
}
