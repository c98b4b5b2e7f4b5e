//! The redb file: its two tables, how a row looks, and opening it again after the disk failed. It decides nothing about
//! who may write what.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use redb::{TableDefinition, WriteTransaction};

use super::super::Sealed;
use super::super::error::{Cause, StoreError};
use super::super::key_file::sync_folder;
use super::Rows;
use crate::clock::Clock;
use crate::model::Timestamp;

/// The records: `version | expiry | sealed`, the first two as eight bytes, most significant first.
pub(super) const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");
/// The expiring records by their expiry, so that a sweep reads nothing that stays.
pub(super) const EXPIRIES: TableDefinition<'static, (u64, &str), ()> = TableDefinition::new("expiries");

/// redb's page cache. Its default of 1 GiB is no size for a sidecar.
const CACHE_BYTES: usize = 16 << 20;

/// The expiry of a record that has none.
pub(super) const NEVER: u64 = 0;

/// The database, shared by the readers and the writer.
pub(super) struct Shared {
    /// Nothing while it cannot be opened again after a failure of the disk: redb refuses all work after one.
    database: RwLock<Option<Database>>,
    /// Nothing for a store in memory.
    path: Option<PathBuf>,
    clock: Clock,
}

impl Shared {
    pub(super) fn on_file(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let database = make_folders(path)
            .and_then(|()| make_file(path))
            .map_err(|error| refused(path, &error.to_string()))
            .and_then(|()| open(path).map_err(|error| refused(path, &reason(&error))))?;
        Ok(Self { database: RwLock::new(Some(database)), path: Some(path.to_owned()), clock })
    }

    pub(super) fn in_memory(clock: Clock) -> Result<Self, StoreError> {
        let database = builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(redb::Error::from)
            .and_then(prepared)
            .map_err(|error| StoreError::unavailable("making it in memory", error))?;
        Ok(Self { database: RwLock::new(Some(database)), path: None, clock })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Sealed>, Cause> {
        self.read(|records| {
            let row = records.get(key)?;
            // A row that is too short to be one of ours has no version, and must not look absent.
            Ok(row.and_then(|row| match Row::parse(row.value()) {
                Some(row) => (!row.is_expired(self.now())).then(|| row.sealed()),
                None => Some(Sealed { version: 0, bytes: row.value().to_vec() }),
            }))
        })
    }

    pub(super) fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Rows, Cause> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.read(|records| {
            let mut rows = Vec::new();
            for item in records.range::<&str>((start, Bound::Unbounded))? {
                let (key, value) = item?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                let row = Row::parse(value.value());
                if row.as_ref().is_some_and(|row| row.is_expired(self.now())) {
                    continue;
                }
                if rows.len() == limit {
                    let next = rows.last().map(|(key, _): &(String, _)| key.clone());
                    return Ok((rows, next));
                }
                rows.push((key.value().to_owned(), row.map(|row| row.sealed())));
            }
            Ok((rows, None))
        })
    }

    pub(super) fn is_empty(&self) -> Result<bool, Cause> {
        self.read(|records| Ok(records.is_empty()?))
    }

    /// True when a record's time is up, so that a sweep has something to do.
    pub(super) fn has_expired(&self) -> Result<bool, Cause> {
        self.with(|database| {
            let expiries = database.begin_read()?.open_table(EXPIRIES)?;
            let first = expiries.first()?.map(|(first, _)| first.value().0);
            Ok(first.is_some_and(|first| first <= self.now().unix_millis().unsigned_abs()))
        })
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&ReadOnlyTable<&'static str, &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, Cause> {
        self.with(|database| look(&database.begin_read()?.open_table(RECORDS)?))
    }

    /// One transaction, committed and on disk when this returns well.
    pub(super) fn commit<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Cause> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            let changed = change(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Cause> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match &*database {
            Some(database) => work(database).map_err(|error| Arc::new(error) as Cause),
            None => Err(Arc::new(io::Error::other("the file cannot be opened again since the disk failed"))),
        }
    }

    /// Opens the file again after a failure: redb then finds the last whole commit. Waits for the readers under way.
    pub(super) fn reopen(&self) {
        let Some(path) = &self.path else {
            return;
        };
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Before opening: a file has one lock, and this process holds it.
        *database = None;
        match open(path) {
            Ok(opened) => {
                tracing::warn!("the store's file was opened again after a failure");
                *database = Some(opened);
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store's file cannot be opened again");
            }
        }
    }
}

/// A record's bytes in their parts.
pub(super) struct Row<'a> {
    pub(super) version: u64,
    pub(super) expiry: u64,
    sealed: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (expiry, sealed) = rest.split_first_chunk()?;
        Some(Self { version: u64::from_be_bytes(*version), expiry: u64::from_be_bytes(*expiry), sealed })
    }

    pub(super) fn bytes(version: u64, expiry: u64, sealed: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes(), &expiry.to_be_bytes(), sealed].concat()
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expiry != NEVER && self.expiry <= now.unix_millis().unsigned_abs()
    }

    fn sealed(&self) -> Sealed {
        Sealed { version: self.version, bytes: self.sealed.to_vec() }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    builder().create(path).map_err(redb::Error::from).and_then(prepared)
}

/// Makes the tables, so that a reader finds them.
fn prepared(database: Database) -> Result<Database, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(EXPIRIES)?;
    transaction.commit()?;
    Ok(database)
}

fn make_folders(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

/// An empty file is a new database; it is made here because redb would make it readable to all.
fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn refused(path: &Path, reason: &str) -> StoreError {
    StoreError::Settings(format!("the store {} cannot be opened: {reason}", path.display()))
}

fn reason(error: &redb::Error) -> String {
    match error {
        redb::Error::DatabaseAlreadyOpen => "another process has it open, and one at a time may; stop that one, give \
                                             this one another file in store.url, or let both use Redis"
            .to_owned(),
        redb::Error::UpgradeRequired(_) | redb::Error::Corrupted(_) => {
            format!("{error}; it is not a store of this version, or damaged: put back a copy, or move it away")
        }
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "it is not a store: name another file in store.url, or move this one away".to_owned()
        }
        other => other.to_string(),
    }
}
