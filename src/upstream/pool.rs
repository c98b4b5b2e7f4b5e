//! The connections to one provider host: idle HTTP/1.1 lanes, newest first, and HTTP/2 connections shared by many
//! calls. Hosts are told apart by everything that decides how they are dialled, so no call inherits another's trust.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use tokio::sync::watch;

use super::count::Counts;
use super::lane::Lane;
use super::request::RequestBody;
use crate::route::Destination;
use crate::telemetry::gauge::Gauge;

/// Streams of one HTTP/2 connection before another is opened: the least that RFC 9113 section 6.5.2 advises servers to
/// allow.
const STREAMS_PER_CONNECTION: usize = 100;

/// One host and what is open to it.
pub(super) struct Host {
    destination: Destination,
    idle: Mutex<Vec<IdleLane>>,
    shared: Mutex<Shared>,
    /// Set once the host has chosen HTTP/2, so that HTTP/1.1 hosts never look.
    speaks_http2: AtomicBool,
    most_idle: usize,
    idle_timeout: Duration,
    counts: Arc<Counts>,
}

struct IdleLane {
    lane: Box<Lane>,
    since: Instant,
}

#[derive(Default)]
struct Shared {
    connections: Vec<SharedConnection>,
    /// Somebody is dialling; the channel says when that has opened a connection, and closes when it has not.
    dialling: Option<watch::Receiver<bool>>,
    /// The host has once chosen HTTP/1.1, and everybody may dial at will.
    speaks_http1: bool,
}

struct SharedConnection {
    sender: http2::SendRequest<RequestBody>,
    load: Arc<Load>,
}

struct Load {
    streams: AtomicUsize,
    last_used: Mutex<Instant>,
    /// Of all connections that have a stream.
    active: Gauge,
}

impl Load {
    fn begin(&self) {
        if self.streams.fetch_add(1, Ordering::AcqRel) == 0 {
            self.active.rise();
        }
    }

    fn end(&self) {
        if self.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.active.fall();
            *lock(&self.last_used) = Instant::now();
        }
    }
}

/// One call's part in an HTTP/2 connection.
pub(super) struct Share(Arc<Load>);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What to do when no connection is at hand.
pub(super) enum Turn {
    /// Dial; others wait until this is dropped.
    Dial(DialTurn),
    /// Somebody else dials a connection that can be shared: wait, then look again.
    Wait(watch::Receiver<bool>),
}

/// The turn to dial, over when dropped.
pub(super) struct DialTurn(Option<watch::Sender<bool>>);

impl DialTurn {
    /// Tells those who wait that there is a connection now.
    pub(super) fn opened(self) {
        if let Some(waiting) = self.0 {
            waiting.send_replace(true);
        }
    }
}

impl Host {
    pub(super) fn new(
        destination: &Destination,
        most_idle: usize,
        idle_timeout: Duration,
        counts: &Arc<Counts>,
    ) -> Self {
        Self {
            destination: destination.clone(),
            idle: Mutex::default(),
            shared: Mutex::default(),
            speaks_http2: AtomicBool::new(false),
            most_idle,
            idle_timeout,
            counts: Arc::clone(counts),
        }
    }

    /// The host's name, for errors.
    pub(super) fn name(&self) -> &str {
        self.destination.host()
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The lane that was used last and has not lain idle for too long.
    pub(super) fn idle_lane(&self) -> Option<Box<Lane>> {
        let mut idle = lock(&self.idle);
        let mut newest = idle.pop()?;
        if newest.since.elapsed() < self.idle_timeout {
            newest.lane.count(Some(self.counts.active.enter()));
            return Some(newest.lane);
        }
        // Older ones lie below: they are over too. They are closed outside of the lock.
        let over = std::mem::take(&mut *idle);
        drop(idle);
        drop(over);
        None
    }

    /// Takes a lane back if it can carry another request.
    pub(super) fn give_back(&self, mut lane: Box<Lane>) {
        if lane.settle() {
            let mut idle = lock(&self.idle);
            if idle.len() < self.most_idle {
                lane.count(None);
                idle.push(IdleLane { lane, since: Instant::now() });
            }
        }
    }

    /// A share in an HTTP/2 connection that is open and not full.
    pub(super) fn share(&self) -> Option<(http2::SendRequest<RequestBody>, Share)> {
        if !self.speaks_http2.load(Ordering::Acquire) {
            return None;
        }
        let mut shared = lock(&self.shared);
        shared.connections.retain(|connection| !connection.sender.is_closed());
        let connection = shared
            .connections
            .iter()
            .find(|connection| connection.load.streams.load(Ordering::Acquire) < STREAMS_PER_CONNECTION)?;
        connection.load.begin();
        Some((connection.sender.clone(), Share(Arc::clone(&connection.load))))
    }

    /// Puts a fresh HTTP/2 connection up for sharing.
    pub(super) fn add_shared(&self, sender: http2::SendRequest<RequestBody>) {
        let load = Load {
            streams: AtomicUsize::new(0),
            last_used: Mutex::new(Instant::now()),
            active: self.counts.active.clone(),
        };
        lock(&self.shared).connections.push(SharedConnection { sender, load: Arc::new(load) });
        self.speaks_http2.store(true, Ordering::Release);
    }

    /// Says that this host chose HTTP/1.1, so that nobody waits for a connection to share.
    pub(super) fn note_http1(&self) {
        lock(&self.shared).speaks_http1 = true;
        self.speaks_http2.store(false, Ordering::Release);
    }

    /// Whose turn it is to dial. Where a connection may come to be shared, one caller dials for all, unless it has
    /// already failed and each goes `alone`.
    pub(super) fn turn(&self, alone: bool) -> Turn {
        if alone || !self.destination.is_https() {
            return Turn::Dial(DialTurn(None));
        }
        let mut shared = lock(&self.shared);
        if shared.speaks_http1 {
            return Turn::Dial(DialTurn(None));
        }
        match &shared.dialling {
            // `has_changed` fails on a closed channel: that dialling has failed.
            Some(dialling) if matches!(dialling.has_changed(), Ok(false)) => Turn::Wait(dialling.clone()),
            _ => {
                let (done, dialling) = watch::channel(false);
                shared.dialling = Some(dialling);
                Turn::Dial(DialTurn(Some(done)))
            }
        }
    }

    /// Closes what has been idle for too long. True when nothing is left.
    pub(super) fn sweep(&self) -> bool {
        let mut over = Vec::new();
        let mut idle = lock(&self.idle);
        // Oldest first, so that what is over is a prefix.
        let kept_from = idle.iter().position(|lane| lane.since.elapsed() < self.idle_timeout).unwrap_or(idle.len());
        over.extend(idle.drain(..kept_from));
        let no_lane = idle.is_empty();
        drop(idle);
        let mut shared = lock(&self.shared);
        shared.connections.retain(|connection| {
            let in_use = connection.load.streams.load(Ordering::Acquire) > 0;
            !connection.sender.is_closed() && (in_use || lock(&connection.load.last_used).elapsed() < self.idle_timeout)
        });
        no_lane && shared.connections.is_empty()
    }
}

/// What these locks guard is whole after every statement, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
