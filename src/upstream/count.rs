//! What is counted of connections for calls. It outlives the settings by which they were opened.

use crate::telemetry::gauge::Gauge;
use crate::telemetry::metric::Counter;

/// The counts.
#[derive(Default)]
pub(super) struct Counts {
    /// Connections whose socket is open.
    pub(super) open: Gauge,
    /// Those of them that carry a request or an upgrade.
    pub(super) active: Gauge,
    opened: Counter,
    on_new: Counter,
    on_reused: Counter,
}

/// Connections for calls and what went over them, of a moment: to providers, and to the application behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that carry something.
    pub active: u64,
    /// Connections that wait for the next request.
    pub idle: u64,
    /// Connections opened so far.
    pub opened: u64,
    /// Requests for which a connection was opened.
    pub on_new: u64,
    /// Requests that found one.
    pub on_reused: u64,
}

/// A request on its way.
pub(super) struct Sending<'a>(Option<&'a Counter>);

impl Sending<'_> {
    /// It did not go out after all.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.inspect(|counter| counter.add(1));
    }
}

impl Counts {
    pub(super) fn opened(&self) {
        self.opened.add(1);
    }

    /// A request goes out, on a connection that was opened for it or on one that it found. It is counted when this goes,
    /// whether or not anybody waits for its answer.
    pub(super) fn sending(&self, is_new: bool) -> Sending<'_> {
        Sending(Some(if is_new { &self.on_new } else { &self.on_reused }))
    }

    pub(super) fn traffic(&self) -> Traffic {
        // Two looks, between which a connection may have gone.
        let active = self.active.now();
        Traffic {
            active,
            idle: self.open.now().saturating_sub(active),
            opened: self.opened.get(),
            on_new: self.on_new.get(),
            on_reused: self.on_reused.get(),
        }
    }
}
