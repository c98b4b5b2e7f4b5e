//! What one connection is doing, told by its socket and its requests and read by its watch: a few numbers, so that a
//! request costs no timer. Decides when a connection has been waited for long enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The state of one connection.
pub(super) struct Meter {
    start: Instant,
    /// Requests whose answer has not been handed over whole.
    in_flight: AtomicU32,
    /// Requests that have begun so far.
    begun: AtomicU64,
    /// Answers of HTTP/2 of which a piece was handed over and the next not yet asked for.
    unclaimed: AtomicU32,
    /// Milliseconds from `start` to when such a piece was last handed over or asked for.
    moved: AtomicU64,
    /// Some of a request head has come, and not yet all of it.
    in_head: AtomicBool,
    /// Milliseconds from `start` to the last change of what the connection waits for.
    since: AtomicU64,
    /// Milliseconds from `start` to when the peer stopped taking what is written to it, plus one; 0 while it takes it.
    stalled: AtomicU64,
    /// Once HTTP/2 is spoken, bytes between requests are frames and begin no head.
    is_http2: AtomicBool,
    /// Milliseconds from `start` to when the listener began to drain, plus one; 0 before.
    draining: AtomicU64,
}

/// How long each state may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A head, from its first byte; the first one from the connection's.
    pub(super) head: Duration,
    /// Between requests, and while the peer does not take what is written.
    pub(super) idle: Duration,
    /// Between requests once the listener drains.
    pub(super) linger: Duration,
}

/// What a connection has been waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The rest of a request head.
    Head,
    /// A request.
    Idle,
    /// The peer does not read.
    Stalled,
}

impl Meter {
    /// A connection that has just been accepted: its first head is due.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            in_flight: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            unclaimed: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            in_head: AtomicBool::new(true),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            draining: AtomicU64::new(0),
        })
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// HTTP/2 has been settled on.
    pub(super) fn speaks_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
        self.in_head.store(false, Ordering::Relaxed);
        self.touch();
    }

    /// The listener drains.
    pub(super) fn drain(&self) {
        self.draining.store(self.now() + 1, Ordering::Relaxed);
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        if !self.is_busy() && !self.in_head.load(Ordering::Relaxed) && !self.is_http2.load(Ordering::Relaxed) {
            self.in_head.store(true, Ordering::Relaxed);
            self.touch();
        }
    }

    /// A write was taken, or had to wait.
    pub(super) fn wrote(&self, taken: bool) {
        if !taken {
            if self.stalled.load(Ordering::Relaxed) == 0 {
                self.stalled.store(self.now() + 1, Ordering::Relaxed);
            }
        } else if self.stalled.load(Ordering::Relaxed) != 0 {
            self.stalled.store(0, Ordering::Relaxed);
            self.touch();
        }
    }

    /// True while an answer is being worked on or handed over.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) != 0
    }

    /// How many requests have begun so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// A request has begun; it lasts until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_head.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        InFlight { meter: Arc::clone(self), is_unclaimed: false }
    }

    /// What is overdue first, and when, in milliseconds from `start`. `None` while a provider is waited for, which has
    /// deadlines of its own.
    pub(super) fn deadline(&self, patience: &Patience) -> Option<(u64, Overdue)> {
        let since = self.since.load(Ordering::Relaxed);
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled != 0 {
            return Some((stalled - 1 + millis(patience.idle), Overdue::Stalled));
        }
        if self.is_busy() {
            // Every answer waits for the peer to open its window, and none for a provider.
            let unclaimed = self.unclaimed.load(Ordering::Relaxed);
            let waits_for_peer = unclaimed != 0 && unclaimed == self.in_flight.load(Ordering::Relaxed);
            let moved = self.moved.load(Ordering::Relaxed);
            return waits_for_peer.then_some((moved + millis(patience.idle), Overdue::Stalled));
        }
        if self.in_head.load(Ordering::Relaxed) {
            return Some((since + millis(patience.head), Overdue::Head));
        }
        let idle = since + millis(patience.idle);
        match self.draining.load(Ordering::Relaxed) {
            0 => Some((idle, Overdue::Idle)),
            draining => Some((idle.min(since.max(draining - 1) + millis(patience.linger)), Overdue::Idle)),
        }
    }

    /// Milliseconds from `start`.
    pub(super) fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn touch(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }
}

/// One request under way.
pub(super) struct InFlight {
    meter: Arc<Meter>,
    is_unclaimed: bool,
}

impl InFlight {
    /// True once the listener drains.
    pub(super) fn is_draining(&self) -> bool {
        self.meter.draining.load(Ordering::Relaxed) != 0
    }

    /// The answer, or a piece of it, was handed over to HTTP/2, which asks for the next once the peer's window takes
    /// it.
    pub(super) fn handed_over(&mut self) {
        if self.meter.is_http2.load(Ordering::Relaxed) && !self.is_unclaimed {
            self.is_unclaimed = true;
            self.meter.moved.store(self.meter.now(), Ordering::Relaxed);
            self.meter.unclaimed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next piece was asked for.
    pub(super) fn asked(&mut self) {
        if self.is_unclaimed {
            self.is_unclaimed = false;
            self.meter.moved.store(self.meter.now(), Ordering::Relaxed);
            self.meter.unclaimed.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The time first: whoever sees the connection idle must not take it for idle since long ago.
        self.meter.touch();
        self.asked();
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(30), idle: Duration::from_secs(75), linger: Duration::from_secs(1) };

    #[test]
    fn what_is_overdue() {
        let meter = Meter::new();
        let overdue = |meter: &Arc<Meter>| meter.deadline(&PATIENCE).map(|(_, overdue)| overdue);
        assert_eq!(meter.deadline(&PATIENCE), Some((30_000, Overdue::Head)));
        let (first, second) = (meter.begin(), meter.begin());
        meter.received();
        assert_eq!(overdue(&meter), None);
        drop(first);
        assert_eq!(overdue(&meter), None);
        drop(second);
        assert_eq!(overdue(&meter), Some(Overdue::Idle));
        meter.received();
        assert_eq!(overdue(&meter), Some(Overdue::Head));
        drop(meter.begin());
        meter.wrote(false);
        assert_eq!(overdue(&meter), Some(Overdue::Stalled));
        meter.wrote(true);
        assert_eq!(overdue(&meter), Some(Overdue::Idle));
        meter.drain();
        assert!(meter.deadline(&PATIENCE).is_some_and(|(at, _)| at <= meter.now() + 1_000));
        meter.speaks_http2();
        meter.received();
        assert_eq!(overdue(&meter), Some(Overdue::Idle));
    }
}
