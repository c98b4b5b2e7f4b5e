//! How many there are now of something that comes and goes: each takes a place and leaves it when it is dropped, so
//! that no way out of a function forgets to count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// One of those that are counted, until it is dropped.
#[derive(Debug)]
pub struct Place(Gauge);

impl Gauge {
    /// One more, for as long as the place is kept.
    #[must_use]
    pub fn enter(&self) -> Place {
        self.rise();
        Place(self.clone())
    }

    /// One more, until somebody calls [`Gauge::fall`].
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fall();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_left_when_it_is_dropped() {
        let gauge = Gauge::default();
        let one = gauge.enter();
        let two = gauge.clone().enter();
        assert_eq!(gauge.now(), 2);
        drop(one);
        assert_eq!(gauge.now(), 1);
        drop(two);
        assert_eq!(gauge.now(), 0);
    }
}
