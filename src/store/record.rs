//! What goes into the store and comes out of it: records with their versions, pages of them, leases.

use std::fmt;

use zeroize::Zeroizing;

use super::Key;

/// A record as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The version of the write that left it so; for [`Expected::Version`] and [`Store::delete`](super::Store::delete).
    pub version: u64,
    /// The value, wiped when dropped.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("version", &self.version).finish_non_exhaustive()
    }
}

/// What must be there for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No record, or an expired one.
    Absent,
    /// The record with this version.
    Version(u64),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It is stored, with this version.
    Stored(u64),
    /// Something else was there; nothing changed.
    Conflict,
}

/// A lease that was granted. Dropping it releases nothing: give it to [`Store::release`](super::Store::release), or it ends by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease {
    pub(super) name: Key,
    pub(super) owner: [u8; 16],
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A part of a scan.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What opened, in the order of keys within the page.
    pub entries: Vec<(Key, Entry)>,
    /// The key texts of records that did not open; they are left as they are.
    pub unopenable: Vec<String>,
    /// Where to go on; nothing at the end. A page may be empty and still have a next one.
    pub next: Option<String>,
}
