//! What replicas tell each other, and whether it is arriving. A notification is a hint that something changed: the
//! store stays the truth, and nothing here is written down.

use tokio::sync::broadcast;

/// What a subscriber hears.
///
/// A receiver that is too slow gets `RecvError::Lagged`, which means the same as [`Event::Lost`] and [`Event::Synced`]
/// in one: forget what was remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What somebody gave to `notify`, this process included.
    Message(String),
    /// Notifications may be missing from now on: what is remembered may be out of date.
    Lost,
    /// Notifications arrive again: forget what was remembered before this, and remember anew.
    Synced,
}

/// How many events wait for a slow receiver before it is told that it lags.
const WAITING: usize = 1024;

pub(super) fn channel() -> broadcast::Sender<Event> {
    broadcast::Sender::new(WAITING)
}
